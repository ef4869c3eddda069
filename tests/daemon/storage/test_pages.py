"""Further pages of a content: whatever happens to its photos happens to them, and they are no photos of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.storage.keys import page_id
from pixkind.storage.record import Facts
from pixkind.storage.store import Store
from pixkind.storage.write_batch import CommitDelta, PhotoFound, PhotoGone, WriteBatch

_STAMP = Stamp(mtime_ns=-5, size=10, ctime_ns=20, inode=30)
_LATER = Stamp(mtime_ns=7, size=10, ctime_ns=20, inode=30)
_ONE, _TWO = b"1" * 16, b"2" * 16
_PAGES = [page_id(_ONE, number) for number in (1, 2, 3)]
_ALL = sorted([_ONE, _PAGES[0], _PAGES[2]])  # what can be found: the third page could not be decoded


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "index"), "space", map_gb=1)
    yield made
    made.close()


def _add(store: Store, path: str = "/p/a.tif", stamp: Stamp = _STAMP) -> CommitDelta:
    """Commit a photo of four pages, of which the third has no vector."""
    batch = WriteBatch(photos=[PhotoFound(path, stamp, _ONE, Details(taken_s=5, camera="Scanner"))])
    batch.contents[_ONE] = Facts(4, 3, 0, "")
    batch.take(_ONE, b"0000", {})
    batch.take_pages(_ONE, 4, {1: b"1111", 3: b"3333"})
    return store.commit(batch)


def _found(store: Store) -> list[bytes]:
    return sorted(content for content, _ in store.vectors())


def _places(store: Store, page: bytes) -> list[tuple[str, int, str]]:
    [(_, places)] = store.places([page])
    return [(place.folder, place.taken_s, place.camera) for place in places]


def test_a_page_can_be_found_as_its_content(store: Store) -> None:
    """It appears with it, lies where its photos lie, and is no page of its own."""
    delta = _add(store)

    assert delta.appeared == delta.touched == _ALL
    assert _found(store) == _ALL
    assert _places(store, _PAGES[0]) == [("/p", 5, "Scanner")]
    assert [record.path for record in store.photos_of(_PAGES[2])] == ["/p/a.tif"]
    assert store.pages.content_of(_PAGES[2]) == store.pages.content_of(_ONE) == _ONE
    assert store.pages.among([_ONE, _TWO, *_PAGES]) == {*_PAGES}
    assert store.searchable([_ONE, *_PAGES]) == {*_ALL}


def test_a_page_is_no_photo(store: Store) -> None:
    """One file is one photo in all counts, is settled, and no scan has anything to do."""
    _add(store)

    assert store.count("/p") == (1, 0)
    assert store.covered("space") == 1
    assert store.has_exactly("/p", [("/p/a.tif", _STAMP)])
    assert store.changed([("/p/a.tif", _STAMP)], 0) == []
    assert not store.is_named(_PAGES[0])


def test_pages_go_and_come_back_with_the_last_photo(store: Store) -> None:
    """A copy keeps them; so does a photo that was renamed. None of that writes a vector."""
    _add(store)
    copied = store.commit(WriteBatch(photos=[PhotoFound("/q/b.tif", _LATER, _ONE, Details())]))
    kept = store.commit(WriteBatch(photos=[PhotoGone("/p/a.tif", 5)]))
    places = _places(store, _PAGES[0])
    gone = store.commit(WriteBatch(photos=[PhotoGone("/q/b.tif", 5)]))
    while_gone = _found(store)
    back = store.commit(WriteBatch(photos=[PhotoFound("/p/a.tif", _STAMP, _ONE, Details())]))

    assert (copied.appeared, kept.vanished) == ([], [])
    assert _PAGES[0] in copied.touched
    assert places == [("/q", 0, "")]
    assert gone.vanished == back.appeared == _ALL
    assert while_gone == []


def test_an_edit_replaces_the_pages(store: Store) -> None:
    """The pages of the former version are no longer found, and go with it when nobody has had it for long enough."""
    _add(store)
    edited = store.commit(WriteBatch(photos=[PhotoFound("/p/a.tif", _LATER, _TWO)], vectors={_TWO: b"new!"}))
    list(store.sweep(1000, 50))
    kept = [store.vector(one) for one in _ALL]
    list(store.sweep(1051, 50))

    assert (edited.vanished, edited.appeared) == (_ALL, [_TWO])
    assert None not in kept
    assert [store.vector(one) for one in (_ONE, *_PAGES)] == [None] * 4
    assert store.pages.among(_PAGES) == set()


def test_what_is_forgotten_takes_its_pages_along(store: Store) -> None:
    """They vanish with the record, and the next sweep deletes their vectors in every space. The journal names them."""
    _add(store)
    other = store.beside("other")
    store.commit(WriteBatch(beside={"other": {_PAGES[0]: b"beside"}}))
    before = store.journal.generation
    forgotten = store.forget(list(store.records()))
    touched = store.journal.since(before)
    list(store.sweep(1000, 0))

    assert forgotten.vanished == _ALL
    assert touched == {_ONE, *_PAGES}
    assert [store.vector(one) for one in (_ONE, *_PAGES)] == [None] * 4
    assert other.vector(_PAGES[0]) is None
    assert store.pages.among(_PAGES) == set()
    assert store.spaces.size("space")[0] == 0


@pytest.mark.parametrize("rotten", [_ONE, _PAGES[2]], ids=["the whole", "a page"])
def test_a_page_that_has_rotted_costs_the_file_its_vectors(store: Store, rotten: bytes) -> None:
    """So the photo is encoded again, with all pages: nothing else would notice that one is missing."""
    _add(store)
    delta = store.drop_vectors([rotten])

    assert delta.vanished == _ALL
    assert store.count("/p") == (0, 0)
    assert store.changed([("/p/a.tif", _STAMP)], 0) == [("/p/a.tif", _STAMP)]
    assert _add(store).appeared == _ALL
    assert store.count("/p") == (1, 0)


def test_pages_belong_to_the_space_that_has_their_vectors(store: Store) -> None:
    """In a space that an older pixkind has filled, only the first page can be found."""
    store.beside("other")
    _add(store)
    delta = store.commit(WriteBatch(beside={"other": {_ONE: b"beside"}}))

    assert delta.beside["other"].appeared == [_ONE]


def test_all_pages_are_read_however_many_there_are(store: Store) -> None:
    """Blocks of a read end anywhere."""
    contents = [number.to_bytes(16, "big") for number in range(1, 90)]
    batch = WriteBatch()
    for content in contents:
        batch.photos.append(PhotoFound(f"/p/{content.hex()}.tif", _STAMP, content, Details()))
        batch.take(content, b"0000", {})
        batch.take_pages(content, 32, dict.fromkeys(range(1, 32), b"page"))
    store.commit(batch)
    store.commit(WriteBatch(photos=[PhotoGone(f"/p/{contents[0].hex()}.tif", 5)]))
    expected = {page_id(content, number) for content in contents[1:] for number in range(1, 32)}

    assert len(_found(store)) == 88 * 32
    assert {*_found(store)} == expected | {*contents[1:]}
