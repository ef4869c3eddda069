"""A program that tries what the service's sandbox should allow or forbid, and writes down what became of it, as JSON.

Its arguments: the home folder, a photo, and the file to write. Harmless where everything is allowed.
"""

import ctypes
import errno
import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PER_LINUX32, _PTRACE_TRACEME, _CLONE_NEWUSER = 8, 0, 0x10000000
_LANDLOCK_CREATE_RULESET, _LANDLOCK_VERSION = 444, 1


def _write(folder: str) -> None:
    file = Path(folder) / "written"
    file.touch()
    file.unlink()


def _connect(family: int) -> None:
    socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_STREAM).close()


def _call(result: int) -> None:
    if result == -1:
        raise OSError(ctypes.get_errno(), "")


def _see_interfaces() -> None:
    """Fail where there is no network interface but the loopback."""
    names = {line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]}
    if not names - {"lo"}:
        raise OSError(errno.ENODEV, "")


def acts(home: str, photo: str) -> dict[str, Callable[[], object]]:
    """Return what is tried, by name, in this order."""
    return {
        "read a photo": lambda: Path(photo).open("rb").close(),
        "write to the index": lambda: _write(f"{home}/.local/state/pixkin"),
        "write a decision": lambda: _write(f"{home}/.local/share/pixkin"),
        "write to the socket's folder": lambda: _write(f"{os.environ['XDG_RUNTIME_DIR']}/pixkin"),
        "write to the home": lambda: _write(home),
        "write to the configuration": lambda: _write(f"{home}/.config/pixkin"),
        "write beside a photo": lambda: _write(os.path.dirname(photo)),
        "touch a photo": lambda: os.utime(photo),
        "write to /tmp": lambda: _write("/tmp"),
        "write to the runtime folder": lambda: _write(os.environ["XDG_RUNTIME_DIR"]),
        "ask Landlock": lambda: _call(_libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)),
        "a local socket": lambda: _connect(socket.AF_UNIX),
        "an IPv4 socket": lambda: _connect(socket.AF_INET),
        "an IPv6 socket": lambda: _connect(socket.AF_INET6),
        "a netlink socket": lambda: _connect(socket.AF_NETLINK),
        "see a network": _see_interfaces,
        "another personality": lambda: _call(_libc.personality(_PER_LINUX32)),
        "a namespace": lambda: _call(_libc.unshare(_CLONE_NEWUSER)),
        "read who waits for memory": lambda: Path("/proc/pressure/memory").read_bytes(),
        "read the control groups": lambda: next(Path("/sys/fs/cgroup").glob("*/io.pressure")).read_bytes(),
        "read the batteries": lambda: os.listdir("/sys/class/power_supply"),
        "be traced": lambda: _call(_libc.ptrace(_PTRACE_TRACEME, 0, None, None)),
    }


def facts() -> dict[str, object]:
    """Return what the process was given."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "umask": status["Umask"],
        "no_new_privs": status["NoNewPrivs"],
        "seccomp": status["Seccomp"],
        "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "utf8": sys.flags.utf8_mode,
        "users": int(Path("/proc/self/uid_map").read_text().split()[2]),  # how many are mapped
    }


def outcome(act: Callable[[], object]) -> str:
    """Return "ok", or the name of the error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "ok"


if __name__ == "__main__":
    told = facts()  # before acts that change the process
    Path(sys.argv[3]).write_text(
        json.dumps({**told, **{name: outcome(act) for name, act in acts(*sys.argv[1:3]).items()}})
    )
