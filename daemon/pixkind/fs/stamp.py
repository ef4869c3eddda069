"""The stamp of a file: what changes when it changes. Pure values."""

import os
from dataclasses import dataclass
from typing import Final

TIME_BIAS: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file changes. Two equal stamps of one path are one version of a photo."""

    mtime_ns: int
    size: int
    ctime_ns: int  # an edit that puts the old mtime back is seen by this
    inode: int  # and a replacement by another file by this

    @classmethod
    def of(cls, st: os.stat_result) -> "Stamp":
        """Return the stamp of a stat result; times before 1677 and after 2262, which 64 bits cannot hold, are those."""
        return cls(_bounded(st.st_mtime_ns), st.st_size, _bounded(st.st_ctime_ns), st.st_ino)


def _bounded(time_ns: int) -> int:
    return max(-TIME_BIAS, min(time_ns, TIME_BIAS - 1))
