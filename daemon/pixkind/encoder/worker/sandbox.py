"""The worker's sandbox: it limits what a hostile photo could reach if it took over the decoder.

`enter_sandbox` runs in the worker's only thread before any large import: Landlock binds the calling thread and the threads
that it starts. No privilege is needed. On a kernel without Landlock, or with an older one, less is enforced, and the worker
goes on.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

PR_SET_NO_NEW_PRIVS: Final = 38  # linux/prctl.h
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture that Python runs on
CREATE_RULESET_VERSION: Final = 1
RULE_PATH_BENEATH: Final = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
# Rights on files that each ABI of Landlock knows: a kernel refuses a ruleset with unknown rights.
FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP_BIND_AND_CONNECT: Final = 0b11  # since ABI 4
SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11  # since ABI 6

# Shared libraries, the loader's cache, and files from which torch and OpenMP read about processors and memory.
SYSTEM: Final = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
    *("/dev/null", "/dev/zero", "/dev/urandom"),
)
MOST_MP: Final = 100  # no photo may take more memory than so many in whole frames
PIXEL_BYTES: Final = 12  # four when decoded, and eight more in decoders that keep two whole frames (WebP)


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def enter_sandbox(weights: str, limit_mp: int) -> tuple[str, ...]:
    """Give up what the worker never needs: new privileges, files, network, core dumps, unlimited memory.

    Args:
        weights: the one file outside the Python environment that may still be opened.
        limit_mp: megapixels of the largest image; the limit of memory depends on it.

    Returns:
        The limits that are enforced, in words.
    """
    enforced = []
    # By default OpenMP's threads spin while they wait for each other, which is most of the time on a busy machine.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    # torch looks for a folder for compiled code, and its CUDA bindings look for a compiler. Neither is used.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = sys.prefix
    sys.modules["cuda"] = None  # type: ignore[assignment]  # documented: makes the import fail
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        enforced.append("no new privileges")
        if abi := _landlock(libc, [*_environment(), *SYSTEM, weights]):
            enforced.append(f"Landlock {abi}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold photos
    # DATA, not AS: torch maps gigabytes of libraries and stacks that it never touches. torch takes about half of 3 GiB.
    limit_bytes = (3 << 30) + min(limit_mp, MOST_MP) * 1_000_000 * PIXEL_BYTES
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or limit_bytes < most:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    return (*enforced, "no core dumps", "limited memory")


def _environment() -> list[str]:
    """Return the folders that Python imports from: the environment, and our sources where the install is editable."""
    ours = [spec.origin for name in ("pixkind", "pixkin") if (spec := find_spec(name)) and spec.origin]
    # The parent of each package: the import system lists that folder to find the package.
    return [sys.prefix, sys.base_prefix, *(os.path.dirname(os.path.dirname(origin)) for origin in ours)]


def _landlock(libc: ctypes.CDLL, readable: Iterable[str]) -> int:
    """Allow reading beneath these paths, and nothing else; return the ABI that is used, 0 for none.

    Source: landlock(7).
    """
    abi = int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION))
    if abi < 1:  # ENOSYS, EOPNOTSUPP: this kernel has no Landlock, or it is disabled
        return 0
    handled = _Ruleset(
        fs=FILE_RIGHTS[max(known for known in FILE_RIGHTS if known <= abi)],
        net=TCP_BIND_AND_CONNECT if abi >= 4 else 0,
        scoped=SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    )
    # An older kernel accepts the longer structure if the fields that it does not know are zero.
    ruleset = int(libc.syscall(CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0))
    if ruleset < 0:
        return 0
    try:
        for path in readable:
            _admit(libc, ruleset, path)
        return abi if libc.syscall(RESTRICT_SELF, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)


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
