"""How long the index takes for the best of N contents, and what it misses, against three exact ways in the same run.

The vectors are synthetic: each has every dimension from one of two out of 500 originals, times noise, so that the nearest are
close to each other. The originals are made up, or real ones from a file: --originals FILE.npy, (n, dims) float32.
"""

import ctypes
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import islice

import faiss
import numpy as np
from common import DIMS, command_line, header, memory_bytes, show
from numpy.typing import NDArray

from pixkind.fs.stamp import Stamp
from pixkind.index.filter import Filter
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, PhotoGone, WriteBatch

_BLOCK = 5000
_QUERIES = 200
_FEW = 50  # queries that may take longer
_MOST_ASKED = 5000  # queries while new codes are made
_BATCH = 32  # contents in one commit of the daemon
_SHARES = {1000: "thousandth", 100: "hundredth", 10: "tenth"}  # of the photos that lie in a folder
_MOST_FLAT = 200_000  # contents; above, a second copy in float32 does not fit


def main() -> None:
    """Measure libraries of the sizes that the command line names."""
    parser = command_line(__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000])
    parser.add_argument("--originals", help="real vectors to mix")
    arguments = parser.parse_args()
    header("bench_search: the ten best of N contents, 1280 dimensions")
    real = np.load(arguments.originals) if arguments.originals else originals()
    for n in arguments.sizes:
        print(f"N = {n}")
        with tempfile.TemporaryDirectory(prefix="pk") as folder:
            _measure(folder, _mixed(real, n + _BATCH, seed=1), _mixed(real, _QUERIES, seed=2))


def _measure(folder: str, vectors: NDArray[np.float16], queries: NDArray[np.float16]) -> None:
    n = len(vectors) - _BATCH
    contents = [hashlib.blake2b(b"%d" % row, digest_size=CONTENT_BYTES).digest() for row in range(len(vectors))]
    row_of = {content: row for row, content in enumerate(contents)}
    asked = queries.astype(np.float32)
    store = Store(folder, "bench", map_gb=64)
    for at in range(0, n, _BLOCK):
        store.commit(_batch(contents, vectors, range(at, min(n, at + _BLOCK))))
    began = time.perf_counter()
    index = VectorIndex(store)
    while index.is_making:
        time.sleep(0.05)
    made_s = time.perf_counter() - began
    index.stop()
    stopped = time.perf_counter()
    del index
    ctypes.CDLL(None).malloc_trim(0)  # else it would take what the commits have left
    memory = memory_bytes([os.getpid()])
    began = time.perf_counter()
    index = VectorIndex(store)
    started_s, taken = time.perf_counter() - began, memory_bytes([os.getpid()]) - memory
    print(
        f"codes made in {made_s:.1f} s; a start from the snapshot takes {started_s:.2f} s, and {taken / n:.0f} bytes a photo"
    )

    found: list[list[int]] = []
    ten = show("the index, 10 best", list(_times(lambda q: found.append(_best(index, row_of, q, 10)), asked)))
    show("the index, 100 best", list(_times(lambda q: _best(index, row_of, q, 100), asked[:_FEW])))
    exact = _exact(index, vectors[:n], asked, ten)
    print(f"recall@10 {_recall(found, exact):.4f}")
    for share, name in _SHARES.items():
        _narrow(index, row_of, vectors[:n], asked[:_FEW], name, share)
    _others(index, vectors[:n], asked, exact)
    _busy(index, store, contents, vectors, asked)
    print(f"stopped in {time.perf_counter() - stopped:.0f} s\n")
    index.stop()
    store.close()


def _recall(found: list[list[int]], exact: list[list[int]]) -> float:
    hits = sum(len({*these} & {*those}) for these, those in zip(found, exact, strict=True))
    return hits / sum(map(len, exact))


def _folder(row: int) -> str:
    return next((f"/p/{name}" for share, name in _SHARES.items() if row % share == share - 1), "/p/rest")


def _narrow(
    index: VectorIndex,
    row_of: dict[bytes, int],
    vectors: NDArray[np.float16],
    asked: NDArray[np.float32],
    name: str,
    share: int,
) -> None:
    """Search under a folder in which every `share`-th photo lies, or a little less."""
    rows = np.array([row for row in range(share - 1, len(vectors), share) if _folder(row) == f"/p/{name}"])
    centre = index.centering()
    centred = centre.centred(vectors[rows].astype(np.float32))
    exact = [rows[np.argsort(-(centred @ centre.target(query[None])))[:10]].tolist() for query in asked]
    found: list[list[int]] = []
    wanted = Filter(f"/p/{name}")
    show(
        f"under a folder with 1 photo of {share}",
        list(_times(lambda q: found.append(_best(index, row_of, q, 10, wanted)), asked)),
    )
    print(f"recall@10 {_recall(found, exact):.4f}")


def _others(
    index: VectorIndex, vectors: NDArray[np.float16], asked: NDArray[np.float32], exact: list[list[int]]
) -> None:
    """Print what usearch takes for the same, where it is installed and its index fits."""
    if find_spec("usearch") is None or len(vectors) > _MOST_FLAT:
        print("usearch: not installed, or too many vectors for a second copy")
        return
    from usearch.index import VectorIndex as Usearch

    centre, graph = index.centering(), Usearch(ndim=DIMS, metric="cos", dtype="bf16")
    began = time.perf_counter()
    for at in range(0, len(vectors), _BLOCK):
        block = centre.centred(vectors[at : at + _BLOCK].astype(np.float32))
        graph.add(np.arange(at, at + len(block)), block)
    print(
        f"usearch, HNSW bf16: built in {time.perf_counter() - began:.1f} s, {graph.memory_usage / len(vectors):.0f} bytes a photo"
    )
    found: list[list[int]] = []
    show(
        "usearch, 10 best",
        list(_times(lambda q: found.append(graph.search(centre.target(q), 10).keys.tolist()), asked)),
    )
    print(f"recall@10 {_recall(found, exact):.4f}")


def _busy(
    index: VectorIndex, store: Store, contents: list[bytes], vectors: NDArray[np.float16], asked: NDArray[np.float32]
) -> None:
    """Search while commits come, and while new codes are made."""
    last = range(len(vectors) - _BATCH, len(vectors))
    delta = store.commit(_batch(contents, vectors, last))
    began = time.perf_counter()
    index.apply(delta)
    print(f"a commit of {_BATCH} takes the index {1e3 * (time.perf_counter() - began):.1f} ms")
    index.apply(store.drop_vectors([contents[0]]))  # what cannot be taken out of the mean makes new codes due
    took: list[float] = []
    while index.is_making and len(took) < _MOST_ASKED:
        took += _times(lambda q: list(islice(index.rank(q), 10)), asked[:10])
        index.apply(store.commit(WriteBatch(photos=[PhotoGone(f"{_folder(row)}/{row}.jpg", 1) for row in last])))
        index.apply(store.commit(_batch(contents, vectors, last)))
    show("the index, 10 best, while new codes are made", took)
    print(f"99 % within {1e3 * sorted(took)[len(took) * 99 // 100]:.1f} ms, at most {1e3 * max(took):.1f} ms")


def _exact(index: VectorIndex, vectors: NDArray[np.float16], asked: NDArray[np.float32], ten: float) -> list[list[int]]:
    """Return the rows of the ten best of each query, and print how long two exact ways in memory take."""
    centre = index.centering()
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


def _best(
    index: VectorIndex, row_of: dict[bytes, int], query: NDArray[np.float32], most: int, wanted: Filter | None = None
) -> list[int]:
    return [row_of[content] for content, _, _ in islice(index.rank(query, wanted or Filter()), most)]


def _times(ask: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32]) -> Iterator[float]:
    """Yield the seconds of each query."""
    for row in range(len(queries)):
        began = time.perf_counter()
        ask(queries[row : row + 1])
        yield time.perf_counter() - began


def _batch(contents: list[bytes], vectors: NDArray[np.float16], rows: range) -> WriteBatch:
    """Return what the daemon would commit for these rows."""
    found = [PhotoFound(f"{_folder(row)}/{row}.jpg", Stamp(row, 2, 3, row), contents[row]) for row in rows]
    return WriteBatch(photos=[*found], vectors={contents[row]: bytes(vectors[row]) for row in rows})


def originals() -> NDArray[np.float32]:
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
