"""How fast the daemon takes in photos that it knows: renamed with their folder, copied, or touched.

    python benchmarks/bench_reread.py [PHOTOS] [--kb KB]

The bars: nothing is encoded; at least 500 renamed photos a second; of what must be read, at least 80 % of reading and
hashing the same bytes on all cores in the same run.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Home, cpu_s, fill, header, new_home, picture

from pixkind.worker.inspect import inspect, open_photo


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", type=int, default=1000)
    parser.add_argument("--kb", type=int, default=500, help="the size of a photo")
    options = parser.parse_args()
    n = options.photos
    header(f"bench_reread: {n} photos of {options.kb} KB, in folders of a thousand")
    with new_home() as home:
        paths = fill(home, n, bytes_each=options.kb * 1000)
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
        copied = _row(
            home, "they are copied", n, lambda: shutil.copytree(moved, home.photos / "copy"), begins_after=True
        )
        files = sorted(moved.glob("*/*.jpg"))
        began = time.perf_counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_inspect, files))
        bare = n / (time.perf_counter() - began)
        encodes = client.status().counters["encodes"]
        home.stop()
    print(f"{'reading and hashing them alone':<32} {bare:8.0f} photos/s, {bare * options.kb / 1e3:6.0f} MB/s")
    print(
        f"renamed {renamed / bare:.0%}, touched {touched / bare:.0%}, copied {copied / bare:.0%} of that; {encodes} encodes"
    )


def _row(home: Home, what: str, n: int, change: Callable[[], object], *, begins_after: bool = False) -> float:
    """Change something, and return how many photos a second have their outcome since; with the change, if it is quick."""
    client, cpu = home.client(), cpu_s(home.processes())
    began = time.perf_counter()
    change()
    if begins_after:
        began = time.perf_counter()
    client.sync()
    took, cpu = time.perf_counter() - began, cpu_s(home.processes()) - cpu
    print(f"{what:<32} {n / took:8.0f} photos/s, {took:6.2f} s; processor {1e6 * cpu / n:6.0f} us a photo")
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
