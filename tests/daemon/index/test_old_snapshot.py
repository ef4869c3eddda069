"""A store with a snapshot that an older pixkind wrote: the index begins with it, and answers the same."""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from tests.daemon.index import old_snapshot
from tests.waiting import wait_for

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.index import snapshot
from pixkind.index.dates import number_of
from pixkind.index.filter import Filter
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.record import Place
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

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


def _filter(under: str = "", **others: Any) -> Filter:  # noqa: ANN401  fields of any type
    """Return a filter as the old commit had it, with one folder at most."""
    return Filter((under,) if under else (), **others)


def test_an_old_snapshot_answers_the_same(store: CountingStore, made: dict[str, Any]) -> None:
    """The same contents have the same scores and distances, with and without a filter."""
    index = VectorIndex(store)
    wait_for(lambda: not index.is_making)
    answers = old_snapshot.answers(index, _filter)
    index.stop()
    ranked = {number for number, _, _ in made["answers"]["all"]}

    assert ranked == set(range(old_snapshot.COUNT)) - {old_snapshot.GONE}
    assert all(made["answers"].values())
    for name, expected in made["answers"].items():
        assert [match[0] for match in answers[name]] == [match[0] for match in expected], name
        np.testing.assert_allclose(answers[name], expected, atol=1e-5, rtol=1e-6)


def _commit(store: Store, photos: Sequence[PhotoFound]) -> None:
    """Store photos, each with another vector."""
    vectors = {photo.content: np.arange(one, one + 8, dtype="<f2").tobytes() for one, photo in enumerate(photos)}
    store.commit(WriteBatch(photos=[*photos], vectors=vectors))


def _snapshot_by(store: CountingStore, version: str, number_of: Callable[[Place], int]) -> None:
    """Write a snapshot as an older pixkind did, which kept another number of the date of a photo."""
    with pytest.MonkeyPatch.context() as old:
        old.setattr("pixkind.index.metadata.number_of", number_of)
        old.setattr("pixkind.index.snapshot._VERSION", version)
        index = VectorIndex(store)
        wait_for(lambda: not index.is_making)
        index.stop()
    store.read.clear()


def test_a_photo_has_the_date_of_its_name_though_an_older_snapshot_has_its_time(tmp_path: Path) -> None:
    """Version 5 knew no names; what it lacks is read from the records, once, and no vector is."""
    store = CountingStore(tmp_path / "index")
    content = old_snapshot.content
    photos = [
        PhotoFound(f"/p/2020-01-{1 + one % 28:02} {one}.jpg", Stamp(one * 10**9, 2, 3, 4), content(one), Details())
        for one in range(300)
    ]
    _commit(store, photos)
    _snapshot_by(store, snapshot._NAMELESS, lambda place: number_of(place._replace(named_s=0)))
    index = VectorIndex(store)
    dated = index.dated(Filter())
    index.stop()
    store.close()

    assert store.read == []
    assert dated is not None
    assert dated.months() == [(2020, 1, 300)]


def test_photos_without_a_date_have_a_time_though_an_older_snapshot_has_none(tmp_path: Path) -> None:
    """Version 4 kept nothing of a photo without a date; what it lacks is read from the records, and no vector is."""
    folder = tmp_path / "index"
    store = CountingStore(folder)
    numbers = range(300)
    photos = [
        PhotoFound(f"/p/{one}.jpg", Stamp(one * 10**9, 2, 3, 4), old_snapshot.content(one), Details(one % 2 and -one))
        for one in numbers
    ]
    _commit(store, photos)
    _snapshot_by(store, snapshot._TIMELESS, lambda place: place.taken_s)
    index = VectorIndex(store)
    was_making = index.is_making
    dated = index.dated(Filter())
    index.stop()
    store.close()

    assert not was_making
    assert store.read == []
    assert dated is not None
    assert {content: date for date, content in dated.newest(999)[0]} == {
        old_snapshot.content(one): -one if one % 2 else one for one in numbers
    }
