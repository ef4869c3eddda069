"""Ranking and folding, with vectors of the test's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.daemon.search.duplicate_store import DuplicateStore, base, content, like, rot
from tests.waiting import wait_for

from pixkin.protocol.requests import Image, Like
from pixkind.index.centering import Weights
from pixkind.index.filter import Filter
from pixkind.index.rescoring import Ranking
from pixkind.index.vector_index import VectorIndex
from pixkind.search.photo_search import PhotoSearch
from pixkind.storage.record import Facts
from pixkind.storage.store import Store
from pixkind.storage.write_batch import WriteBatch


class IndexThatRots(VectorIndex):
    """An index after whose ranking something happens to the disk."""

    def __init__(self, store: Store, ranked: Callable[[], None]) -> None:
        super().__init__(store)
        self._ranked = ranked

    def rank(self, queries: NDArray[np.float32], wanted: Filter = Filter(), weights: Weights = None) -> Ranking:  # noqa: B008  it is frozen
        """Yield the ranking of a sound disk."""
        found = list(super().rank(queries, wanted, weights))
        self._ranked()
        return iter(found)


def test_a_vector_that_rots_before_folding_is_reported(tmp_path: Path) -> None:
    """Its photo is a match of its own then, since there is no vector to fold it by."""
    vectors = base(300)  # enough for codes
    vectors[1] = like(vectors, 0, 0.01, 1)
    made = DuplicateStore(tmp_path, vectors)
    versions = {content(number): Facts(width, 3 * width // 4, 1000, "") for number, width in ((0, 4000), (1, 400))}
    made.commit(WriteBatch(contents=versions))
    index = IndexThatRots(made.store, lambda: rot(made.store, made.vectors[1].tobytes()))
    rotten: list[bytes] = []
    index.rotten = rotten.extend
    wait_for(lambda: not index.is_making)
    query, vector = Like(images=(Image(path=b"/q.jpg"),)), made.vectors[:1].astype(np.float32)
    before, after = (
        PhotoSearch(made.store, one, made.roots).rank(PhotoSearch(made.store, one, made.roots).query(query), vector)
        for one in (made.index, index)
    )
    made.index.stop()
    index.stop()
    made.store.close()

    assert before.matches[0].versions == (b"/p/1.jpg",)
    assert {b"/p/0.jpg", b"/p/1.jpg"} <= {match.path for match in after.matches}
    assert set(rotten) == {content(1)}
