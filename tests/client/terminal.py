"""Reads what a process wrote to a terminal."""

import os
from contextlib import suppress


def all_of(master: int) -> bytes:
    """Return all that was written to a terminal that no process has open any more, and close it."""
    told = b""
    with suppress(OSError):  # EIO is the end
        while some := os.read(master, 10_000):
            told += some
    os.close(master)
    return told
