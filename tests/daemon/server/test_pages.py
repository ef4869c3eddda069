"""What queries answer about photos of several pages: a page finds its file, and only whole files are duplicates or there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts
from tests.daemon.scripted_worker import content_of, vector_of
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.replies import Exported, Forgotten, Group, Groups, Has, Holdings, Library, Match, Matches, Months
from pixkin.protocol.requests import Browse, Dupes, Export, Forget, Have, Image, Like, Timeline
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.keys import page_id


def _fill(library: DaemonParts, count: int) -> DaemonParts:
    """Index a scan of three pages and two copies of it, a file that shows its second page alone, and others."""
    for number in range(count):
        library.write(f"{number}.jpg", f"picture {number}")
    for folder in ("scans", "backup"):
        library.write(f"{folder}/scan.jpg", "scan", "pages 3")
    library.write("single.jpg", "scan page 1")
    library.start().sync()
    wait_for(lambda: not library.index.is_making)
    return library


@pytest.fixture(scope="module", params=[10, 240], ids=["without codes", "with codes"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonParts]:
    """Yield a library that no test changes; with 200 pictures there are codes in memory."""
    made = _fill(DaemonParts(tmp_path_factory.mktemp("filled")), request.param)
    yield made
    made.stop()


def _like(library: DaemonParts, name: str, **options: object) -> tuple[Match, ...]:
    request = Like(images=(Image(path=os.fsencode(library.root / name)),), **options)  # type: ignore[arg-type]
    reply = library.like_handler.like(request, ())
    reply = settled(reply)
    assert isinstance(reply, Matches), reply
    return reply.matches


def _names(library: DaemonParts, paths: tuple[bytes, ...]) -> set[str]:
    return {os.path.relpath(os.fsdecode(path), library.root) for path in paths}


def test_an_export_of_a_folder_looks_only_at_what_is_below_it(
    filled: DaemonParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there are codes: then one request is enough, however large the library is. A file with pages is one picture."""
    monkeypatch.setattr("pixkind.server.library._LOOKED", 5)
    under = os.fsencode(filled.root / "scans")
    pages = [_export(filled, Export(under=under))]
    while pages[-1].next:
        pages.append(_export(filled, Export(under=under, after=pages[-1].next)))

    assert [one.picture.content for page in pages for one in page.pictures] == [content_of("scan")]
    assert len(pages) == (1 if len(filled.index) > 200 else 3)


def _export(library: DaemonParts, request: Export) -> Exported:
    reply = settled(library.dispatcher.answer(request, []))
    assert isinstance(reply, Exported), reply
    return reply


def test_a_page_finds_its_file_once_with_the_best_score(filled: DaemonParts) -> None:
    """Three pages and two copies are one match."""
    matches = _like(filled, "single.jpg", limit=300)
    scans = [one for one in matches if _names(filled, (one.path, *one.copies)) & {"scans/scan.jpg", "backup/scan.jpg"}]

    assert scans == [matches[0]]
    assert matches[0].score == pytest.approx(1, abs=1e-3)
    assert matches[0].distance == pytest.approx(0, abs=1e-3)
    assert _names(filled, (matches[0].path, *matches[0].copies)) == {"scans/scan.jpg", "backup/scan.jpg"}
    assert matches[1].score < 0.99


def test_a_file_of_several_pages_is_one_picture_of_the_library(filled: DaemonParts) -> None:
    """In its order by date and in its months; as a query it is its content, and a match names that too."""
    library = filled.dispatcher.answer(Browse(limit=1000), [])
    months = filled.dispatcher.answer(Timeline(), [])
    assert isinstance(library, Library)
    assert isinstance(months, Months)
    contents = [one.content for one in library.pictures]
    found = settled(
        filled.dispatcher.answer(Like(images=(Image(content=content_of("scan page 1")),), pictures=True), [])
    )
    assert isinstance(found, Matches)

    assert contents.count(content_of("scan")) == 1
    assert library.total == sum(one.photos for one in months.months) == len({*contents})
    assert not filled.store.pages.among(contents)
    assert found.matches[0].picture is not None
    assert found.matches[0].picture.content == content_of("scan")


def test_without_folding_each_file_comes_once(filled: DaemonParts) -> None:
    """A page is no match of its own."""
    matches = _like(filled, "single.jpg", limit=300, fold=False)
    paths = [one.path for one in matches]

    assert _names(filled, tuple(paths[:2])) == {"scans/scan.jpg", "backup/scan.jpg"}
    assert len(paths) == len({*paths})


def test_the_first_page_of_a_file_asks(filled: DaemonParts) -> None:
    """The file itself is left out, whichever of its pages is like the first; a copy of it is not."""
    matches = _like(filled, "scans/scan.jpg", limit=300, fold=False)
    by_name = {os.path.relpath(os.fsdecode(one.path), filled.root): one.score for one in matches}

    assert "scans/scan.jpg" not in by_name
    assert by_name["backup/scan.jpg"] == pytest.approx(1, abs=1e-3)
    assert by_name["single.jpg"] < 0.99


def test_filters_hold_for_the_file(filled: DaemonParts) -> None:
    """A page lies where its file lies."""
    matches = _like(filled, "single.jpg", limit=300, under=os.fsencode(filled.root / "backup"))

    assert [_names(filled, (one.path, *one.copies)) for one in matches] == [{"backup/scan.jpg"}]


def test_a_page_is_no_duplicate(filled: DaemonParts) -> None:
    """The file with the same picture as a page is in no group; the copies of the whole file are one group, said once."""
    reply = filled.dispatcher.answer(Dupes(min_score=0.99), ())
    groups = list[Group]()
    while True:
        found = settled(reply)
        assert isinstance(found, Groups), found
        groups += found.groups
        if found.done:
            break
        reply = filled.dispatcher.answer(Dupes(search=found.search), ())

    assert [_names(filled, tuple(photo.path for photo in group.photos)) for group in groups] == [
        {"scans/scan.jpg", "backup/scan.jpg"}
    ]


def test_a_page_proves_nothing_of_a_card(filled: DaemonParts, tmp_path: Path) -> None:
    """A photo that only a page of a file shows is new. The whole file is there."""
    card = tmp_path / "card"
    card.mkdir()
    (card / "page.jpg").write_text("scan page 2")
    shutil.copy2(filled.root / "scans/scan.jpg", card / "whole.jpg")
    images = tuple(Image(path=os.fsencode(card / name)) for name in ("page.jpg", "whole.jpg"))
    reply = settled(filled.haves.have(Have(images=images, within=(os.fsencode(card),)), ()))
    assert isinstance(reply, Holdings)

    assert [one.has for one in reply.holdings] == [Has.NEW, Has.THERE]


def test_nothing_is_left_of_the_pages_of_a_file_that_was_forgotten(library: DaemonParts) -> None:
    """Neither their vectors nor their ids, in any file; an index that starts later knows none of them."""
    _fill(library, 240)
    ids = [page_id(content_of("scan"), page) for page in (1, 2)]
    wanted = [*ids, vector_of("scan page 2")]
    files = [library.folder / "index", library.folder / "data_home"]

    def left() -> set[bytes]:
        data = [file.read_bytes() for folder in files for file in folder.rglob("*") if file.is_file()]
        return {one for one in wanted for some in data if one in some}

    before = left()
    for folder in ("scans", "backup"):
        shutil.rmtree(library.root / folder)
    forgotten = settled(library.dispatcher.answer(Forget(paths=(os.fsencode(library.root),)), ()))

    assert before >= {*wanted}
    assert forgotten == Forgotten(photos=2, there=241)
    assert left() == set()
    assert {path.name for path in library.root.iterdir()} >= {"single.jpg"}
    assert len(library.index) == 241


def test_an_index_that_starts_again_has_the_pages(filled: DaemonParts) -> None:
    """From the snapshot, from the journal, or from the store."""
    again = VectorIndex(filled.store)
    wait_for(lambda: not again.is_making)
    again.stop()

    assert len(again) == len(filled.index)
