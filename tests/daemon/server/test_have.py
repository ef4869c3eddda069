"""`have`, with a worker that does what the photos say."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, descriptors
from tests.daemon.scripted_worker import jpeg
from tests.waiting import wait_for

from pixkin.protocol.replies import Has, Holding, Holdings, Unproven
from pixkin.protocol.requests import Have, Image
from pixkind.fs.rules import PhotoRules
from pixkind.fs.stamp import Stamp
from pixkind.server.deferred import Deferred
from pixkind.storage.write_batch import PhotoFound, WriteBatch


def _ask(library: DaemonParts, *images: Image, frames: Sequence[bytes] = (), within: Sequence[Path] = ()) -> Holdings:
    """Return the reply, after as many waits as it takes."""
    request = Have(images=images, within=tuple(map(os.fsencode, within)))
    reply = library.haves.have(request, frames)
    while isinstance(reply, Deferred):
        for future in reply.futures:
            wait_for(future.done)
        reply = reply.resume()
    assert isinstance(reply, Holdings)
    return reply


def _has(library: DaemonParts, *paths: Path) -> list[tuple[Has, str]]:
    """Return what the library has of each photo, and why that is not known."""
    holdings = _ask(library, *(Image(path=os.fsencode(path)) for path in paths)).holdings
    assert [os.fsdecode(one.path) for one in holdings] == list(map(str, paths))
    return [(one.has, one.reason) for one in holdings]


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonParts]:
    """Yield a library of five pictures, one of which has failed; its worker runs."""
    made = DaemonParts(tmp_path_factory.mktemp("some"))
    for number in range(4):
        made.write(f"{number}.jpg", f"picture {number}")
    made.write("torn.jpg", "torn", "encode refuse it is torn")
    made.start().sync()
    yield made
    made.stop()


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Return a folder that is not indexed."""
    folder = tmp_path / "card"
    folder.mkdir()
    return folder


def _put(card: Path, name: str, *lines: str) -> Path:
    path = card / name
    path.write_text("\n".join(lines))
    return path


def test_what_is_there_is_read_there_too(some: DaemonParts, card: Path) -> None:
    """It costs two inspections, one of the image and one of the copy in the library, and nothing is encoded."""
    copy = _put(card, "copy.jpg", "picture 1")
    _has(some, copy)  # starts the worker, whose socket stays open
    jobs = some.log.read_text()
    before = descriptors()
    (holding,) = _ask(some, Image(path=os.fsencode(copy))).holdings

    assert holding == Holding(os.fsencode(copy), Has.THERE, 1.0, (os.fsencode(some.root / "1.jpg"),), seen=True)
    assert some.log.read_text().removeprefix(jobs) == "inspect picture 1\n" * 2
    assert descriptors() == before


def test_each_image_is_answered_for_itself(some: DaemonParts, card: Path) -> None:
    """The answers come in order, whatever is wrong with one image. Nothing stays open, and nothing is stored."""
    torn = _put(card, "torn.jpg", "other", "encode refuse it is torn too")
    new = _put(card, "new.jpg", "picture 9")
    images = [Image(path=os.fsencode(path)) for path in (card / "missing.jpg", torn, new)]
    _has(some, new)  # starts the worker, whose socket stays open
    before = descriptors()
    reply = _ask(some, *images, Image(frame=2), Image(path=b"/named", frame=3), frames=[b"picture 2", b"picture 8"])

    has = [one.has for one in reply.holdings]
    assert has == [Has.UNREADABLE, Has.FAILED, Has.NEW, Has.THERE, Has.NEW]
    assert reply.holdings[1].reason == "it is torn too"
    assert reply.holdings[3].paths == (os.fsencode(some.root / "2.jpg"),)
    assert reply.holdings[4].path == b"/named"
    assert descriptors() == before
    assert _has(some, new) == [(Has.NEW, "")]


def test_a_photo_that_has_failed_is_not_tried_again(library: DaemonParts) -> None:
    """A photo that crashed the decoder must not crash it again for every memory card."""
    path = library.write("bad.jpg", "bad", "encode signal 11")
    library.start().sync()
    jobs = library.log.read_text()

    assert _has(library, path) == [(Has.FAILED, "crashes the decoder (SIGSEGV)")]
    assert library.log.read_text() == jobs


def test_a_photo_that_kills_the_worker_condemns_no_other(some: DaemonParts, card: Path) -> None:
    """The images that were in the worker with it are encoded once more, each alone."""
    paths = [_put(card, f"{number}.jpg", f"other {number}") for number in range(3)]
    paths.insert(1, _put(card, "bad.jpg", "bad", "encode signal 11"))

    assert [has for has, _ in _has(some, *paths)] == [Has.NEW, Has.FAILED, Has.NEW, Has.NEW]


def test_the_vector_of_a_photo_that_is_gone_is_used(library: DaemonParts, card: Path) -> None:
    """The photo counts as new, but it is not encoded again."""
    library.write("stays.jpg", "picture 1")
    path = library.write("gone.jpg", "picture 2")
    library.start().sync()
    path.unlink()
    library.sync()

    assert _has(library, _put(card, "a.jpg", "picture 2")) == [(Has.NEW, "")]
    assert library.jobs("encode").count("picture 2") == 1


@pytest.mark.parametrize("kind", ["inspect", "encode"])
def test_a_request_that_is_given_up_closes_its_images(some: DaemonParts, card: Path, kind: str) -> None:
    """This holds while it is inspected, and while it is encoded."""
    image = Image(path=os.fsencode(_put(card, "other.jpg", "other")))
    _ask(some, image)
    before = descriptors()
    deferred = some.haves.have(Have(images=(image,)), [])
    assert isinstance(deferred, Deferred)
    if kind == "encode":
        wait_for(deferred.futures[0].done)
        deferred = deferred.resume()
        assert isinstance(deferred, Deferred)
    during = descriptors()
    for future in deferred.futures:
        wait_for(future.done)
    deferred.abandon()

    assert (during, descriptors()) == (before + 1, before)


def test_an_image_over_the_limit_fails_alone(some: DaemonParts, card: Path) -> None:
    """The other images get their answers."""
    large = _put(card, "large.jpg")
    os.truncate(large, (some.query_images.query_mb << 20) + 1)
    ((has, reason),) = _has(some, large)

    assert has is Has.FAILED
    assert "over the limit" in reason


# A copy counts only if it is there now, elsewhere, and says all that the image says.


def _holding(library: DaemonParts, path: Path, *within: Path) -> Holding:
    """Return what the library has of a photo, if the folders `within` may be erased."""
    (holding,) = _ask(library, Image(path=os.fsencode(path)), within=within).holdings
    return holding


def _is(holding: Holding, known: Unproven, *paths: Path) -> bool:
    """Return whether the picture is known from these photos alone, for one reason, and is not `there`."""
    has = Has.NEAR if known is Unproven.BARE else Has.NEW
    return (holding.has, holding.known, holding.seen, holding.paths) == (
        has,
        known,
        False,
        tuple(map(os.fsencode, paths)),
    )


@pytest.mark.parametrize("change", [lambda path: path.write_text("another"), Path.unlink], ids=["other", "gone"])
def test_a_copy_that_was_overwritten_or_deleted_does_not_count(
    library: DaemonParts, card: Path, change: Callable[[Path], object]
) -> None:
    """The record is not believed. The path is looked at again, and then the picture is new."""
    library.write("stays.jpg")
    copy, image = library.write("a.jpg", "picture"), _put(card, "a.jpg", "picture")
    library.start().sync()
    change(copy)
    holding = _holding(library, image, card)

    assert _is(holding, Unproven.UNSEEN, copy)
    assert holding.reason.startswith(f"{copy}: ")
    wait_for(lambda: _holding(library, image, card) == Holding(os.fsencode(image), Has.NEW))


def test_the_next_copy_is_tried(library: DaemonParts, card: Path) -> None:
    """One copy that still counts is enough; it comes first in the answer."""
    old, new = library.write("old.jpg", "picture", mtime_s=1), library.write("new.jpg", "picture", mtime_s=2)
    library.start().sync()
    old.write_text("another")
    holding = _holding(library, _put(card, "a.jpg", "picture"), card)

    assert (holding.has, holding.seen) == (Has.THERE, True)
    assert holding.paths == (os.fsencode(new), os.fsencode(old))


def test_a_copy_is_read_and_not_only_looked_at(library: DaemonParts, card: Path) -> None:
    """A file whose stamp is the recorded one may have other bytes, as after a fault of the drive."""
    copy, image = library.write("a.jpg", "picture"), _put(card, "a.jpg", "picture")
    library.start().sync()
    known = library.store.record(str(copy))
    assert known is not None
    copy.write_text("another")
    stamp = Stamp.of(copy.stat())
    library.store.commit(WriteBatch(photos=[PhotoFound(known.path, stamp, known.content)]))

    assert _is(_holding(library, image, card), Unproven.UNSEEN, copy)


def test_a_copy_is_compared_by_its_bytes(library: DaemonParts, card: Path) -> None:
    """A photo may have made the worker lie. The copy does not count, and is read again."""
    copy = library.write("a.jpg", "another", "inspect lie picture")
    library.start().sync()
    inspects = len(library.jobs("inspect"))
    holding = _holding(library, _put(card, "a.jpg", "picture"), card)

    assert _is(holding, Unproven.UNSEEN, copy)
    assert holding.reason == f"{copy}: its content id was wrong; it is read again"
    wait_for(lambda: len(library.jobs("inspect")) >= inspects + 3)  # the image, the copy, and the copy again


def test_what_is_known_from_the_card_alone_is_said(library: DaemonParts) -> None:
    """Neither the photo itself counts, nor a copy in a folder that may be erased, nor one in the watched folder around it."""
    copy, other = library.write("card/a.jpg", "picture"), library.write("card/backup/b.jpg", "picture")
    library.start().sync()

    for within in ([], [copy.parent], [library.root]):
        assert _is(_holding(library, copy, *within), Unproven.ONLY_HERE, copy, other)


def test_a_hard_link_is_no_copy(library: DaemonParts, card: Path) -> None:
    """It may be the card's file under another name."""
    copy = library.write("a.jpg", "picture")
    library.start().sync()
    (card / "a.jpg").hardlink_to(copy)
    library.sync()

    assert _is(_holding(library, card / "a.jpg", card), Unproven.ONLY_HERE, copy)


def test_what_lies_behind_a_link_is_no_copy(library: DaemonParts, card: Path) -> None:
    """A folder of the library was moved to the card, and a link took its place."""
    copy = library.write("2020/a.jpg", "picture")
    library.start().sync()
    copy.parent.rename(card / "2020")
    copy.parent.symlink_to(card / "2020")

    assert _is(_holding(library, card / "2020/a.jpg", card), Unproven.ONLY_HERE, copy)
    assert _is(_holding(library, _put(card, "b.jpg", "picture")), Unproven.UNSEEN, copy)


def test_a_copy_without_the_metadata_of_the_image_is_bare(library: DaemonParts, card: Path) -> None:
    """One that has all counts. The record tells which to read first."""
    bare, full = library.root / "bare.jpg", library.root / "full.jpg"
    image, less = card / "a.jpg", card / "less.jpg"
    for path, said in ((bare, (0, 1)), (image, (64, 1, 2)), (less, (0, 1))):
        path.write_bytes(jpeg("picture", *said))
    library.start().sync()
    known, fine = _holding(library, image, card), _holding(library, less, card)
    full.write_bytes(jpeg("picture", 192, 1, 2, 3))
    library.sync()
    holding = _holding(library, image, card)

    assert _is(known, Unproven.BARE, bare)
    assert fine.has is Has.THERE
    assert (holding.has, holding.paths) == (Has.THERE, (os.fsencode(full), os.fsencode(bare)))


def test_copies_on_a_drive_that_is_away_are_said(two: DaemonParts, card: Path) -> None:
    """Nobody knows whether they come back."""
    copy = two.write("a.jpg", "picture")
    two.start().sync()
    image = _put(card, "a.jpg", "picture")
    two.root.rename(two.folder / "drawer")
    two.sync()

    assert _is(_holding(two, image, card), Unproven.AWAY, copy)
    (two.folder / "drawer").rename(two.root)
    two.sync()
    assert _holding(two, image, card).has is Has.THERE


def test_a_paused_root_is_not_read(library: DaemonParts, card: Path) -> None:
    """Its drive may be about to be unmounted. Its copies count again when it is resumed."""
    copy = library.write("a.jpg", "picture")
    library.start().sync()
    image = _put(card, "a.jpg", "picture")
    library.roots.pause(str(library.root))
    holding = _holding(library, image, card)
    library.roots.resume(str(library.root))

    assert _is(holding, Unproven.UNSEEN, copy)
    assert holding.reason == f"{copy}: {library.root} is paused"
    assert _holding(library, image, card).has is Has.THERE


def test_what_the_rules_leave_out_is_no_copy(library: DaemonParts, card: Path) -> None:
    """An older version may have recorded a photo in a bin; the next scan hides it."""
    library.write("a.jpg", "picture")
    library.start().sync()
    image = _put(card, "a.jpg", "picture")
    library.haves.rules = PhotoRules(frozenset({"png"}))

    assert _holding(library, image, card) == Holding(os.fsencode(image), Has.NEW)


def test_bytes_are_compared_with_the_file_that_they_came_from(library: DaemonParts, card: Path) -> None:
    """The client sends what the daemon cannot open; the copy must be another file all the same."""
    copy = library.write("a.jpg", "picture")
    library.start().sync()
    (card / "linked.jpg").hardlink_to(copy)
    library.sync()
    image = _put(card, "a.jpg", "picture")
    paths = [os.fsencode(path) for path in (card / "linked.jpg", image, card / "missing.jpg")]
    frames = [b"picture"] * 4
    images = [*(Image(path, frame) for frame, path in enumerate(paths, 2)), Image(frame=5)]
    holdings = _ask(library, *images, frames=frames, within=[card]).holdings

    assert [one.known for one in holdings] == [Unproven.ONLY_HERE, None, Unproven.UNSEEN, None]
    assert [one.has for one in holdings] == [Has.NEW, Has.THERE, Has.NEW, Has.THERE]
