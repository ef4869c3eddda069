import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.daemon.conftest import wait_for

from pixkind.batch import Batch, Found, Lost
from pixkind.index import Index
from pixkind.photo import Stamp
from pixkind.store import Store

_DIMS = 64


def _content(number: int) -> bytes:
    return (number + 1).to_bytes(16, "big")  # a content id of zeros means: unknown


def _row(content: bytes) -> int:
    return int.from_bytes(content, "big") - 1


def _put(vectors: NDArray[np.float16], first: int = 0) -> Batch:
    """Return a batch that adds a photo for each vector."""
    contents = [_content(first + number) for number in range(len(vectors))]
    return Batch(
        photos=[
            Found(f"/p/{first + number}.jpg", Stamp(1, 2, 3, 4), content) for number, content in enumerate(contents)
        ],
        vectors={content: vector.tobytes() for content, vector in zip(contents, vectors, strict=True)},
    )


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


def _clustered(count: int, seed: int = 0) -> NDArray[np.float16]:
    """Return made-up vectors that lie as real ones do: around a few middles that have much in common, not negative."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(999).random((50, _DIMS)) ** 3 + 0.3
    noise = random.lognormal(0, 0.4, (count, _DIMS))
    return np.asarray(middles[random.integers(0, 50, count)] * noise).astype(np.float16)


def _made(store: Store) -> Index:
    """Return an index whose codes, if it wants any, are made."""
    index = Index(store)
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
                assert self.released.wait(8)
                if self.error is not None:
                    raise self.error
            self.reads += 1
            yield pair


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


def test_several_images_rank_by_the_mean_of_their_centred_vectors(store: Store) -> None:
    """Two query images: the normalised mean of c; the distance is the smaller one."""
    vectors = np.random.default_rng(0).random((50, _DIMS)).astype(np.float16)
    store.commit(_put(vectors))
    index = Index(store)
    ranked = list(index.rank(vectors[:2].astype(np.float32)))
    centred = index.centre().centred(vectors.astype(np.float32))
    target = centred[:2].mean(axis=0)
    expected = centred @ (target / np.linalg.norm(target))

    assert {_row(content) for content, _, _ in ranked[:2]} == {0, 1}
    for content, score, distance in ranked:
        row = _row(content)
        assert score == pytest.approx(float(expected[row]), abs=1e-5)
        nearest = min(float(np.linalg.norm(vectors[row].astype(np.float64) - vectors[one])) for one in (0, 1))
        assert distance == pytest.approx(nearest, abs=1e-3)


def test_what_commits_add_and_remove_is_what_a_new_index_reads(store: Store) -> None:
    """After commits that add and lose photos the index answers as one that is built anew from the store."""
    vectors = np.random.default_rng(0).random((120, _DIMS)).astype(np.float16)
    index = Index(store)
    index.apply(store.commit(_put(vectors)))
    index.apply(store.commit(Batch(photos=[Lost(f"/p/{number}.jpg", 1) for number in range(0, 120, 3)])))
    index.apply(store.commit(_put(vectors[:3], first=500)))
    anew = Index(store)
    query = vectors[7:8].astype(np.float32)

    assert len(index) == len(anew) == 83
    np.testing.assert_allclose(index.centre().offset, anew.centre().offset, atol=1e-6)
    assert [row[0] for row in index.rank(query)] == [row[0] for row in anew.rank(query)]


def test_among_scores_only_what_is_asked_for(store: Store) -> None:
    """With `among`, nothing else is in the ranking, and the scores are the same."""
    vectors = np.random.default_rng(0).random((40, _DIMS)).astype(np.float16)
    store.commit(_put(vectors))
    index = Index(store)
    query = vectors[:1].astype(np.float32)
    everything = {content: score for content, score, _ in index.rank(query)}
    some = [_content(3), _content(11), _content(999)]
    ranked = list(index.rank(query, some))

    assert {content for content, _, _ in ranked} == {_content(3), _content(11)}
    assert all(score == pytest.approx(everything[content], abs=1e-6) for content, score, _ in ranked)


def test_an_empty_library_has_no_neighbours(store: Store) -> None:
    """Nothing is found in nothing."""
    assert list(Index(store).rank(np.ones((1, _DIMS), np.float32))) == []


def test_a_rotten_vector_is_dropped_so_that_it_is_made_again(tmp_path: Path) -> None:
    """A vector whose bytes changed on the disk answers nothing; its photo counts as changed after the next start."""
    folder = tmp_path / "index"
    store = Store(str(folder), "space", map_gb=1)
    marks = (np.arange(_DIMS, dtype=np.float16) + 1)[None]
    store.commit(_put(np.concatenate([marks, marks[:, ::-1]])))
    store.close()
    data = (folder / "data.mdb").read_bytes()
    rotten = data.replace(marks.tobytes()[:32], bytes(32))
    (folder / "data.mdb").write_bytes(rotten)
    store = Store(str(folder), "space", map_gb=1)
    index = Index(store)
    photos = [(f"/p/{number}.jpg", Stamp(1, 2, 3, 4)) for number in range(2)]

    assert rotten != data
    assert len(index) == 1
    assert store.changed(photos, 0) == photos[:1]


def test_the_nearest_are_those_of_the_exact_scan(store: Store) -> None:
    """Of the ten best of 100 queries over 5,000 contents, at most one in a hundred is not found through the codes."""
    vectors = _clustered(5000)
    store.commit(_put(vectors))
    index = _made(store)
    queries = _clustered(100, seed=1).astype(np.float32)
    exact = index.centre().centred(queries) @ index.centre().centred(vectors.astype(np.float32)).T
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
    """What appears, vanishes and comes back while new codes are made is so in them, whether it had been read or not."""
    store = HeldStore(tmp_path / "index")
    vectors = _clustered(6000)
    store.commit(_put(vectors[:5000]))
    index = _made(store)
    store.released.clear()
    index.apply(store.commit(Batch(photos=[Lost(f"/p/{number}.jpg", 1) for number in range(1500, 3300)])))
    assert store.is_held.wait(8)
    index.apply(store.commit(_put(vectors[5000:], first=5000)))
    index.apply(store.commit(Batch(photos=[Lost(f"/p/{number}.jpg", 1) for number in (1, 4999, 5500)])))
    index.apply(store.commit(_put(vectors[2000:2001], first=2000)))
    index.apply(store.commit(Batch(photos=[Lost("/p/2.jpg", 1)])))
    index.apply(store.commit(_put(vectors[2:3], first=2)))
    meanwhile = [_row(next(index.rank(vectors[row : row + 1].astype(np.float32)))[0]) for row in (5999, 2000, 2)]
    was_making = index.is_making
    store.released.set()
    wait_for(lambda: not index.is_making)
    there = {*range(1500), *range(3300, 6000), 2000} - {1, 4999, 5500}
    nearest = {row: next(index.rank(vectors[row : row + 1].astype(np.float32))) for row in range(0, 6000, 60)}

    assert was_making
    assert meanwhile == [5999, 2000, 2]
    assert len(index) == len(there)
    assert all(_row(nearest[row][0]) == row for row in nearest if row in there)
    assert all(_row(content) in there for content, _, _ in nearest.values())
    assert index.failure() is None


def test_readers_never_get_what_was_removed_nor_a_wrong_score(store: Store) -> None:
    """While commits add, remove and bring back, each answer has only contents that were there, with their exact scores."""
    vectors = _clustered(3000)
    store.commit(_put(vectors[:1000]))
    index = _made(store)
    removed: set[int] = set()
    wrong: list[object] = []
    answers = [0]
    is_done = threading.Event()
    query = _clustered(1, seed=5).astype(np.float32)

    def check() -> None:
        gone, before = set(removed), index.centre()
        ranked = list(islice(index.rank(query), 30))
        after = index.centre()
        rows = [_row(content) for content, _, _ in ranked]
        found = vectors[rows].astype(np.float32)
        first, last = (centre.scores(found, centre.target(query)) for centre in (before, after))
        scores = np.array([score for _, score, _ in ranked])
        distances = np.linalg.norm(found.astype(np.float64) - query, axis=1)
        if gone & set(rows) & removed or len(set(rows)) != 30 or (abs(scores - first) > abs(last - first) + 1e-3).any():
            wrong.append((gone & set(rows), scores, first, last))
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
        index.apply(store.commit(_put(vectors[first : first + 40], first=first)))
        going = range(first - 1000, first - 970)
        index.apply(store.commit(Batch(photos=[Lost(f"/p/{row}.jpg", 1) for row in going])))
        removed |= {*going}
        removed -= {*going[:10]}
        index.apply(store.commit(_put(vectors[going[:10]], first=going[0])))
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
    index.apply(store.commit(Batch(photos=[Lost(f"/p/{row}.jpg", 1) for row in range(595)])))
    wait_for(lambda: not index.is_making)
    few = sorted(_row(content) for content, _, _ in index.rank(query))
    index.apply(store.commit(Batch(photos=[Lost(f"/p/{row}.jpg", 1) for row in range(595, 600)])))

    assert few == list(range(595, 600))
    assert list(index.rank(query)) == []
    assert index.failure() is None


def test_a_stop_waits_for_no_codes(tmp_path: Path) -> None:
    """Codes that are being made when the process stops are given up at the next block; the store can be closed then."""
    store = HeldStore(tmp_path / "index")
    store.commit(_put(_clustered(5000)))
    index = _made(store)
    store.released.clear()
    index.apply(store.commit(Batch(photos=[Lost(f"/p/{row}.jpg", 1) for row in range(2000)])))
    assert store.is_held.wait(8)
    threading.Timer(0.1, store.released.set).start()
    index.stop()

    assert index.is_making
    assert index.failure() is None
    store.close()


def test_the_death_of_the_maker_is_told(tmp_path: Path) -> None:
    """What the making of codes dies of is the failure of the index, and the one that answers goes on."""
    store = HeldStore(tmp_path / "index")
    store.commit(_put(_clustered(5000)))
    index = _made(store)
    store.released.clear()
    index.apply(store.commit(Batch(photos=[Lost(f"/p/{row}.jpg", 1) for row in range(2000)])))
    assert store.is_held.wait(8)
    store.error = OSError("the disk is gone")
    store.released.set()
    wait_for(lambda: index.failure() is not None)

    assert str(index.failure()) == "the disk is gone"
    assert len(list(islice(index.rank(_clustered(1).astype(np.float32)), 10))) == 10
