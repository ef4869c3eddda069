"""The whole library, page by page: each picture once with all its files, and its vector as the store has it."""

import os
import struct

import pytest
from tests.daemon.conftest import DaemonParts, rot
from tests.daemon.scripted_worker import DIMS, content_of, vector_of
from tests.daemon.server.test_library import DAY, fill
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.framing import ProtocolError, pack, unpack_request
from pixkin.protocol.pictures import Description
from pixkin.protocol.replies import Code, Exported, Failure
from pixkin.protocol.requests import Export
from pixkind.server.deferred import Deferred
from pixkind.storage.write_batch import WriteBatch

__all__ = ["fill"]  # for the fixtures `many` and `own`

FOUND = [*(f"picture {number}" for number in range(12)), "copied"]


def _export(library: DaemonParts, **options: object) -> Exported:
    reply = settled(library.dispatcher.answer(Export(**options), []))  # type: ignore[arg-type]  # of any field
    assert isinstance(reply, Exported), reply
    return reply


def _pages(library: DaemonParts, **options: object) -> list[Exported]:
    pages = [_export(library, **options)]
    while pages[-1].next:
        pages.append(_export(library, after=pages[-1].next, **options))
    return pages


def _contents(*pages: Exported) -> list[bytes]:
    return [one.picture.content for page in pages for one in page.pictures]


def _names(library: DaemonParts, one: Description) -> list[str]:
    return [os.path.relpath(os.fsdecode(file.path), library.root) for file in one.files]


def test_each_picture_comes_once_with_all_files_and_the_stored_vector(many: DaemonParts) -> None:
    """In the order of content ids. What failed has no vector, and is not there."""
    reply = _export(many)
    copied = next(one for one in reply.pictures if one.picture.content == content_of("copied"))
    st = (many.root / "b/copy.jpg").stat()

    assert _contents(reply) == sorted(map(content_of, FOUND))
    assert reply.vectors == b"".join(vector for _, vector in sorted((content_of(one), vector_of(one)) for one in FOUND))
    assert (reply.space, reply.dims, reply.photos, reply.next) == ("space", DIMS, 15, b"")
    assert reply.doubt.failed == 1
    assert _names(many, copied) == ["b/copy.jpg", "a/copy.jpg", "b/deep/copy.jpg"]
    assert (copied.files[0].size, copied.files[0].mtime_ns, copied.camera) == (st.st_size, st.st_mtime_ns, "Brownie")
    assert (copied.picture.width, copied.picture.height, copied.more, copied.why) == (4, 3, 0, "")


def test_a_file_with_pages_is_one_picture_with_one_vector(library: DaemonParts) -> None:
    """That of the page that it shows."""
    library.write("scan.jpg", "scan", "pages 3")
    library.start().sync()
    reply = _export(library)

    assert (_contents(reply), reply.vectors) == ([content_of("scan")], vector_of("scan"))


@pytest.mark.parametrize("limit", [1, 5, 13])
def test_pages_are_the_whole(many: DaemonParts, limit: int) -> None:
    """Whatever their size. What failed leaves a gap."""
    pages, whole = _pages(many, limit=limit), _export(many)

    assert {len(page.pictures) for page in pages[:-1]} <= {limit, limit - 1}
    assert _contents(*pages) == _contents(whole)
    assert b"".join(page.vectors for page in pages) == whole.vectors


def test_a_folder_narrows_pictures_and_their_files(many: DaemonParts) -> None:
    """Copies elsewhere are not named."""
    reply = _export(many, under=os.fsencode(many.root / "b/deep"))

    assert [_names(many, one) for one in reply.pictures] == [["b/deep/copy.jpg"]]
    assert (reply.vectors, reply.photos) == (vector_of("copied"), 1)


def test_a_request_looks_at_a_part_of_a_large_library(many: DaemonParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of few pictures has pages without any."""
    monkeypatch.setattr("pixkind.server.library._LOOKED", 3)
    pages = _pages(many, under=os.fsencode(many.root / "b/deep"))

    assert len(pages) == 5
    assert _contents(*pages) == [content_of("copied")]


def test_pictures_with_very_many_files_make_small_pages(many: DaemonParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply has at most one that takes more than its share, and no more files of it than a reply has room for."""
    monkeypatch.setattr("pixkind.server.library._EXPORTED_BYTES", 1)
    monkeypatch.setattr("pixkind.server.library._EXPORTED_FILES", 2)
    pages = _pages(many)
    copied = next(one for page in pages for one in page.pictures if one.picture.content == content_of("copied"))

    assert max(len(page.pictures) for page in pages) == 1
    assert _contents(*pages) == sorted(map(content_of, FOUND))
    assert (len(copied.files), copied.more) == (2, 1)


def test_vectors_may_be_left_out(many: DaemonParts) -> None:
    """The pictures are the same."""
    reply = _export(many, vectors=False)

    assert (reply.vectors, reply.dims, reply.space) == (b"", DIMS, "space")
    assert reply.pictures == _export(many).pictures


def test_what_is_there_the_whole_time_comes_once_while_photos_come_and_go(own: DaemonParts) -> None:
    """The picture of the cursor goes, others come on both sides of it, and a photo gets another name."""
    there = {content_of(one) for one in FOUND}
    first = _export(own, limit=5)
    cursor = first.pictures[-1]
    (own.root / _names(own, cursor)[0]).unlink()
    (own.root / "b/copy.jpg").rename(own.root / "b/renamed.jpg")
    new = [f"new {number}" for number in range(20)]
    for name in new:
        own.write(f"{name}.jpg", name, mtime_s=DAY)
    own.sync()
    pages = [first, _export(own, limit=5, after=first.next)]
    while pages[-1].next:
        pages.append(_export(own, limit=5, after=pages[-1].next))
    found = _contents(*pages)

    assert len(found) == len(set(found))
    assert there <= set(found) <= there | set(map(content_of, new))
    assert {content_of(name) for name in new if content_of(name) > cursor.picture.content} <= set(found)


def test_a_vector_that_has_rotted_is_left_out_and_made_again(own: DaemonParts) -> None:
    """As in a query."""
    rot(own, vector_of("copied"))
    before = _contents(_export(own))
    wait_for(lambda: own.jobs("encode").count("copied") == 2)
    wait_for(lambda: len(own.index) == len(FOUND))

    assert sorted([*before, content_of("copied")]) == sorted(map(content_of, FOUND)) == _contents(_export(own))


def test_an_export_ends_when_another_space_answers(own: DaemonParts) -> None:
    """Vectors of two networks must not stand in one file."""

    def switch() -> None:
        old = own.store.beside("old")
        own.store.commit(WriteBatch(beside={"old": {content_of(one): vector_of("another") for one in FOUND}}))
        old.leave()
        own.spaces.use("old")

    first = _export(own, limit=5)
    own.inbox.submit(switch).result(timeout=60)
    reply = settled(own.dispatcher.answer(Export(after=first.next), []))
    again = _export(own)

    assert isinstance(reply, Failure)
    assert (reply.code, reply.what) == (Code.EXPIRED, "another space answers now, and its vectors cannot be mixed")
    assert reply.hint == "begin the export again"
    assert (again.space, again.vectors) == ("old", vector_of("another") * len(FOUND))


def test_exports_take_turns_and_hold_no_thread_meanwhile(many: DaemonParts) -> None:
    """A page that fails ends its turn, too."""
    turns = many.dispatcher.library_handler.exporting
    assert turns.take().done()
    waiting = [many.dispatcher.answer(request, []) for request in (Export(after=b"1" * 24), Export())]
    before = [reply.futures[0].done() for reply in waiting if isinstance(reply, Deferred)]
    turns.give()
    refused, whole = map(settled, waiting)

    assert before == [False, False]
    assert isinstance(refused, Failure)
    assert isinstance(whole, Exported)
    assert turns.take().done()
    turns.give()


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Export(after=b"short"), "`after` has not 24 bytes"),
        (Export(under=b"relative"), "a path is not absolute"),
    ],
)
def test_what_cannot_be_asked_is_malformed(request_: Export, why: str) -> None:
    """By the rules that `browse` has."""
    with pytest.raises(ProtocolError, match=why):
        unpack_request(pack(request_))


def test_vectors_are_little_endian_numbers(many: DaemonParts) -> None:
    """A row of `dims` half floats for each picture."""
    reply = _export(many, limit=1)

    assert struct.unpack(f"<{DIMS}e", reply.vectors) == struct.unpack("<8e", vector_of(_named(reply)))


def _named(reply: Exported) -> str:
    return next(one for one in FOUND if content_of(one) == reply.pictures[0].picture.content)
