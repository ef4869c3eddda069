"""Functions for the whole process: its limits, its lock, its signals, its memory."""

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
    """Set the umask, the handling of SIGIO and the limit of open files; `block_signals` must be called before it."""
    # The kernel sends SIGIO if a lease is broken in the moment that we have it.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))  # EMFILE in accept() aborts libzmq


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Lock a folder while the context lasts; the kernel releases the lock even after a crash.

    Raises:
        AlreadyRunning: another pixkind has the lock.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(os.path.join(folder, "pixkind.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRunning(f"another pixkind is already running and has locked {folder}", "pixkin status") from error
    try:
        yield
    finally:
        os.close(descriptor)


def trim() -> None:
    """Return free memory from the C library to the system (malloc_trim)."""
    with suppress(AttributeError, OSError):  # the C library is not glibc
        ctypes.CDLL(None).malloc_trim(0)


def block_signals() -> None:
    """Block the signals that `services.run` waits for.

    Call it before numpy is imported: numpy starts a thread, and without this mask that thread would receive them.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP | RELOAD | {NOTICE})
