"""What `thumbnail` shows, what it refuses, and that a picture cannot kill the worker again and again."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, Gate
from tests.daemon.scripted_worker import content_of, thumbnail_of
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.replies import Code, Failure, Matches, Reply, Thumb
from pixkin.protocol.requests import Image, Like, Size, Thumbnail
from pixkind.server.deferred import Deferred


def ask(library: DaemonParts, image: Image | Path | bytes, size: Size = Size.S, *frames: bytes) -> Reply:
    """Return the reply to `thumbnail` of an image, a path or a content id."""
    if isinstance(image, Path):
        image = Image(path=os.fsencode(image))
    elif isinstance(image, bytes):
        image = Image(content=image)
    reply = library.dispatcher.answer(Thumbnail(image=image, size=size), frames)
    return settled(reply) if isinstance(reply, Deferred) else reply


def is_of(reply: Reply, picture: str, size: Size = Size.S) -> bool:
    """Return whether a reply is the thumbnail of a picture."""
    assert isinstance(reply, Thumb), reply
    assert (reply.width, reply.height) == (4, 3)
    return reply.data == thumbnail_of(picture, size) and reply.content == content_of(picture)


def test_a_picture_is_shown_by_its_path_its_content_and_its_bytes(library: DaemonParts) -> None:
    """In each size; a photo of no root is shown, too, and a content id is told in any case."""
    path = library.write("a.jpg", "one")
    stranger = library.folder / "b.jpg"
    stranger.write_text("two")
    library.start().sync()

    for size in Size:
        assert is_of(ask(library, path, size), "one", size)
        assert is_of(ask(library, content_of("one"), size), "one", size)
        assert is_of(ask(library, stranger, size), "two", size)
        assert is_of(ask(library, Image(frame=2), size, b"three"), "three", size)
    assert not library.query_images.open_photos


def test_an_image_that_cannot_be_opened_says_why(library: DaemonParts) -> None:
    """So a client knows that it may send the bytes; a picture that nobody knows is refused."""
    library.start().sync()

    missing = ask(library, library.root / "no.jpg")
    unknown = ask(library, content_of("unknown"))

    assert isinstance(missing, Failure)
    assert missing.code is Code.UNREADABLE
    assert isinstance(unknown, Failure)
    assert unknown.code is Code.REFUSED


def test_another_copy_is_shown_if_the_first_is_gone(library: DaemonParts) -> None:
    """A file that has changed since it was indexed shows another picture, so it is not the one that is asked for."""
    first, second, third = (library.write(name, "one") for name in ("a.jpg", "b.jpg", "c.jpg"))
    library.start().sync()
    first.unlink()
    second.write_text("two")

    assert is_of(ask(library, content_of("one")), "one")
    third.unlink()
    changed = ask(library, content_of("one"))

    assert isinstance(changed, Failure)
    assert changed.code in {Code.BUSY, Code.UNREADABLE}


def test_a_photo_that_has_failed_for_good_is_never_drawn(library: DaemonParts) -> None:
    """It might kill the worker once more."""
    path = library.write("a.jpg", "one", "encode signal 11")
    library.start().sync()

    for image in (path, content_of("one")):
        reply = ask(library, image)
        assert isinstance(reply, Failure)
        assert (reply.code, "crashes the decoder" in reply.what) == (Code.REFUSED, True)
    assert library.jobs("draw") == []


@pytest.mark.parametrize(("order", "reason"), [("signal 11", "crashes the decoder"), ("compute 30", "takes too long")])
def test_a_picture_that_kills_the_worker_is_drawn_alone_and_never_again(
    tmp_path: Path, order: str, reason: str
) -> None:
    """It kills the worker twice at most: with others in it, and alone. Other pictures are shown."""
    library = DaemonParts(tmp_path, cpu_s=0.3, slow_cpu_s=0.3)
    bad, good = library.write("a.jpg", "one", f"draw {order}"), library.write("b.jpg", "two")
    library.start().sync()

    for image in (bad, content_of("one"), bad):
        reply = ask(library, image)
        assert isinstance(reply, Failure)
        assert (reply.code, reason in reply.what) == (Code.REFUSED, True)

    assert is_of(ask(library, good), "two")
    assert len(library.jobs("draw")) == (3 if "signal" in order else 2)
    library.stop()


def test_thumbnails_wait_for_each_other_and_hold_no_query(library: DaemonParts) -> None:
    """Four photos are open for hundreds of requests. A query by a new image goes before those that wait."""
    gate = Gate(library.folder)
    paths = [library.write(f"{number}.jpg", f"picture {number}") for number in range(20)]
    slow = library.write("slow.jpg", "slow", f"draw gate {gate.path}")
    library.start().sync()

    with ThreadPoolExecutor(len(paths)) as clients:
        first = clients.submit(ask, library, slow)
        wait_for(lambda: library.jobs("draw") == ["slow"])
        others = [clients.submit(ask, library, path) for path in paths]
        wait_for(lambda: bool(library.dispatcher.thumbnail_handler.turns.waiting))
        assert len(library.query_images.open_photos) <= 4
        query = library.dispatcher.answer(Like(images=(Image(frame=2),)), (b"new",))
        gate.open()
        assert isinstance(query, Deferred)
        assert isinstance(settled(query), Matches)
        before, _, _ = library.log.read_text().partition("inspect new")
        assert before.count("\ndraw ") <= 4
        replies = [client.result() for client in (first, *others)]

    assert all(isinstance(reply, Thumb) for reply in replies)


def test_a_root_that_is_away_is_said_to_be(library: DaemonParts) -> None:
    """The sentence says so, and no photo is looked for."""
    library.write("a.jpg", "one")
    library.start().sync()
    shutil.rmtree(library.root)
    library.sync()

    reply = ask(library, content_of("one"))

    assert isinstance(reply, Failure)
    assert (reply.code, reply.what) == (Code.UNREADABLE, "its folder is offline")
