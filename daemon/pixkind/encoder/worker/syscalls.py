"""The system calls that the worker may make, as a seccomp filter. Every other call fails.

A call that is not allowed fails with EPERM, and does not kill. Its caller gets nothing from the kernel either way, and a library
that only tries out whether a call works goes on without it. A kill would end the worker for that, and a photo would be blamed.
`clone3` fails with ENOSYS, so that the C library uses `clone`, whose flags a filter can see. A call of another architecture,
such as one of 32 bits, is no attempt of a library: it kills.

What a filter cannot see: it gets numbers and pointers, and never the name of a file. So `stat` stays allowed for all files,
because Python finds its modules by it: hostile code can learn which names exist, and their sizes and times. Memory stays
executable, because torch compiles its kernels.
"""

import ctypes.util
import errno
import os
import resource
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

# The filter compares arguments whose order was checked on these machines.
MACHINES: Final = ("x86_64", "aarch64")

# Allowed with any arguments. A name that a machine does not have is left out.
ALLOWED: Final = (
    # Open files: those that it was given, and its own libraries.
    *("read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64"),
    *("lseek", "close", "fadvise64", "getdents64"),
    # Names. Landlock decides what may be opened; `stat` needs no permission.
    *("stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs"),
    *("access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd"),
    # Its socket. `recvmsg` brings the photos' descriptors; there is no other socket.
    *("getsockname", "getsockopt", "recvmsg", "poll", "ppoll", "select", "pselect6"),
    # Memory. RLIMIT_DATA bounds it, together with the rules for `mmap` and `mremap`.
    *("brk", "madvise", "membarrier", "mprotect", "munmap"),
    # Threads.
    *("exit", "exit_group", "futex", "get_robust_list", "set_robust_list", "set_tid_address", "rseq", "sched_yield"),
    *("sched_getaffinity", "sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min"),
    # Its own signal handlers.
    *("restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    # Time, and facts of itself and the machine.
    *("clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "time", "times"),
    *("getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getcpu", "getpriority"),
    *("getrandom", "getrlimit", "getrusage", "sysinfo", "uname"),
)

# Source: the kernel's headers; the same numbers on all MACHINES.
O_WRITES: Final = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC
MAP_TYPE, MAP_PRIVATE, MAP_GROWSDOWN = 0x0F, 0x02, 0x100
CLONE_THREAD: Final = 0x10000
CLONE_NEW: Final = 0x7E020080  # every kind of namespace
FCNTL: Final = (1, 2, 3, 1030)  # F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
PRCTL: Final = (15, 16, 51, 64)  # PR_SET_NAME and PR_GET_NAME; PR_SVE_GET_VL and PR_SME_GET_VL, for vectors on ARM
ARCH_XCOMP: Final = 0x1020  # 0x1021 to 0x1025: permission for AMX, with which torch computes on newer x86
PRIO_PROCESS: Final = 1  # of ioprio_set
STACK_BYTES: Final = 8 << 20  # of the first thread
INT: Final = (1 << 32) - 1  # the kernel ignores the upper half of an argument of 32 bits


def load_library() -> ModuleType:
    """Import pyseccomp, which speaks to libseccomp.

    Raises:
        ImportError: it is not installed.
        OSError: libseccomp is not installed.
    """
    find = ctypes.util.find_library
    # pyseccomp asks for these when it is imported. The real function starts other programs to find them.
    ctypes.util.find_library = {"c": None, "seccomp": "libseccomp.so.2"}.get  # type: ignore[assignment]
    try:
        import pyseccomp
    finally:
        ctypes.util.find_library = find
    library: ModuleType = pyseccomp
    return library


def build(seccomp: ModuleType, machine: int = 0) -> Any:  # noqa: ANN401  pyseccomp has no types
    """Return the filter, not yet loaded.

    Args:
        seccomp: pyseccomp.
        machine: for which architecture, as `seccomp.Arch` has it; 0: this one.
    """
    allowed = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    if machine not in {0, seccomp.system_arch()}:
        allowed.add_arch(machine)
        allowed.remove_arch(seccomp.system_arch())
    allowed.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    with suppress(OSError):  # an older kernel or library
        # A filter would slow all code down for fear of Spectre. Linux itself has stopped that in 5.16.
        allowed.set_attr(seccomp.Attr.CTL_SSB, 1)

    def allow(name: str, *arguments: object) -> None:
        if seccomp.resolve_syscall(machine, name) >= 0:  # else this machine has no such call
            allowed.add_rule(seccomp.ALLOW, name, *arguments)

    def equal(at: int, value: int, mask: int = INT) -> object:
        return seccomp.Arg(at, seccomp.MASKED_EQ, mask, value)

    for name in ALLOWED:
        allow(name)
    # Only for reading. Landlock says so as well, but not every kernel has it.
    allow("openat", equal(2, os.O_RDONLY, O_WRITES))
    # Private memory alone, and none that grows like a stack: RLIMIT_DATA counts neither shared memory nor stacks.
    allow("mmap", equal(3, MAP_PRIVATE, MAP_TYPE | MAP_GROWSDOWN))
    allow("mremap", seccomp.Arg(0, seccomp.LT, _stack()))
    # Threads, and no processes.
    allow("clone", equal(0, CLONE_THREAD, CLONE_THREAD | CLONE_NEW))
    allowed.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    # To the daemon, and to no address.
    allow("sendto", seccomp.Arg(4, seccomp.EQ, 0))
    # Only its own limits, which it may read; only the priority of the calling thread; signals only for its own threads.
    allow("prlimit64", equal(0, 0), seccomp.Arg(2, seccomp.EQ, 0))
    allow("setpriority", equal(0, os.PRIO_PROCESS), equal(1, 0))
    allow("ioprio_set", equal(0, PRIO_PROCESS), equal(1, 0))
    allow("tgkill", equal(0, os.getpid()))
    for command in FCNTL:
        allow("fcntl", equal(1, command))
    for option in PRCTL:
        allow("prctl", equal(0, option))
    allow("arch_prctl", equal(0, ARCH_XCOMP, INT & ~0xF))
    return allowed


def _stack() -> int:
    """Bound the stack of the first thread, and return the lowest address that it can have.

    `mremap` could make any amount of memory of a stack, which RLIMIT_DATA would not count.
    """
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    limit_bytes = STACK_BYTES if most == resource.RLIM_INFINITY else min(most, STACK_BYTES)
    resource.setrlimit(resource.RLIMIT_STACK, (limit_bytes, limit_bytes))
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        start = next((line for line in file if line.endswith("[stack]\n")), None)
    return 0 if start is None else int(start.partition("-")[0], 16) - limit_bytes  # 0: then `mremap` is forbidden
