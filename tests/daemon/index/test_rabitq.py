import resource
import threading
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from pixkind.index.rabitq import LARGE, RaBitQCodes

_DIMS = 64


def _clustered(count: int, seed: int = 0, dims: int = _DIMS) -> NDArray[np.float32]:
    """Return made-up vectors that lie as real ones do: around a few middles that have much in common, not negative."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(999).random((50, dims), np.float32) ** 3 + 0.3
    noise = random.lognormal(0, 0.4, (count, dims)).astype(np.float32)
    return middles[random.integers(0, 50, count)] * noise


def _made(vectors: NDArray[np.float32], *, rows: int = 0) -> RaBitQCodes:
    codes = RaBitQCodes(vectors, rows=rows)
    codes.fill(vectors)
    codes.seal()
    return codes


def codes_bytes(dims: int) -> int:
    """Return how much a row takes: a bit of each dimension, and two floats."""
    return dims // 8 + 8


def _bits(codes: RaBitQCodes, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    flags = np.zeros(len(codes), bool)
    flags[slice(None) if rows is None else rows] = True
    return np.packbits(flags, bitorder="little")


def _found(codes: RaBitQCodes, vector: NDArray[np.float32], most: int = 1) -> list[int]:
    rows: list[int] = codes.nearest(vector[None], most, _bits(codes))[0].tolist()
    return rows


@pytest.mark.parametrize("dims", [8, 63, 64, 960])
def test_codes_of_any_width_find_a_vector_that_is_in_them(dims: int) -> None:
    """Each vector is among the ten likeliest neighbours of itself, whatever the dimensions of the encoder."""
    vectors = _clustered(500, dims=dims)
    codes = _made(vectors)

    assert all(row in _found(codes, vectors[row], 10 if dims > 8 else 100) for row in range(0, 500, 25))


def test_a_guess_is_near_the_score() -> None:
    """What codes say of a score is that of the formula around their centre, within a few hundredths; the best is first.

    Few dimensions say most here, as with real photos: without the rotation guesses are three times as wrong.
    Half of them are in the tail, which has to guess alike.
    """
    vectors = _clustered(500, dims=960) * np.random.default_rng(2).gamma(0.3, 1, 960).astype(np.float32)
    codes = RaBitQCodes(vectors)
    codes.fill(vectors[:248])
    codes.seal()
    codes.add(vectors[248:])
    centred = codes.centering.centred(vectors)
    rows, guesses = codes.nearest(vectors[3:4], 500, _bits(codes))
    errors = guesses - centred[rows] @ centred[3]

    assert sorted(rows.tolist()) == list(range(500))
    assert errors.std() < 0.03
    assert errors[rows >= 248].std() < 0.03
    assert guesses.tolist() == sorted(guesses.tolist(), reverse=True)


@pytest.mark.parametrize("rows", [0, LARGE])
@pytest.mark.parametrize("count", [1600, 1605])
def test_rows_are_numbered_through_base_and_tail(count: int, *, rows: int) -> None:
    """What is added after the base has the next multiple of eight for its first row; of both only rows that may be are found."""
    vectors = _clustered(2000)
    codes = RaBitQCodes(vectors, rows=rows)
    codes.fill(vectors[:count])
    start = codes.seal()
    codes.add(vectors[count:])
    few = np.array([1, 8, 1599, start, start + 7])
    found = codes.nearest(vectors[:1], 2000, _bits(codes, few), 5 / 2000)[0]
    shift = [row if row < count else row + start - count for row in (3, count - 1, count, 1999)]
    nearest = [
        row in _found(codes, vectors[at], 20) for at, row in zip((3, count - 1, count, 1999), shift, strict=True)
    ]

    assert start % 8 == 0
    assert 0 <= start - count < 8
    assert (len(codes), codes.tail) == (start + 2000 - count, 2000 - count)
    assert sorted(found.tolist()) == few.tolist()
    assert nearest == [True] * 4


def test_equal_vectors_are_all_found() -> None:
    """A thousand equal vectors are a thousand neighbours: no two are one."""
    vectors = np.repeat(_clustered(1), 1000, axis=0)

    assert sorted(_found(_made(vectors), vectors[0], 1000)) == list(range(1000))


def test_codes_in_lists_find_what_the_others_do() -> None:
    """With lists, too: what is in them is found, in a tenth of them as well, and who asks for all gets all."""
    vectors = _clustered(5000)
    codes = _made(vectors, rows=LARGE)
    some = np.arange(0, 5000, 10)
    hits = [row in _found(codes, vectors[row], 40) for row in range(0, 5000, 50)]
    narrow = [row in codes.nearest(vectors[row : row + 1], 40, _bits(codes, some), 0.1)[0] for row in some[::5]]

    assert sum(hits) >= 99
    assert sum(narrow) >= 99
    assert len(_found(codes, vectors[0], 20_000)) == 5000


def test_where_few_may_be_found_more_lists_are_looked_through() -> None:
    """The ten nearest of a tenth are farther away than those of all, yet hardly one is in a list that is left out.

    The vectors are mixtures, as photos share motifs: so near vectors are in many lists.
    """
    random = np.random.default_rng(0)
    motifs = random.gamma(0.5, 2, (500, 256)) * (random.random((500, 256)) < 0.5) * random.gamma(0.5, 0.4, 256) + 0.01
    one, other = random.integers(0, 500, (2, 10_100))
    is_one = random.random((10_100, 256)) < random.beta(0.5, 0.5, (10_100, 1))
    noise = np.exp(0.35 * random.standard_normal((10_100, 256)))
    mixed = (np.where(is_one, motifs[one], motifs[other]) * noise).astype(np.float32)
    vectors, queries = mixed[:10_000], mixed[10_000:]
    codes = _made(vectors, rows=LARGE)
    some = np.arange(0, 10_000, 10)
    scores = codes.centering.centred(queries) @ codes.centering.centred(vectors[some]).T
    best = some[np.argsort(-scores, axis=1)[:, :10]]
    found = [codes.nearest(query[None], 200, _bits(codes, some), 0.1)[0].tolist() for query in queries]

    assert sum(len({*these} & {*those}) for these, those in zip(found, best.tolist(), strict=True)) >= 998


@pytest.mark.parametrize("rows", [0, LARGE])
def test_codes_that_were_written_are_the_same_codes(tmp_path: Path, *, rows: int) -> None:
    """Base and tail are read back as they were; the writer goes on with the base that it wrote."""
    vectors = _clustered(3000)
    codes = RaBitQCodes(vectors, rows=rows)
    codes.fill(vectors[:2500])
    codes.seal()
    path = str(tmp_path / "base")
    before = codes.nearest(vectors[:1], 50, _bits(codes))[1]
    codes.write_base(path)
    codes.add(vectors[2500:])
    again = RaBitQCodes.restored(codes.state(), path)
    answers = [one.nearest(vectors[2700:2701], 50, _bits(one)) for one in (codes, again)]

    assert len(again) == len(codes)
    np.testing.assert_array_equal(codes.nearest(vectors[:1], 50, _bits(codes)[: 2504 // 8])[1], before)
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    np.testing.assert_array_equal(answers[0][1], answers[1][1])


def test_a_base_that_cannot_be_written_stays(tmp_path: Path) -> None:
    """The error is one of the disk, and the codes answer as before."""
    vectors = _clustered(500)
    codes = _made(vectors)
    with pytest.raises(FileNotFoundError):
        codes.write_base(str(tmp_path / "no" / "folder"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = faiss.serialize_index(faiss.IndexRaBitQ(_DIMS)).nbytes + 500 * codes_bytes(_DIMS)
    for limit in range(0, size, size // 40):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                codes.write_base(str(tmp_path / "base"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert _found(codes, vectors[3]) == [3]


def test_lists_that_are_not_wanted_any_more_end_early() -> None:
    """What `beat` raises ends the drawing of the lists: the process stops without waiting for it."""

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        RaBitQCodes(_clustered(1100), rows=LARGE, beat=stop)


def test_readers_see_whole_rows() -> None:
    """While one thread adds, other threads find every row that they ask for, each once."""
    vectors = _clustered(4000)
    codes = _made(vectors[:1000])
    wrong: list[object] = []
    is_done = threading.Event()

    def read() -> None:
        while not is_done.is_set():
            there = len(codes)
            found = codes.nearest(vectors[:1], 5000, np.packbits(np.ones(there, bool), bitorder="little"))[0].tolist()
            if sorted(found) != list(range(there)):
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for first in range(1000, 4000, 50):
        codes.add(vectors[first : first + 50])
    is_done.set()
    for reader in readers:
        reader.join()

    assert wrong == []
    assert len(codes) == 4000
