"""Looks at the folders of pixkin: whose they are, who may write, and whether the disk has room."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Final

from pixkin import locations
from pixkin.doctor.finding import NOTE, OK, PROBLEM, Finding
from pixkin.errors import PixkinError
from pixkin.printable import size
from pixkin.private import check_private

FULL_BYTES: Final = 500_000_000  # room in which an index of 100,000 photos fits
_TIGHT_BYTES: Final = 2_000_000_000


def check(env: Mapping[str, str] = os.environ) -> list[Finding]:
    """Look at each folder that exists, as pixkind does when it starts, and at the disk of the index."""
    data = locations.data_folder(env)
    folders = (locations.state_folder(env), data, locations.cache_folder(env), locations.runtime_folder(env))
    found = [finding for folder in folders for finding in _folder(folder, by_own_group=folder == data)]
    if not found:
        found = [Finding(OK, "permissions", "the folders of pixkin are yours alone to write")]
    return [*found, _disk(locations.state_folder(env))]


def _folder(folder: str, *, by_own_group: bool) -> list[Finding]:
    name = shlex.quote(folder)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        return [Finding(PROBLEM, "permissions", f"{folder} is not a folder", f"mv -n {name} {name}.old")]
    try:
        check_private(folder, by_own_group=by_own_group)
    except PixkinError as error:
        return [Finding(PROBLEM, "permissions", error.what, error.hint)]
    if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return [Finding(PROBLEM, "permissions", f"{folder} cannot be read or written", f"chmod u+rwx {name}")]
    return []


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
