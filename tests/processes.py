"""What other processes have loaded and use, and whether they end."""

import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# Words in front of a command that may watch ten folders.
FEW_WATCHES: Final = ("unshare", "-Ur", "sh", "-c", 'echo 10 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh")


def has_torch(pid: int) -> bool:
    """Return whether a process has loaded torch, by the size of its libraries: only root may see which a worker has."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return (
        sum(int(line.split()[1]) for line in lines if line.startswith("VmLib:")) > 300_000
    )  # kB; without torch 60,000


def anonymous_mb(pid: int) -> float:
    """Return the anonymous memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


@contextmanager
def watched_mb(pids: Callable[[], Iterable[int]]) -> Iterator[list[float]]:
    """Yield a list of one number: the most anonymous memory that one of these processes has had within the `with`, in MiB."""
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            with suppress(FileNotFoundError, ProcessLookupError, IndexError):
                most[0] = max([most[0], *map(anonymous_mb, pids())])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def ends_with(parent: "subprocess.Popen[bytes]") -> tuple[bool, bool]:
    """Kill a process that prints the number of its child; return whether the child had ended before, and has afterwards."""
    assert parent.stdout is not None
    child = os.pidfd_open(int(parent.stdout.readline()))
    ended = select.poll()
    ended.register(child, select.POLLIN)  # readable once the process has ended
    before = ended.poll(0)
    parent.kill()
    after = ended.poll(50_000)
    os.close(child)
    return bool(before), bool(after)
