"""`have`, with a worker that does what the photos say."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, descriptors
from tests.waiting import wait_for

from pixkin.protocol.replies import Has, Holdings
from pixkin.protocol.requests import Have, Image
from pixkind.server.deferred import Deferred


def _ask(library: DaemonParts, *images: Image, frames: Sequence[bytes] = ()) -> Holdings:
    """Return the reply, after as many waits as it takes."""
    reply = library.haves.have(Have(images=images), frames)
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


def test_what_is_there_is_not_encoded(some: DaemonParts, card: Path) -> None:
    """A photo of the library costs nothing. The same picture elsewhere costs an inspection."""
    copy = _put(card, "copy.jpg", "picture 1")
    jobs = some.log.read_text()

    assert _has(some, some.root / "1.jpg", copy) == [(Has.THERE, ""), (Has.THERE, "")]
    assert some.log.read_text().removeprefix(jobs) == "inspect picture 1\n"


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
