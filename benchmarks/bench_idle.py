"""What a daemon with nothing to do takes: memory, processor, wake-ups.

    python benchmarks/bench_idle.py [PHOTOS] [--seconds S]

The bars: RssAnon + RssShmem at most 90 MB and 300 bytes a photo, and two wake-ups a second, when the worker is gone.
The baseline is a process that has imported what the daemon imports, and waits.
"""

import subprocess
import time

from common import (
    BIN,
    Home,
    command_line,
    cpu_s,
    fill,
    header,
    make_snapshot,
    memory_bytes,
    new_home,
    picture,
    switches,
)

_IMPORTS = "import lmdb, zmq, msgspec, watchdog.observers, numpy, faiss, sys; print(flush=True); sys.stdin.read()"
_SETTLE_S = 3.0  # after the worker has gone: what was begun before ends


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    header(f"bench_idle: {options.photos} photos, {options.seconds:.0f} s")
    with subprocess.Popen([BIN / "python", "-c", _IMPORTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bare:
        if bare.stdout is not None:
            bare.stdout.readline()
        libraries = memory_bytes([bare.pid])
        bare.terminate()
    with new_home() as home:
        fill(home, options.photos)
        home.configure("[encoder]\nkeep_warm_s = 1\n")
        make_snapshot(home)
        home.start()
        client = home.client()
        client.sync()
        print(f"{'its libraries alone':<32} {libraries / 1e6:8.1f} MB")
        print(f"{'before a worker was needed':<32} {memory_bytes(home.processes()) / 1e6:8.1f} MB")
        client.like(picture(1))
        print(
            f"{'with its worker':<32} {memory_bytes(home.processes()) / 1e6:8.1f} MB, {len(home.processes())} processes"
        )
        _let_go(home)
        _idle(home, options.seconds, options.photos)
        home.stop()


def _let_go(home: Home) -> None:
    until = time.monotonic() + 30
    while len(home.processes()) > 1:
        if time.monotonic() > until:
            raise TimeoutError("the worker did not go")
        time.sleep(0.1)
    time.sleep(_SETTLE_S)


def _idle(home: Home, seconds: float, photos: int) -> None:
    processes = home.processes()
    cpu, woken, began = cpu_s(processes), switches(processes), time.monotonic()
    time.sleep(seconds)
    cpu, woken, took = cpu_s(processes) - cpu, switches(processes) - woken, time.monotonic() - began
    memory = memory_bytes(processes)
    print(f"{'worker gone':<32} {memory / 1e6:8.1f} MB (the bar: {90 + 300 * photos / 1e6:.1f})")
    print(f"{'processor':<32} {1e3 * cpu / took:8.2f} ms a second")
    print(f"{'wake-ups':<32} {woken / took:8.2f} a second (the bar: 2)")


if __name__ == "__main__":
    main()
