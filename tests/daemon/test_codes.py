import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from pixkind.codes import LARGE, SAMPLE, Codes

_DIMS = 64


def _content(number: int) -> bytes:
    return (number + 1).to_bytes(16, "big")


def _contents(count: int, first: int = 0) -> list[bytes]:
    return [_content(number) for number in range(first, first + count)]


def _clustered(count: int, seed: int = 0, dims: int = _DIMS) -> NDArray[np.float32]:
    """Return made-up vectors that lie as real ones do: around a few middles that have much in common, not negative."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(999).random((50, dims), np.float32) ** 3 + 0.3
    noise = random.lognormal(0, 0.4, (count, dims)).astype(np.float32)
    return middles[random.integers(0, 50, count)] * noise


def _made(vectors: NDArray[np.float32]) -> Codes:
    codes = Codes(vectors)
    codes.add(_contents(len(vectors)), vectors)
    codes.seal()
    return codes


def _found(codes: Codes, vector: NDArray[np.float32], most: int = 1) -> list[bytes]:
    return [content for content, _ in codes.nearest(vector[None], most)]


@pytest.mark.parametrize("dims", [8, 63, 64, 960])
def test_codes_of_any_width_find_a_vector_that_is_in_them(dims: int) -> None:
    """Each vector is among the ten likeliest neighbours of itself, whatever the dimensions of the encoder."""
    vectors = _clustered(500, dims=dims)
    codes = _made(vectors)

    assert all(_content(row) in _found(codes, vectors[row], 10 if dims > 8 else 100) for row in range(0, 500, 25))


def test_a_guess_is_near_the_score() -> None:
    """What codes say of a score is, but for a few hundredths, that of the formula around their centre; the best is first.

    Few dimensions say most here, as with real photos: without the rotation guesses are three times as wrong.
    """
    vectors = _clustered(500, dims=960) * np.random.default_rng(2).gamma(0.3, 1, 960).astype(np.float32)
    codes = _made(vectors)
    centred = codes.centre.centred(vectors)
    guesses = dict(codes.nearest(vectors[3:4], 500))
    errors = [guesses[content] for content in _contents(500)] - centred @ centred[3]

    assert errors.std() < 0.03
    assert list(guesses.values()) == sorted(guesses.values(), reverse=True)


def test_what_is_removed_is_not_found_until_it_comes_again() -> None:
    """Of many that are removed, none is found any more; one that comes back is found again, once, with its new vector."""
    vectors = _clustered(3000)
    codes = _made(vectors)
    codes.remove([*_contents(2990), _content(77_777)])
    codes.remove(_contents(20))
    left = _found(codes, vectors[5], 3000)
    codes.add([_content(5)], vectors[5:6])

    assert sorted(left) == _contents(10, first=2990)
    assert _found(codes, vectors[5]) == [_content(5)]
    assert len(codes) == 11


def test_equal_vectors_are_all_found() -> None:
    """A thousand equal vectors are a thousand neighbours, in lists as without: no two are one."""
    vectors = np.repeat(_clustered(1), 1000, axis=0)
    codes = _made(vectors)

    assert sorted(_found(codes, vectors[0], 1000)) == _contents(1000)


def test_codes_say_when_they_are_worn() -> None:
    """New codes are due when the contents have doubled, or more than a quarter of the rows is dead; not before."""
    vectors = _clustered(1000)
    grown, shrunk = _made(vectors[:500]), _made(vectors)
    grown.add(_contents(499, first=500), vectors[500:999])
    shrunk.remove(_contents(250))
    before = grown.is_worn, shrunk.is_worn
    grown.add([_content(999)], vectors[999:])
    shrunk.remove([_content(250)])

    assert before == (False, False)
    assert (grown.is_worn, shrunk.is_worn) == (True, True)


def test_codes_without_lists_are_worn_when_there_are_many() -> None:
    """From LARGE contents on, codes that are all compared are worn, and those in lists are not."""
    vectors = _clustered(LARGE, dims=8)
    plain, lists = Codes(vectors[:SAMPLE]), Codes(vectors[:SAMPLE], is_large=True)
    for codes in (plain, lists):
        codes.add(_contents(LARGE - 1), vectors[:-1])
        codes.seal()
    before = plain.is_worn
    for codes in (plain, lists):
        codes.add([_content(LARGE - 1)], vectors[-1:])

    assert not before
    assert plain.is_worn
    assert not lists.is_worn


def test_codes_in_lists_find_remove_and_grow_as_the_others() -> None:
    """With lists, too: what is added is found, what is removed is not, and who asks for all gets all."""
    vectors = _clustered(5000)
    codes = Codes(vectors, is_large=True)
    codes.add(_contents(5000), vectors)
    hits = [_content(row) in _found(codes, vectors[row], 40) for row in range(0, 5000, 50)]
    codes.remove(_contents(4000))

    assert sum(hits) >= 99
    assert sorted(_found(codes, vectors[0], 20_000)) == _contents(1000, first=4000)


def test_lists_that_are_not_wanted_any_more_end_early() -> None:
    """What `beat` raises ends the drawing of the lists: the process stops without waiting for it."""

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Codes(_clustered(1100), is_large=True, beat=stop)


def test_readers_see_whole_changes() -> None:
    """While one thread adds and removes, others find exactly what is there: never a wrong id, nor one that was removed."""
    vectors = _clustered(4000)
    codes = _made(vectors[:1000])
    removed: set[bytes] = set()
    wrong: list[object] = []
    is_done = threading.Event()

    def read() -> None:
        while not is_done.is_set():
            gone = set(removed)
            found = _found(codes, vectors[0], 5000)
            if len(set(found)) < len(found) or gone & set(found) or not set(found) <= set(_contents(4000)):
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for first in range(1000, 4000, 50):
        codes.add(_contents(50, first=first), vectors[first : first + 50])
        going = _contents(20, first=first - 1000)
        codes.remove(going)
        removed.update(going)
    is_done.set()
    for reader in readers:
        reader.join()

    assert wrong == []
    assert len(codes) == 4000 - 60 * 20
