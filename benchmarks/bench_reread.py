"""How fast the daemon takes in photos that it knows: renamed with their folder, copied, or touched.

    python benchmarks/bench_reread.py [PHOTOS] [--kb KB]

The bars: nothing is encoded; at least 500 renamed photos a second; of what must be read, at least 80 % of reading and
hashing the same bytes on all cores in the same run.
"""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Home, command_line, cpu_s, fill, header, make_snapshot, new_home, picture

from pixkind.encoder.worker.header import inspect, open_photo


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=1000)
    parser.add_argument("--kb", type=int, default=500, help="the size of a photo")
    options = parser.parse_args()
    n = options.photos
    header(f"bench_reread: {n} photos of {options.kb} KB, in folders of a thousand")
    with new_home() as home:
        paths = fill(home, n, bytes_each=options.kb * 1000)
        make_snapshot(home)
        home.start()
        client = home.client()
        client.sync()
        client.like(picture(1))  # the worker is there
        moved = home.photos / "moved"
        moved.mkdir()

        def rename() -> None:
            for folder in {path.parent for path in paths}:
                folder.rename(moved / folder.name)

        renamed = _row(home, "their folders are renamed", n, rename)
        touched = _row(home, "every mtime is shifted", n, lambda: _touch(moved))
        copy = home.folder / "copy"
        shutil.copytree(moved, copy)
        copied = _row(home, "copies of them come", n, lambda: copy.rename(home.photos / "copy"))
        files = sorted(moved.glob("*/*.jpg"))
        began, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_inspect, files))
        bare = _told("reading and hashing them alone", n, began, time.process_time() - cpu)
        encodes = client.status().counters["encodes"]
        home.stop()
    print(
        f"renamed {renamed / bare:.0%}, touched {touched / bare:.0%}, copied {copied / bare:.0%} of that; {encodes} encodes"
    )


def _row(home: Home, what: str, n: int, change: Callable[[], object]) -> float:
    """Change something, and return how many photos a second have been changed and have their outcome."""
    client, cpu, began = home.client(), cpu_s(home.processes()), time.perf_counter()
    change()
    client.sync()
    return _told(what, n, began, cpu_s(home.processes()) - cpu)


def _told(what: str, n: int, began: float, cpu: float) -> float:
    took = time.perf_counter() - began
    print(f"{what:<34} {n / took:8.0f} photos/s, {took:6.2f} s; processor {1e6 * cpu / n:6.0f} us a photo")
    return n / took


def _touch(folder: Path) -> None:
    for path in folder.glob("*/*.jpg"):
        st = path.stat()
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns + 3_600_000_000_000))


def _inspect(path: Path) -> None:
    with open_photo(os.open(path, os.O_RDONLY)) as file:
        inspect(file, job=0, limit_mp=100)


if __name__ == "__main__":
    main()
