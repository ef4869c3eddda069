from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "index"), "space", map_gb=1)


@pytest.mark.parametrize("count", [1, 5, 300, 5000])
def test_ranks_as_the_formula_says(store: Store, count: int) -> None:
    """Scores and distances are those of the formula, computed slowly in double precision, best first."""
    vectors = (np.random.default_rng(count).random((count, _DIMS)) ** 3).astype(np.float16)
    store.commit(_put(vectors))
    query = vectors[0].astype(np.float32)
    ranked = list(Index(store).rank(query[None]))
    rows = [_row(content) for content, _, _ in ranked]
    exact = _exact(vectors.astype(np.float64), query.astype(np.float64))
    distances = np.linalg.norm(vectors.astype(np.float64) - query.astype(np.float64), axis=1)

    assert sorted(rows) == list(range(count))
    assert [score for _, score, _ in ranked] == sorted((score for _, score, _ in ranked), reverse=True)
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
