"""The worker's sandbox: it limits what a hostile photo could reach if it took over the decoder.

`enter_sandbox` runs in the worker's only thread before any large import: Landlock and seccomp bind the calling thread and the
threads that it starts. No privilege is needed. Where the kernel or a library lacks a part, less is enforced. The worker goes on
and says what is missing, and `pixkin status` shows it.

| what hostile code could want | what stops it |
| --- | --- |
| secrets of the daemon | the worker's environment has none (`encoder/process`), and its memory begins with `exec` |
| to read, list, write, make or delete files | Landlock: all but reading Python's folders, libraries and the weights; seccomp: all but reading |
| modes, owners, times and attributes of files | seccomp, also for the photos' own descriptors |
| the network, D-Bus and other services | seccomp: no socket but the one that the worker has, and no address |
| other programs, processes and their limits | seccomp: threads only, and no call that names another process |
| memory | RLIMIT_DATA, and seccomp: no memory that this limit does not count |
| rare calls of the kernel, with their bugs | seccomp: about a hundred calls are allowed |
| to outlive the daemon | the kernel kills the worker together with the daemon's thread that has started it |
| photos in a core dump | no core dumps |

Not stopped: `stat` of any file (`syscalls` says why), computing without end (the daemon's deadlines end it), and threads, up
to the user's limit less `SPARE_PROCESSES`, or `TasksMax` of the service. The limit of threads does not bind root.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final, NamedTuple

from pixkind.encoder.worker import syscalls

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38  # linux/prctl.h
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture that Python runs on
CREATE_RULESET_VERSION: Final = 1
RULE_PATH_BENEATH: Final = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
# Rights on files that each ABI of Landlock knows: a kernel refuses a ruleset with unknown rights.
FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP_BIND_AND_CONNECT: Final = 0b11  # since ABI 4
SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11  # since ABI 6
COMPLETE_ABI: Final = 6  # an older one lacks rights or scopes from above

# Shared libraries, the loader's cache, and files from which the runtimes read about processors, memory and graphics cards. Of
# the cards that is a list of numbers; ONNX Runtime would complain of each start without it.
SYSTEM: Final = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/bus/pci/devices"),
    *("/dev/null", "/dev/zero", "/dev/urandom"),
)
MOST_MP: Final = 100  # no photo may take more memory than so many in whole frames
PIXEL_BYTES: Final = 12  # four when decoded, and eight more in decoders that keep two whole frames (WebP)
# Of addresses: torch maps gigabytes of libraries and stacks that it never touches. Empty memory takes no more than its tables.
ADDRESS_BYTES: Final = 64 << 30
# The daemon sends at most 128 photos at once. The rest is for libraries.
DESCRIPTORS: Final = 256
FILE_BYTES: Final = 6144  # as large as the file that says which thread works at which job, see `messages.WORK_BYTES`
SPARE_PROCESSES: Final = 256  # of those that the user may have: other programs can still start some


class Confinement(NamedTuple):
    """What the sandbox enforces, and what it cannot enforce here and why; in words for users."""

    enforced: tuple[str, ...]
    missing: tuple[str, ...]


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def enter_sandbox(weights: str, limit_mp: int) -> Confinement:
    """Give up what the worker never needs: new privileges, files, network, other processes, unlimited memory.

    Args:
        weights: the one file outside the Python environment that may still be opened.
        limit_mp: megapixels of the largest image; the limit of memory depends on it.
    """
    sys.modules["cuda"] = None  # type: ignore[assignment]  # documented: makes the import fail. torch's looks for a compiler.
    libc = ctypes.CDLL(None, use_errno=True)
    _limit(limit_mp)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    said = [("limited memory, descriptors and file sizes", ""), _no_core_dumps(libc)]
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        # seccomp last: it forbids the calls of Landlock.
        said += [("no new privileges", ""), _landlock(libc, [*_environment(), *SYSTEM, weights]), _seccomp()]
    else:
        said.append(("", "Landlock and seccomp: this kernel cannot forbid new privileges"))
    return Confinement(*(tuple(filter(None, words)) for words in zip(*said, strict=True)))


def _limit(limit_mp: int) -> None:
    data_bytes = (3 << 30) + min(limit_mp, MOST_MP) * 1_000_000 * PIXEL_BYTES  # torch takes about half of 3 GiB
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    for what, most in (
        (resource.RLIMIT_DATA, data_bytes),
        (resource.RLIMIT_AS, ADDRESS_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_NPROC, processes - SPARE_PROCESSES if processes > 2 * SPARE_PROCESSES else processes),
    ):
        _, hard = resource.getrlimit(what)
        if most != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or most < hard):
            resource.setrlimit(what, (most, most))


def _no_core_dumps(libc: ctypes.CDLL) -> tuple[str, str]:
    """Forbid core dumps, which would hold photos. Where a program takes them, RLIMIT_CORE does not count, see core(5)."""
    # Where /proc hides the processes of others, it would hide this one from the daemon, which reads its CPU time there.
    if not os.access("/proc/1/stat", os.R_OK):
        return "no core dumps in files", "core dumps to a program: /proc is mounted with hidepid"
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    return "no core dumps", ""


def _seccomp() -> tuple[str, str]:
    """Load the filter of system calls; return what is enforced, or what is missing and why."""
    if os.uname().machine not in syscalls.MACHINES:
        return "", f"seccomp: pixkin has no filter for {os.uname().machine}"
    try:
        library = syscalls.load_library()
    except (ImportError, OSError) as error:
        return "", f"seccomp: {error}"[:100]
    try:
        syscalls.build(library).load()
    except OSError as error:
        return "", f"seccomp: the kernel refuses the filter: {error.strerror}"
    return "seccomp", ""


def _environment() -> list[str]:
    """Return the folders that Python imports from: the environment, and our sources where the install is editable."""
    ours = [spec.origin for name in ("pixkind", "pixkin") if (spec := find_spec(name)) and spec.origin]
    # The parent of each package: the import system lists that folder to find the package.
    return [sys.prefix, sys.base_prefix, *(os.path.dirname(os.path.dirname(origin)) for origin in ours)]


def _landlock(libc: ctypes.CDLL, readable: Iterable[str]) -> tuple[str, str]:
    """Allow reading beneath these paths, and nothing else; return what is enforced, and what is missing and why.

    Source: landlock(7).
    """
    abi = int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION))
    if abi < 1:  # ENOSYS, EOPNOTSUPP
        return "", "Landlock: this kernel has none, or it is disabled"
    handled = _Ruleset(
        fs=FILE_RIGHTS[max(known for known in FILE_RIGHTS if known <= abi)],
        net=TCP_BIND_AND_CONNECT if abi >= 4 else 0,
        scoped=SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    )
    # An older kernel accepts the longer structure if the fields that it does not know are zero.
    ruleset = int(libc.syscall(CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0))
    if ruleset < 0:
        return "", f"Landlock: {os.strerror(ctypes.get_errno())}"
    try:
        for path in readable:
            _admit(libc, ruleset, path)
        if libc.syscall(RESTRICT_SELF, ruleset, 0) != 0:
            return "", f"Landlock: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(ruleset)
    older = f"a part of Landlock: this kernel has version {abi}, and {COMPLETE_ABI} is complete"
    return f"Landlock {abi}", older if abi < COMPLETE_ABI else ""


def _admit(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not on this system
        return
    rights = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
    rule = _PathBeneath(allowed=rights, parent=descriptor)
    libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    # A rule holds an inode. When memory is short, the kernel forgets those of /proc, and makes others for the same names, to which
    # no rule applies. While a descriptor is open, it does not. torch opens these files when it begins to compute.
    if not path.startswith("/proc/"):
        os.close(descriptor)
