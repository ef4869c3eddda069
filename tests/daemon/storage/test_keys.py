import os

from hypothesis import given
from hypothesis import strategies as st

from pixkind.fs.stamp import Stamp
from pixkind.storage.keys import key, mtime_of, record_prefix

_MTIMES = st.integers(-(2**63), 2**63 - 1)
_PATHS = st.binary(min_size=1, max_size=4000).map(lambda raw: os.fsdecode(b"/" + raw))


@given(_PATHS, _MTIMES)
def test_a_key_is_24_bytes_and_gives_its_mtime_back(path: str, mtime_ns: int) -> None:
    """A key has 24 bytes whatever the path, and holds the mtime."""
    made = key(path, mtime_ns)

    assert len(made) == 24
    assert mtime_of(made) == mtime_ns
    assert made.startswith(record_prefix(path))


@given(_PATHS, _MTIMES, _MTIMES)
def test_keys_of_one_path_sort_by_mtime(path: str, one: int, other: int) -> None:
    """The bytes of two keys of a path compare as their mtimes do, before 1970 too."""
    assert (key(path, one) < key(path, other)) == (one < other)


@given(st.integers(-(2**80), 2**80))
def test_any_time_that_a_file_system_has_makes_a_key(time_ns: int) -> None:
    """A broken camera dates a photo into the year 2286, and ext4 keeps it; 64 bits of nanoseconds end in 2262."""
    result = os.stat_result(range(10), {"st_mtime_ns": time_ns, "st_ctime_ns": time_ns})
    stamp = Stamp.of(result)

    assert mtime_of(key("/p/a.jpg", stamp.mtime_ns)) == stamp.mtime_ns == stamp.ctime_ns
    assert stamp.mtime_ns == time_ns or abs(stamp.mtime_ns) >= 2**63 - 1
