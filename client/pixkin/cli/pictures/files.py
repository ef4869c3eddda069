"""Writes sheets and pages, and never over anything else."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from pixkin.cli import output
from pixkin.errors import OutputLost

# What stands among the first bytes of a page and of a sheet, which Pillow begins with its text.
PAGE_MARK: Final = b'<meta name="generator" content="pixkin'
_MARKS: Final = (PAGE_MARK, b"Software\0pixkin")
_HEAD: Final = 1024  # these first bytes


def may_be_replaced(file: str) -> bool:
    """Return whether a file is missing, empty, or an earlier sheet or page. Any other one might be a photo."""
    try:
        if not os.path.isfile(file):
            return not os.path.lexists(file)
        with open(file, "rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    return not head or any(mark in head for mark in _MARKS)


def write(file: str, data: bytes, *, opens: bool) -> None:
    """Write a file as a whole or not at all, say where it is, and open it if that is wanted.

    Raises:
        OutputLost: it cannot be written.
    """
    whole = os.path.realpath(file)
    part = f"{whole}.{os.getpid()}.part"
    try:
        try:
            with open(part, "xb") as opened:
                opened.write(data)
            os.replace(part, whole)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        raise OutputLost(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from error
    output.note(f"wrote {output.shown(os.fsencode(whole))}")
    if opens:
        _open(whole)


def _open(file: str) -> None:
    """Open a file as the desktop does, and do not wait: some browsers only return when they are closed."""
    import subprocess

    null = subprocess.DEVNULL
    try:
        # Every desktop has its own xdg-open, which is found on PATH.
        subprocess.Popen(["xdg-open", file], stdin=null, stdout=null, stderr=null, start_new_session=True)  # noqa: S607
    except OSError:
        output.note("nothing is opened: there is no xdg-open; on Debian: apt install xdg-utils")
