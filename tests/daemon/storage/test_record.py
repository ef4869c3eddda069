import os
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixkind.encoder.messages import UNSEEN, Details, Look
from pixkind.fs.stamp import Stamp
from pixkind.storage.record import (
    Clock,
    Facts,
    Record,
    outcome,
    pack_clock,
    pack_facts,
    pack_record,
    pack_vector,
    place_of,
    unpack_clock,
    unpack_facts,
    unpack_record,
    unpack_vector,
)

_SIGNED = st.integers(-(2**63), 2**63 - 1)
_UNSIGNED = st.integers(0, 2**64 - 1)
_HASHES = st.lists(st.integers(0, 2**32 - 1), max_size=16).map(tuple)
_DETAILS = st.builds(Details, _SIGNED, st.text(max_size=100), st.integers(0, 511), st.integers(1, 9), blocks=_HASHES)
_RECORDS = st.builds(
    Record,
    path=st.binary(min_size=1, max_size=4000).map(os.fsdecode),
    stamp=st.builds(Stamp, mtime_ns=_SIGNED, size=_UNSIGNED, ctime_ns=_SIGNED, inode=_UNSIGNED),
    content=st.binary(min_size=16, max_size=16),
    failed=st.booleans(),
    gone_s=_SIGNED,
    retry_s=_SIGNED,
    details=st.none() | _DETAILS,
)


@given(_RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    """Packing loses nothing, whatever bytes the path is made of."""
    assert unpack_record(record.key, pack_record(record)) == record


@given(_RECORDS, _RECORDS, st.sets(st.sampled_from(["path", "size", "ctime_ns", "inode"]), max_size=1))
def test_the_outcome_is_that_of_the_same_live_photo_alone(record: Record, other: Record, changed: set[str]) -> None:
    """What a scan asks of a packed record is what the record says, and nothing if any part of the stamp differs."""
    path = other.path if "path" in changed else record.path
    stamp = replace(record.stamp, **{name: getattr(other.stamp, name) for name in changed - {"path"}})
    is_same = record.live and (path, stamp) == (record.path, record.stamp)
    told = outcome(pack_record(record), os.fsencode(path), stamp)

    assert told == ((record.content, record.failed, record.retry_s, record.details is not None) if is_same else None)


@given(_RECORDS, st.none() | st.just(Facts(4, 3, 77, "of the content")))
def test_the_place_of_a_packed_record_is_that_of_the_record(record: Record, facts: Facts | None) -> None:
    """Date and camera are those of the file; only a record without details takes those of its content."""
    place = record.place(facts)

    assert place_of(record.key, pack_record(record), facts)[1:] == place[1:]
    if record.details is not None:
        assert place[1:3] == (record.details.taken_s, record.details.camera)
    else:
        assert place[1:3] == ((0, "") if facts is None else (77, "of the content"))


_LOOKS = st.just(UNSEEN) | st.builds(Look, st.integers(0, 0xFFFFFF), st.booleans())


@given(
    st.builds(
        Facts,
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        _SIGNED,
        st.text(max_size=200) | st.text("\0az0", max_size=9),
        look=_LOOKS,
    )
)
def test_facts_come_back_as_they_were(facts: Facts) -> None:
    """Packing loses nothing."""
    assert unpack_facts(pack_facts(facts)) == facts


@given(st.builds(Clock, st.binary(max_size=4000), _SIGNED, _SIGNED, st.none() | _SIGNED))
def test_a_clock_comes_back_as_it_was(clock: Clock) -> None:
    """Packing loses nothing, whatever bytes the path is made of."""
    assert unpack_clock(pack_clock(clock)) == clock


@given(st.binary(min_size=2, max_size=64).filter(lambda raw: len(raw) % 2 == 0), st.data())
def test_a_rotten_vector_is_noticed(raw: bytes, data: st.DataObject) -> None:
    """A vector comes back as it was, and not at all when one bit of its value has changed."""
    value = pack_vector(raw)
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    damaged = bytearray(value)
    damaged[bit // 8] ^= 1 << bit % 8
    vector = unpack_vector(value)

    assert vector is not None
    assert vector.tobytes() == raw
    assert vector.dtype == np.float16
    assert unpack_vector(bytes(damaged)) is None
