import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import wait_for

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.index.filter import Filter
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.record import Facts, Record
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, PhotoGone, WriteBatch

_BASE = 200  # contents, so that there are codes
_DIMS = 8
_STAMP = Stamp(1, 2, 3, 4)

_paths = st.builds("/{}/{}.jpg".format, st.sampled_from(["p", "p/a", "q"]), st.integers(0, 5))
_numbers = st.integers(0, _BASE + 3)
_details = st.none() | st.builds(Details, st.sampled_from([0, -5, 10, 20]), st.sampled_from(["", "Canon", "Nikon"]))
_changes = st.one_of(
    st.tuples(st.just("found"), _paths, _numbers, _details),
    st.tuples(st.just("gone"), _paths, _numbers, _details),
    st.tuples(st.just("failed"), _paths, _numbers, _details),
)
_steps = st.lists(
    st.one_of(
        st.lists(_changes, min_size=1, max_size=4),
        st.just("restart"),
        st.just("forget"),
        st.tuples(st.just("facts"), _numbers, st.sampled_from([0, 15]), st.sampled_from(["", "Canon"])),
    ),
    max_size=12,
)
_FILTERS = [
    Filter(under, without, since_s, before_s, camera)
    for under, without in (((), ()), (("/p",), ()), (("/p/a",), ()), (("/p",), ("/p/a",)), (("/p/a", "/p/b"), ()))
    for since_s, before_s in ((None, None), (10, None), (None, 15), (-5, 11))
    for camera in ("", "canon", "nikon")
]


def _content(number: int) -> bytes:
    return (number + 1).to_bytes(16, "big")


def _vector(number: int) -> bytes:
    return np.random.default_rng(number).random(_DIMS).astype(np.float16).tobytes()


def _change(what: str, path: str, number: int, details: Details | None) -> PhotoFound | PhotoGone | PhotoFailed:
    if what == "gone":
        return PhotoGone(path, 1)
    if what == "failed":
        return PhotoFailed(path, _STAMP, _content(number), "broken", 0, details)
    # Each path has a time of its own.
    stamp = Stamp(int.from_bytes(path.encode()) % 97 * 10**9, 2, 3, 4)
    return PhotoFound(path, stamp, _content(number), details)


def _passes(record: Record, facts: Facts | None, wanted: Filter) -> bool:
    """Return what a slow reader of the rules says of one photo."""
    known = record.details or facts
    taken_s, camera = (known.taken_s, known.camera) if known else (0, "")
    folder = record.path.rpartition("/")[0] + "/"
    if (wanted.since_s, wanted.before_s) != (None, None) and not taken_s:
        return False
    return (
        any(folder.startswith(f"{one}/") for one in wanted.under or ("",))
        and not any(folder.startswith(f"{one}/") for one in wanted.without)
        and (wanted.since_s is None or taken_s >= wanted.since_s)
        and (wanted.before_s is None or taken_s < wanted.before_s)
        and wanted.camera in camera.lower()
    )


def _dates(index: VectorIndex, wanted: Filter) -> dict[bytes, int]:
    """Return the date of each content that passes."""
    dated = index.dated(wanted)
    assert dated is not None
    return {content: date for date, content in dated.newest(10_000)[0]}


def _least_dates(records: list[Record], facts: dict[bytes, Facts]) -> dict[bytes, int]:
    """Return the same, as a slow reader of the rules says it: the earliest date, or else the earliest time of a file."""
    dates: dict[bytes, tuple[bool, int]] = {}
    for one in records:
        known = one.details or facts.get(one.content)
        taken_s = known.taken_s if known else 0
        date = (not taken_s, taken_s or one.stamp.mtime_ns // 10**9)
        dates[one.content] = min(date, dates.get(one.content, date))
    return {content: date for content, (_, date) in dates.items()}


@pytest.fixture(scope="module")
def memory() -> Iterator[str]:
    """Yield a folder in memory: each commit would wait for the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield folder


def _made(index: VectorIndex) -> VectorIndex:
    wait_for(lambda: not index.is_making)
    return index


@settings(max_examples=40, deadline=None)
@given(_steps)
def test_whatever_was_committed_a_filter_passes_what_the_records_say(memory: str, steps: list[object]) -> None:
    """A picture passes if one of its live photos passes all parts of the filter by what its own file says."""
    store = Store(tempfile.mkdtemp(dir=Path(memory)), "space", map_gb=1)
    base = [PhotoFound(f"/base/{number}.jpg", _STAMP, _content(number)) for number in range(_BASE)]
    vectors = {_content(number): _vector(number) for number in range(_BASE + 3)}  # the last one has none
    store.commit(WriteBatch(photos=[*base], vectors=vectors))
    index = _made(VectorIndex(store))
    facts: dict[bytes, Facts] = {}
    for step in steps:
        match step:
            case "restart":
                index.stop()
                index = VectorIndex(store)
            case "forget":
                index.apply(store.forget([one for one in store.records() if one.path.startswith("/p/a")]))
            case ("facts", int(number), int(taken_s), str(camera)):
                facts[_content(number)] = Facts(4, 3, taken_s, camera)
                photo = PhotoFound(f"/p/facts {number}.jpg", _STAMP, _content(number))
                index.apply(store.commit(WriteBatch(photos=[photo], contents=dict(facts))))
            case list():
                changes = {change[1]: _change(*change) for change in step}  # a batch has a path once
                index.apply(store.commit(WriteBatch(photos=[*changes.values()])))
            case _:
                pytest.fail(f"no such step: {step}")
        _made(index)
    live = [one for one in store.records() if one.live and store.has_vector(one.content)]
    found = {wanted: set(index.contents(wanted)) for wanted in _FILTERS}
    dates = {wanted: _dates(index, wanted) for wanted in _FILTERS}
    index.stop()
    store.close()

    for wanted in _FILTERS:
        expected = {one.content for one in live if _passes(one, facts.get(one.content), wanted)}
        assert found[wanted] == expected, wanted
        passing = [one for one in live if _passes(one, facts.get(one.content), wanted)]
        assert dates[wanted] == _least_dates(passing, facts), wanted
