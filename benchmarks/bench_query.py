"""How long a query by an indexed photo takes: as a process, and as one question among many.

    python benchmarks/bench_query.py [PHOTOS]

The bar: the process at most 100 ms in the median where Python itself takes 11 to 16.
"""

import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from common import BIN, Home, command_line, fill, header, make_snapshot, new_home, show, wall_s

_PROCESSES = 25
_QUESTIONS = 400  # of all clients together


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=5000)
    n = parser.parse_args().photos
    header(f"bench_query: {n} photos, synthetic vectors")
    with new_home() as home:
        paths = fill(home, n)
        make_snapshot(home)
        home.start()
        home.client().sync()
        _processes(home, paths)
        print()
        _questions(home, paths)
        home.stop()


def _processes(home: Home, paths: list[Path]) -> None:
    """Run each command in turn, again and again, so that a busy moment of the machine strikes all alike."""
    python, pixkin = str(BIN / "python"), str(BIN / "pixkin")
    took: dict[str, list[float]] = {
        "python -c pass": [],
        'python -c "import zmq, msgspec"': [],
        "pixkin like PHOTO": [],
    }
    for path in _some(paths, _PROCESSES):
        commands = ([python, "-c", "pass"], [python, "-c", "import zmq, msgspec"], [pixkin, "like", str(path)])
        for samples, command in zip(took.values(), commands, strict=True):
            samples.append(wall_s(command, home.env))
    bare, libraries, like = (show(what, samples) for what, samples in took.items())
    print(f"pixkin like: {like / bare:.1f} x bare Python, {like / libraries:.2f} x the import of its two libraries")


def _questions(home: Home, paths: list[Path]) -> None:
    """Ask from threads of this process, each question over a connection of its own, as `Client` does."""
    client = home.client()
    _at_once(1, lambda _: client.hello(), "hello: the connection alone, 1 client")
    some = _some(paths, _QUESTIONS)
    for clients in (1, 8, 64):
        _at_once(clients, lambda i: client.like(some[i]), f"like, {clients} at once")


def _at_once(clients: int, ask: Callable[[int], object], what: str) -> None:
    took: list[float] = []

    def run(first: int) -> None:
        for i in range(first, _QUESTIONS, clients):
            began = time.perf_counter()
            ask(i)
            took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=run, args=(first,)) for first in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(took) / (time.perf_counter() - began)
    if len(took) < _QUESTIONS:
        sys.exit("some questions were not answered")
    show(what, took)
    print(f"{'':<52} p99 {statistics.quantiles(took, n=100)[-1] * 1e3:.1f} ms, {rate:.0f} answers a second")


def _some(paths: list[Path], n: int) -> list[Path]:
    return [paths[i * 7919 % len(paths)] for i in range(n)]  # a prime: spread over the clusters


if __name__ == "__main__":
    main()
