"""How long the index takes for the best of N contents, and what it misses, against three exact ways in the same run.

The vectors are synthetic: each has every dimension from one of two out of 500 originals, times noise, so that the nearest are
close to each other. The originals are made up, or real ones from a file: --originals FILE.npy, (n, dims) float32.
"""

import argparse
import ctypes
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice

import faiss
import numpy as np
from common import DIMS, header, memory_bytes, show
from numpy.typing import NDArray

from pixkind.batch import Batch, Found
from pixkind.index import Index
from pixkind.photo import CONTENT_BYTES, Stamp
from pixkind.store import Store

_BLOCK = 5000
_QUERIES = 200
_BATCH = 32  # contents in one commit of the daemon
_MOST_FLAT = 200_000  # contents; above, a second copy in float32 does not fit


def main() -> None:
    """Measure libraries of the sizes that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000])
    parser.add_argument("--originals", help="real vectors to mix")
    arguments = parser.parse_args()
    header("bench_search: the ten best of N contents, 1280 dimensions")
    originals = np.load(arguments.originals) if arguments.originals else _originals()
    for n in arguments.sizes:
        print(f"N = {n}")
        with tempfile.TemporaryDirectory(prefix="pk") as folder:
            _measure(folder, _mixed(originals, n + _BATCH, seed=1), _mixed(originals, _QUERIES, seed=2))


def _measure(folder: str, vectors: NDArray[np.float16], queries: NDArray[np.float16]) -> None:
    n = len(vectors) - _BATCH
    contents = [hashlib.blake2b(b"%d" % row, digest_size=CONTENT_BYTES).digest() for row in range(len(vectors))]
    row_of = {content: row for row, content in enumerate(contents)}
    asked = queries.astype(np.float32)
    store = Store(folder, "bench", map_gb=16)
    for at in range(0, n, _BLOCK):
        store.commit(_batch(contents[at : min(n, at + _BLOCK)], vectors[at : min(n, at + _BLOCK)]))
    ctypes.CDLL(None).malloc_trim(0)  # else the index would take what the commits have left
    memory = memory_bytes([os.getpid()])
    index = Index(store)
    began = time.perf_counter()
    while index.is_making:
        time.sleep(0.05)
    made_s = time.perf_counter() - began
    taken = memory_bytes([os.getpid()]) - memory
    found: list[list[int]] = []
    ten = show("the index, 10 best", list(_times(lambda q: found.append(_best(index, row_of, q, 10)), asked)))
    show("the index, 100 best", list(_times(lambda q: _best(index, row_of, q, 100), asked)))
    exact = _exact(index, vectors[:n], asked, ten)
    hits = sum(len({*these} & {*those}) for these, those in zip(found, exact, strict=True))
    print(f"recall@10 {hits / 10 / len(asked):.4f}, codes made in {made_s:.1f} s, {taken / n:.0f} bytes a content")
    delta = store.commit(_batch(contents[n:], vectors[n:]))
    began = time.perf_counter()
    index.apply(delta)
    print(f"a commit of {_BATCH} takes the index {1e3 * (time.perf_counter() - began):.1f} ms")
    began = time.perf_counter()
    index.stop()
    stopped = time.perf_counter()
    Index(store).stop()
    print(
        f"its stop takes {stopped - began:.2f} s, its start from the snapshot {time.perf_counter() - stopped:.2f} s\n"
    )
    store.close()


def _exact(index: Index, vectors: NDArray[np.float16], asked: NDArray[np.float32], ten: float) -> list[list[int]]:
    """Return the rows of the ten best of each query, and print how long two exact ways in memory take."""
    centre = index.centre()
    centred = np.empty(vectors.shape, np.float32)
    for at in range(0, len(vectors), _BLOCK):
        centred[at : at + _BLOCK] = centre.centred(vectors[at : at + _BLOCK].astype(np.float32))
    found: list[list[int]] = []

    def scan(query: NDArray[np.float32]) -> None:
        scores = centred @ centre.target(query)
        found.append(np.argpartition(-scores, 10)[:10].tolist())

    took = show("numpy, exact, float32 in memory", list(_times(scan, asked)))
    if len(vectors) <= _MOST_FLAT:
        flat = faiss.IndexFlatIP(DIMS)
        flat.add(centred)
        show("faiss IndexFlatIP, exact", list(_times(lambda q: flat.search(centre.target(q)[None], 10), asked)))
    print(f"the index is {took / ten:.1f} x as fast as numpy")
    return found


def _best(index: Index, row_of: dict[bytes, int], query: NDArray[np.float32], most: int) -> list[int]:
    return [row_of[content] for content, _, _ in islice(index.rank(query), most)]


def _times(ask: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32]) -> Iterator[float]:
    """Yield the seconds of each query."""
    for row in range(len(queries)):
        began = time.perf_counter()
        ask(queries[row : row + 1])
        yield time.perf_counter() - began


def _batch(contents: list[bytes], vectors: NDArray[np.float16]) -> Batch:
    """Return what the daemon would commit for these contents."""
    found = [Found(f"/p/{content.hex()}.jpg", Stamp(1, 2, 3, 4), content) for content in contents]
    return Batch(photos=[*found], vectors=dict(zip(contents, map(bytes, vectors), strict=True)))


def _originals() -> NDArray[np.float32]:
    """Return 500 vectors that are like those of photos in this: not negative, half zeros, and much in common."""
    random = np.random.default_rng(0)
    common = random.gamma(0.5, 0.4, DIMS)
    return (common * random.gamma(0.5, 2, (500, DIMS)) * (random.random((500, DIMS)) < 0.5)).astype(np.float32)


def _mixed(originals: NDArray[np.float32], n: int, *, seed: int) -> NDArray[np.float16]:
    random = np.random.default_rng(seed)
    result = np.empty((n, originals.shape[1]), np.float16)
    for at in range(0, n, _BLOCK):
        block = result[at : at + _BLOCK]
        one, other = random.integers(0, len(originals), (2, len(block)))
        share = random.beta(0.5, 0.5, (len(block), 1))
        from_one = random.random(block.shape, dtype=np.float32) < share
        noise = np.exp(0.35 * random.standard_normal(block.shape, dtype=np.float32))
        block[:] = np.where(from_one, originals[one], originals[other]) * noise
    return result


if __name__ == "__main__":
    main()
