"""Functions for the whole process: its limits, its lock, its signals, its memory."""

import ctypes
import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from pixkin.private import make_private, unusable
from pixkind.errors import AlreadyRunning
from pixkind.system.threads import NOTICE, RELOAD, STOP

_MMAP_THRESHOLD: Final = -3  # M_MMAP_THRESHOLD
_LARGE: Final = 1 << 20  # bytes; the memory of a search with a million photos is mostly of larger blocks
_STDERR: Final = 2  # the last of the three standard streams


def prepare_process() -> None:
    """Set the umask, the handling of SIGIO and of memory, and the limits of open files and core dumps; call `block_signals` before.

    A standard stream that is closed is opened: a socket with its number would be lost in a child process.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # The kernel sends SIGIO if a lease is broken in the moment that we have it.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))  # the usual soft limit is 1,024
    forbid_core_dumps()
    give_large_blocks_back()


def give_large_blocks_back() -> None:
    """Have the C library return each large block to the system as soon as it is freed.

    Otherwise, glibc keeps such blocks for each thread that has freed one: 160 MB in all after requests that look at a million photos.

    Source: mallopt(3), "dynamic mmap threshold".
    """
    with suppress(AttributeError, OSError):  # the C library is not glibc
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


def forbid_core_dumps() -> None:
    """Have the kernel write no core dump of this process and its children: their memory holds paths and vectors.

    The limit is 1 byte and not 0: the kernel ignores a limit of 0 if it pipes core dumps to a program, as systemd-coredump,
    but takes 1 for "none". The filter leaves all memory out, should a program get a core dump nevertheless. Both keep
    /proc/PID readable for its owner, as PR_SET_DUMPABLE would not: tools show what a daemon has open.

    Source: core(5); do_coredump in the kernel's fs/coredump.c.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 0 if hard == 0 else 1  # only root may raise it
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
    with suppress(OSError), open("/proc/self/coredump_filter", "w", encoding="ascii") as file:
        file.write("0")  # there is no such file without /proc, or in a kernel without core dumps


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Create a folder of pixkind and lock it while the context lasts; the kernel releases the lock even after a crash.

    Raises:
        AlreadyRunning: another pixkind has the lock.
        NotPrivate: another user could change what is in the folder, or its path is not UTF-8.
        PixkinError: it cannot be created or written.
    """
    try:
        make_private(folder)
        descriptor = os.open(os.path.join(folder, "pixkind.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(folder, error, "pixkind must be able to write there") from error
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
