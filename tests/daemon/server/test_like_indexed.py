"""Queries by an indexed picture, and what `like` says of the picture of each match."""

import os
import shutil
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pytest
from tests.daemon.conftest import DaemonParts
from tests.daemon.scripted_worker import content_of, look_of, vector_of
from tests.daemon.settled import settled

from pixkin.protocol.pictures import Picture
from pixkin.protocol.replies import Code, Failure, Match, Matches, Reply
from pixkin.protocol.requests import Image, Like, Region
from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.search.folding import FoundPicture, Scores, Shot, folded
from pixkind.search.photo_search import PhotoSearch
from pixkind.storage.record import Facts
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, WriteBatch


def fill(library: DaemonParts) -> DaemonParts:
    """Index six pictures, one with copies, and one at which the network fails."""
    for number in range(6):
        library.write(f"{number}.jpg", f"picture {number}", mtime_s=1_000_000 + number)
    library.write("a/copy.jpg", "picture 0")
    library.write("failed.jpg", "failed", "encode refuse it is torn")
    library.start().sync()
    return library


def _by(picture: str, **fields: object) -> Image:
    return msgspec.structs.replace(Image(content=content_of(picture)), **fields)


def _ask(library: DaemonParts, *images: Image, **options: object) -> Reply:
    return settled(library.dispatcher.answer(Like(images=images, **options), []))  # type: ignore[arg-type]  # of any field


def _like(library: DaemonParts, *images: Image, **options: object) -> tuple[Match, ...]:
    reply = _ask(library, *images, **options)
    assert isinstance(reply, Matches), reply
    return reply.matches


def _by_path(library: DaemonParts, name: str, **fields: object) -> Image:
    return msgspec.structs.replace(Image(path=os.fsencode(library.root / name)), **fields)


def test_an_indexed_picture_is_a_query_and_no_file_is_looked_at(many: DaemonParts) -> None:
    """It finds what a photo of it finds, without its own copies; with `itself` they are there."""
    before = many.log.read_text()
    found, itself = _like(many, _by("picture 0")), _like(many, _by("picture 0"), itself=True)
    by_path = _like(many, _by_path(many, "0.jpg"))

    assert many.log.read_text() == before
    assert [one.path for one in found] == [one.path for one in by_path if not one.path.endswith(b"copy.jpg")]
    assert len(found) == 5
    assert {itself[0].path, *itself[0].copies} == {os.fsencode(many.root / name) for name in ("0.jpg", "a/copy.jpg")}


def test_pictures_and_files_make_one_query(many: DaemonParts) -> None:
    """Weights count as they do for files."""
    by_content = _like(many, _by("picture 0", weight=0.5), _by_path(many, "1.jpg"), _by("picture 2", weight=-0.2))
    by_path = _like(
        many,
        _by_path(many, "0.jpg", weight=0.5),
        _by_path(many, "1.jpg"),
        _by_path(many, "2.jpg", weight=-0.2),
        itself=True,
    )
    scores = {one.path: one.score for one in by_path}

    assert [one.score for one in by_content] == pytest.approx([scores[one.path] for one in by_content])
    assert {os.path.basename(one.path) for one in by_content} == {b"3.jpg", b"4.jpg", b"5.jpg"}


@pytest.mark.parametrize(
    ("content", "what"),
    [(bytes(16), "no photo"), (b"x" * 16, "no photo"), (content_of("failed"), "cannot be found")],
    ids=["zeros", "unknown", "failed"],
)
def test_a_picture_that_cannot_be_found_is_refused(many: DaemonParts, content: bytes, what: str) -> None:
    """Alone, or among others."""
    for images in ((Image(content=content),), (_by_path(many, "0.jpg"), Image(content=content))):
        reply = _ask(many, *images)
        assert isinstance(reply, Failure)
        assert (reply.code, reply.path) == (Code.REFUSED, b"")
        assert what in reply.what


def test_a_photo_that_failed_for_good_is_not_tried_again_for_a_part_of_it(library: DaemonParts) -> None:
    """It may kill the worker."""
    path = library.write("deadly.jpg")
    stamp = Stamp.of(path.stat())
    library.store.commit(WriteBatch(photos=[PhotoFailed(str(path), stamp, content_of("deadly"), "it is torn", 0)]))
    reply = _ask(library, _by("deadly", region=Region(0, 0, 0.5, 1)))

    assert isinstance(reply, Failure)
    assert (reply.code, reply.what) == (Code.REFUSED, "no photo of this picture can be used: it is torn")


def test_a_picture_that_is_gone_is_refused_and_one_on_a_drive_that_is_away_is_not(own: DaemonParts) -> None:
    """A gone photo is hidden. A photo whose drive is not connected is there, and its vector is in the store."""
    (own.root / "1.jpg").unlink()
    own.sync()
    gone = _ask(own, _by("picture 1"))
    own.root.rename(own.folder / "away")
    own.sync()
    away = _like(own, _by("picture 2"), pictures=True)

    assert isinstance(gone, Failure)
    assert gone.code is Code.REFUSED
    assert [one.offline for one in away] == [True] * 4
    assert {one.picture.content for one in away if one.picture} == {
        content_of(f"picture {one}") for one in (0, 3, 4, 5)
    }


def test_a_part_of_an_indexed_picture_is_read_from_one_of_its_photos(own: DaemonParts) -> None:
    """The first copy that is as the index knows it; without one, or without its drive, a sentence says so."""
    part = Region(0.5, 0, 0.5, 1)
    (own.root / "0.jpg").write_text("changed")
    found = _like(own, _by("picture 0", region=part), itself=True)
    expected = np.frombuffer(vector_of("picture 0 at 0.5"), "<f2").astype(float)
    distance = np.linalg.norm(expected - np.frombuffer(vector_of("picture 3"), "<f2").astype(float))
    turned = _like(own, _by("picture 3"), rotate=True, itself=True)
    (own.root / "a/copy.jpg").write_text("changed too")
    changed = _ask(own, _by("picture 0", region=part))
    shutil.move(own.root, own.folder / "away")
    own.sync()
    away = _ask(own, _by("picture 2", region=part))

    assert {one.path: one.distance for one in found}[os.fsencode(own.root / "3.jpg")] == pytest.approx(
        distance, rel=1e-5
    )
    assert turned[0].path == os.fsencode(own.root / "3.jpg")
    assert isinstance(changed, Failure)
    assert isinstance(away, Failure)
    assert (changed.code, away.code) == (Code.REFUSED, Code.REFUSED)
    assert "changed" in changed.what
    assert "offline" in away.what
    assert own.like_handler.query_images.open_photos == set()


def test_each_match_tells_its_picture_if_that_is_asked_for(many: DaemonParts) -> None:
    """Folded or not; nothing is told that was not asked for."""
    for fold in (True, False):
        told = _like(many, _by("picture 0"), pictures=True, fold=fold)
        shown = [f"picture {os.path.basename(one.path)[:1].decode()}" for one in told]
        assert [one.picture for one in told] == [
            Picture(content_of(picture), 4, 3, look_of(picture).colour) for picture in shown
        ]
    assert {one.picture for one in _like(many, _by("picture 0"))} == {None}


def test_thousands_of_matches_fold_a_part_at_a_time(library: DaemonParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part is larger than what folds at once. Each picture comes once, the best first, with its date."""
    count, sizes = 430, list[int]()

    def counted(pictures: list[FoundPicture], centred: Callable[[Sequence[bytes]], Scores]) -> list[list[Shot]]:
        sizes.append(len(pictures))
        return folded(pictures, centred)

    for name, value in (("folded", counted), ("MOST", 150), ("PART", 100)):
        monkeypatch.setattr(f"pixkind.search.photo_search.{name}", value)
    contents = [number.to_bytes(16, "big") for number in range(1, count + 1)]
    vectors = np.random.default_rng(0).standard_normal((count, 8)).astype("<f2")
    batch = WriteBatch(
        photos=[
            PhotoFound(f"{library.root}/{at}.jpg", Stamp(1, 2, 3, 4), content, Details(at * 10 + 10))
            for at, content in enumerate(contents)
        ],
        contents={content: Facts(4, 3, 0, "") for content in contents},
        vectors={content: vector.tobytes() for content, vector in zip(contents, vectors, strict=True)},
    )
    library.spaces.apply(library.store.commit(batch))
    search = PhotoSearch(library.store, library.index, library.roots)
    request = Like(images=(Image(content=contents[0]),), limit=10_000, pictures=True, itself=True)
    matches = search.rank(search.query(request), vectors[:1].astype(np.float32)).matches
    scores = [one.score for one in matches]

    assert sizes == [150, 100, 100, 80]
    assert scores == sorted(scores, reverse=True)
    assert {(one.picture.content, one.picture.taken_s) for one in matches if one.picture} == {
        (content, at * 10 + 10) for at, content in enumerate(contents)
    }
    assert len(matches) == count
