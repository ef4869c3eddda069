"""Makes the segment of an index: from the vectors in the store, or from the snapshot; and writes the snapshot.

It touches no segment that answers queries, and knows no lock: `vector_index` decides when a new segment takes over.
The thread that makes codes calls `build` and `save`; the thread that opens the index calls `restore`.
"""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.index.metadata import RowMetadata
from pixkind.index.metric import Metric
from pixkind.index.rabitq import LARGE, SAMPLE, RaBitQCodes
from pixkind.index.rescoring import Blocks
from pixkind.index.segment import Segment
from pixkind.index.snapshot import Base, Snapshot, State
from pixkind.storage.store import Store

_log = logging.getLogger(__name__)

BLOCK: Final = 2048  # vectors read and scored at once: 10 MB of float32 at 1,280 dimensions
_UNSAVED: Final = "the snapshot of the index cannot be written: %s; the next start takes longer"


class BuildStopped(Exception):
    """The segment is no longer wanted."""


@dataclass(slots=True)
class SegmentBuilder:
    """Makes segments of one store."""

    store: Store
    blocks: Callable[[Iterable[bytes] | None], Blocks]  # reads the vectors of these contents; None: of all
    is_shown: Callable[[str], bool]  # whether photos in a folder may be found
    metric: Metric
    is_stopping: bool = False  # `build` is to end within a second
    _snapshot: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        """Name the folder of the snapshot."""
        self._snapshot = Snapshot(os.path.join(self.store.folder, "codes", self.store.space))

    def build(self, rows: int) -> Segment | None:
        """Return a segment of what is in the store now, about `rows` contents; None if nothing is.

        Raises:
            BuildStopped: the process is to end.
        """
        blocks = self.blocks(None)
        # The store yields contents in the order of their ids, hence at random: the first blocks are a fair sample.
        sample = list(islice(blocks, SAMPLE // BLOCK if rows >= LARGE else 1))
        if not sample:
            return None
        vectors = np.concatenate([block for _, block in sample])
        codes = RaBitQCodes(vectors, rows=rows, beat=self._check_stop, metric=self.metric)
        segment = Segment(codes, RowMetadata(self.is_shown))
        del vectors
        sample.reverse()
        while sample:  # its memory is freed as it is used
            self._fill(segment, *sample.pop())
        for ids, block in blocks:
            self._fill(segment, ids, block)
        segment.seal()
        try:
            segment.write_base(self._snapshot, self.store.journal.generation)
        except OSError as error:
            _log.warning(_UNSAVED, error)
        return segment

    def metadata(self, contents: Iterable[bytes]) -> RowMetadata:
        """Return the metadata of contents, each of them once, as they are in the store now."""
        metadata, ids = RowMetadata(self.is_shown), list(contents)
        metadata.append(ids, dict(self.store.places(ids)))
        return metadata

    def save(self, base: Base | None, state: State, generation: int) -> bool:
        """Write the snapshot of a segment, or remove it if there is no `base`; return whether that was possible."""
        try:
            if base is None:
                self._snapshot.remove()
            else:
                facts = {"generation": generation, "born": self.store.journal.born, "metric": self.metric}
                self._snapshot.write(base, state, facts)
            self._snapshot.alone(self.store.journal.readers)
        except OSError as error:
            _log.warning(_UNSAVED, error)
            return False
        return True

    def restore(self) -> tuple[Segment, int, set[bytes]] | None:
        """Return the segment in the snapshot, its generation, and the contents whose photos are to be read again.

        Returns:
            None if there is no snapshot of this store and metric, the journal does not reach back to it, or it was made
            of vectors that are none.
        """
        found = self._snapshot.read()
        ours = {"born": self.store.journal.born, "metric": self.metric}
        if found is None or not ours.items() <= found.facts.items():
            return None
        generation = found.facts["generation"]
        if (touched := self.store.journal.since(generation)) is None:
            return None
        segment = Segment.restored(found.state, found.path, found.base, self.is_shown, self.metric)
        if not found.is_current:  # what an older version has not noted of a photo is read from its record
            touched |= segment.metadata.without_camera_date()
        return (segment, generation, touched) if segment.is_sound(self.store.dims) else None

    def _fill(self, segment: Segment, ids: list[bytes], block: NDArray[np.float32]) -> None:
        self._check_stop()
        segment.fill(ids, block, dict(self.store.places(ids)))

    def _check_stop(self) -> None:
        if self.is_stopping:
            raise BuildStopped
