"""A store of photos whose vectors are more or less alike, and a search for duplicates in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.waiting import wait_for

from pixkin.protocol.replies import Group
from pixkind.config import Config
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.stamp import Stamp
from pixkind.index.vector_index import VectorIndex
from pixkind.search.duplicates import DuplicateSearch
from pixkind.storage.record import Facts
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

DIMS = 64


def content(number: int) -> bytes:
    """Return the content id of a picture."""
    return (number + 1).to_bytes(16, "big")


def base(count: int) -> NDArray[np.float64]:
    """Return vectors that have much in common, but of which no two are alike."""
    return np.asarray(np.random.default_rng(5).standard_normal((count, DIMS)) + 0.5)


def like(vectors: NDArray[np.float64], number: int, noise: float, seed: int) -> NDArray[np.float64]:
    """Return a vector that is like that of a picture."""
    return np.asarray(vectors[number] + noise * np.random.default_rng(seed).standard_normal(DIMS))


def rot(store: Store, vector: bytes) -> None:
    """Overwrite the beginning of a stored vector, wherever it stands in the file of the store."""
    with (Path(store.folder) / "data.mdb").open("r+b") as file:
        data = file.read()
        at = data.index(vector)
        while at >= 0:
            file.seek(at)
            file.write(bytes(8))
            at = data.find(vector, at + 1)


class DuplicateStore:
    """A store with a photo for each vector, `/p/NUMBER.jpg`."""

    def __init__(self, folder: Path, vectors: NDArray[np.float64], *, map_gb: int = 1) -> None:
        self.store = Store(str(folder), "space", map_gb=map_gb)
        self.vectors = vectors.astype(np.float16)
        self.index = VectorIndex(self.store)
        self.add(*((f"/p/{number}.jpg", number) for number in range(len(vectors))))
        wait_for(lambda: not self.index.is_making)
        has_photos, nothing = self.store.has_photos, {"load": lambda _: None, "save": lambda *_: None}
        self.roots = WatchedRoots(("/p",), Config().rules, has_photos=has_photos, **nothing)  # type: ignore[arg-type]  # of any root

    def add(self, *photos: tuple[str, int], mtime_s: int = 1) -> None:
        """Commit photos, each with the number of its vector."""
        stamps = [Stamp(mtime_s * 10**9, 1000, 3, 4) for _ in photos]
        found = [PhotoFound(path, stamp, content(number)) for (path, number), stamp in zip(photos, stamps, strict=True)]
        facts = {content(number): Facts(400, 300, 0, "") for _, number in photos}
        vectors = {content(number): self.vectors[number].tobytes() for _, number in photos}
        self.commit(WriteBatch(photos=[*found], contents=facts, vectors=vectors))

    def commit(self, batch: WriteBatch) -> None:
        """Commit as the ingest thread does."""
        self.index.apply(self.store.commit(batch))

    def groups(self, folder: str = "", least: float = 0.8, apart: Sequence[tuple[bytes, bytes]] = ()) -> list[Group]:
        """Return all groups of duplicates. `apart`: pairs of contents that no group may have together."""
        return list(DuplicateSearch(self.store, self.index, self.roots, folder, least, apart=apart).groups())

    def exact(self) -> NDArray[np.float32]:
        """Return the scores of all pairs, by the formula."""
        centred = self.index.centering().centred(self.vectors.astype(np.float32))
        return np.asarray(centred @ centred.T)
