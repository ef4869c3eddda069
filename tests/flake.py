"""Runs the tests again and again, each time in another order, every second time on a busy machine: `make flake`.

Arguments: how often, and those of pytest. No process is left behind, however it ends.
"""

import ctypes
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BURNERS = 2  # processes that keep as many cores busy
_BURN = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
_PR_SET_CHILD_SUBREAPER = 36  # who loses its parent becomes our child. Source: prctl(2).


@contextmanager
def _burning(count: int) -> Iterator[None]:
    started = [subprocess.Popen([sys.executable, "-c", _BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def _end_all_children() -> None:
    """Kill whatever a run has left behind: the children of what is killed are ours then."""
    while pids := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for pid in map(int, pids):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _run(seed: int, burners: int, words: list[str]) -> tuple[str, list[str]]:
    """Return the closing line of one run and the tests that failed; their output is kept in a file, the last of them."""
    command = [sys.executable, "-m", "pytest", "-q", f"--randomly-seed={seed}", *words]
    try:
        with _burning(burners):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    finally:
        _end_all_children()
    closing = (done.stdout.splitlines() or ["nothing said"])[-1].strip("= ")
    if not done.returncode:
        return closing, []
    log = Path(tempfile.gettempdir(), f"pixkin-flake-{seed}.log")
    log.write_text(done.stdout)
    failed = re.findall(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return closing, [*failed, f"exit status {done.returncode}, {log}"]


def main(times: int, words: list[str]) -> int:
    """Print a line for each run, and a summary; return the exit status."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    failures = 0
    for number in range(times):
        seed, burners = random.SystemRandom().randrange(1 << 32), _BURNERS * (number % 2)
        began = time.monotonic()
        closing, failed = _run(seed, burners, words)
        failures += bool(failed)
        machine = "busy" if burners else "free"
        told = [f"{number + 1}/{times}", f"seed {seed}", machine, f"{time.monotonic() - began:.0f} s", closing, *failed]
        sys.stdout.write("  ".join(told) + "\n")
        sys.stdout.flush()
    sys.stdout.write(f"{failures} of {times} runs failed\n")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
