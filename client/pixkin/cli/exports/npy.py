"""An array for numpy, and the rows beside it as JSON Lines, in the same order.

Source of the format: numpy.lib.format, version 1.0. The header is as long as it may become, and is written again at the end,
when the number of rows is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pixkin.cli import output
from pixkin.cli.exports.new_file import NewFile
from pixkin.cli.exports.rows import rows

if TYPE_CHECKING:
    from pixkin.protocol.replies import Exported

_MAGIC: Final = b"\x93NUMPY\x01\x00"
_HEADER: Final = 118  # bytes: with magic and length 128, a multiple of 64


class NumpyArray:
    """Both files."""

    def __init__(self, path: str, *, force: bool) -> None:
        """Begin as `NewFile`. The rows are in `path` with `.jsonl` behind it."""
        self._count = self._dims = 0
        self._array = NewFile(path, force=force)
        try:
            self._rows = NewFile(f"{path}.jsonl", force=force)
            self._array.write(self._header())
        except BaseException:
            self._array.close()
            raise

    def write(self, page: Exported) -> None:
        """Append a page. Raises OutputLost."""
        self._array.write(page.vectors)
        self._rows.write(b"".join(output.json_line(fields) for fields, _ in rows(page)))
        self._count, self._dims = self._count + len(page.pictures), page.dims

    def publish(self) -> None:
        """Give both files their names, or neither. Raises as `NewFile.publish`.

        An array that is replaced by force goes first, so that it never stands beside other rows.
        """
        self._array.rewrite(self._header())
        self._array.sync()
        self._rows.sync()
        self._array.withdraw()
        try:
            self._rows.publish()
            self._array.publish()
        except BaseException:
            self._rows.retract()
            raise

    def close(self) -> None:
        """Close both, and delete those that have not got their names."""
        self._array.close()
        self._rows.close()

    def _header(self) -> bytes:
        told = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({self._count}, {self._dims}), }}"
        return _MAGIC + _HEADER.to_bytes(2, "little") + told.ljust(_HEADER - 1).encode() + b"\n"
