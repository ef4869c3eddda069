"""How long the daemon takes to find all near-duplicates among N photos, what it misses, and what queries feel of it meanwhile.

Against comparing all pairs exactly with numpy, in the same run: some rows with all, from which the whole is reckoned.

    python benchmarks/bench_dupes.py [PHOTOS]

The bar: 180 s with 100,000 photos, on two cores.

The vectors are synthetic: each has every dimension from one of three out of 500 originals, times noise, so that pairs score
about as those of photos of 500 kinds do. Every tenth photo begins a planted group of two to five, which score 0.7 to 0.99.
The originals are made up, or real ones from a file: --originals FILE.npy, (n, dims) float32.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from bench_search import originals
from common import DIMS, Home, command_line, cpu_s, header, make_snapshot, memory_bytes, new_home, show
from numpy.typing import NDArray

from pixkin.protocol.replies import Group
from pixkind.encoder.messages import Details
from pixkind.encoder.space import LITE0, resolve
from pixkind.fs.stamp import Stamp
from pixkind.index.centering import RunningMean
from pixkind.search.clustering import Pairs, complete_link
from pixkind.search.simhash import SimHashes
from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.record import Facts
from pixkind.storage.recovery import close_store
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

SIMILAR = 0.75  # bursts and heavier edits: more pairs than by default
_BLOCK = 5000
_PART = 2048  # rows that are compared exactly with all
_MOST_WHOLE = 20_000  # photos of which all pairs are
_QUERIES = 200
_STRIDE = 10  # photos from one planted group to the next
_NOISE = (0.1, 0.5)  # of a planted photo


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=20_000)
    parser.add_argument("--originals", help="real vectors to mix")
    options = parser.parse_args()
    header(f"bench_dupes: {options.photos} photos, pairs that score {SIMILAR} or more")
    vectors = _library(np.load(options.originals) if options.originals else originals(), options.photos)
    with new_home() as home:
        paths = _fill(home, vectors)
        make_snapshot(home)
        home.start()
        _ask(home, paths, "like, alone", lambda: True)
        groups, took_s = _search(home)
        searcher = threading.Thread(target=_search, args=(home,))
        searcher.start()
        _ask(home, paths, "like, during another search", searcher.is_alive)
        searcher.join()
        home.stop()
    _compare(vectors, groups, took_s)


def _search(home: Home) -> tuple[list[Group], float]:
    """Find all groups, and print how long it took; return them and the seconds."""
    before = peak = memory_bytes(home.processes())
    computed_s = cpu_s(home.processes())
    times: list[float] = []
    groups: list[Group] = []
    began = time.perf_counter()

    def told(_: object) -> None:
        nonlocal peak
        peak = max(peak, memory_bytes(home.processes()))

    for group in home.client().dupes(min_score=SIMILAR, told=told):
        groups.append(group)
        times.append(time.perf_counter() - began)
    took_s = time.perf_counter() - began
    computed_s = cpu_s(home.processes()) - computed_s
    print(
        f"{len(groups)} groups of {sum(len(one.photos) for one in groups)} photos in {took_s:.1f} s, of which the processor "
        f"{computed_s:.1f}; the first after {times[0]:.2f} s, half of them after {times[len(times) // 2]:.1f} s; "
        f"{(peak - before) / 2**20:.0f} MiB more memory"
    )
    return groups, took_s


def _ask(home: Home, paths: Sequence[str], what: str, goes_on: Callable[[], bool]) -> None:
    """Ask for photos like indexed ones, and print how long it took."""
    took: list[float] = []
    client = home.client()
    for path in paths[:: max(1, len(paths) // _QUERIES)]:
        if not goes_on():
            break
        began = time.perf_counter()
        client.like(path)
        took.append(time.perf_counter() - began)
    show(what, took)
    print(f"at most {1e3 * max(took):.1f} ms")


def _compare(vectors: NDArray[np.float16], groups: Sequence[Group], took_s: float) -> None:
    """Compare some rows, or all, with all exactly, and print how long it took and what the daemon missed."""
    n = len(vectors)
    mean = RunningMean()
    for at in range(0, n, _BLOCK):
        mean = mean.plus(vectors[at : at + _BLOCK].astype(np.float32))
    centering = mean.centering()
    hashes = SimHashes(DIMS, n)
    rows = np.arange(n if n <= _MOST_WHOLE else _PART)
    firsts = centering.centred(vectors[rows].astype(np.float32))
    pairs, exact_s = Pairs(), 0.0
    for at in range(0, n, _BLOCK):
        block = centering.centred(vectors[at : at + _BLOCK].astype(np.float32))
        hashes.fill(block)
        began = time.perf_counter()
        for first in range(0, len(rows), _PART):
            scores = firsts[first : first + _PART] @ block.T
            for one, other in np.argwhere(scores >= SIMILAR).tolist():
                if first + one < at + other:
                    pairs.add(first + one, at + other, float(scores[one, other]))
        exact_s += time.perf_counter() - began
    whole_s = exact_s * n / len(rows) / 2  # each pair once
    print(
        f"numpy, exact, on all cores: {whole_s:.1f} s, reckoned from {len(rows)} rows; the daemon is {whole_s / took_s:.1f} x as fast"
    )
    ours, theirs = hashes.pairs(rows, firsts, SIMILAR, n, lambda: None)
    found = {*zip(rows[ours].tolist(), theirs.tolist(), strict=True)}
    known = [*zip(pairs.firsts, pairs.seconds, strict=True)]
    hits = sum(pair in found or pair[::-1] in found for pair in known)
    print(f"recall of {len(known)} exact pairs {hits / max(len(known), 1):.5f}; {len(found)} were to be scored")
    if len(rows) == n:
        exact = {tuple(members) for members, _ in complete_link(pairs)}
        same = sum(tuple(sorted(int(photo.path[-11:-4]) for photo in group.photos)) in exact for group in groups)
        print(f"{same} of {len(groups)} groups are those of the exact pairs, which make {len(exact)}")


def _fill(home: Home, vectors: NDArray[np.float16]) -> list[str]:
    """Make the index of empty files, since the search looks at each file that it names, and return their paths."""
    space = resolve(LITE0, "", home.env["XDG_DATA_HOME"]).name
    store = Store(str(home.folder / "state_home/pixkin/index.lmdb"), space, map_gb=64)
    paths = [str(home.photos / f"{row // 1000:04}" / f"{row:07}.jpg") for row in range(len(vectors))]
    for at in range(0, len(vectors), _BLOCK):
        batch = WriteBatch()
        for row in range(at, min(len(vectors), at + _BLOCK)):
            content = hashlib.blake2b(b"%d" % row, digest_size=CONTENT_BYTES).digest()
            os.makedirs(os.path.dirname(paths[row]), exist_ok=True)
            os.close(os.open(paths[row], os.O_CREAT | os.O_CLOEXEC))
            batch.photos.append(PhotoFound(paths[row], Stamp.of(os.lstat(paths[row])), content, Details()))
            batch.contents[content] = Facts(4000, 3000, 0, "")
            batch.vectors[content] = vectors[row].tobytes()
        store.commit(batch)
    close_store(store)
    return paths


def _library(originals: NDArray[np.float32], n: int) -> NDArray[np.float16]:
    random = np.random.default_rng(1)
    result = np.empty((n, DIMS), np.float16)
    for at in range(0, n, _BLOCK):
        block = result[at : at + _BLOCK]
        kinds = random.integers(0, len(originals), (3, len(block)))
        share = np.cumsum(random.dirichlet((1, 1, 1), len(block)), axis=1).astype(np.float32)
        which = random.random(block.shape, dtype=np.float32)
        mixed = np.where(which < share[:, 1:2], originals[kinds[1]], originals[kinds[2]])
        mixed = np.where(which < share[:, :1], originals[kinds[0]], mixed)
        block[:] = mixed * np.exp(0.5 * random.standard_normal(block.shape, dtype=np.float32))
        for first in range(0, len(block) - _STRIDE, _STRIDE):
            copies = block[first + 1 : first + int(random.integers(2, 6))]
            noise = random.uniform(*_NOISE) * random.standard_normal(copies.shape, dtype=np.float32)
            copies[:] = block[first].astype(np.float32) * np.exp(noise)
    return result


if __name__ == "__main__":
    main()
