"""How fast `pixkin export` writes a library in each form, in how much memory, and what a query waits for it.

    python benchmarks/bench_export.py [PHOTOS]

The baseline: `like` before an export.
"""

import statistics
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from common import BIN, Home, command_line, fill, header, make_snapshot, memory_bytes, new_home, show

_FORMS = ("--jsonl", "--npy", "--parquet")
_BEFORE = 200  # queries


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=20_000)
    n = parser.parse_args().photos
    header(f"bench_export: {n} photos, synthetic vectors")
    with new_home() as home:
        paths = fill(home, n)
        make_snapshot(home)
        home.start()
        home.client().sync()
        show("like, before", [_asked_s(home, paths[i * 7919 % n]) for i in range(_BEFORE)])
        print(f"{'daemon, before':<52} {memory_bytes(home.processes()) / 1e6:.0f} MB")
        for form in _FORMS:
            _export(home, paths, form)
        _export(home, paths, "--jsonl", "--no-vectors")
        home.stop()


def _export(home: Home, paths: list[Path], form: str, *words: str) -> None:
    """Write one file, ask meanwhile, and delete it."""
    file, what = home.folder / "all", f"export {' '.join((form, *words))}"
    took, daemon, client, done = list[float](), [0], [0], threading.Event()

    def ask() -> None:
        while not done.is_set():
            took.append(_asked_s(home, paths[len(took) * 7919 % len(paths)]))
            daemon.append(memory_bytes(home.processes()))
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                client.append(memory_bytes([process.pid]))

    asking = threading.Thread(target=ask)
    began = time.perf_counter()
    with subprocess.Popen([BIN / "pixkin", "export", form, file, *words], env=home.env) as process:
        asking.start()
        status = process.wait()
        took_s = time.perf_counter() - began
        done.set()
    asking.join()
    size = sum(one.stat().st_size for one in home.folder.glob("all*"))
    for one in home.folder.glob("all*"):
        one.unlink()
    print(f"{what:<52} {len(paths) / took_s:,.0f} rows a second, {size / len(paths):,.0f} bytes a row, status {status}")
    print(f"{'':<52} daemon at most {max(daemon) / 1e6:.0f} MB, client {max(client) / 1e6:.0f} MB")
    show("like, meanwhile", took)
    print(f"{'':<52} p99 {statistics.quantiles(took, n=100)[-1] * 1e3:.1f} ms")


def _asked_s(home: Home, path: Path) -> float:
    began = time.perf_counter()
    home.client().like(path)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
