"""What concerns the whole process: its limits, its lock, its signals, its memory."""

import ctypes
import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pixkind.errors import AlreadyRunning
from pixkind.system.threads import NOTICE, RELOAD, STOP


def prepare_process() -> None:
    """Set what concerns the whole process, but for what `process.block_signals` has to do earlier."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # a lease that is broken in the moment we hold it sends one
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))  # EMFILE in accept() aborts libzmq


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold the lock of a folder for as long as the daemon lives; the kernel gives it back even after a crash.

    Raises:
        AlreadyRunning: another pixkind holds it.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(os.path.join(folder, "pixkind.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRunning(f"another pixkind runs already and holds {folder}", "pixkin status") from error
    try:
        yield
    finally:
        os.close(descriptor)


def trim() -> None:
    """Give free memory that the C library keeps back to the system."""
    with suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def block_signals() -> None:
    """Leave all signals to `services.run`. Before numpy is imported: a thread of its own that lacks the mask would take them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP | RELOAD | {NOTICE})
