"""Appends lines of JSON to a file. A line is on the disk before anybody relies on it, and one that was cut off costs no other."""

import errno
import json
import os
from typing import Final

APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class LineWriter:
    """One such file, open. All methods may raise OSError."""

    def __init__(self, file: str) -> None:
        """Open or create it, with mode 0600."""
        self._descriptor = os.open(file, APPEND, 0o600)
        if (size := os.fstat(self._descriptor).st_size) and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # the line before was cut off

    def write(self, said: object) -> None:
        """Append a line, and return when it is on the disk."""
        line = json.dumps(said).encode() + b"\n"
        if os.write(self._descriptor, line) != len(line):
            os.write(self._descriptor, b"\n")  # the disk is full
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)
