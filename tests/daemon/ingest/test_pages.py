"""The way of a photo of several pages, with a worker that does what the photo says."""

import os
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, Gate
from tests.daemon.scripted_worker import content_of, vector_of
from tests.waiting import wait_for

from pixkind.encoder.messages import MOST_PAGES
from pixkind.fs.stamp import Stamp
from pixkind.ingest.pipeline import STRIKES
from pixkind.ingest.throttle import clock
from pixkind.storage.keys import page_id
from pixkind.storage.record import unpack_vector
from pixkind.storage.write_batch import PhotoFound, WriteBatch


def _pages(library: DaemonParts, picture: str, pages: int) -> list[int]:
    """Return the pages of a picture that can be found; each has its own vector."""
    found = []
    for page in range(pages):
        one = page_id(content_of(picture), page) if page else content_of(picture)
        if library.store.searchable([one]):
            value = library.store.vector(one)
            vector = unpack_vector(value) if value else None
            assert vector is not None
            assert vector.tobytes() == vector_of(f"{picture} page {page}" if page else picture)
            found.append(page)
    return found


def test_each_page_gets_a_vector(library: DaemonParts) -> None:
    """One job each, one after the other, and one commit for all. The file is one photo."""
    library.write("red.jpg", "red", "pages 4")
    library.write("blue.jpg", "blue")
    synced = library.start().sync()

    assert _pages(library, "red", 4) == [0, 1, 2, 3]
    assert [library.jobs(kind).count("red") for kind in ("inspect", "encode", "page1", "page2", "page3")] == [1] * 5
    assert synced.photos == 2
    assert library.store.count(str(library.root)) == (2, 0)
    assert len(library.index) == 5
    assert library.store.strikes(content_of("red")) == 0


def test_a_worker_cannot_ask_for_more_pages_than_there_may_be(library: DaemonParts) -> None:
    """A photo that takes the worker over would have it encode for ever."""
    library.write("red.jpg", "red", f"pages {MOST_PAGES}")
    library.write("blue.jpg", "blue", f"pages {MOST_PAGES + 1}")
    library.start().sync()

    assert _pages(library, "red", MOST_PAGES) == [*range(MOST_PAGES)]
    assert library.found() == {"red.jpg"}
    assert [*library.failed()] == ["blue.jpg"]


def test_a_page_that_is_refused_is_left_out(library: DaemonParts) -> None:
    """The others are found, and the file has not failed."""
    library.write("red.jpg", "red", "pages 4", "page2 refuse it is torn")
    library.start().sync()

    assert _pages(library, "red", 4) == [0, 1, 3]
    assert library.failed() == {}
    assert library.store.strikes(content_of("red")) == 0


def test_a_first_page_that_is_refused_fails_the_photo(library: DaemonParts) -> None:
    """As a photo of one page; its other pages are not tried."""
    library.write("red.jpg", "red", "pages 4", "encode refuse it is torn")
    library.start().sync()

    assert library.failed() == {"red.jpg": "it is torn"}
    assert library.jobs("page1") == []


@pytest.mark.parametrize(("signal", "tries"), [(11, 2), (9, STRIKES)], ids=["a crash", "a kill"])
def test_a_page_that_ends_the_worker_costs_the_pages_behind_it(library: DaemonParts, signal: int, tries: int) -> None:
    """The photo stays found by the pages before it, and ends the worker no more often than any other photo may."""
    library.write("red.jpg", "red", "pages 4", f"page2 signal {signal}")
    library.write("blue.jpg", "blue")
    library.start().sync()

    assert _pages(library, "red", 4) == [0, 1]
    assert library.found() == {"red.jpg", "blue.jpg"}
    assert library.jobs("page2").count("red") <= tries
    assert library.store.strikes(content_of("red")) == 0


def test_each_page_has_a_deadline_of_its_own(hurried: DaemonParts) -> None:
    """Ten pages may take longer than one photo. One that takes for ever is tried twice, and costs the pages behind it."""
    hurried.write("slow.jpg", "slow", "pages 10", *(f"page{page} compute 0.04" for page in range(1, 10)))
    hurried.write("bad.jpg", "bad", "pages 4", "page2 spin")
    hurried.start().sync()

    assert hurried.jobs("page1").count("slow") == 1
    assert _pages(hurried, "slow", 10) == [*range(10)]
    assert _pages(hurried, "bad", 4) == [0, 1]
    assert hurried.jobs("page2").count("bad") == 2


def test_copies_share_their_pages(library: DaemonParts) -> None:
    """No copy is encoded, whether it comes at the same time or later; a rename reads nothing."""
    for name in ("a.jpg", "b.jpg"):
        library.write(name, "red", "pages 3")
    library.start().sync()
    library.write("c.jpg", "red", "pages 3")
    library.sync()
    (library.root / "d").mkdir()
    (library.root / "a.jpg").rename(library.root / "d/a.jpg")
    (library.root / "b.jpg").unlink()
    library.sync()
    [(_, places)] = library.store.places([page_id(content_of("red"), 2)])

    assert [library.jobs(kind) for kind in ("encode", "page1", "page2")] == [["red"]] * 3
    assert {os.path.relpath(place.folder, library.root) for place in places} == {".", "d"}
    assert _pages(library, "red", 3) == [0, 1, 2]


def test_an_edit_has_its_own_pages(library: DaemonParts) -> None:
    """Of the former version none is found."""
    library.write("red.jpg", "red", "pages 3")
    library.start().sync()
    library.write("red.jpg", "dark red", "pages 2")
    library.sync()

    assert _pages(library, "red", 3) == []
    assert _pages(library, "dark red", 2) == [0, 1]
    assert len(library.index) == 2


def test_what_an_older_pixkind_indexed_gets_its_pages_when_it_is_read_again(library: DaemonParts) -> None:
    """Only these are encoded: the vector of the first page stays. Records without details are all read once, after an upgrade."""
    path = library.write("red.jpg", "red", "pages 3")
    found = PhotoFound(str(path), Stamp.of(path.stat()), content_of("red"))
    library.store.commit(WriteBatch(photos=[found], vectors={content_of("red"): vector_of("red")}))
    library.start().sync()

    assert [library.jobs(kind) for kind in ("encode", "page1", "page2")] == [[], ["red"], ["red"]]
    assert _pages(library, "red", 3) == [0, 1, 2]
    assert library.store.count(str(library.root)) == (1, 0)


def test_a_pause_comes_between_two_pages(library: DaemonParts, tmp_path: Path) -> None:
    """Its drive can be unmounted before the last of 32 pages. Afterwards all pages are found."""
    gate = Gate(tmp_path)
    library.write("red.jpg", "red", "pages 3", f"page1 gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("page1") == ["red"])
    paused = library.ingest.pause(str(library.root), 0)
    wait_for(lambda: not library.roots.is_read(str(library.root)))
    gate.open()
    paused.result(60)
    while_paused = library.jobs("page2")
    library.ingest.resume(str(library.root))
    library.sync()

    assert while_paused == []
    assert _pages(library, "red", 3) == [0, 1, 2]


def test_nothing_more_is_encoded_while_indexing_is_paused(library: DaemonParts, tmp_path: Path) -> None:
    """The page that is being encoded is finished. The others, and the photo, wait; its strike is not counted again."""
    gate = Gate(tmp_path)
    library.write("red.jpg", "red", "pages 3", f"page1 gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("page1") == ["red"])
    library.ingest.throttle.pause(clock(), 0)
    for _ in range(2):  # the first of these turns may have begun before
        turn = library.ingest.beat()
        library.ingest.wake()
        wait_for(lambda: library.ingest.beat() > turn)  # noqa: B023  it is called at once
    gate.open()
    library.sync()  # which ends when the worker has no photo
    during = library.jobs("page2"), library.store.strikes(content_of("red"))
    library.ingest.throttle.resume()
    library.ingest.wake()
    library.sync()

    assert during == ([], 1)
    assert library.jobs("encode") == ["red"]
    assert _pages(library, "red", 3) == [0, 1, 2]
