"""What `thumbnail` shows, what it refuses, and that a picture cannot kill the worker again and again."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import md5
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, Gate
from tests.daemon.scripted_worker import content_of, look_of, thumbnail_of
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.replies import Code, Failure, Matches, Reply, Thumb
from pixkin.protocol.requests import Image, Like, Size, Thumbnail
from pixkind.encoder.messages import UNSEEN
from pixkind.fs.remote import RemoteFileSystem
from pixkind.server.deferred import Deferred
from pixkind.server.thumbnails import AT_ONCE
from pixkind.storage.record import Facts, pack_facts


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

    assert is_of(ask(library, content_of("one"), Size.X), "one", Size.X)
    third.unlink()
    changed = ask(library, content_of("one"), Size.X)

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
        reply = ask(library, image, Size.M)
        assert isinstance(reply, Failure)
        assert (reply.code, reason in reply.what) == (Code.REFUSED, True)

    assert is_of(ask(library, good, Size.M), "two", Size.M)
    assert len(library.jobs("draw")) == (3 if "signal" in order else 2)
    library.stop()


def test_thumbnails_wait_for_each_other_and_hold_no_query(library: DaemonParts) -> None:
    """Four photos are open for hundreds of requests. A query by a new image goes before those that wait."""
    gate = Gate(library.folder)
    paths = [library.write(f"{number}.jpg", f"picture {number}") for number in range(20)]
    slow = library.write("slow.jpg", "slow", f"draw gate {gate.path}")
    library.start().sync()

    with ThreadPoolExecutor(len(paths)) as clients:
        first = clients.submit(ask, library, slow, Size.M)
        wait_for(lambda: library.jobs("draw") == ["slow"])
        others = [clients.submit(ask, library, path, Size.M) for path in paths]
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


def kept(library: DaemonParts, picture: str, size: Size = Size.S) -> bool:
    """Return whether the thumbnail of a picture is in the cache."""
    return library.daemon.thumbnails.get(content_of(picture), size) is not None


def test_a_photo_that_is_indexed_is_shown_without_the_worker(library: DaemonParts) -> None:
    """Its thumbnail was made in passing. A larger one is made once, and kept, too; the largest is not."""
    path = library.write("a.jpg", "one")
    library.start().sync()
    wait_for(lambda: kept(library, "one"))

    assert is_of(ask(library, path), "one")
    assert is_of(ask(library, content_of("one")), "one")
    assert library.jobs("draw") == []
    assert is_of(ask(library, path, Size.M), "one", Size.M)
    wait_for(lambda: kept(library, "one", Size.M))
    assert is_of(ask(library, content_of("one"), Size.M), "one", Size.M)
    assert library.jobs("draw") == ["one"]
    assert not kept(library, "one", Size.X)


def test_a_photo_on_a_drive_that_is_away_is_shown_from_the_cache(library: DaemonParts) -> None:
    """By its content and by its path. A size that is not kept is unreadable, and the sentence says why."""
    path = library.write("a.jpg", "one")
    library.start().sync()
    wait_for(lambda: kept(library, "one"))
    shutil.rmtree(library.root)
    library.sync()

    assert is_of(ask(library, content_of("one")), "one")
    assert is_of(ask(library, path), "one")
    large = ask(library, content_of("one"), Size.L)

    assert isinstance(large, Failure)
    assert (large.code, large.what) == (Code.UNREADABLE, "its folder is offline")


def test_a_renamed_photo_keeps_its_thumbnail(library: DaemonParts) -> None:
    """It lies under its content, so nothing is drawn again; a copy shares it."""
    path = library.write("a.jpg", "one")
    library.start().sync()
    wait_for(lambda: kept(library, "one"))
    path.rename(library.root / "b.jpg")
    library.write("c.jpg", "one")
    library.sync()

    assert is_of(ask(library, library.root / "b.jpg"), "one")
    assert is_of(ask(library, library.root / "c.jpg"), "one")
    assert library.jobs("draw") == []


def test_what_is_not_of_the_library_is_not_kept(library: DaemonParts) -> None:
    """Nobody could ever forget it; and only the worker says which content it has, which a photo may have taken over."""
    library.write("a.jpg", "one")
    stranger = library.folder / "b.jpg"
    stranger.write_text("two")
    library.start().sync()
    wait_for(lambda: kept(library, "one"))

    assert is_of(ask(library, stranger), "two")
    assert is_of(ask(library, Image(frame=2), Size.M, b"one"), "one", Size.M)
    library.daemon.thumbnails.close()

    assert not kept(library, "two")
    assert not kept(library, "one", Size.M)


def test_a_store_learns_how_its_pictures_look(library: DaemonParts) -> None:
    """While they are indexed; those of an older store when they are drawn. A copy that is read later changes nothing."""
    library.write("a.jpg", "one")
    library.write("b.jpg", "Two")
    library.start().sync()
    for picture in ("one", "Two"):
        facts = library.store.facts(content_of(picture))
        assert facts is not None
        assert facts.look == look_of(picture)
        assert facts.upright == ((3, 4) if picture == "Two" else (4, 3))

    forget_look(library, content_of("Two"))
    library.write("c.jpg", "one")
    library.sync()
    assert library.store.facts(content_of("one")) == Facts(4, 3, 0, "Brownie", frozenset(), look_of("one"))
    assert is_of(ask(library, content_of("Two"), Size.M), "Two", Size.M)

    wait_for(lambda: library.store.facts(content_of("Two")) == Facts(4, 3, 0, "Brownie", frozenset(), look_of("Two")))


def test_a_photo_on_a_share_is_copied_by_a_helper(library: DaemonParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never holds up a thread of the server, and one that has changed there is not the one that was asked for."""
    library.write("a.jpg", "one")
    changed = library.write("b.jpg", "two")
    library.start().sync()
    share = RemoteFileSystem(library.config.rules, library.roots.paths)
    monkeypatch.setattr(library.roots, "file_system", lambda _: share)
    changed.write_text("three")

    assert is_of(ask(library, content_of("one"), Size.X), "one", Size.X)
    reply = ask(library, content_of("two"), Size.X)
    share.close()

    assert isinstance(reply, Failure)
    assert reply.code is Code.BUSY
    assert not library.query_images.open_photos


def test_an_asker_who_has_given_up_holds_no_photo(library: DaemonParts) -> None:
    """The photo is closed, and the next request has its turn."""
    path = library.write("a.jpg", "one")
    library.start().sync()
    turns = library.dispatcher.thumbnail_handler.turns
    request = Thumbnail(image=Image(path=os.fsencode(path)), size=Size.X)
    for _ in range(2 * AT_ONCE):
        first = library.dispatcher.answer(request, ())
        assert isinstance(first, Deferred)
        second = first.resume()
        assert isinstance(second, Deferred)
        assert len(library.query_images.open_photos) == 1
        (drawing,) = second.futures
        wait_for(drawing.done)
        second.abandon()

    assert not library.query_images.open_photos
    assert not turns.waiting
    assert is_of(ask(library, path, Size.X), "one", Size.X)


def test_a_thumbnail_of_the_desktop_is_used(library: DaemonParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the photo is away; what the worker does not take for one of this photo is not used."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(library.folder / "cache_home"))
    path, other = library.write("a \u00e4.jpg", "one"), library.write("b.jpg", "two")
    library.start().sync()
    wait_for(lambda: kept(library, "one") and kept(library, "two"))
    for picture in ("one", "two"):
        content = content_of(picture).hex()
        (library.folder / "thumbs" / content[:2] / f"{content[2:]}.S.jpg").unlink()
    folder = library.folder / "cache_home/thumbnails/x-large"
    folder.mkdir(parents=True)
    uri = f"file://{library.root}/a%20%C3%A4.jpg"
    (folder / f"{md5(uri.encode(), usedforsecurity=False).hexdigest()}.png").write_text("desktop's")
    bad = md5(f"file://{other}".encode(), usedforsecurity=False).hexdigest()
    (folder / f"{bad}.png").write_text("of another\ndraw refuse not of this photo")

    shown, refused = ask(library, path), ask(library, other)

    assert isinstance(shown, Thumb)
    assert shown.data == thumbnail_of("desktop's")
    assert shown.content == content_of("one")
    assert is_of(refused, "two")
    assert library.jobs("draw") == ["desktop's", "of another", "two"]
    wait_for(lambda: kept(library, "one"))
    assert not library.query_images.open_photos


def forget_look(library: DaemonParts, content: bytes) -> None:
    """Store the facts of a content as a store of an older pixkind has them."""

    def write() -> None:
        env, facts = library.store._env, library.store.facts(content)
        assert facts is not None
        with env.writing() as txn:
            txn.put(content, pack_facts(replace(facts, look=UNSEEN)), db=env["contents"])

    library.inbox.submit(write).result(60)
    facts = library.store.facts(content)
    assert facts is not None
    assert facts.look == UNSEEN
