"""Whose process is at the other end."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from pixkin.errors import UsageError
from pixkin.web.binding import LOOPBACK, PortTaken, bound, check_loopback
from pixkin.web.peers import can_look, is_ours, listener

# It connects, tells its port, and stays until it is told to end.
_VISITOR = """
import socket, sys
family, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sock = socket.socket(family)
sock.connect((host, port))
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with closing(bound(0)) as sock:
        yield sock


def visit(server: socket.socket, *words: str, family: int = socket.AF_INET, host: str = LOOPBACK) -> bool:
    """Return whether the connection of another process counts as this user's."""
    command = [*words, sys.executable, "-c", _VISITOR, str(int(family)), host, str(server.getsockname()[1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        client = (LOOPBACK, int(process.stdout.readline()))
        connection, _ = server.accept()
        with closing(connection):
            found = is_ours(client, server.getsockname())
        process.communicate()
    return found


def another_user() -> tuple[str, ...]:
    """Return the words that run a command as another user."""
    if os.getuid():
        pytest.skip("only root may run a process as another user")
    return ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def test_a_process_of_this_user_is_ours(server: socket.socket) -> None:
    """Also one that reaches the address of IPv4 by a socket of IPv6."""
    assert visit(server)
    assert visit(server, family=socket.AF_INET6, host="::ffff:127.0.0.1")


def test_a_process_of_another_user_is_not(server: socket.socket) -> None:
    """By whichever kind of socket."""
    assert not visit(server, *another_user())
    assert not visit(server, *another_user(), family=socket.AF_INET6, host="::ffff:127.0.0.1")


def test_a_connection_that_is_not_there_is_not_ours(server: socket.socket) -> None:
    """Unknown is no."""
    assert not is_ours((LOOPBACK, 1), server.getsockname())


def test_the_listener_of_a_port_is_known(server: socket.socket) -> None:
    """So it is known that the table shows sockets here at all."""
    assert can_look(server.getsockname())
    assert listener((LOOPBACK, 1)) is None


def test_a_socket_listens_at_this_machine_alone(server: socket.socket) -> None:
    """One that systemd passes for other addresses is refused, and a taken port is said."""
    check_loopback(server)
    with closing(socket.create_server(("", 0))) as open_to_all, pytest.raises(UsageError, match="alone"):
        check_loopback(open_to_all)
    with pytest.raises(PortTaken, match="listens at port"):
        bound(server.getsockname()[1])
