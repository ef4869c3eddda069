"""JSON Lines: one object for each picture."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from pixkin.cli import output
from pixkin.cli.exports.new_file import NewFile
from pixkin.cli.exports.rows import rows

if TYPE_CHECKING:
    from pixkin.protocol.replies import Exported


class JsonLines:
    """Lines in a file, or on standard output as they come."""

    def __init__(self, path: str, *, force: bool) -> None:
        """Begin as `NewFile`; `-` is standard output."""
        self._file = None if path == "-" else NewFile(path, force=force)

    def write(self, page: Exported) -> None:
        """Append a page. Raises OutputLost."""
        lines = b"".join(_line(output.json_line(fields), vector) for fields, vector in rows(page))
        if self._file is None:
            output.emit(lines)
        else:
            self._file.write(lines)

    def publish(self) -> None:
        """Give the file its name. Raises as `NewFile.publish`."""
        if self._file is not None:
            self._file.publish()

    def close(self) -> None:
        """Close the file, and delete it if it has not got its name."""
        if self._file is not None:
            self._file.close()


def _line(line: bytes, vector: bytes) -> bytes:
    """Return the line of an object with a vector as its last field. `json` would need 20 times as long for the numbers."""
    if not vector:
        return line
    numbers = msgspec.json.encode(struct.unpack(f"<{len(vector) // 2}e", vector))
    return b'%b, "vector": %b}\n' % (line.removesuffix(b"}\n"), numbers)
