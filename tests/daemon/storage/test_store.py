import os
import tempfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pixkin.errors import PixkinError
from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.storage.record import UNKNOWN, Facts, Place
from pixkind.storage.store import Store
from pixkind.storage.write_batch import CommitDelta, PhotoFailed, PhotoFound, PhotoGone, WriteBatch

_STAMP = Stamp(mtime_ns=-5, size=10, ctime_ns=20, inode=30)
_LATER = Stamp(mtime_ns=7, size=10, ctime_ns=20, inode=30)
_ONE, _TWO = b"1" * 16, b"2" * 16


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "index"), "space", map_gb=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def memory() -> Iterator[str]:
    """Yield a folder in memory: hypothesis makes many stores, and every commit would wait for the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield folder


def _add(path: str, content: bytes = _ONE, stamp: Stamp = _STAMP) -> WriteBatch:
    return WriteBatch(photos=[PhotoFound(path, stamp, content, Details())], vectors={content: b"vvvv"})


def test_there_is_one_record_a_path_however_often_it_changes(store: Store) -> None:
    """The commit that writes a version deletes the one before."""
    for mtime_ns in range(1000):
        store.commit(_add("/p/a.jpg", stamp=Stamp(mtime_ns, 1, 1, 1)))

    assert [record.stamp.mtime_ns for record in store.records()] == [999]


def test_what_is_settled_is_not_changed(store: Store) -> None:
    """Only a live record with exactly this stamp, and a vector or a reason, settles a photo."""
    store.commit(_add("/p/a.jpg"))
    store.commit(WriteBatch(photos=[PhotoFailed("/p/bad.jpg", _STAMP, UNKNOWN, "no image", retry_s=0)]))
    store.commit(WriteBatch(photos=[PhotoFailed("/p/young.jpg", _STAMP, UNKNOWN, "truncated", retry_s=100)]))
    store.commit(_add("/p/gone.jpg"))
    store.commit(WriteBatch(photos=[PhotoGone("/p/gone.jpg", 5)]))
    names = ["a", "bad", "young", "gone", "new"]

    def changed(stamp: Stamp, now_s: int) -> set[str]:
        asked = [(f"/p/{name}.jpg", stamp) for name in names]
        return {path[3:-4] for path, _ in store.changed(asked, now_s)}

    assert changed(_STAMP, 99) == {"gone", "new"}
    assert changed(_STAMP, 100) == {"young", "gone", "new"}
    assert changed(_LATER, 99) == set(names)


def test_a_vector_of_another_space_settles_nothing(tmp_path: Path) -> None:
    """Another encoder fills a space of its own; the records of the first are looked at again, its vectors stay."""
    first = Store(str(tmp_path / "index"), "first", map_gb=1)
    first.commit(_add("/p/a.jpg"))
    first.close()
    second = Store(str(tmp_path / "index"), "second", map_gb=1)
    unsettled = second.changed([("/p/a.jpg", _STAMP)], 0)
    second.close()
    first = Store(str(tmp_path / "index"), "first", map_gb=1)
    settled = first.changed([("/p/a.jpg", _STAMP)], 0)
    first.close()

    assert unsettled == [("/p/a.jpg", _STAMP)]
    assert settled == []


def test_copies_share_one_content_until_the_last_is_gone(store: Store) -> None:
    """A content appears with its first photo and vanishes with its last; its vector stays."""
    appeared = store.commit(_add("/p/a.jpg")).appeared
    again = store.commit(_add("/p/b.jpg"))
    holders = {record.path for record in store.photos_of(_ONE)}
    kept = store.commit(WriteBatch(photos=[PhotoGone("/p/a.jpg", 5)]))
    vanished = store.commit(WriteBatch(photos=[PhotoGone("/p/b.jpg", 5)])).vanished

    assert appeared == [_ONE]
    assert (again.appeared, kept.vanished) == ([], [])
    assert holders == {"/p/a.jpg", "/p/b.jpg"}
    assert vanished == [_ONE]
    assert store.has_vector(_ONE)
    assert store.photos_of(_ONE) == []


def test_the_reason_of_a_failure_is_told_until_the_photo_is_found(store: Store) -> None:
    """A failed photo has a reason, a found one has none."""
    store.commit(WriteBatch(photos=[PhotoFailed("/p/a.jpg", _STAMP, _ONE, "truncated é", retry_s=9)]))
    before = [(record.path, record.retry_s, reason) for record, reason in store.failures(10)]
    store.commit(_add("/p/a.jpg", _ONE, _LATER))

    assert before == [("/p/a.jpg", 9, "truncated é")]
    assert store.failures(10) == []


def test_failures_are_tried_again_when_the_decoder_changes(store: Store) -> None:
    """What one Pillow refused, the next may read."""
    store.retry_failed("one")
    store.commit(WriteBatch(photos=[PhotoFailed("/p/a.jpg", _STAMP, _ONE, "no image", retry_s=0)]))
    same, other = store.retry_failed("one"), store.retry_failed("two")

    assert (same, other) == (0, 1)
    assert store.changed([("/p/a.jpg", _STAMP)], 10) == [("/p/a.jpg", _STAMP)]


def test_strikes_count_until_the_outcome(store: Store) -> None:
    """A strike is written before a content goes to the worker, and cleared when it comes back."""
    store.commit(WriteBatch(strikes=[_ONE, _TWO]))
    store.commit(WriteBatch(strikes=[_ONE], acquitted=[_TWO]))

    assert (store.strikes(_ONE), store.strikes(_TWO)) == (2, 0)


def test_paths_of_any_length_and_bytes_have_a_record(store: Store) -> None:
    """4,000 bytes of path, or bytes that are no text, are as good as any."""
    paths = ["/" + "/".join(["x" * 200] * 20) + "/a.jpg", os.fsdecode(b"/p/caf\xe9.jpg")]
    store.commit(WriteBatch(photos=[PhotoFound(path, _STAMP, _ONE) for path in paths], vectors={_ONE: b"vvvv"}))

    assert {record.path for record in store.photos_of(_ONE)} == set(paths)
    assert store.children(os.path.dirname(paths[0])) == ({"a.jpg"}, set())


def test_only_what_is_still_as_given_is_forgotten(store: Store) -> None:
    """A record that changed since it was read stays; those that go are told as they were, as are contents without photos."""
    for name, content in (("live", _ONE), ("copy", _ONE), ("gone", _TWO), ("edited", _TWO)):
        store.commit(_add(f"/p/{name}.jpg", content))
    store.commit(
        WriteBatch(photos=[PhotoFailed("/p/bad.jpg", _STAMP, UNKNOWN, "no image", 0), PhotoGone("/p/gone.jpg", 5)])
    )
    read = {record.path[3:-4]: record for record in store.records()}
    store.commit(_add("/p/edited.jpg", _TWO, _LATER))
    first = store.forget(read[name] for name in ("live", "gone", "edited")).vanished
    counted = store.count("/p")
    second = store.forget(read[name] for name in ("live", "copy", "bad")).vanished

    assert {record.path for record in store.records()} == {"/p/edited.jpg"}
    assert (first, second) == ([], [_ONE])
    assert (counted, store.count("/p")) == ((2, 1), (1, 0))
    assert store.children("/p") == ({"edited.jpg"}, set())
    assert store.failures(9) == []
    assert store.has_vector(_ONE)


def test_a_folder_holds_photos_whatever_the_space(tmp_path: Path) -> None:
    """Another encoder has found nothing yet; yet an empty folder where photos were must not be believed."""
    store = Store(str(tmp_path), "one", map_gb=1)
    store.commit(_add("/p/a/x.jpg", _ONE))
    store.close()
    store = Store(str(tmp_path), "other", map_gb=1)

    assert store.count("/p") == (0, 0)
    assert store.has_photos("/p")
    assert not store.has_photos("/q")


def test_places_are_the_folders_of_live_photos(store: Store) -> None:
    """Each content comes with a folder for each of its live photos, when it was taken, and when its file was modified."""
    store.commit(_add("/p/a/x.jpg", _ONE))
    store.commit(_add("/p/b/y.jpg", _ONE))
    store.commit(WriteBatch(photos=[PhotoFound("/x.jpg", _STAMP, _TWO, Details(-77))]))
    store.commit(WriteBatch(photos=[PhotoFailed("/p/c/z.jpg", _STAMP, _ONE, "broken", 0)]))
    before = {one: sorted(places) for one, places in store.places([_TWO, _ONE, b"3" * 16])}
    store.commit(WriteBatch(photos=[PhotoGone("/p/a/x.jpg", 1)]))

    assert before == {
        _ONE: [Place("/p/a", mtime_s=-1), Place("/p/b", mtime_s=-1), Place("/p/c", mtime_s=-1)],
        _TWO: [Place("/", -77, mtime_s=-1)],
        b"3" * 16: [],
    }
    assert dict(store.places([_ONE])) == {_ONE: [Place("/p/c", mtime_s=-1), Place("/p/b", mtime_s=-1)]}


def test_a_store_of_another_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A newer schema is never touched: the message says what to do."""
    folder = str(tmp_path / "index")
    Store(folder, "space", map_gb=1).close()
    with lmdb.open(folder, max_dbs=32) as env, env.begin(write=True) as txn:
        txn.put(b"schema", b"99", db=env.open_db(b"meta", txn=txn))

    with pytest.raises(PixkinError, match="schema 99"):
        Store(folder, "space", map_gb=1)


def test_nobody_else_can_read_the_store(store: Store) -> None:
    """Vectors reveal what photos show: 0700 and 0600."""
    modes = {name: os.stat(os.path.join(store.folder, name)).st_mode & 0o777 for name in os.listdir(store.folder)}

    assert os.stat(store.folder).st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}


_PATHS = st.sampled_from(["/p/a.jpg", "/p/b.jpg", "/p/d/c.jpg", "/p/d/e/f.jpg"])
_CONTENTS = st.sampled_from([_ONE, _TWO])
_CHANGES = st.one_of(
    st.builds(
        PhotoFound, _PATHS, st.sampled_from([_STAMP, _LATER]), _CONTENTS, st.sampled_from([None, Details(), Details(5)])
    ),
    st.builds(
        PhotoFailed,
        _PATHS,
        st.sampled_from([_STAMP, _LATER]),
        st.one_of(_CONTENTS, st.just(UNKNOWN)),
        st.just("r"),
        st.sampled_from([0, 9]),
    ),
    st.builds(PhotoGone, _PATHS, st.just(5)),
)


_FOLDERS = ("/", "/p", "/p/d", "/p/d/e", "/q")


def _counted(
    folder: str, photos: list[PhotoFound | PhotoFailed], vectors: Container[bytes] = (_ONE, _TWO)
) -> tuple[int, int]:
    """Return how many in a folder and below can be found, and how many failed, one by one."""
    below = [photo for photo in photos if photo.path.startswith(folder.rstrip("/") + "/")]
    found = [photo for photo in below if photo.content in vectors]
    return len(found), sum(isinstance(photo, PhotoFailed) for photo in below if photo not in found)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(_CHANGES, max_size=4), max_size=12))
def test_all_databases_say_the_same_after_any_commits(
    memory: str, commits: list[list[PhotoFound | PhotoFailed | PhotoGone]]
) -> None:
    """Records, tree, failures, holders, gone contents, orphans and the deltas agree with a model that is a plain dictionary."""
    store = Store(tempfile.mkdtemp(dir=memory), "space", map_gb=1)
    store.commit(WriteBatch(vectors={_ONE: b"vvvv", _TWO: b"wwww"}, contents={_ONE: Facts(1, 2, 3, "c")}))
    model: dict[str, PhotoFound | PhotoFailed] = {}
    gone: dict[str, bytes] = {}
    ever: set[bytes] = set()
    searchable: set[bytes] = set()
    for changes in commits:
        delta = store.commit(WriteBatch(photos=list(changes)))
        for change in changes:
            if not isinstance(change, PhotoGone):
                model[change.path] = change
                gone.pop(change.path, None)
                ever.add(change.content)
            elif change.path in model and (content := model.pop(change.path).content) != UNKNOWN:
                gone[change.path] = content
        assert not searchable & set(delta.appeared)
        assert searchable >= set(delta.vanished)
        searchable = (searchable | set(delta.appeared)) - set(delta.vanished)
    live = {record.path: record for record in store.records() if record.live}
    counts = {folder: store.count(folder) for folder in _FOLDERS}
    holders = {content: {record.path for record in store.photos_of(content)} for content in (_ONE, _TWO)}
    failures = {record.path for record, _ in store.failures(100)}
    places = {content: sorted(one.folder for one in ones) for content, ones in store.places([_ONE, _TWO])}
    found = store.searchable([_ONE, _TWO, UNKNOWN])
    gone_contents = {record.path: record.content for block in store.gone() for record in block}
    for now_s in (1000, 1010):  # the first dates the orphans
        list(store.sweep(now_s, 10))
    kept = {content for content in (_ONE, _TWO) if store.has_vector(content)}
    records = {record.path for record in store.records()}
    store.close()

    assert {path: (record.stamp, record.content) for path, record in live.items()} == {
        path: (change.stamp, change.content) for path, change in model.items()
    }
    assert counts == {folder: _counted(folder, [*model.values()]) for folder in _FOLDERS}
    assert failures == {path for path, change in model.items() if change.content == UNKNOWN}
    assert holders == {c: {path for path, change in model.items() if change.content == c} for c in (_ONE, _TWO)}
    assert searchable == {change.content for change in model.values()} - {UNKNOWN}
    assert found == searchable
    assert places == {
        c: sorted(os.path.dirname(path) for path, one in model.items() if one.content == c) for c in (_ONE, _TWO)
    }
    assert gone_contents == gone
    assert records == {*model, *gone}
    assert kept == {_ONE, _TWO} - ever | {*gone.values()} | {change.content for change in model.values()} - {UNKNOWN}


_STEPS = st.one_of(
    st.tuples(st.lists(_CHANGES, max_size=4), st.sets(_CONTENTS)),  # a commit, with vectors of these contents
    st.sets(_CONTENTS, min_size=1),  # their vectors are dropped as damaged
    st.sampled_from(["first", "second"]),  # a start with this space
    st.sampled_from([b"one", b"two"]),  # a start with this decoder
    st.integers(0, 3),  # forget the photo of this number
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_STEPS, max_size=12))
@example([([PhotoFound("/p/a.jpg", _STAMP, _ONE)], {_ONE}), {_ONE}, ([PhotoFound("/p/b.jpg", _STAMP, _ONE)], {_ONE})])
@example(
    [([PhotoFound("/p/a.jpg", _STAMP, _ONE), PhotoFound("/p/d/c.jpg", _STAMP, _ONE)], {_ONE}), "second", ([], {_ONE})]
)
@example([([PhotoFailed("/p/a.jpg", _STAMP, UNKNOWN, "r", 0)], set()), b"one", b"two"])
def test_what_is_told_of_a_folder_is_true_of_its_records(memory: str, steps: list[Any]) -> None:
    """Whatever comes, goes or rots: counts are right, and no folder is called unchanged in which a photo is unsettled."""
    folder, space = tempfile.mkdtemp(dir=memory), "first"
    store = Store(folder, space, map_gb=1)
    for step in steps:
        match step:
            case tuple():
                vectors = dict.fromkeys(step[1], b"vvvv")
                store.commit(WriteBatch(photos=list(step[0]), vectors=vectors))
            case bytes():
                store.retry_failed(step.decode())
            case int():
                store.forget(list(store.records())[step : step + 1])
            case str():
                store.close()
                space = step
                store = Store(folder, space, map_gb=1)
            case _:
                store.drop_vectors(step)
        live = [record for record in store.records() if record.live]
        there = {folder: [one for one in live if os.path.dirname(one.path) == folder] for folder in _FOLDERS}
        listings = {folder: [(one.path, one.stamp) for one in ones] for folder, ones in there.items()}
        unchanged = {folder for folder in _FOLDERS if store.has_exactly(folder, listings[folder])}
        unsettled = {path for path, _ in store.changed([photo for one in listings.values() for photo in one], 0)}
        waiting = {one.path for one in live if one.retry_s and not store.has_vector(one.content)} | unsettled
        photos = [
            PhotoFailed(one.path, one.stamp, one.content, "", 0)
            if one.failed
            else PhotoFound(one.path, one.stamp, one.content)
            for one in live
        ]
        searchable = {content for content in (_ONE, _TWO) if store.has_vector(content)}

        assert unchanged == {folder for folder, ones in there.items() if not {one.path for one in ones} & waiting}
        assert {at: store.count(at) for at in _FOLDERS} == {at: _counted(at, photos, searchable) for at in _FOLDERS}
    store.close()


def test_a_folder_is_unchanged_only_with_exactly_its_photos(store: Store) -> None:
    """One photo more, one less, another stamp, or one that is tried again later: the folder is looked at closely."""
    store.commit(
        WriteBatch(
            photos=[PhotoFound(f"/p/{name}.jpg", _STAMP, _ONE, Details()) for name in "ab"], vectors={_ONE: b"v"}
        )
    )
    store.commit(WriteBatch(photos=[PhotoFailed("/q/a.jpg", _STAMP, UNKNOWN, "truncated", retry_s=9)]))
    listing = [("/p/b.jpg", _STAMP), ("/p/a.jpg", _STAMP)]

    assert store.has_exactly("/p", listing)
    assert store.has_exactly("/r", [])
    assert not store.has_exactly("/p", listing[:1])
    assert not store.has_exactly("/p", [*listing, ("/p/c.jpg", _STAMP)])
    assert not store.has_exactly("/p", [listing[0], ("/p/a.jpg", _LATER)])
    assert not store.has_exactly("/q", [("/q/a.jpg", _STAMP)])
    assert not store.has_exactly("/q", [])


_BESIDE = st.tuples(
    st.lists(_CHANGES, max_size=4),
    st.sets(st.sampled_from([_ONE, _TWO])),
    st.sets(st.sampled_from([_ONE, _TWO])),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(_BESIDE | st.sets(st.sampled_from([_ONE, _TWO])) | st.integers(0, 3) | st.text(max_size=2), max_size=10)
)
def test_what_is_written_is_true_in_the_other_open_space_as_if_it_were_alone(memory: str, steps: list[Any]) -> None:
    """Its counts, its failures and the deltas of each commit are those of a store that is opened in that space alone."""
    folder = tempfile.mkdtemp(dir=memory)
    store = Store(folder, "filling", map_gb=1)
    beside = store.beside("answering")
    for step in steps:
        was = beside.searchable([_ONE, _TWO])
        delta = CommitDelta()
        match step:
            case tuple():
                photos, here, there = step
                vectors = dict.fromkeys(there, b"tttt")
                batch = WriteBatch(
                    photos=list(photos), vectors=dict.fromkeys(here, b"hhhh"), beside={"answering": vectors}
                )
                delta = store.commit(batch).beside["answering"]
            case int():
                delta = store.forget(list(store.records())[step : step + 1]).beside["answering"]
            case str():
                store.retry_failed(step)
            case _:
                delta = beside.drop_vectors(step).beside["answering"]
        now = beside.searchable([_ONE, _TWO])

        assert (set(delta.appeared), set(delta.vanished)) == (now - was, was - now)
    counts = {one: [one.count(folder) for folder in _FOLDERS] for one in (store, beside)}
    failures = {one: sorted(record.path for record, _ in one.failures(99)) for one in (store, beside)}
    store.close()
    for one in (store, beside):
        again = Store(folder, one.space, map_gb=1)
        kept = [again.count(at) for at in _FOLDERS]
        again.close()
        third = Store(folder, "third", map_gb=1)  # its commit makes the statistics of the other spaces inexact
        third.retry_failed("another decoder")
        third.close()
        fresh = Store(folder, one.space, map_gb=1)
        counted = [fresh.count(at) for at in _FOLDERS]
        unfound = sorted(record.path for record, _ in fresh.failures(99))
        fresh.close()

        assert counts[one] == kept == counted
        assert failures[one] == unfound


def test_a_space_that_is_dropped_leaves_nothing_and_is_no_hindrance(tmp_path: Path) -> None:
    """Its vectors, statistics and name are gone, a slice a transaction; its pages are used again; the photos are as they were."""
    contents = [number.to_bytes(16, "big") for number in range(1, 601)]
    store = Store(str(tmp_path), "old", map_gb=1)
    for at in range(0, 600, 100):
        some = contents[at : at + 100]
        photos = [PhotoFound(f"/p/{one.hex()}.jpg", _STAMP, one) for one in some]
        store.commit(WriteBatch(photos=list(photos), vectors=dict.fromkeys(some, b"v" * 2560)))
    store.close()
    store = Store(str(tmp_path), "new", map_gb=1)
    before = store.spaces.size("old")
    steps = sum(1 for _ in store.drop("old"))
    size = store.size
    for at in range(0, 300, 100):
        store.commit(WriteBatch(vectors=dict.fromkeys(contents[at : at + 100], b"v" * 2560)))
    names, grown = store.spaces.names(), store.size - size
    store.close()
    again = Store(str(tmp_path), "old", map_gb=1)
    counted, photos_left = again.count("/"), sum(1 for _ in again.records())
    again.close()

    assert before[0] == 600
    assert before[1] > 600 * 2560
    assert steps >= 3
    assert (names, counted, grown) == (["new"], (0, 0), 0)
    assert photos_left == 600
