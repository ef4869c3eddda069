"""How much of the last ten seconds programs stood still for want of memory or of the disk, as the kernel counts it.

Memory is asked of the whole machine: whoever fills it, to stop helps. The disk is asked of the control groups beside
our own alone, because on a slow one our reading is itself such a wait, and stopping would only make it longer; so
without groups (a container, an old hierarchy) it is not asked at all. It names no disk, and the driver of a FUSE file
system may wait in such a group for what we read: hence `throttle` believes it for a while only.

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
    """Return for how much of the time some program waited for memory, in percent; 0 where that is not counted."""
    return _share(os.path.join(folder, "memory"), "some")


def disk(groups: str = GROUPS, own: str = OWN) -> float:
    """Return for how much of the time all programs of some other group waited for a disk, in percent; 0 where unknown."""
    return max((_share(os.path.join(group, "io.pressure"), "full") for group in _others(groups, own)), default=0.0)


def _others(groups: str, own: str) -> Iterator[str]:
    """Yield the groups beside ours, and beside each that holds ours."""
    with suppress(OSError):
        with open(own, encoding="utf-8", errors="surrogateescape") as file:
            path = next((line[4:-1] for line in file if line.startswith("0::/")), "")
        for part in filter(None, path.split("/")):
            with os.scandir(groups) as entries:
                yield from [entry.path for entry in entries if entry.name != part and entry.is_dir()]
            groups = os.path.join(groups, part)


def _share(file: str, kind: str) -> float:
    """Return the average of ten seconds, in percent."""
    with suppress(OSError), open(file, encoding="ascii") as lines:
        for line in lines:
            if match := re.match(rf"{kind} avg10=([0-9.]+) ", line):
                return float(match[1])
    return 0.0
