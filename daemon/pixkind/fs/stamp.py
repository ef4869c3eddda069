"""The stamp of a file: the metadata that change whenever the file changes."""

import os
from dataclasses import dataclass
from typing import Final

TIME_BIAS: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Stamp:
    """The metadata that change whenever a file changes. Two equal stamps of one path mean one version of a photo."""

    mtime_ns: int
    size: int
    ctime_ns: int  # reveals an edit that restores the old mtime
    inode: int  # reveals a replacement by another file

    @classmethod
    def of(cls, st: os.stat_result) -> "Stamp":
        """Return the stamp of a stat result; times are limited to 1677 to 2262, the range of 64 bits."""
        return cls(_bounded(st.st_mtime_ns), st.st_size, _bounded(st.st_ctime_ns), st.st_ino)


def _bounded(time_ns: int) -> int:
    return max(-TIME_BIAS, min(time_ns, TIME_BIAS - 1))
