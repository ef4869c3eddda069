"""Looks at the clock, and at the limits that the kernel sets for the daemon."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Final

from pixkin import locations
from pixkin.doctor.finding import OK, PROBLEM, Finding

_BEGIN_S: Final = 1_767_225_600  # 2026-01-01: no clock is right that says less
_AHEAD_S: Final = 86_400
# That the daemon may have open: each photo on its way and each client is one.
_FILES: Final = 1024
_NEARLY: Final = 0.9
_PLENTY: Final = 524_288
_WATCH: Final = b"inotify wd:"


def clock(now_s: float | None = None) -> Finding:
    """Look at the clock: it must not be years behind, nor behind the index."""
    now_s = time.time() if now_s is None else now_s
    said, fix = time.strftime("%Y-%m-%d", time.localtime(now_s)), "sudo timedatectl set-ntp true"
    if now_s < _BEGIN_S:
        return Finding(PROBLEM, "clock", f"the clock is wrong: it says {said}", fix)
    with suppress(OSError):
        written_s = os.stat(os.path.join(locations.store_folder(), "data.mdb")).st_mtime
        if written_s > now_s + _AHEAD_S:
            late = time.strftime("%Y-%m-%d", time.localtime(written_s))
            return Finding(PROBLEM, "clock", f"the clock says {said}, but the index was written on {late}", fix)
    return Finding(OK, "clock", f"it says {said}")


def limits(pid: int, proc: str = "/proc") -> list[Finding]:
    """Look at the limits of a running daemon: files and watches. Without its files in /proc, nothing is found.

    Args:
        pid: the daemon's process.
        proc: where the kernel tells of processes.
    """
    found = []
    with suppress(OSError, ValueError, IndexError):
        with open(f"{proc}/{pid}/limits", encoding="ascii") as file:
            soft = next((line for line in file if line.startswith("Max open files")), "").split()[3]
        what = f"pixkind may have {soft} files open"
        is_low = soft != "unlimited" and int(soft) < _FILES
        fix = "ulimit -n 65536, and start pixkind again" if is_low else ""
        found.append(Finding(PROBLEM if is_low else OK, "limits", what, fix))
    with suppress(OSError, ValueError):
        with open(f"{proc}/sys/fs/inotify/max_user_watches", encoding="ascii") as file:
            most = int(file.read())
        used = _watches(f"{proc}/{pid}/fdinfo")
        what = f"pixkind has {used:,} of the {most:,} watches that the kernel allows"
        is_near = used > _NEARLY * most
        fix = f"sudo sysctl fs.inotify.max_user_watches={max(_PLENTY, 2 * most)}" if is_near else ""
        found.append(Finding(PROBLEM if is_near else OK, "limits", what, fix))
    return found


def _watches(folder: str) -> int:
    count = 0
    for name in os.listdir(folder):
        with suppress(OSError), open(os.path.join(folder, name), "rb") as file:
            count += sum(line.startswith(_WATCH) for line in file)
    return count
