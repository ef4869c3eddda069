"""Looks at the folders of pixkin: whose they are, who may write, and whether the disk has room."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from typing import Final

from pixkin import locations
from pixkin.doctor.finding import NOTE, OK, PROBLEM, Finding
from pixkin.printable import size

_OTHERS_WRITE: Final = 0o022
FULL_BYTES: Final = 500_000_000  # room in which an index of 100,000 photos fits
_TIGHT_BYTES: Final = 2_000_000_000


def check(env: Mapping[str, str] = os.environ) -> list[Finding]:
    """Look at each folder that exists, and at the disk of the index."""
    folders = (
        os.path.dirname(locations.config_file(env)),
        locations.state_folder(env),
        locations.data_folder(env),
        locations.cache_folder(env),
        locations.runtime_folder(env),
    )
    found = [finding for folder in folders for finding in _folder(folder)]
    if not found:
        found = [Finding(OK, "permissions", "the folders of pixkin are yours alone to write")]
    return [*found, _disk(locations.state_folder(env))]


def _folder(folder: str) -> list[Finding]:
    name = shlex.quote(folder)
    try:
        st = os.stat(folder)
    except FileNotFoundError:
        return []  # pixkin makes it when it needs it
    except OSError as error:
        return [Finding(PROBLEM, "permissions", f"{folder}: {error.strerror}", f"ls -ld {name}")]
    is_ours = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    wrong = (
        (not stat.S_ISDIR(st.st_mode), f"{folder} is not a folder", f"mv {name} {name}.old"),
        (st.st_uid != os.geteuid(), f"{folder} belongs to another user", f'sudo chown -R "$USER" {name}'),
        (bool(st.st_mode & _OTHERS_WRITE), f"other users may change {folder}", f"chmod go-w {name}"),
        (not is_ours, f"{folder} cannot be read or written", f"chmod u+rwx {name}"),
    )
    return [Finding(PROBLEM, "permissions", what, fix) for is_wrong, what, fix in wrong if is_wrong][:1]


def _disk(folder: str) -> Finding:
    there = folder
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    try:
        disk = os.statvfs(there)
    except OSError as error:
        return Finding(PROBLEM, "disk", f"{there}: {error.strerror}", f"ls -ld {shlex.quote(there)}")
    if disk.f_flag & os.ST_RDONLY:
        return Finding(PROBLEM, "disk", f"the disk of {folder} is read-only", "sudo dmesg --level=err | tail")
    free = disk.f_bavail * disk.f_frsize
    what = f"{size(free)} are free for {folder}"
    if free < FULL_BYTES:
        return Finding(
            PROBLEM, "disk", f"only {what}", f"make room on that disk: du -xh --max-depth=2 {shlex.quote(there)}"
        )
    if disk.f_files and not disk.f_favail:
        return Finding(PROBLEM, "disk", f"no more files fit on the disk of {folder}", "delete some files on that disk")
    return Finding(NOTE if free < _TIGHT_BYTES else OK, "disk", what)
