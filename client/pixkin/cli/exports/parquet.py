"""Columns in Parquet, by pyarrow. Vectors are float32, which every reader knows, and in which each float16 is exact.

Their bytes are split into streams before they are compressed. The lowest are all zeros, so a vector takes less than as float16.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import compute
from pyarrow.parquet import ParquetWriter

from pixkin.cli.exports.new_file import NewFile
from pixkin.cli.exports.rows import rows

if TYPE_CHECKING:
    from pixkin.protocol.replies import Exported

_GROUP: Final = 5000  # rows of a row group: 26 MB of vectors of 1,280 dimensions
_COMMON: Final = [("taken_s", pa.int64()), ("camera", pa.string()), ("pages", pa.int64())]
_FILE: Final = [
    *(("path", pa.string()), ("path_b64", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64())),
    *(("offline", pa.bool_()), *_COMMON, ("damaged", pa.bool_())),
]
_PICTURE: Final = [
    *(("content", pa.string()), ("width", pa.int64()), ("height", pa.int64()), *_COMMON),
    *(("by_name", pa.bool_()), ("files", pa.list_(pa.struct(_FILE))), ("more", pa.int64())),
]


class ParquetRows:
    """The file."""

    def __init__(self, path: str, *, force: bool, vectors: bool) -> None:
        """Begin as `NewFile`. `vectors`: whether there is a column for them."""
        self._schema = pa.schema([*_PICTURE, ("space", pa.string())] if vectors else _PICTURE)
        whole = self._schema.append(pa.field("vector", pa.list_(pa.float32()))) if vectors else self._schema
        self._file = NewFile(path, force=force)
        self._group: list[Any] = []
        split = {"vector.list.element": "BYTE_STREAM_SPLIT"} if vectors else None
        self._writer = ParquetWriter(
            self._file.file, whole, compression="zstd", use_dictionary=False, column_encoding=split
        )

    def write(self, page: Exported) -> None:
        """Append a page. Raises OutputLost."""
        batch = pa.Table.from_pylist([fields for fields, _ in rows(page)], self._schema)
        if "space" in self._schema.names:
            batch = batch.append_column("vector", _vectors(page))
        self._group.append(batch)
        if sum(map(len, self._group)) >= _GROUP:
            self._flush()

    def publish(self) -> None:
        """Give the file its name. Raises as `NewFile.publish`."""
        self._flush()
        with self._file.lost():
            self._writer.close()
        self._file.publish()

    def close(self) -> None:
        """Close the file, and delete it if it has not got its name."""
        with suppress(OSError):  # pyarrow writes what it still holds
            self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        """Write a row group."""
        if self._group:
            group, self._group = pa.concat_tables(self._group), []
            with self._file.lost():
                self._writer.write_table(group)


def _vectors(page: Exported) -> Any:  # noqa: ANN401  pyarrow has no types
    """Return the vectors of a page as an array of lists."""
    count = len(page.vectors) // 2
    halves = pa.Array.from_buffers(pa.float16(), count, [None, pa.py_buffer(page.vectors)])
    ends = pa.array(range(0, count + 1, max(1, page.dims)), pa.int32())
    return pa.ListArray.from_arrays(ends, compute.cast(halves, pa.float32()))
