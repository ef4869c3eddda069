"""How long it takes from exec to the first answer to a query, with many photos in the store.

    python benchmarks/bench_start.py [PHOTOS]

The bar: 3 s with a million photos, after a clean stop.
"""

import argparse
import time
from pathlib import Path

from common import BIN, Home, fill, header, new_home, show, wall_s

_ROUNDS = 5
_FEW = 100
_IMPORTS = "import lmdb, zmq, msgspec, watchdog.observers, numpy, faiss"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", type=int, default=20_000)
    n = parser.parse_args().photos
    header(f"bench_start: {n} photos, synthetic vectors")
    with new_home() as few, new_home() as many:
        libraries, small, large, killed = [], [], [], []
        one, other = fill(few, _FEW)[0], fill(many, n)[0]
        for _ in range(_ROUNDS):
            libraries.append(wall_s([BIN / "python", "-c", _IMPORTS]))
            small.append(_first_answer(few, one))
            few.stop()
            large.append(_first_answer(many, other))
            many.kill()
            killed.append(_first_answer(many, other))
            many.stop()
    bare = show(f'python -c "{_IMPORTS}"', libraries)
    show(f"first answer, {_FEW} photos", small)
    clean = show(f"first answer, {n} photos, after a clean stop", large)
    show(f"first answer, {n} photos, after SIGKILL", killed)
    print(f"after a clean stop: {clean / bare:.1f} x its libraries' import")


def _first_answer(home: Home, path: Path) -> float:
    began = time.perf_counter()
    home.start()
    if not home.client().like(path).matches:
        raise RuntimeError(f"no answer for {path}")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
