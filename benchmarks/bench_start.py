"""How long it takes from exec to the first answer to a query, with many photos in the store.

    python benchmarks/bench_start.py [PHOTOS]

The bar: 3 s with a million photos, after a clean stop.
"""

import subprocess
import time
from pathlib import Path

from common import BIN, Home, command_line, fill, header, make_snapshot, new_home, show, wall_s

_ROUNDS = 5
_FEW = 100
_IMPORTS = "import lmdb, zmq, msgspec, watchdog.observers, numpy, faiss"
_PARTS = """
import os, time
laps = [("", time.perf_counter())]
def lap(what):
    laps.append((what, time.perf_counter()))
from pixkin import locations
from pixkind import config, daemon
from pixkind.encoder import space
from pixkind.index.vector_index import VectorIndex
from pixkind.ingest.counts import PhotoCounts
from pixkind.storage import recovery
lap("imports")
now = config.load(None)
where = space.resolve(now.encoder.model, now.encoder.weights, locations.data_folder())
lap("configuration, space")
store = recovery.open_store(os.path.join(locations.state_folder(), "index.lmdb"), where.name, map_gb=64, waits=False)
lap("store")
store.retry_failed("another decoder")
lap("failed photos")
PhotoCounts(now.index.folders, store.count)
store.roots.clocks()
lap("counts, clocks")
index = VectorIndex(store)
lap("index")
index.stop()
recovery.close_store(store)
for (_, began), (what, ended) in zip(laps, laps[1:]):
    print(f"{what:<32} {1e3 * (ended - began):10.1f} ms")
"""


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=20_000)
    parser.add_argument("--no-files", action="store_true", help="make no photos, only their index: a start needs none")
    options = parser.parse_args()
    n, has_files = options.photos, not options.no_files
    header(f"bench_start: {n} photos, synthetic vectors")
    with new_home() as few, new_home() as many:
        libraries, small, large, killed = [], [], [], []
        one, other = fill(few, _FEW)[0], fill(many, n, has_files=has_files)[0]
        began = time.perf_counter()
        make_snapshot(many)
        print(f"the first start, which reads every vector and makes the codes: {time.perf_counter() - began:.0f} s")
        for _ in range(_ROUNDS):
            libraries.append(wall_s([BIN / "python", "-c", _IMPORTS]))
            small.append(_first_answer(few, one))
            few.stop()
            large.append(_first_answer(many, other))
            many.kill()
            killed.append(_first_answer(many, other))
            many.stop()
        parts = _parts(many)
    bare = show(f'python -c "{_IMPORTS}"', libraries)
    show(f"first answer, {_FEW} photos", small)
    clean = show(f"first answer, {n} photos, after a clean stop", large)
    show(f"first answer, {n} photos, after SIGKILL", killed)
    print(f"after a clean stop: {clean / bare:.1f} x its libraries' import\n\n{parts}")


def _parts(home: Home) -> str:
    """Return, in words, what each part of a start takes, after a clean stop."""
    command = [BIN / "python", "-c", _PARTS]
    return subprocess.run(command, env=home.env, capture_output=True, text=True, check=True).stdout


def _first_answer(home: Home, path: Path) -> float:
    began = time.perf_counter()
    home.start()
    if not home.client().like(path).matches:
        raise RuntimeError(f"no answer for {path}")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
