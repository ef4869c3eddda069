"""Watches the memory of a process that comes and goes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def watched_mb(pid: Callable[[], int]) -> Iterator[list[float]]:
    """Yield a list of one number: the most anonymous memory that a process has had within the `with`, in MiB."""
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            with suppress(FileNotFoundError, ProcessLookupError, IndexError):
                status = Path(f"/proc/{pid()}/status").read_text()
                most[0] = max(most[0], int(status.partition("RssAnon:")[2].split()[0]) / 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()
