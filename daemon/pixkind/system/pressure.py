"""Reads from the kernel for how much of the last ten seconds programs waited for memory or for a disk (PSI).

Memory pressure is read for the whole machine, since pausing helps whichever program fills the memory.

Disk pressure is read only for the control groups of other programs. On a slow disk our own reading counts as such a
wait, and pausing would only make it longer. Without control groups (a container, an old hierarchy) disk pressure is not
read at all.

Disk pressure does not say which disk. And the driver of a FUSE file system may wait, in another group, for our own
reads. So `throttle` acts on disk pressure only for a limited time.

Source: the kernel's Documentation/accounting/psi.rst and admin-guide/cgroup-v2.rst.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

PRESSURE: Final = "/proc/pressure"
GROUPS: Final = "/sys/fs/cgroup"
OWN: Final = "/proc/self/cgroup"


def memory(folder: str = PRESSURE) -> float:
    """Return for how much of the time some program waited for memory, in percent; 0: the kernel does not count it."""
    return _share(os.path.join(folder, "memory"), "some")


def disk(groups: str = GROUPS, own: str = OWN) -> float:
    """Return for how much of the time all programs of some other group waited for a disk, in percent; 0: unknown."""
    return max((_share(os.path.join(group, "io.pressure"), "full") for group in _others(groups, own)), default=0.0)


def _others(groups: str, own: str) -> Iterator[str]:
    """Yield the sibling groups of our group and of each of its parents."""
    with suppress(OSError):
        with open(own, encoding="utf-8", errors="surrogateescape") as file:
            path = next((line[4:-1] for line in file if line.startswith("0::/")), "")
        for part in filter(None, path.split("/")):
            with os.scandir(groups) as entries:
                yield from [entry.path for entry in entries if entry.name != part and entry.is_dir()]
            groups = os.path.join(groups, part)


def _share(file: str, kind: str) -> float:
    """Return the average of ten seconds, in percent; 0: the file cannot be read."""
    with suppress(OSError), open(file, encoding="ascii") as lines:
        for line in lines:
            if match := re.match(rf"{kind} avg10=([0-9.]+) ", line):
                return float(match[1])
    return 0.0
