"""Files for Pillow that are no files of the system, such as a part of another file with bytes before and behind it.

Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer  # exists for type checkers only


class SeekableFile(io.RawIOBase):
    """A file that is read at an offset; a subclass reads, and moves the offset."""

    def __init__(self) -> None:
        """Begin at the first byte."""
        super().__init__()
        self._offset = 0

    @property
    def _bytes(self) -> int:
        """Return the size of the file."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset; return the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset}.get(whence)
        if base is None:
            base = self._bytes
        if base + offset < 0:
            raise ValueError(f"seek to {base + offset}")
        self._offset = base + offset
        return self._offset


def spliced(begin: bytes, file: IO[bytes], at: int, size: int, end: bytes) -> io.BytesIO | io.BufferedReader:
    """Return a file that begins with `begin`, goes on with `size` bytes of `file` from `at` on, and ends with `end`."""
    if isinstance(file, io.BytesIO):  # a small photo: one copy takes less time than reading from three files
        return io.BytesIO(b"".join((begin, memoryview(file.getvalue())[at : at + size], end)))
    return io.BufferedReader(Spliced(begin, file, at, size, end), 1 << 16)


class Spliced(SeekableFile):
    """A file whose begin and end are replaced."""

    def __init__(self, begin: bytes, file: IO[bytes], at: int, size: int, end: bytes) -> None:
        """Begin with `begin`, go on with `size` bytes of `file` from `at` on, and end with `end`."""
        super().__init__()
        self._parts = ((io.BytesIO(begin), 0, len(begin)), (file, at, size), (io.BytesIO(end), 0, len(end)))

    @property
    def _bytes(self) -> int:
        return sum(size for _, _, size in self._parts)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer; return the number of bytes, 0 at the end."""
        view, offset = memoryview(buffer).cast("B"), self._offset
        for file, at, size in self._parts:
            if offset < size:
                file.seek(at + offset)
                data = file.read(min(len(view), size - offset))
                view[: len(data)] = data
                self._offset += len(data)
                return len(data)
            offset -= size
        return 0
