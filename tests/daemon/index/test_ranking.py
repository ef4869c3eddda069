"""The ranking, against a twin that computes each clause of the formula slowly, one vector at a time, in double precision."""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.daemon.conftest import DaemonParts
from tests.waiting import wait_for

from pixkin.protocol.replies import Relation
from pixkin.protocol.requests import Image, Like
from pixkind.fs.stamp import Stamp
from pixkind.index.filter import Filter
from pixkind.index.metric import Metric
from pixkind.index.vector_index import VectorIndex
from pixkind.search.photo_search import PhotoSearch
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, PhotoGone, WriteBatch

_DIMS = 64

Vectors = NDArray[np.float16]


def _content(row: int) -> bytes:
    return (row + 1).to_bytes(16, "big")  # a content id of zeros means: unknown


def _row(content: bytes) -> int:
    return int.from_bytes(content, "big") - 1


def _put(vectors: Vectors, first: int = 0, folder: str = "/p") -> WriteBatch:
    """Return a batch that adds a photo for each vector."""
    rows = range(first, first + len(vectors))
    return WriteBatch(
        photos=[PhotoFound(f"{folder}/{row}.jpg", Stamp(1, 2, 3, 4), _content(row)) for row in rows],
        vectors={_content(row): vector.tobytes() for row, vector in zip(rows, vectors, strict=True)},
    )


def _photos(count: int, seed: int = 0) -> Vectors:
    """Return vectors that lie as those of photos do: around a few middles with much in common, not negative."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(999).random((50, _DIMS)) ** 3 + 0.3
    noise = random.lognormal(0, 0.4, (count, _DIMS))
    return np.asarray(middles[random.integers(0, 50, count)] * noise).astype(np.float16)


class Twin:
    """What the design says, and nothing to make it fast."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors.astype(np.float64)
        self.mean = np.sum(self.vectors, axis=0) / len(vectors)

    def centred(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return c."""
        n = len(self.vectors)
        w = n / (n + 200)
        rest = x - w * self.mean
        if np.sqrt((rest**2).sum()) < 1e-3 * np.sqrt((x**2).sum()):
            rest = x
        return np.asarray(rest / np.sqrt((rest**2).sum()))

    def score(self, queries: Vectors, x: NDArray[np.float64]) -> float:
        """Return the score of a photo for several query images."""
        single = [np.dot(self.centred(query), self.centred(x)) for query in queries.astype(np.float64)]
        return float(-np.log(np.mean([np.exp(-20 * one) for one in single])) / 20)

    def distance(self, queries: Vectors, x: NDArray[np.float64]) -> float:
        """Return the smallest distance of a photo from any of the query images."""
        return min(float(np.sqrt(((query - x) ** 2).sum())) for query in queries.astype(np.float64))

    def measured(self, queries: Vectors) -> list[tuple[float, float]]:
        """Return score and distance of every photo."""
        return [(self.score(queries, x), self.distance(queries, x)) for x in self.vectors]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "index"), "space", map_gb=1)


def _made(store: Store, metric: Metric = Metric.COSINE) -> VectorIndex:
    """Return an index whose codes, if it wants any, are made."""
    index = VectorIndex(store, metric=metric)
    wait_for(lambda: not index.is_making)
    return index


def _ranked(index: VectorIndex, queries: Vectors, wanted: Filter | None = None) -> Iterator[tuple[int, float, float]]:
    ranking = index.rank(queries.astype(np.float32), wanted or Filter())
    return ((_row(content), score, distance) for content, score, distance in ranking)


def _late(values: Sequence[float]) -> int:
    """Return how many values are higher than the one before."""
    return sum(value > before for before, value in pairwise(values))


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("images", [1, 2, 8])
@pytest.mark.parametrize("count", [1, 30, 199, 2500])
def test_each_match_has_the_score_and_the_distance_of_the_formula(
    store: Store, count: int, images: int, metric: Metric
) -> None:
    """For any size of the library and one or several images, by either metric: both numbers, and the order by one of them.

    Through codes of 64 bits, the shortest there are, one in a hundred may come late.
    """
    vectors, queries = _photos(count), _photos(images, seed=1)
    store.commit(_put(vectors))
    ranked = list(_ranked(_made(store, metric), queries))
    rows = [row for row, _, _ in ranked]
    expected = Twin(vectors).measured(queries)
    merits = [-distance if metric is Metric.L2 else score for _, score, distance in ranked]

    assert sorted(rows) == list(range(count))
    np.testing.assert_allclose([score for _, score, _ in ranked], [expected[row][0] for row in rows], atol=2e-5)
    np.testing.assert_allclose([distance for _, _, distance in ranked], [expected[row][1] for row in rows], rtol=1e-6)
    assert _late(merits) <= (0 if count < 200 else count // 100)


@pytest.mark.parametrize("far", [0, 0.0015, 0.01])
@pytest.mark.parametrize("count", [50, 1000])
def test_a_photo_that_is_the_mean_keeps_its_own_direction(store: Store, count: int, far: float) -> None:
    """Where next to nothing of x is left without w m, c is x / |x|; where a little more is, it is that, exactly.

    `far` is |x - w m| / |x| of one photo and one query; float16 adds 0.0003 to it.
    """
    vectors = _photos(count)
    w = count / (count + 200)
    middle = w * vectors[1:].astype(np.float64).sum(axis=0) / (count - w)  # w m of all, when it is one of them
    aside = np.random.default_rng(7).standard_normal(_DIMS)
    aside *= far * np.linalg.norm(middle) / np.linalg.norm(aside)
    vectors[0] = (middle + aside).astype(np.float16)
    twin = Twin(vectors)
    rest = np.linalg.norm(twin.vectors[0] - w * twin.mean) / np.linalg.norm(twin.vectors[0])
    store.commit(_put(vectors))
    index = _made(store)
    of_photo = {row: score for row, score, _ in _ranked(index, vectors[5:6])}
    of_query = {row: score for row, score, _ in _ranked(index, vectors[:1])}

    assert (rest < 1e-3) == (far == 0)
    assert of_photo[0] == pytest.approx(twin.score(vectors[5:6], twin.vectors[0]), abs=2e-4)
    expected = [twin.score(vectors[:1], x) for x in twin.vectors]
    np.testing.assert_allclose([of_query[row] for row in range(count)], expected, atol=2e-4)


def test_the_mean_is_that_of_the_contents_that_are_there_now(store: Store) -> None:
    """Each commit moves it: new photos count, vanished ones do not, and scores are those of the present library."""
    vectors = _photos(900)
    vectors[500:] *= 2  # another kind of photo
    store.commit(_put(vectors[:500]))
    index = _made(store)
    query = vectors[3:4]
    for first in range(500, 900, 100):
        index.apply(store.commit(_put(vectors[first : first + 100], first)))
        index.apply(
            store.commit(WriteBatch(photos=[PhotoGone(f"/p/{row}.jpg", 1) for row in range(first - 500, first - 450)]))
        )
        gone = {row for start in range(0, first - 400, 100) for row in range(start, start + 50)}
        there = [row for row in range(first + 100) if row not in gone]
        twin = Twin(vectors[there])

        got = {row: score for row, score, _ in islice(_ranked(index, query), 60)}
        for row, score in got.items():
            assert score == pytest.approx(twin.score(query, vectors[row].astype(np.float64)), abs=2e-5)


def test_codes_are_made_again_when_the_library_has_doubled(store: Store) -> None:
    """Not before; and with photos of another kind the nearest are then still those of the exact scan."""
    vectors = _photos(1200)
    vectors[400:, :32] *= 4
    store.commit(_put(vectors[:400]))
    index = _made(store)
    made = []
    for first in range(400, 1200, 100):
        index.apply(store.commit(_put(vectors[first : first + 100], first)))
        made.append(index.is_making)
        wait_for(lambda: not index.is_making)
    twin = Twin(vectors)
    hits = 0
    for row in range(0, 1200, 40):
        best = np.argsort([-twin.score(vectors[row : row + 1], x) for x in twin.vectors])[:10]
        hits += len({*best.tolist()} & {found for found, _, _ in islice(_ranked(index, vectors[row : row + 1]), 10)})

    assert made == [False, False, False, True, False, False, False, False]
    assert hits >= 297


@pytest.mark.parametrize("folder", ["", "/p/a"])
def test_of_two_queries_the_best_are_near_to_both(store: Store, folder: str) -> None:
    """Among 5,000 photos, 2,500 of them in the folder: 99 of 100 of the ten best by the formula are found.

    A hundred photos of each kind are nearer to one query than any photo is to both.
    """
    vectors = _photos(5000)
    store.commit(_put(vectors[:2500], folder="/p/a"))
    store.commit(_put(vectors[2500:], first=2500))
    index, twin = _made(store), Twin(vectors)
    among = vectors[: 2500 if folder else 5000].astype(np.float64)
    centred = np.array([twin.centred(x) for x in among])
    hits = 0
    for number in range(30):
        queries = _photos(2, seed=number + 1)
        single = centred @ np.array([twin.centred(query) for query in queries.astype(np.float64)]).T
        best = np.argsort(np.log(np.exp(-20 * single).mean(axis=1)))[:10].tolist()
        found = [row for row, _, _ in islice(_ranked(index, queries, Filter((folder,))), 10)]
        hits += len({*best} & {*found})

    assert hits >= 297


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 1])
def test_by_distance_the_nearest_are_those_of_the_exact_scan(store: Store, share: float) -> None:
    """Among 10,000 photos, all or the part that lies in a folder: of the ten nearest, 99 of 100 are found, for two images too."""
    vectors = _photos(10_000)
    count = int(10_000 * share)
    store.commit(_put(vectors[:count], folder="/p/a"))
    store.commit(_put(vectors[count:], first=count))
    index = _made(store, Metric.L2)
    hits = asked = 0
    for number in range(50):
        queries = _photos(1 + number % 2, seed=number + 1)
        apart = [np.linalg.norm(vectors[:count].astype(np.float64) - query, axis=1) for query in queries]
        best = np.argsort(np.min(apart, axis=0))[:10].tolist()
        hits += len({*best} & {row for row, _, _ in islice(_ranked(index, queries, Filter(("/p/a",))), 10)})
        asked += len(best)

    assert hits >= 0.99 * asked


def test_another_metric_makes_new_codes_of_the_same_store(store: Store) -> None:
    """A snapshot knows its metric: with another metric codes are made again, with the same one they are not."""
    vectors = _photos(1000)
    store.commit(_put(vectors))
    made = []
    for metric in (Metric.COSINE, Metric.COSINE, Metric.L2, Metric.L2, Metric.COSINE):
        index = VectorIndex(store, metric=metric)
        made.append(index.is_making)
        wait_for(lambda index=index: not index.is_making)  # type: ignore[misc]  # mypy knows no type of a default
        merits = [
            -distance if metric is Metric.L2 else score for _, score, distance in islice(_ranked(index, vectors[:1]), 9)
        ]
        index.stop()

        assert _late(merits) == 0
        assert len(index) == 1000
    assert made == [True, False, True, False, True]


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("count", [150, 2000])
def test_limits_admit_what_passes_them_and_nothing_else(library: DaemonParts, count: int, metric: Metric) -> None:
    """Either limit, or both, under either metric: the candidates widen until so many pass, or all were seen."""
    vectors = _photos(count)
    root = str(library.root)
    library.store.commit(_put(vectors, folder=root))
    photo_search = PhotoSearch(library.store, _made(library.store, metric), library.roots)
    measured = Twin(vectors).measured(vectors[:1])
    scores = sorted((score for score, _ in measured), reverse=True)
    distances = sorted(distance for _, distance in measured)
    for least, most in ((None, distances[7]), (scores[9], None), (scores[30], distances[20]), (0.0, distances[60])):
        request = Like(images=(Image(path=b"/q.jpg"),), limit=40, min_score=least, max_distance=most)
        # The limits are a little wider than the number that they are: it is rounded in other places.
        asked = Like(
            images=request.images,
            limit=40,
            min_score=None if least is None else least - 1e-4,
            max_distance=None if most is None else most + 1e-4,
        )
        passing = {
            row
            for row, (score, distance) in enumerate(measured)
            if (least is None or score >= least) and (most is None or distance <= most)
        }
        reply = photo_search.rank(photo_search.query(asked), vectors[:1].astype(np.float32))
        found = {int(Path(match.path.decode()).stem) for match in reply.matches}

        assert len(found) == len(reply.matches) == min(40, len(passing))
        assert found <= passing


def test_what_unrelated_photos_score_is_that_of_the_formula(store: Store) -> None:
    """Of 150 contents, without codes, and of 400 it is drawn from all pairs, centred; fewer than 50 do not tell."""
    index = VectorIndex(store)
    known = []
    for first, last in ((0, 49), (49, 150), (150, 400)):
        index.apply(store.commit(_put(_photos(400)[first:last], first)))
        wait_for(lambda: not index.is_making)
        twin = Twin(_photos(400)[:last])
        centred = np.array([twin.centred(x) for x in twin.vectors])
        scores = (centred @ centred.T)[np.triu_indices(last, 1)]
        known.append((index.chance(), np.quantile(scores, [0.5, 0.75])))

    assert known[0][0] is None
    for chance, expected in known[1:]:
        assert chance is not None
        np.testing.assert_allclose([chance.median, chance.quartile], expected, atol=1e-3)


def test_the_bounds_of_a_query_are_there_at_once_and_stay(store: Store) -> None:
    """They need no codes. After a restart they are the same, and a library that has doubled gives others."""
    vectors = _photos(600)
    store.commit(_put(vectors[:300]))
    query, best = vectors[:1].astype(np.float32), [_content(row) for row in range(10)]
    index = VectorIndex(store)
    at_once = index.bounds(query, best)
    wait_for(lambda: not index.is_making)
    later = index.bounds(query, best)
    index.stop()
    again = _made(store)
    restarted = again.bounds(query, best)
    again.apply(store.commit(_put(vectors[300:], first=300)))
    wait_for(lambda: not again.is_making)

    assert at_once is not None
    assert at_once == later == restarted
    assert again.bounds(query, best) not in (None, at_once)
    assert again.bounds(query, []) is not None


@pytest.mark.parametrize("metric", Metric)
def test_who_asks_for_what_is_related_gets_what_is_better_than_chance(library: DaemonParts, metric: Metric) -> None:
    """Matches that score at least what the reply names, by either metric; all if that is not known. Their bands say the same."""
    vectors = _photos(400)
    library.store.commit(_put(vectors, folder=str(library.root)))
    replies = []
    for count in (400, 30):
        gone = range(count, 400) if count < 400 else ()
        library.store.commit(WriteBatch(photos=[PhotoGone(f"{library.root}/{row}.jpg", 1) for row in gone]))
        index = _made(library.store, metric)
        photo_search = PhotoSearch(library.store, index, library.roots)
        for is_cut in (False, True):
            request = Like(images=(Image(path=b"/q.jpg"),), limit=1000, related=is_cut)
            replies.append(photo_search.rank(photo_search.query(request), vectors[:1].astype(np.float32)))
    everything, cut, few, few_cut = replies
    chance = everything.chance

    assert chance is not None
    assert cut.chance == chance
    related = [match for match in everything.matches if match.score >= chance]
    assert 0 < len(related) < 400
    assert {match.path for match in cut.matches} == {match.path for match in related}
    assert [match.band != Relation.NO_RELATION for match in everything.matches] == [
        match.score >= chance for match in everything.matches
    ]
    assert few.chance is None
    assert len(few.matches) == len(few_cut.matches) == 30
    assert {match.band for match in few.matches} <= {Relation.SAME_PHOTO, Relation.SAME_SHOT, Relation.UNKNOWN}
