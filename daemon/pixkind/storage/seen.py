"""Which pictures were in the library already: no standing question is told of them again.

A picture is new once. It is not new after a rename, as a copy, when it comes back, when another network has read it, or when
the store was lost and all photos are indexed again. So the set outlives the store. It is kept only while there are questions.

The file is `watches.seen` in the data folder, mode 0600: the first eight bytes of each content id, one behind the other. It
is appended without waiting for the disk. What a crash has cut off is found again: the library has it, and the set does not.
In memory a million pictures take 8 MB.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.storage.lines import cannot_write, replace_durably

_BYTES: Final = 8  # of an id: two of a million pictures share them once in 37 million libraries
_MANY: Final = 4096  # new ones, which are then sorted in

_Keys = NDArray[np.uint64]


class SeenContents:
    """The set, and its file. Ingest thread only."""

    def __init__(self, folder: str) -> None:
        """Read the file in the data folder, if there is one."""
        self._path = os.path.join(folder, "watches.seen")
        self._sorted: _Keys = np.zeros(0, np.uint64)
        self._new: set[int] = set()
        self.is_there = os.path.exists(self._path)
        with suppress(FileNotFoundError), open(self._path, "rb") as file:
            data = file.read()
            self._sorted = np.unique(np.frombuffer(data[: len(data) // _BYTES * _BYTES], ">u8").astype(np.uint64))

    def new(self, contents: Sequence[bytes]) -> list[bytes]:
        """Return those of these contents that are not in the set."""
        keys = np.fromiter(map(_key, contents), np.uint64)
        at = np.searchsorted(self._sorted, keys)
        known = np.zeros(len(keys), bool)
        inside = at < len(self._sorted)
        known[inside] = self._sorted[at[inside]] == keys[inside]
        return [
            one
            for one, key, is_known in zip(contents, keys.tolist(), known, strict=True)
            if not (is_known or key in self._new)
        ]

    def begin(self, contents: Iterable[bytes]) -> None:
        """Begin with these contents, durably.

        Raises:
            StoreFull: nothing has changed.
        """
        self._replace(np.unique(np.fromiter(map(_key, contents), np.uint64)))

    def add(self, contents: Iterable[bytes]) -> None:
        """Add contents. If they cannot be written, the next start finds them again."""
        keys = [_key(content) for content in contents]
        self._new.update(keys)
        if len(self._new) > _MANY:
            self._sorted = np.union1d(self._sorted, np.fromiter(self._new, np.uint64))
            self._new.clear()
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # Behind the last whole key: a crash may have cut off another one.
                at = os.fstat(descriptor).st_size // _BYTES * _BYTES
                os.pwrite(descriptor, np.array(keys, ">u8").tobytes(), at)
            finally:
                os.close(descriptor)

    def forget(self, contents: Iterable[bytes]) -> None:
        """Remove contents, durably. Raises as `begin`."""
        keys = np.fromiter(map(_key, contents), np.uint64)
        known = np.union1d(self._sorted, np.fromiter(self._new, np.uint64))
        # "sort": the other kind fails in numpy 2.0 where numbers need all 64 bits.
        if self.is_there and np.isin(keys, known, kind="sort").any():
            self._replace(np.setdiff1d(known, keys))

    def end(self) -> None:
        """Forget all. May raise StoreFull."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self._sorted, self.is_there = np.zeros(0, np.uint64), False
        self._new.clear()

    def _replace(self, keys: _Keys) -> None:
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            replace_durably(self._path, keys.astype(">u8").tobytes())
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self._sorted, self.is_there = keys, True
        self._new.clear()


def _key(content: bytes) -> int:
    return int.from_bytes(content[:_BYTES], "big")
