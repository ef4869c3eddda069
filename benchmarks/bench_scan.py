"""How long the daemon takes to find that nothing has changed, against a bare scandir and stat of the same tree.

    python benchmarks/bench_scan.py [PHOTOS]

The bar: at most 10 us a photo beyond the bare one.
"""

import os
import time

from common import command_line, cpu_s, fill, header, make_snapshot, new_home, show

_ROUNDS = 7


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=20_000)
    n = parser.parse_args().photos
    header(f"bench_scan: {n} unchanged photos in folders of a thousand")
    bare, whole, processor = [], [], []
    with new_home() as home:
        fill(home, n)
        make_snapshot(home)
        home.start()
        client = home.client()
        client.sync()
        for _ in range(_ROUNDS):
            began, cpu = time.perf_counter(), time.process_time()
            _look(str(home.photos))
            bare.append(time.perf_counter() - began)
            cpu = time.process_time() - cpu
            began, before = time.perf_counter(), cpu_s(home.processes())
            client.sync()
            whole.append(time.perf_counter() - began)
            processor.append(cpu_s(home.processes()) - before - cpu)
        encodes = client.status().counters["encodes"]
        home.stop()
    least = show("os.scandir and stat of everything", bare)
    took = show("pixkin sync, in one process", whole)
    show(
        "the rescan beyond the bare one, a photo",
        [(b - a) / n for a, b in zip(bare, whole, strict=True)],
        "us",
        factor=1e6,
    )
    show("the same in processor time", [one / n for one in processor], "us", factor=1e6)
    print(f"{took / least:.1f} x the bare one, {encodes} encodes")


def _look(folder: str) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _look(entry.path)
            else:
                entry.stat(follow_symlinks=False)


if __name__ == "__main__":
    main()
