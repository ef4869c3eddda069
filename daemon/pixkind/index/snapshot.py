"""The snapshot of an index on the disk: with it a start reads 200 bytes a photo instead of every vector.

A snapshot is two files in a folder of its own: the base of the codes, which is written once, and the rest, which has the
name and the digest of the base. It is derived data: a snapshot that is damaged, or of another version, is ignored, and the
index is made again. A snapshot tells the state at one generation of the journal. Only the store tells the present state.
"""

import io
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import blake3
import faiss
import numpy as np
from numpy.typing import NDArray

from pixkind.storage.environment import sync

_log = logging.getLogger(__name__)

_VERSION: Final = f"6, faiss {faiss.__version__}"
_NAMELESS: Final = f"5, faiss {faiss.__version__}"  # no photo had the date of its name
_TIMELESS: Final = f"4, faiss {faiss.__version__}"  # and one without a date had no time either
_OLD: Final = f"3, faiss {faiss.__version__}"  # and the photos of a row had one date and one camera
_REST: Final = "rest.npz"
_BASE: Final = "base-"
_DIGEST: Final = 32  # bytes of BLAKE3 at the end of the rest

PHOTO: Final = np.dtype([("taken", "<i8"), ("row", "<u4"), ("folder", "<u4"), ("camera", "<u4")])
NO_ROW: Final = 0xFFFFFFFF  # of a photo that is gone

State = dict[str, NDArray[np.generic]]  # the arrays of a part of the index, by names that no other part uses


@dataclass(frozen=True, slots=True)
class Base:
    """The file with the base."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Found:
    """A snapshot that was read."""

    path: str  # of the base
    base: Base
    state: State
    facts: dict[str, Any]

    @property
    def is_current(self) -> bool:
        """Whether this version wrote it, so that it lacks nothing."""
        return bool(self.facts["version"] == _VERSION)


class Snapshot:
    """The folder of the snapshot of one space. One thread at a time uses it."""

    def __init__(self, folder: str) -> None:
        """Name the folder; `new_base` creates it."""
        self._folder = folder

    def new_base(self, number: int) -> str:
        """Return the path of a base that is to be written."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        return os.path.join(self._folder, f"{_BASE}{number}")

    def base(self, path: str) -> Base:
        """Return name and digest of a base that was written."""
        return Base(os.path.basename(path), blake3.blake3().update_mmap(path).hexdigest())

    def write(self, base: Base, state: State, facts: Mapping[str, Any]) -> None:
        """Write everything but the base, durably and atomically, and delete the bases of former snapshots.

        Raises:
            OSError: it cannot be written; the former snapshot is unchanged.
        """
        head = {"version": _VERSION, "base": base.name, "digest": base.digest, **facts}
        path = os.path.join(self._folder, _REST)
        arrays: dict[str, Any] = {"head": np.frombuffer(json.dumps(head).encode(), np.uint8), **state}
        with open(f"{path}.new", "w+b") as file:
            np.savez(file, **arrays)
            file.flush()
            file.write(blake3.blake3().update_mmap(f"{path}.new").digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
        for name in os.listdir(self._folder):
            if name.startswith(_BASE) and name != base.name:
                os.unlink(os.path.join(self._folder, name))
        sync(self._folder)

    def read(self) -> Found | None:
        """Return the snapshot; None if there is none, or it is damaged or of another version."""
        try:
            with open(os.path.join(self._folder, _REST), "rb") as stream:
                data = stream.read()
            if blake3.blake3(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
                raise ValueError("its checksum is wrong")  # it must not be parsed: numpy and faiss trust their input
            with np.load(io.BytesIO(data[:-_DIGEST]), allow_pickle=False) as file:
                state: State = {name: file[name] for name in file.files}
            facts = json.loads(state.pop("head").tobytes())
            path = os.path.join(self._folder, facts["base"])
            base = self.base(path)
            if facts["version"] in {_VERSION, _NAMELESS, _TIMELESS, _OLD} and base.digest == facts["digest"]:
                return Found(path, base, _by_photo(state) if facts["version"] == _OLD else state, facts)
            _log.warning("the snapshot of the index is damaged or of another version: it is made again")
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            _log.warning("the snapshot of the index cannot be read: %s; it is made again", error)
        return None

    def alone(self, kept: Iterable[str]) -> None:
        """Remove the snapshots of all spaces that are not `kept`: the journal does not reach back to them."""
        folder = os.path.dirname(self._folder)
        with suppress(FileNotFoundError):  # there is no snapshot; or the index of another open space removes them, too
            for name in set(os.listdir(folder)).difference(kept):
                shutil.rmtree(os.path.join(folder, name))
            sync(folder)

    def remove(self) -> None:
        """Remove the snapshot."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder)


def _by_photo(state: State) -> State:
    """Return the state of an old snapshot with the dates and the cameras of photos, instead of those of rows."""
    taken, by, pairs = (state.pop(name) for name in ("taken", "by", "photos"))
    row, folder = pairs[pairs[:, 0] != NO_ROW].T
    photos = np.zeros(len(row), PHOTO)
    photos["row"], photos["folder"], photos["taken"], photos["camera"] = row, folder, taken[row], by[row]
    return {**state, "photos": photos}
