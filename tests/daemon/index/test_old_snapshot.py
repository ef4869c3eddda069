"""A store with a snapshot that an older pixkind wrote: the index begins with it, and answers the same."""

import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from tests.daemon.index import old_snapshot
from tests.waiting import wait_for

from pixkind.index.filter import Filter
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.store import Store

_DATA = Path(__file__).parent / "data"


class CountingStore(Store):
    """A store that notes the contents whose vectors are read in bulk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), old_snapshot.SPACE, map_gb=1)
        self.read: list[bytes] = []

    def vectors(self, among: Iterable[bytes] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield as a store does."""
        for pair in super().vectors(among):
            self.read.append(pair[0])
            yield pair


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CountingStore]:
    with tarfile.open(_DATA / f"{old_snapshot.NAME}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    store = CountingStore(tmp_path / "index")
    yield store
    store.close()


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """Return the answers, and what else was noted when the store was made."""
    noted: dict[str, Any] = json.loads((_DATA / f"{old_snapshot.NAME}.json").read_text())
    return noted


def test_an_old_snapshot_is_used_and_the_journal_tells_what_it_lacks(
    store: CountingStore, made: dict[str, Any]
) -> None:
    """No codes are made, and only the vectors of contents that changed after the snapshot are read."""
    if faiss.__version__ != made["faiss"]:
        pytest.skip("a snapshot of another faiss is not used")
    index = VectorIndex(store)
    was_making = index.is_making
    read = set(store.read)
    wait_for(lambda: not index.is_making)
    index.stop()

    assert not was_making
    assert read == {old_snapshot.content(number) for number in (*old_snapshot.LATE, old_snapshot.GONE)}
    assert len(index) == old_snapshot.COUNT - 1


def test_an_old_snapshot_answers_the_same(store: CountingStore, made: dict[str, Any]) -> None:
    """The same contents have the same scores and distances, with and without a filter."""
    index = VectorIndex(store)
    wait_for(lambda: not index.is_making)
    answers = old_snapshot.answers(index, Filter)
    index.stop()
    ranked = {number for number, _, _ in made["answers"]["all"]}

    assert ranked == set(range(old_snapshot.COUNT)) - {old_snapshot.GONE}
    assert all(made["answers"].values())
    for name, expected in made["answers"].items():
        assert [match[0] for match in answers[name]] == [match[0] for match in expected], name
        np.testing.assert_allclose(answers[name], expected, atol=1e-5, rtol=1e-6)
