"""A segment: the codes, the metadata and the mean of a library. Each content has one row in codes and metadata.

One thread at a time changes a segment; any thread reads it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixkind.index.centering import RunningMean
from pixkind.index.metadata import RowMetadata
from pixkind.index.metric import Metric
from pixkind.index.rabitq import LARGE, TAIL, RaBitQCodes
from pixkind.index.rescoring import Blocks
from pixkind.index.snapshot import Base, Snapshot, State
from pixkind.storage.record import Place

Places: TypeAlias = Mapping[bytes, Sequence[Place]]  # by content: of its live photos


@dataclass(slots=True)
class Segment:
    """Everything that finds contents, except for their vectors."""

    codes: RaBitQCodes
    metadata: RowMetadata
    mean: RunningMean = field(default_factory=RunningMean)
    built: int = 0  # the number of contents when the codes were made
    base: Base | None = None  # the file with the base of the codes; None: there is none
    is_exact: bool = True  # whether the mean is exact

    @property
    def is_worn(self) -> bool:
        """Whether a new segment is due: twice the contents, a quarter of the rows dead, a large tail, or an inexact mean."""
        codes, metadata = self.codes, self.metadata
        unlisted = codes.tail >= TAIL if codes.lists else len(metadata) >= LARGE
        is_sparse = metadata.dead > metadata.rows // 4 + 8  # up to seven rows before the tail are always dead
        return len(metadata) >= 2 * self.built or is_sparse or unlisted or not self.is_exact

    def is_sound(self, dims: int) -> bool:
        """Return whether the mean is one of vectors with these dimensions. One vector that is not finite ruins it."""
        return self.mean.sum is None or (len(self.mean.sum) == dims and bool(np.isfinite(self.mean.sum).all()))

    def fill(self, contents: Sequence[bytes], vectors: NDArray[np.float32], places: Places) -> None:
        """Add contents before `seal`: their vectors, (n, dims) float32, and the places of their photos."""
        self.codes.fill(vectors)
        self._note(contents, vectors, places)

    def seal(self) -> None:
        """End the base of the codes: contents that are added later are in the tail."""
        self.built = len(self.metadata)
        self.metadata.skip(self.codes.seal())

    def add(self, contents: Sequence[bytes], vectors: NDArray[np.float32], places: Places) -> None:
        """Add contents that have no row, as `fill`."""
        self.codes.add(vectors)  # first: a row without metadata is not found
        self._note(contents, vectors, places)

    def remove(self, contents: Iterable[bytes], blocks: Callable[[Iterable[bytes]], Blocks]) -> None:
        """Let these contents no longer be found; contents without a row are ignored. `blocks` reads their vectors."""
        removed, before = self.metadata.remove(contents), self.mean.count
        for _, block in blocks(removed):
            self.mean = self.mean.plus(block, -1)
        # A vector that is damaged or deleted cannot be subtracted from the sum.
        self.is_exact &= before - self.mean.count == len(removed)

    def put(
        self,
        marks: Mapping[bytes, bool],
        kept: Sequence[bytes],
        blocks: Callable[[Iterable[bytes]], Blocks],
        places: Callable[[Sequence[bytes]], Iterable[tuple[bytes, Sequence[Place]]]],
    ) -> None:
        """Remove the contents in `marks`, add those that are marked True, and update the places of those that are `kept`."""
        self.remove(marks, blocks)
        for ids, block in blocks([content for content, is_found in marks.items() if is_found]):
            self.add(ids, block, dict(places(ids)))
        if kept:
            self.metadata.move(dict(places(kept)))

    def _note(self, contents: Sequence[bytes], vectors: NDArray[np.float32], places: Places) -> None:
        self.metadata.append(contents, places)
        self.mean = self.mean.plus(vectors)

    # On the disk.

    def write_base(self, snapshot: Snapshot, number: int) -> None:
        """Write the sealed base of the codes to a file with this number.

        Raises:
            OSError: it cannot be written; then there is no snapshot.
        """
        path = snapshot.new_base(number)
        self.codes.write_base(path)
        self.base = snapshot.base(path)

    def state(self) -> State:
        """Return copies of everything but the base."""
        total = np.zeros(0) if self.mean.sum is None else self.mean.sum
        counts = np.array([self.mean.count, self.built])
        # An older pixkind reads `chance`.
        return {**self.codes.state(), **self.metadata.state(), "sum": total, "counts": counts, "chance": np.zeros(0)}

    @classmethod
    def restored(
        cls, state: State, path: str, base: Base, is_shown: Callable[[str], bool], metric: Metric
    ) -> "Segment":
        """Return the segment with this state and the base `base`, at `path`."""
        count, built = state["counts"].astype(np.int64).tolist()
        mean = RunningMean(count, state["sum"].astype(np.float64))
        metadata = RowMetadata.restored(state, is_shown)
        return cls(RaBitQCodes.restored(state, path, metric), metadata, mean, built, base)
