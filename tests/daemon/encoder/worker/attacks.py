"""A program that enters the sandbox, tries what it must forbid, and writes down what became of each act, as JSON.

Its arguments: a folder of its own, the weights, the user that it becomes, and whether seccomp is left out. Each act is harmless
where it is allowed. Where an act needs privileges, its arguments are wrong: then the kernel looks at them only if it may.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pixkin
from pixkind.encoder.worker import sandbox, syscalls

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_seccomp = syscalls.load_library()
PAGE = ctypes.c_size_t(mmap.PAGESIZE)
NOBODY = 4_194_303  # the largest process id, which no process has
MAP_GROWSDOWN, FS_IOC_SETFLAGS, PR_SET_DUMPABLE = 0x100, 0x40086602, 4


@dataclass
class Place:
    """What the acts are done to. It is made before the sandbox, as if the daemon had handed it over."""

    folder: str
    secret: str = field(init=False)
    photo: int = -1  # open for reading
    unix: socket.socket = field(init=False)
    bound: socket.socket = field(init=False)
    udp: socket.socket = field(init=False)
    pair: socket.socket = field(init=False)

    def make(self) -> None:
        """Open everything."""
        self.secret = f"{self.folder}/secret"
        self.photo = os.open(self.secret, os.O_RDONLY)
        self.unix, self.bound = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.bound.bind(f"{self.folder}/bound{os.getpid()}")
        self.bound.listen()
        self.bound.setblocking(False)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.pair, other = socket.socketpair()
        other.detach()  # it stays open


def call(name: str, *arguments: object) -> int:
    """Make a system call."""
    if (number := _seccomp.resolve_syscall(0, name)) < 0:
        raise OSError(errno.ENOSYS, name)
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def leave(pid: int) -> None:
    """End a child at once."""
    if pid == 0:
        os._exit(0)


def stack() -> int:
    """Return an address in the stack of the first thread, which is that of a page."""
    with open("/proc/self/maps", "rb") as file:
        line = next(line for line in file if line.endswith(b"[stack]\n"))
    return int(line.partition(b" ")[0].partition(b"-")[2], 16) - mmap.PAGESIZE


def forbidden(place: Place) -> dict[str, Callable[[], object]]:
    """Return what must fail with EPERM, by name, in this order."""
    parent = os.getppid()
    wide = ctypes.create_string_buffer(256)
    return {
        # The network, and other programs' sockets.
        "socket": socket.socket,
        "socket, unix": lambda: socket.socket(socket.AF_UNIX),
        "socket, netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "socketpair": socket.socketpair,
        "connect": lambda: place.unix.connect(f"{place.folder}/listens"),
        "bind": lambda: place.unix.bind(f"{place.folder}/new"),
        "listen": lambda: place.bound.listen(),  # noqa: PLW0108  it is made later
        "accept": lambda: place.bound.accept(),  # noqa: PLW0108
        "sendto, an address": lambda: place.udp.sendto(b"x", ("127.0.0.1", 9)),
        "sendmsg": lambda: place.pair.sendmsg([b"x"]),
        "sendmsg, an address": lambda: place.udp.sendmsg([b"x"], [], 0, ("127.0.0.1", 9)),
        "sendmmsg": lambda: call("sendmmsg", place.pair.fileno(), None, 0, 0),
        "setsockopt": lambda: place.pair.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20),
        # Modes, owners, times and attributes.
        "chmod": lambda: os.chmod(place.secret, 0o600),
        "fchmod of a photo": lambda: os.fchmod(place.photo, 0o600),
        "fchmodat": lambda: call("fchmodat", -100, place.secret.encode(), 0o600),
        "fchmodat2": lambda: call("fchmodat2", -100, place.secret.encode(), 0o600, 0),
        "chown": lambda: os.chown(place.secret, -1, -1),
        "fchown of a photo": lambda: os.fchown(place.photo, -1, -1),
        "lchown": lambda: os.lchown(place.secret, -1, -1),
        "setxattr": lambda: os.setxattr(place.secret, "user.x", b"1"),
        "fsetxattr of a photo": lambda: os.setxattr(place.photo, "user.x", b"1"),
        "removexattr": lambda: os.removexattr(place.secret, "user.x"),
        "fremovexattr of a photo": lambda: os.removexattr(place.photo, "user.x"),
        "utimensat": lambda: os.utime(place.secret),
        "futimens of a photo": lambda: os.utime(place.photo),
        "futimesat": lambda: call("futimesat", -100, place.secret.encode(), None),
        "ioctl of a photo": lambda: fcntl.ioctl(place.photo, FS_IOC_SETFLAGS, bytes(8)),
        "flock of a photo": lambda: fcntl.flock(place.photo, fcntl.LOCK_SH | fcntl.LOCK_NB),
        "fcntl, a lock": lambda: fcntl.lockf(place.photo, fcntl.LOCK_SH | fcntl.LOCK_NB),
        "fcntl, signals to others": lambda: fcntl.fcntl(place.pair, fcntl.F_SETOWN, os.getpid()),
        "fcntl, the flags of a photo": lambda: fcntl.fcntl(place.photo, fcntl.F_SETFL, 0),
        # Names.
        "open for writing": lambda: os.open(place.secret, os.O_RDWR),
        "open and truncate": lambda: os.open(place.secret, os.O_TRUNC),
        "open and create": lambda: os.open(f"{place.folder}/new", os.O_CREAT),
        "open, a device": lambda: os.open("/dev/null", os.O_WRONLY),
        "openat2": lambda: call("openat2", -100, place.secret.encode(), wide, 24),
        "open_by_handle_at": lambda: call("open_by_handle_at", -1, None, 0),
        "name_to_handle_at": lambda: call("name_to_handle_at", -100, None, None, None, 0),
        "truncate": lambda: os.truncate(place.secret, 0),
        "ftruncate of a photo": lambda: os.ftruncate(place.photo, 0),
        "fallocate": lambda: os.posix_fallocate(place.photo, 0, 1),
        "link": lambda: os.link(place.secret, f"{place.folder}/new"),
        "symlink": lambda: os.symlink("a", f"{place.folder}/new"),
        "mkdir": lambda: os.mkdir(f"{place.folder}/new"),
        "mknod": lambda: os.mkfifo(f"{place.folder}/new"),
        "rename": lambda: os.rename(place.secret, f"{place.folder}/new"),
        "renameat2": lambda: call("renameat2", -100, b"/none", -100, b"/new", 1),
        "unlink": lambda: os.unlink(place.secret),
        "rmdir": lambda: os.rmdir(f"{place.folder}/none"),
        "chdir": lambda: os.chdir("/"),
        "chroot": lambda: os.chroot("/none"),
        "mount": lambda: call("mount", b"none", b"/none", b"tmpfs", 0, None),
        "umount": lambda: call("umount2", b"/none", 0),
        "open_tree": lambda: call("open_tree", -1, b"", -1),
        "inotify": lambda: call("inotify_init1", 0),
        "fanotify": lambda: call("fanotify_mark", -1, 0, 0, 0, 0, None),
        # Processes.
        "fork": lambda: leave(os.fork()),
        "vfork": lambda: leave(call("clone", 0x4000 | signal.SIGCHLD, None)),
        "clone without a thread": lambda: leave(call("clone", signal.SIGCHLD, None)),
        "execve": lambda: os.execv("/none", ["none"]),  # noqa: S606  it is not there
        "execveat": lambda: call("execveat", -1, b"none", None, None, 0),
        "kill": lambda: os.kill(os.getpid(), 0),
        "kill all": lambda: os.kill(-NOBODY, 0),
        "tkill": lambda: call("tkill", threading.get_native_id(), 0),
        "tgkill of another": lambda: call("tgkill", NOBODY, NOBODY, 0),
        "rt_sigqueueinfo": lambda: call("rt_sigqueueinfo", os.getpid(), 0, None),
        "rt_tgsigqueueinfo": lambda: call("rt_tgsigqueueinfo", os.getpid(), os.getpid(), 0, None),
        "pidfd_open": lambda: os.pidfd_open(parent),
        "pidfd_send_signal": lambda: call("pidfd_send_signal", -1, 0, None, 0),
        "pidfd_getfd": lambda: call("pidfd_getfd", -1, 0, 0),
        "ptrace": lambda: call("ptrace", 7, NOBODY, None, None),
        "process_vm_readv": lambda: call("process_vm_readv", NOBODY, wide, 1, wide, 1, 0),
        "process_madvise": lambda: call("process_madvise", -1, None, 0, 0, 0),
        "prlimit of another": lambda: resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE),
        "prlimit, setting": lambda: call("prlimit64", 0, resource.RLIMIT_CORE, bytes(16), None),
        "setpriority of another": lambda: os.setpriority(os.PRIO_PROCESS, os.getpid(), os.nice(0)),
        "setpriority of a user": lambda: os.setpriority(os.PRIO_USER, NOBODY, 0),
        "ioprio_set of another": lambda: call("ioprio_set", 1, NOBODY, 0),
        "sched_setaffinity": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "sched_setscheduler": lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
        "setpgid": lambda: os.setpgid(0, 0),
        "setuid": lambda: os.setuid(os.getuid()),
        "prctl, core dumps": lambda: call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0),
        "prctl, the end with the daemon": lambda: call("prctl", 1, 0, 0, 0, 0),
        "setitimer": lambda: signal.setitimer(signal.ITIMER_REAL, 0),
        # Memory that RLIMIT_DATA does not count.
        "mmap, shared": lambda: mmap.mmap(-1, 4096, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
        "mmap, a photo": lambda: mmap.mmap(place.photo, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ),
        "mmap, a stack": lambda: mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_GROWSDOWN),
        "mremap of the stack": lambda: call("mremap", ctypes.c_void_p(stack()), PAGE, PAGE, 0),
        "memfd_create": lambda: os.memfd_create("x"),
        "memfd_secret": lambda: call("memfd_secret", 1),
        "remap_file_pages": lambda: call("remap_file_pages", None, 0, 0, 0, 0),
        "shmget": lambda: call("shmget", -1, 0, 0),
        "msgget": lambda: call("msgget", NOBODY, 0),
        "semget": lambda: call("semget", NOBODY, 0, 0),
        "mq_open": lambda: call("mq_open", b"none", 0, 0, None),
        "mlock": lambda: call("mlock", None, 0),
        "pipe": os.pipe,
        "eventfd": lambda: os.eventfd(0),
        # Calls that decoders and torch do not need, and that have had bugs.
        "io_uring": lambda: call("io_uring_setup", 0, None),
        "userfaultfd": lambda: call("userfaultfd", -1),
        "keyctl": lambda: call("keyctl", -1, 0, 0),
        "add_key": lambda: call("add_key", None, None, None, 0, 0),
        "request_key": lambda: call("request_key", None, None, None, 0),
        "unshare": lambda: call("unshare", 0x200),
        "setns": lambda: call("setns", -1, 0),
        "personality": lambda: call("personality", 0xFFFFFFFF),
        "bpf": lambda: call("bpf", -1, None, 0),
        "perf_event_open": lambda: call("perf_event_open", None, 0, 0, -1, 0),
        "epoll": lambda: call("epoll_create1", 0),
        "seccomp": lambda: call("seccomp", -1, 0, None),
        "landlock": lambda: call("landlock_create_ruleset", None, 0, 1),
        "adjtimex": lambda: call("adjtimex", wide),
    }


def only_root(_: Place) -> dict[str, Callable[[], object]]:
    """Return what must fail with EPERM, and only for root not without seccomp."""
    return {
        "swapon": lambda: call("swapon", b"/none", 0),
        "pivot_root": lambda: call("pivot_root", b"/none", b"/none"),
    }


def allowed(place: Place) -> dict[str, Callable[[], object]]:
    """Return what must work."""

    def thread() -> None:
        one = threading.Thread(target=lambda: os.setpriority(os.PRIO_PROCESS, 0, 15))
        one.start()
        one.join()

    return {
        "a thread that gives way": thread,
        "ioprio_set of this thread": lambda: call("ioprio_set", 1, 0, 3 << 13),
        "signals to itself": lambda: signal.pthread_kill(threading.get_ident(), 0),
        "its own limits": lambda: resource.getrlimit(resource.RLIMIT_DATA),
        "send": lambda: place.pair.send(b"x"),
        "read a photo": lambda: os.pread(place.photo, 1, 0),
        "read a library": lambda: os.open("/proc/self/maps", os.O_RDONLY),
        "memory": lambda: mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
        "a name for a thread": lambda: call("prctl", 15, b"name", 0, 0, 0),
        # A filter sees no names, and Landlock has no right for it.
        "stat of any file": lambda: os.stat(place.secret),
    }


def outcome(act: Callable[[], object]) -> str:
    """Return "ok", or the name of the error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except (OverflowError, ValueError) as error:
        return str(error)
    return "ok"


def facts() -> dict[str, object]:
    """Return the limits, and who may see the process: root alone if there are no core dumps."""
    names = ("CORE", "FSIZE", "NOFILE", "DATA", "AS", "NPROC")
    limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in names}
    return {**limits, "owner": os.stat("/proc/self/environ").st_uid}


def main(folder: str, weights: str, user: str, seccomp: str) -> None:
    """Enter the sandbox, try everything, and write it to standard output."""
    assert pixkin.__name__  # imported while it may be read
    place = Place(folder)
    if int(user) != os.getuid():
        os.setgroups([])
        os.setresgid(int(user), int(user), int(user))
        os.setresuid(int(user), int(user), int(user))
        _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # as after exec
    place.make()
    if seccomp == "without":
        sandbox._seccomp = lambda: ("", "seccomp: left out")
    told = sandbox.enter_sandbox(weights, 100)
    acts = {**allowed(place), **forbidden(place), **only_root(place)}
    tried = {name: outcome(act) for name, act in acts.items()}
    sys.stdout.write(json.dumps({"told": told, "facts": facts(), "tried": tried}))


if __name__ == "__main__":
    main(*sys.argv[1:])
