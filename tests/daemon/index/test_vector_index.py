import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.waiting import wait_for

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.index.centering import Centering, unit
from pixkind.index.filter import Filter
from pixkind.index.rescoring import NothingLeft, merged
from pixkind.index.snapshot import Snapshot
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.record import Facts
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, PhotoGone, WriteBatch

_DIMS = 64


def _content(number: int) -> bytes:
    return (number + 1).to_bytes(16, "big")  # a content id of zeros means: unknown


def _row(content: bytes) -> int:
    return int.from_bytes(content, "big") - 1


def _put(vectors: NDArray[np.float16], first: int = 0) -> WriteBatch:
    """Return a batch that adds a photo for each vector."""
    contents = [_content(first + number) for number in range(len(vectors))]
    return WriteBatch(
        photos=[
            PhotoFound(f"/p/{first + number}.jpg", Stamp(1, 2, 3, 4), content, Details())
            for number, content in enumerate(contents)
        ],
        vectors={content: vector.tobytes() for content, vector in zip(contents, vectors, strict=True)},
    )


def _with_pages(batch: WriteBatch) -> WriteBatch:
    """Return the batch of one content with two further pages."""
    [(content, vector)] = batch.vectors.items()
    turned = np.frombuffer(vector, np.float16)[::-1]
    batch.take_pages(content, 3, {1: turned.tobytes(), 2: (turned + np.float16(1)).tobytes()})
    return batch


def _exact(vectors: NDArray[np.float64], query: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores by the formula, one vector at a time, in double precision."""
    count = len(vectors)
    offset = vectors.mean(axis=0) * count / (count + 200)

    def centred(x: NDArray[np.float64]) -> NDArray[np.float64]:
        shifted = x - offset
        if np.linalg.norm(shifted) < 1e-3 * np.linalg.norm(x):
            return np.asarray(x / np.linalg.norm(x))
        return np.asarray(shifted / np.linalg.norm(shifted))

    return np.array([centred(query) @ centred(x) for x in vectors])


def _soft_minimum(single: NDArray[np.floating], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the soft minimum of each row of scores by the formula."""
    return np.array([-np.log(sum(shares * np.exp(-20 * row.astype(np.float64)))) / 20 for row in single])


def _scores_for(
    photos: NDArray[np.float64], queries: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the score of each photo by the formula. Photos and queries are c."""
    wanted = [at for at, weight in enumerate(weights) if weight > 0]
    unwanted = sum((weights[at] * queries[at] for at in range(len(weights)) if at not in wanted), np.zeros(()))
    total = sum(weights[wanted])
    targets = [total * queries[at] + unwanted for at in wanted]
    single = np.array([photos @ target / np.linalg.norm(target) for target in targets]).T
    return _soft_minimum(single, weights[wanted] / total)


def _clustered(count: int, seed: int = 0) -> NDArray[np.float16]:
    """Return made-up vectors that lie as real ones do: around a few middles that have much in common, not negative."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(999).random((50, _DIMS)) ** 3 + 0.3
    noise = random.lognormal(0, 0.4, (count, _DIMS))
    return np.asarray(middles[random.integers(0, 50, count)] * noise).astype(np.float16)


def _by_score(one: tuple[bytes, float, float]) -> tuple[float, bytes]:
    return -one[1], one[0]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[VectorIndex, NDArray[np.float64]]:
    """Return an index that no test changes, and its vectors."""
    store = Store(str(tmp_path_factory.mktemp("few") / "index"), "space", map_gb=1)
    vectors = _clustered(60)
    store.commit(_put(vectors))
    return VectorIndex(store), vectors.astype(np.float64)


def _made(store: Store) -> VectorIndex:
    """Return an index whose codes, if it wants any, are made."""
    index = VectorIndex(store)
    wait_for(lambda: not index.is_making)
    return index


class HeldStore(Store):
    """A store that is read from end to end no further than half until it is released."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), "space", map_gb=1)
        self.released = threading.Event()
        self.released.set()
        self.is_held = threading.Event()
        self.error: Exception | None = None
        self.reads = 0

    def vectors(self, among: Iterable[bytes] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield as a store does, with a rest in the middle, or an error."""
        for number, pair in enumerate(super().vectors(among)):
            if among is None and number == 2500 and not self.released.is_set():
                self.is_held.set()
                assert self.released.wait(50)
                if self.error is not None:
                    raise self.error
            self.reads += 1
            yield pair


def _making(folder: Path, vectors: NDArray[np.float16], lost: range) -> tuple[HeldStore, VectorIndex]:
    """Return an index of some vectors that makes new codes, since it has lost many, and is held in the middle of that."""
    store = HeldStore(folder)
    store.commit(_put(vectors))
    index = _made(store)
    store.released.clear()
    index.apply(store.commit(WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1) for row in lost])))
    assert store.is_held.wait(40)
    return store, index


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "index"), "space", map_gb=1)


@pytest.mark.parametrize("count", [1, 5, 300, 5000])
def test_ranks_as_the_formula_says(store: Store, count: int) -> None:
    """Scores and distances are those of the formula, computed slowly in double precision; the best are first, and all come.

    Random vectors have no neighbours, the worst case for codes of 64 bits: so one in a hundred may come late.
    """
    vectors = (np.random.default_rng(count).random((count, _DIMS)) ** 3).astype(np.float16)
    store.commit(_put(vectors))
    query = vectors[0].astype(np.float32)
    ranked = list(_made(store).rank(query[None]))
    rows = [_row(content) for content, _, _ in ranked]
    exact = _exact(vectors.astype(np.float64), query.astype(np.float64))
    distances = np.linalg.norm(vectors.astype(np.float64) - query.astype(np.float64), axis=1)

    late = sum(ranked[place][1] > ranked[place - 1][1] for place in range(1, count))

    assert sorted(rows) == list(range(count))
    assert late <= (0 if count < 200 else count // 100)
    np.testing.assert_allclose([score for _, score, _ in ranked], exact[rows], atol=1e-5)
    np.testing.assert_allclose([distance for _, _, distance in ranked], distances[rows], atol=1e-4)
    assert rows[0] == 0


def test_several_images_rank_by_the_soft_minimum_of_their_scores(store: Store) -> None:
    """Two query images: a photo must be near to both; the distance is the smaller one."""
    vectors = np.random.default_rng(0).random((50, _DIMS)).astype(np.float16)
    store.commit(_put(vectors))
    index = VectorIndex(store)
    ranked = list(index.rank(vectors[:2].astype(np.float32)))
    centred = index.centering().centred(vectors.astype(np.float32))
    expected = _soft_minimum(centred @ centred[:2].T, np.array([0.5, 0.5]))

    assert [_row(content) for content, _, _ in ranked] == np.argsort(-expected, kind="stable").tolist()
    for content, score, distance in ranked:
        row = _row(content)
        assert score == pytest.approx(float(expected[row]), abs=1e-5)
        nearest = min(float(np.linalg.norm(vectors[row].astype(np.float64) - vectors[one])) for one in (0, 1))
        assert distance == pytest.approx(nearest, abs=1e-3)


@settings(max_examples=25)
@given(st.data())
def test_weights_rank_as_the_formula_says(few: tuple[VectorIndex, NDArray[np.float64]], data: st.DataObject) -> None:
    """Each score counts with the weight of its image; unwanted images count against each wanted one.

    The distance is the smallest to a wanted image.

    Computed slowly, in double precision; weights are relative, as large or small as they may be.
    """
    index, vectors = few
    rows = data.draw(st.lists(st.integers(0, len(vectors) - 1), min_size=1, max_size=8, unique=True))
    scale = data.draw(st.sampled_from([1e-300, 1, 300]))
    signs = [1.0, *data.draw(st.lists(st.sampled_from([1.0, -1.0]), min_size=len(rows) - 1, max_size=len(rows) - 1))]
    sizes = data.draw(st.lists(st.floats(0.1, 3), min_size=len(rows), max_size=len(rows)))
    weights = np.array(signs) * np.array(sizes)
    ranked = list(index.rank(vectors[rows].astype(np.float32), weights=weights * scale))
    offset = vectors.mean(axis=0) * len(vectors) / (len(vectors) + 200)
    centred = [(x - offset) / np.linalg.norm(x - offset) for x in vectors]
    expected = _scores_for(np.array(centred), np.array(centred)[rows], weights)
    wanted = [row for row, weight in zip(rows, weights, strict=True) if weight > 0]

    assert sorted(_row(content) for content, _, _ in ranked) == list(range(len(vectors)))
    assert [score for _, score, _ in ranked] == sorted((score for _, score, _ in ranked), reverse=True)
    for content, score, distance in ranked:
        row = _row(content)
        assert score == pytest.approx(expected[row], abs=1e-4)
        assert distance == pytest.approx(min(np.linalg.norm(vectors[row] - vectors[one]) for one in wanted), abs=1e-4)


def test_weighted_images_find_their_nearest_among_many(store: Store) -> None:
    """What the codes name as the nearest to weighted images is what the exact scan does, unwanted images included."""
    vectors = _clustered(5000)
    store.commit(_put(vectors))
    index, weights = _made(store), np.array([1.0, 0.4, -0.7])
    centred = index.centering().centred(vectors.astype(np.float32)).astype(np.float64)
    found = 0
    for at in range(0, 60, 3):
        queries = _clustered(63, seed=1)[at : at + 3].astype(np.float32)
        asked = index.centering().centred(queries).astype(np.float64)
        best = set(np.argsort(-_scores_for(centred, asked, weights))[:10].tolist())
        found += len(best & {_row(one) for one, _, _ in islice(index.rank(queries, weights=weights), 10)})

    assert found >= 0.99 * 200


@pytest.mark.parametrize("count", [50, 3000])
def test_images_that_cancel_each_other_out_are_told(store: Store, count: int) -> None:
    """The direction of nothing is noise, with codes and without: no ranking is better than that one."""
    vectors = _clustered(count)
    store.commit(_put(vectors))
    index = _made(store)
    queries = vectors[[3, 3]].astype(np.float32)

    with pytest.raises(NothingLeft):
        next(index.rank(queries, weights=np.array([1.0, -1.0])))
    assert _row(next(index.rank(queries, weights=np.array([1.0, -0.9])))[0]) == 3


def test_the_best_of_eight_rankings_are_those_of_eight_exact_scans(store: Store) -> None:
    """A picture in every way: of the ten photos that are best in any of them, 99 of 100 are found."""
    vectors = _clustered(5000)
    store.commit(_put(vectors))
    index, found = _made(store), 0
    centred = index.centering().centred(vectors.astype(np.float32))
    for seed in range(1, 21):
        ways = _clustered(8, seed=seed).astype(np.float32)
        best = (index.centering().centred(ways) @ centred.T).max(axis=0).argsort()[-10:]
        ranked = [_row(one) for one, _, _ in islice(merged(index.rank(way[None]) for way in ways), 10)]
        found += len({*ranked} & {*best.tolist()})

    assert found >= 0.99 * 200


@given(st.lists(st.dictionaries(st.integers(0, 9), st.integers(-5, 5)), max_size=8))
def test_merged_rankings_give_each_content_where_it_is_best(scores: list[dict[int, int]]) -> None:
    """All that any has comes once, with its best score and the distance that goes with it, best first, ties by content."""
    rankings = [
        iter(sorted(((_content(row), float(score), float(number)) for row, score in one.items()), key=_by_score))
        for number, one in enumerate(scores)
    ]
    got = list(merged(rankings))
    best = {row: max(one[row] for one in scores if row in one) for one in scores for row in one}

    assert [(content, score) for content, score, _ in got] == [
        (_content(row), score) for row, score in sorted(best.items(), key=lambda one: (-one[1], one[0]))
    ]
    assert all(scores[int(number)][_row(content)] == score for content, score, number in got)


def test_what_commits_add_and_remove_is_what_a_new_index_reads(store: Store) -> None:
    """After commits that add and lose photos the index answers as one that is built from the store."""
    vectors = np.random.default_rng(0).random((120, _DIMS)).astype(np.float16)
    index = VectorIndex(store)
    index.apply(store.commit(_put(vectors)))
    index.apply(store.commit(WriteBatch(photos=[PhotoGone(f"/p/{number}.jpg", 1) for number in range(0, 120, 3)])))
    index.apply(store.commit(_put(vectors[:3], first=500)))
    rebuilt = VectorIndex(store)
    query = vectors[7:8].astype(np.float32)

    assert len(index) == len(rebuilt) == 83
    np.testing.assert_allclose(index.centering().offset, rebuilt.centering().offset, atol=1e-6)
    assert [row[0] for row in index.rank(query)] == [row[0] for row in rebuilt.rank(query)]


def test_an_empty_library_has_no_neighbours(store: Store) -> None:
    """Nothing is found in nothing."""
    assert list(VectorIndex(store).rank(np.ones((1, _DIMS), np.float32))) == []


def test_a_rotten_vector_is_dropped_so_that_it_is_made_again(tmp_path: Path) -> None:
    """A vector whose bytes changed on the disk answers nothing; its photo counts as changed after the next start."""
    folder = tmp_path / "index"
    store = Store(str(folder), "space", map_gb=1)
    marks = (np.arange(_DIMS, dtype=np.float16) + 1)[None]
    store.commit(_put(np.concatenate([marks, marks[:, ::-1]])))
    store.close()
    data = (folder / "data.mdb").read_bytes()
    damaged = data.replace(marks.tobytes()[:32], bytes(32))
    (folder / "data.mdb").write_bytes(damaged)
    store = Store(str(folder), "space", map_gb=1)
    index = VectorIndex(store)
    photos = [(f"/p/{number}.jpg", Stamp(1, 2, 3, 4)) for number in range(2)]

    assert damaged != data
    assert len(index) == 1
    assert store.changed(photos, 0) == photos[:1]


def test_the_nearest_are_those_of_the_exact_scan(store: Store) -> None:
    """Of the ten best of 100 queries over 5,000 contents, at most one in a hundred is not found through the codes."""
    vectors = _clustered(5000)
    store.commit(_put(vectors))
    index = _made(store)
    queries = _clustered(100, seed=1).astype(np.float32)
    exact = index.centering().centred(queries) @ index.centering().centred(vectors.astype(np.float32)).T
    best = np.argsort(-exact, axis=1)[:, :10]
    found = [[_row(content) for content, _, _ in islice(index.rank(query[None]), 10)] for query in queries]

    assert sum(len({*these} & {*those}) for these, those in zip(found, best.tolist(), strict=True)) >= 990
    assert all(
        score == pytest.approx(float(exact[number, _row(content)]), abs=1e-5)
        for number, query in enumerate(queries)
        for content, score, _ in islice(index.rank(query[None]), 10)
    )


def test_few_are_read_for_the_first_answers(tmp_path: Path) -> None:
    """Who asks for ten of 5,000 makes the index read at most the first candidates, not the library."""
    store = HeldStore(tmp_path / "index")
    store.commit(_put(_clustered(5000)))
    index = _made(store)
    before = store.reads
    list(islice(index.rank(_clustered(1, seed=1).astype(np.float32)), 10))

    assert 10 <= store.reads - before <= 400


def test_equal_pictures_are_all_found_and_nothing_twice(store: Store) -> None:
    """With 2,000 equal vectors among 3,000 each is in the ranking once, the equal ones at distance 0 first."""
    vectors = _clustered(3000)
    vectors[:2000] = vectors[0]
    store.commit(_put(vectors))
    ranked = list(_made(store).rank(vectors[:1].astype(np.float32)))

    assert sorted(_row(content) for content, _, _ in ranked) == list(range(3000))
    assert {_row(content) for content, _, _ in ranked[:2000]} == set(range(2000))
    assert all(distance == 0 for _, _, distance in ranked[:2000])


def test_changes_while_codes_are_made_are_not_lost(tmp_path: Path) -> None:
    """Contents that appear, vanish or come back while codes are made do so in the new codes, too, read already or not."""
    vectors = _clustered(6000)
    store, index = _making(tmp_path / "index", vectors[:5000], range(1500, 3300))
    index.apply(store.commit(_put(vectors[5000:], first=5000)))
    index.apply(store.commit(WriteBatch(photos=[PhotoGone(f"/p/{number}.jpg", 1) for number in (1, 4999, 5500)])))
    index.apply(store.commit(_put(vectors[2000:2001], first=2000)))
    index.apply(store.commit(WriteBatch(photos=[PhotoGone("/p/2.jpg", 1)])))
    index.apply(store.commit(_put(vectors[2:3], first=2)))
    during = [_row(next(index.rank(vectors[row : row + 1].astype(np.float32)))[0]) for row in (5999, 2000, 2)]
    was_making = index.is_making
    store.released.set()
    wait_for(lambda: not index.is_making)
    there = {*range(1500), *range(3300, 6000), 2000} - {1, 4999, 5500}
    nearest = {row: next(index.rank(vectors[row : row + 1].astype(np.float32))) for row in range(0, 6000, 60)}

    assert was_making
    assert during == [5999, 2000, 2]
    assert len(index) == len(there)
    assert all(_row(nearest[row][0]) == row for row in nearest if row in there)
    assert all(_row(content) in there for content, _, _ in nearest.values())
    assert index.failure() is None


def test_what_is_touched_and_cannot_be_found_has_no_part_in_the_mean(tmp_path: Path) -> None:
    """While codes are made, photos that were gone come back edited: their old contents are touched, and have no photo."""
    vectors = _clustered(6000)
    store, index = _making(tmp_path / "index", vectors[:5000], range(2000))
    back = [PhotoFound(f"/p/{row}.jpg", Stamp(2, 2, 3, 4), _content(5000 + row)) for row in range(1000)]
    fresh = {_content(5000 + row): vectors[5000 + row].tobytes() for row in range(1000)}
    index.apply(store.commit(WriteBatch(photos=[*back], vectors=fresh)))
    store.released.set()
    wait_for(lambda: not index.is_making)

    assert len(index) == 4000
    _same(index, VectorIndex(store))
    index.stop()


def test_readers_never_get_what_was_removed_nor_a_wrong_score(store: Store) -> None:
    """While commits add, remove and bring back, each answer has only contents that were there, with their exact scores."""
    vectors = _clustered(3000)
    store.commit(_put(vectors[:1000]))
    index = _made(store)
    removed: set[int] = set()
    wrong: list[object] = []
    centres: list[Centering] = []
    answers = [0]
    is_done = threading.Event()
    query = _clustered(1, seed=5).astype(np.float32)

    def apply(change: WriteBatch) -> None:
        index.apply(store.commit(change))
        centres.append(index.centering())

    def check() -> None:
        gone, begun, before = set(removed), len(centres), index.centering()
        ranked = list(islice(index.rank(query), 30))
        possible = [before, index.centering(), *centres[begun:]]  # those by which it may have been scored
        rows = [_row(content) for content, _, _ in ranked]
        found = vectors[rows].astype(np.float32)
        scores = np.array([score for _, score, _ in ranked])
        errors = [abs(scores - one.scores(found, unit(one.targets(query)[0])[0])).max() for one in possible]
        distances = np.linalg.norm(found.astype(np.float64) - query, axis=1)
        if gone & set(rows) & removed or len(set(rows)) != 30 or min(errors) > 1e-4:
            wrong.append((gone & set(rows), scores, errors))
        if not np.allclose(distances, [distance for _, _, distance in ranked], atol=1e-4):
            wrong.append(distances)
        answers[0] += 1

    def read() -> None:
        while not is_done.is_set():
            check()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for first in range(1000, 2200, 40):
        apply(_put(vectors[first : first + 40], first=first))
        going = range(first - 1000, first - 970)
        apply(WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1) for row in going]))
        removed |= {*going}
        removed -= {*going[:10]}
        apply(_put(vectors[going[:10]], first=going[0]))
    wait_for(lambda: answers[0] >= 10)
    is_done.set()
    for reader in readers:
        reader.join()

    assert wrong == []
    assert len(index) == 2200 - 30 * 20
    assert index.failure() is None


def test_a_library_that_shrinks_to_a_few_is_scored_without_codes(store: Store) -> None:
    """From many contents to five and to none: the rest is found, and nothing fails."""
    vectors = _clustered(600)
    store.commit(_put(vectors))
    index = _made(store)
    query = vectors[:1].astype(np.float32)
    index.apply(store.commit(WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1) for row in range(595)])))
    wait_for(lambda: not index.is_making)
    few = sorted(_row(content) for content, _, _ in index.rank(query))
    index.apply(store.commit(WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1) for row in range(595, 600)])))

    assert few == list(range(595, 600))
    assert list(index.rank(query)) == []
    assert index.failure() is None


def test_a_stop_waits_for_no_codes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Codes that are being made when the process stops are given up at the next block; the store can be closed then."""
    caplog.set_level("INFO")
    store, index = _making(tmp_path / "index", _clustered(5000), range(2000))
    threading.Timer(0.1, store.released.set).start()
    caplog.clear()
    index.stop()

    assert not index.is_making
    assert index.failure() is None
    assert "new codes" not in caplog.text
    store.close()


def test_the_death_of_the_maker_is_told(tmp_path: Path) -> None:
    """What the making of codes dies of is the failure of the index, and the one that answers goes on."""
    store, index = _making(tmp_path / "index", _clustered(5000), range(2000))
    store.error = OSError("the disk is gone")
    store.released.set()
    wait_for(lambda: index.failure() is not None)

    assert str(index.failure()) == "the disk is gone"
    assert len(list(islice(index.rank(_clustered(1).astype(np.float32)), 10))) == 10


def _moved(row: int, folder: str) -> WriteBatch:
    """Return a batch that moves the photo of a row from /p to a folder."""
    photo = PhotoFound(f"{folder}/{row}.jpg", Stamp(1, 2, 3, 4), _content(row))
    return WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1), photo])


@pytest.mark.parametrize("wanted", [Filter(("/p/a",)), Filter(camera="canon")], ids=["folder", "camera"])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
def test_under_a_filter_the_nearest_are_those_of_the_exact_scan(store: Store, share: float, wanted: Filter) -> None:
    """Of 10,000 photos, 0.1 %, 1 % or 10 % pass: of the ten best of those, 99 of 100 are found."""
    vectors = _clustered(10_000)
    store.commit(_put(vectors))
    there = np.random.default_rng(3).permutation(10_000)[: int(10_000 * share)]
    batch = WriteBatch(photos=[change for row in there.tolist() for change in _moved(row, "/p/a/b").photos])
    batch.contents |= {_content(row): Facts(1, 1, 0, "Canon EOS 5D") for row in there.tolist()}
    store.commit(batch)
    index = _made(store)
    queries = _clustered(50, seed=1).astype(np.float32)
    exact = index.centering().centred(queries) @ index.centering().centred(vectors[there].astype(np.float32)).T
    best = there[np.argsort(-exact, axis=1)[:, :10]]
    found = [[_row(one) for one, _, _ in islice(index.rank(query[None], wanted), 10)] for query in queries]

    assert sum(len({*these} & {*those}) for these, those in zip(found, best.tolist(), strict=True)) >= 495
    assert {row for these in found for row in these} <= {*there.tolist()}


def test_few_are_read_under_a_folder(tmp_path: Path) -> None:
    """What lies elsewhere costs nothing: ten of 1,000 among 5,000 are found by reading the first candidates."""
    store = HeldStore(tmp_path / "index")
    store.commit(_put(_clustered(5000)))
    store.commit(WriteBatch(photos=[change for row in range(1000) for change in _moved(row, "/p/a").photos]))
    index = _made(store)
    before = store.reads
    found = [
        _row(one) for one, _, _ in islice(index.rank(_clustered(1, seed=1).astype(np.float32), Filter(("/p/a",))), 10)
    ]

    assert all(row < 1000 for row in found)
    assert 10 <= store.reads - before <= 400


def test_photos_that_move_are_found_where_they_are(store: Store) -> None:
    """A move, a copy and the loss of the copy: the content is found under each folder as long as one of its photos is there."""
    store.commit(_put(_clustered(3000)))
    index = _made(store)
    query = _clustered(3000)[7:8].astype(np.float32)

    def under(folder: str) -> bool:
        return _content(7) in [one for one, _, _ in islice(index.rank(query, Filter((folder,))), 5)]

    before = under("/p"), under("/p/a")
    index.apply(store.commit(_moved(7, "/p/a")))
    moved = under("/p"), under("/p/a"), under("/p/ab")
    index.apply(store.commit(WriteBatch(photos=[PhotoFound("/q/7.jpg", Stamp(1, 2, 3, 4), _content(7))])))
    copied = under("/p/a"), under("/q")
    index.apply(store.commit(WriteBatch(photos=[PhotoGone("/p/a/7.jpg", 1)])))

    assert before == (True, False)
    assert moved == (True, True, False)
    assert copied == (True, True)
    assert (under("/p/a"), under("/q"), under("")) == (False, True, True)


def test_folders_that_are_not_shown_hide_what_is_only_there(store: Store) -> None:
    """A content is found if one of its photos is in a folder that is shown; a later index may show other folders."""
    store.commit(_put(_clustered(1000)))
    store.commit(WriteBatch(photos=[change for row in range(500) for change in _moved(row, "/away").photos]))
    store.commit(WriteBatch(photos=[PhotoFound("/p/3.jpg", Stamp(1, 2, 3, 4), _content(3))]))
    query = _clustered(1, seed=1).astype(np.float32)
    found: list[set[int]] = []
    for shown in ("/p", "/", "/p"):
        index = VectorIndex(store, is_shown=lambda folder, shown=shown: folder.startswith(shown))  # type: ignore[misc]
        wait_for(lambda index=index: not index.is_making)  # type: ignore[misc]
        found.append({_row(one) for one, _, _ in index.rank(query)})
        index.stop()

    assert found == [{3, *range(500, 1000)}, {*range(1000)}, {3, *range(500, 1000)}]


# Snapshots.


def _same(one: VectorIndex, other: VectorIndex, folders: tuple[str, ...] = ("", "/p", "/p/a", "/q")) -> None:
    """Check that two indices of one store answer alike: the same contents, scores and centre, under each folder."""
    np.testing.assert_allclose(one.centering().offset, other.centering().offset, atol=1e-6)
    query = _clustered(1, seed=9).astype(np.float32)
    for folder in folders:
        ranked = [
            {content: score for content, score, _ in index.rank(query, Filter((folder,)))} for index in (one, other)
        ]
        assert ranked[0].keys() == ranked[1].keys()
        np.testing.assert_allclose([ranked[0][key] for key in ranked[1]], [*ranked[1].values()], atol=1e-5)


def test_a_start_from_a_snapshot_reads_no_vectors(tmp_path: Path) -> None:
    """After a stop the next index has its codes at once, without the vectors, and answers as one that is made from the store."""
    store = HeldStore(tmp_path / "index")
    store.commit(_put(_clustered(3000)))
    index = _made(store)
    index.apply(store.commit(_put(_clustered(50, seed=2), first=3000)))
    index.apply(store.commit(WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1) for row in range(0, 3000, 100)])))
    index.apply(store.commit(_moved(7, "/p/a")))
    index.stop()
    before = store.reads
    again = VectorIndex(store)

    assert store.reads == before
    assert not again.is_making
    assert len(again) == 3020
    _same(again, index)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_after_a_crash_the_journal_tells_what_the_snapshot_lacks(data: st.DataObject) -> None:
    """Whatever was committed, moved, copied, lost and forgotten after the snapshot: the next index answers as a new one."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder, "space", map_gb=1)
        vectors = _clustered(400)
        store.commit(_put(vectors[:300]))
        index = _made(store)
        index.stop()
        again = VectorIndex(store)
        rows = st.integers(0, 399)
        for what, row in data.draw(st.lists(st.tuples(st.sampled_from("plmcft"), rows), max_size=30)):
            match what:
                case "p":
                    delta = store.commit(_put(vectors[row : row + 1], first=row))
                case "t":
                    delta = store.commit(_with_pages(_put(vectors[row : row + 1], first=row)))
                case "l":
                    delta = store.commit(WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1)]))
                case "m":
                    delta = store.commit(_moved(row, "/p/a"))
                case "c":
                    delta = store.commit(
                        WriteBatch(photos=[PhotoFound(f"/q/{row}.jpg", Stamp(1, 2, 3, 4), _content(row))])
                    )
                case _:
                    delta = store.forget([one for one in store.records() if one.content == _content(row)])
            again.apply(delta)
            wait_for(lambda: not again.is_making)  # two that write snapshots are never there
            if what == "f" and row % 2:
                list(store.sweep(1000, 0))
        after = VectorIndex(store)
        wait_for(lambda: not after.is_making)
        shutil.rmtree(os.path.join(folder, "codes"))
        rebuilt = _made(store)
        try:
            _same(after, rebuilt)
            _same(again, rebuilt)
        finally:
            for one in (again, after, rebuilt):
                one.stop()
            store.close()


@pytest.mark.parametrize("damage", ["base", "rest", "version", "missing base"])
def test_a_snapshot_that_is_not_whole_is_made_anew(store: Store, damage: str) -> None:
    """A bit that flipped, a file that went, or another version of faiss: the index reads the store instead."""
    store.commit(_put(_clustered(1000)))
    first = _made(store)
    first.stop()
    (rest,) = Path(store.folder).rglob("rest.npz")
    (base,) = Path(store.folder).rglob("base-*")
    if damage == "missing base":
        base.unlink()
    elif damage == "version":
        rest.write_bytes(rest.read_bytes().replace(b"faiss", b"fa1ss"))
    else:
        file = base if damage == "base" else rest
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        file.write_bytes(data)
    again = VectorIndex(store)
    was_made_anew = again.is_making
    wait_for(lambda: not again.is_making)

    assert was_made_anew
    _same(again, first)
    again.stop()


@pytest.mark.parametrize("ruin", [lambda total: total * np.nan, lambda total: total[:2]], ids=["NaN", "two"])
def test_a_snapshot_with_what_is_no_vector_is_made_anew(
    store: Store, ruin: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    """An older version added up what a worker sent that a photo had taken over: no query had a match after that."""
    vectors = _clustered(300)
    store.commit(_put(vectors))
    index = _made(store)
    index.stop()
    snapshot = Snapshot(os.path.join(store.folder, "codes", store.space))
    found = snapshot.read()
    assert found is not None
    snapshot.write(found.base, {**found.state, "sum": ruin(found.state["sum"])}, found.facts)
    store.commit(_put(vectors[:1] * np.float16(np.nan), first=7))
    again = _made(store)

    assert len(again) == 299
    assert np.isfinite(again.centering().offset).all()
    assert _content(5) == next(again.rank(vectors[5:6].astype(np.float32)))[0]


def test_a_snapshot_of_another_store_is_not_used(tmp_path: Path) -> None:
    """If only the data are deleted the index is empty, though the old snapshot has a generation that fits."""
    folder, lengths = tmp_path / "index", (0, 0)
    for count in (300, 250):
        store = Store(str(folder), "space", map_gb=1)
        store.commit(_put(_clustered(count)))
        index = _made(store)
        lengths = len(index), len(list(index.rank(_clustered(1).astype(np.float32))))
        index.stop()
        store.close()
        (folder / "data.mdb").unlink()

    assert lengths == (250, 250)


def test_only_the_space_in_use_keeps_a_snapshot(tmp_path: Path) -> None:
    """Another encoder's snapshot, 200 bytes a photo, goes when the new one is written."""
    for space in ("one", "other"):
        store = Store(str(tmp_path), space, map_gb=1)
        store.commit(_put(_clustered(300)))
        _made(store).stop()
        store.close()

    assert [path.name for path in (tmp_path / "codes").iterdir()] == ["other"]


def test_a_start_that_reads_everything_gives_signs_of_life(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a snapshot a million vectors take longer than systemd waits; it is told that the start goes on."""
    store.commit(_put(_clustered(500)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(240)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        VectorIndex(store).stop()
        told = systemd.recv(4096)

    assert b"EXTEND_TIMEOUT_USEC=120000000" in told


def test_no_bit_of_a_snapshot_can_flip_unseen(store: Store) -> None:
    """A damaged file could make numpy read anything, so nothing of it is read."""
    store.commit(_put(_clustered(300)))
    _made(store).stop()
    snapshot = Snapshot(os.path.join(store.folder, "codes", store.space))
    (rest,) = Path(store.folder).rglob("rest.npz")
    data = rest.read_bytes()
    whole = snapshot.read()
    wrong = []
    for at in range(0, len(data), 41):
        rest.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        if snapshot.read() is not None:
            wrong.append(at)

    assert whole is not None
    assert wrong == []


def test_a_snapshot_of_an_older_journal_is_not_used(store: Store) -> None:
    """The journal forgets what a snapshot has; an older copy of that snapshot is then useless."""
    store.commit(_put(_clustered(1000)))
    index = _made(store)
    index.apply(store.commit(WriteBatch(photos=[PhotoGone("/p/0.jpg", 1)])))
    index.stop()
    old = Path(store.folder, "codes")
    shutil.copytree(old, old.with_name("copy"))
    index = VectorIndex(store)
    index.apply(store.commit(WriteBatch(photos=[PhotoGone("/p/1.jpg", 1)])))  # forgets
    index.stop()
    index = VectorIndex(store)
    index.apply(store.commit(WriteBatch(photos=[PhotoGone("/p/2.jpg", 1)])))  # forgets that, too
    index.stop()
    shutil.rmtree(old)
    old.with_name("copy").rename(old)
    again = VectorIndex(store)
    was_made_anew = again.is_making
    wait_for(lambda: not again.is_making)

    assert was_made_anew
    assert len(again) == 997
    _same(again, index)


def test_the_journal_of_a_small_library_does_not_grow(store: Store) -> None:
    """Without codes there is no snapshot, so nothing needs it. It counts what is touched, photo by photo, for weeks."""
    store.commit(_put(_clustered(20)))
    index = VectorIndex(store)
    for number in range(900):
        path = f"/p/{number % 20}.jpg"
        index.apply(store.commit(WriteBatch(photos=[PhotoFound(path, Stamp(number, 2, 3, 4), _content(number % 20))])))
    with store._env.reading() as txn, txn.cursor(db=store._env["journal"]) as cursor:
        entries = sum(1 for _ in cursor)
    index.stop()

    assert entries < 300


def test_a_full_disk_costs_the_snapshot_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If it cannot be written, the index answers all the same, says so, and is made again at the next start."""
    folder = tmp_path / "index"
    store = Store(str(folder), "space", map_gb=1)
    (folder / "codes").write_text("in the way")
    store.commit(_put(_clustered(1000)))
    index = _made(store)
    query = _clustered(1, seed=1).astype(np.float32)
    index.stop()

    assert len(list(islice(index.rank(query), 10))) == 10
    assert "the snapshot of the index cannot be written" in caplog.text
    assert len(VectorIndex(store)) == 1000


def test_a_vector_that_rots_while_we_run_is_told(tmp_path: Path) -> None:
    """A vector whose bytes change on the disk is not in the answers; who makes it again is told once it is read."""
    folder = tmp_path / "index"
    store = Store(str(folder), "space", map_gb=1)
    vectors = _clustered(500)
    store.commit(_put(vectors))
    index = _made(store)
    told: list[bytes] = []
    index.rotten = told.extend
    with (folder / "data.mdb").open("r+b") as file:
        at = file.read().index(vectors[7].tobytes()[:64])
        file.seek(at)
        file.write(bytes(32))
    found = [_row(one) for one, _, _ in islice(index.rank(vectors[7:8].astype(np.float32)), 10)]
    index.apply(store.drop_vectors(told[:1]))
    wait_for(lambda: not index.is_making)

    assert 7 not in found
    assert set(told) == {_content(7)}
    assert len(index) == 499
    assert store.changed([("/p/7.jpg", Stamp(1, 2, 3, 4))], 0)


def test_a_library_that_vanishes_while_codes_are_made_has_no_chance_level(tmp_path: Path) -> None:
    """Too few photos tell nothing, however many there were when the codes were begun."""
    store, index = _making(tmp_path, _clustered(6000), range(3000))
    during = index.chance()
    index.apply(store.commit(WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1) for row in range(3000, 6000)])))
    store.released.set()
    wait_for(lambda: not index.is_making)

    assert during is not None
    assert len(index) == 0
    assert index.chance() is None
