"""Checks whether a daemon listens on a socket: within a millisecond, and without the protocol's libraries.

ZeroMQ cannot tell, because it waits for a peer whether or not there is one.
Importing ZeroMQ and msgspec also takes 0.1 s, so `pixkin` checks here first.
"""

import os
import socket
import stat
import struct
from typing import Final

from pixkin.errors import DaemonAbsent, UsageError

_LONGEST: Final = 107  # bytes: sun_path of AF_UNIX holds 108, the last one is zero
_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred of unix(7): process, user, group


def check_listening(path: str) -> None:
    """Return if a daemon listens on the socket at `path`.

    Raises:
        DaemonAbsent: nothing listens there, this user may not connect, or the daemon may be another user's.
        UsageError: no socket can have this path.
    """
    if len(os.fsencode(path)) > _LONGEST or "\0" in path or not path:
        raise UsageError(
            f"{path!r} cannot be the path of a socket: it must have 1 to {_LONGEST} bytes",
            "set XDG_RUNTIME_DIR to a folder with a shorter path, or give the socket with --socket",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except BlockingIOError:
            pass  # its queue of connections is full: a daemon is there, and busy
        except (FileNotFoundError, ConnectionRefusedError):  # never started, or the daemon left its file behind
            raise DaemonAbsent(f"no daemon listens on {path}", _how_to_start()) from None
        except OSError as error:
            raise DaemonAbsent(f"cannot reach the daemon on {path}: {error.strerror}", _how_to_start()) from error
        else:
            check_peer(sock, path)
    _check_owner(os.path.realpath(path))


def check_peer(sock: socket.socket, path: str) -> None:
    """Refuse a connection whose other end listens for another user; root may do everything anyway.

    The owner of a socket file is not always the user who listens.
    The probe and ZeroMQ's own connection are both checked, because the daemon may end between the two.

    Raises:
        DaemonAbsent: it is another user's.
    """
    _, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if user not in {os.geteuid(), 0}:
        raise DaemonAbsent(
            f"another user (number {user}) listens on {path}; pixkin talks only to a daemon of your own",
            _how_to_start(),
        )


def _check_owner(path: str) -> None:
    """Refuse a socket that another user has made, or could put another one in the place of."""
    folder = os.path.dirname(path)
    try:
        above, owner = os.stat(folder), os.stat(path).st_uid
    except OSError as error:  # it went away
        raise DaemonAbsent(f"no daemon listens on {path}", _how_to_start()) from error
    ours = os.geteuid()
    if owner != ours:
        raise DaemonAbsent(
            f"{path} belongs to another user; pixkin talks only to a daemon of your own", _how_to_start()
        )
    is_open = above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX
    if is_open or above.st_uid not in (ours, 0):
        raise DaemonAbsent(
            f"other users can replace {path}, so pixkin does not talk to it",
            f"the folder must be your own: chmod go-w {folder}",
        )


def _how_to_start() -> str:
    hint = "start it with `systemctl --user start pixkind`, or in a terminal with `pixkind FOLDER`"
    if not os.environ.get("XDG_RUNTIME_DIR") and os.path.isdir("/run/systemd/system"):
        hint += "; outside a login session it runs only after `loginctl enable-linger`"
    return hint
