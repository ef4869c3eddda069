"""Finds out whose process is at the other end of a connection, by the tables of the kernel.

A cookie alone must not admit another user: a browser sends it to all ports of a host, so another user's server sees it.
Source: proc_pid_net(5), `tcp` and `tcp6`.
"""

import asyncio
import os
import struct
from typing import Final

_TABLES: Final = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LISTENING: Final = "0A"
_MAPPED: Final = "0000000000000000FFFF0000"  # what precedes an IPv4 address in the table of IPv6


class Peer:
    """The other end of one connection. It is looked up once, because that takes milliseconds on a busy machine."""

    def __init__(self, client: tuple[str, int], server: tuple[str, int]) -> None:
        """Keep both addresses."""
        self._client, self._server = client, server
        self._is_ours: bool | None = None

    async def is_ours(self) -> bool:
        """Return whether it is a socket of this user."""
        if self._is_ours is None:
            self._is_ours = await asyncio.to_thread(is_ours, self._client, self._server)
        return self._is_ours


def is_ours(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Return whether the socket that is bound to `client` and connected to `server` is this user's; unknown is no."""
    near, far = _entry(client), _entry(server)
    for table in _TABLES:
        try:
            with open(table, encoding="ascii") as rows:
                for row in rows:
                    cells = row.split(maxsplit=8)
                    if cells[1].removeprefix(_MAPPED) == near and cells[2].removeprefix(_MAPPED) == far:
                        return int(cells[7]) == os.geteuid()
        except OSError:
            continue  # a kernel without IPv6
    return False


def can_look(server: tuple[str, int]) -> bool:
    """Return whether the kernel's table shows sockets here: it must have our own, which listens at `server`."""
    return listener(server) == os.geteuid()


def listener(server: tuple[str, int]) -> int | None:
    """Return the number of the user whose process listens at an address; None: there is none, or it cannot be seen."""
    try:
        with open(_TABLES[0], encoding="ascii") as rows:
            for row in rows:
                cells = row.split(maxsplit=8)
                if cells[1] == _entry(server) and cells[3] == _LISTENING:
                    return int(cells[7])
    except OSError:
        pass
    return None


def _entry(address: tuple[str, int]) -> str:
    """Return an IPv4 address and a port as the kernel writes them: the address as one number, in its own byte order."""
    (number,) = struct.unpack("=I", bytes(map(int, address[0].split("."))))
    return f"{number:08X}:{address[1]:04X}"
