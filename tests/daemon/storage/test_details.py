import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.storage.record import Facts, Place
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, PhotoGone, WriteBatch

_OLD = Path(__file__).parents[1] / "index/data/snapshot-8df8444.tar.xz"
_STAMP = Stamp(mtime_ns=-5, size=10, ctime_ns=20, inode=30)
_OTHER = Stamp(mtime_ns=-5, size=10, ctime_ns=21, inode=30)
_ONE = b"1" * 16
_DETAILS = Details(2019, "Brownie")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "index"), "space", map_gb=1)
    yield made
    made.close()


def _found(path: str, stamp: Stamp = _STAMP, details: Details | None = None) -> WriteBatch:
    return WriteBatch(photos=[PhotoFound(path, stamp, _ONE, details)], vectors={_ONE: b"vvvv"})


def test_a_photo_with_a_vector_is_settled_when_its_file_was_read(store: Store) -> None:
    """Until then each scan reports it, though queries find it."""
    listing = [("/p/a.jpg", _STAMP)]
    store.commit(_found("/p/a.jpg"))
    before = store.changed(listing, 0), store.has_exactly("/p", listing), store.count("/p")
    store.commit(_found("/p/a.jpg", details=_DETAILS))

    assert before == (listing, False, (1, 0))
    assert (store.changed(listing, 0), store.has_exactly("/p", listing)) == ([], True)


def test_a_photo_that_failed_needs_no_details(store: Store) -> None:
    """A vector from another network does not make it wait for details, either."""
    listing = [("/p/a.jpg", _STAMP)]
    store.commit(WriteBatch(photos=[PhotoFailed("/p/a.jpg", _STAMP, _ONE, "broken", 0)]))
    before = store.changed(listing, 0), store.has_exactly("/p", listing)
    store.commit(WriteBatch(vectors={_ONE: b"vvvv"}))

    assert before == ([], True)
    assert (store.changed(listing, 0), store.has_exactly("/p", listing)) == ([], True)


def test_in_an_old_store_no_folder_is_unchanged_until_all_of_its_photos_have_details(tmp_path: Path) -> None:
    """Its statistics count every photo as settled, so they are made again once."""
    with tarfile.open(_OLD) as archive:
        archive.extractall(tmp_path, filter="data")
    Store(str(tmp_path / "index"), "space", map_gb=1).close()
    store = Store(str(tmp_path / "index"), "space", map_gb=1)  # the second start finds it upgraded
    records = [one for one in store.records() if one.live and Path(one.path).parent == Path("/p/3")]
    listing = [(one.path, one.stamp) for one in records]
    found = [PhotoFound(one.path, one.stamp, one.content, Details()) for one in records]
    counted = store.count("/")
    told = [store.has_exactly("/p/3", listing)]
    for photos in (found[1:], found[:1]):
        store.commit(WriteBatch(photos=[*photos]))
        told.append(store.has_exactly("/p/3", listing))
    store.close()

    assert counted == (319, 0)
    assert told == [False, False, True]


def test_a_photo_that_moves_takes_along_the_details_of_its_own_file(store: Store) -> None:
    """They are those of a photo with the same stamp, live or gone: another copy of the picture may say something else."""
    store.commit(_found("/p/a.jpg"))
    store.commit(_found("/p/copy.jpg", _OTHER, Details(2021)))
    unread = [store.content_of(_STAMP, path) for path in ("/q/a.jpg", "/p/a.jpg")]
    unknown = store.details_of(_ONE, _STAMP)
    store.commit(_found("/p/a.jpg", details=_DETAILS))
    live = store.content_of(_STAMP, "/q/a.jpg"), store.details_of(_ONE, _STAMP)
    store.commit(WriteBatch(photos=[PhotoGone("/p/a.jpg", 5)]))
    gone = store.content_of(_STAMP, "/q/a.jpg"), store.details_of(_ONE, _STAMP)

    assert (unread, unknown) == ([_ONE, None], None)
    assert live == gone == (_ONE, _DETAILS)


def test_a_date_belongs_to_a_file_and_a_picture_has_all_dates_of_its_files(store: Store) -> None:
    """The date of the content counts only for a photo that has no details yet."""
    batch = _found("/p/a.jpg", details=_DETAILS)
    batch.contents = {_ONE: Facts(4, 3, 1999, "of the content")}
    store.commit(batch)
    store.commit(_found("/p/b.jpg", details=Details(0, "")))
    without = store.facts(_ONE)
    store.commit(_found("/q/c.jpg"))
    places, facts = dict(store.places([_ONE]))[_ONE], store.facts(_ONE)

    assert without is not None
    assert without.known_dates == {2019}
    assert set(places) == {
        Place("/p", 2019, "Brownie", -1),
        Place("/p", mtime_s=-1),
        Place("/q", 1999, "of the content", -1),
    }
    assert facts is not None
    assert facts.known_dates == {1999, 2019}
