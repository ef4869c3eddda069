"""Whether a daemon listens, and whether it is our own."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixkin.errors import DaemonAbsent
from pixkin.listening import check_listening


@pytest.fixture
def path(folder: str) -> Iterator[str]:
    """Yield the path of a socket on which somebody listens, in a folder of its own."""
    os.mkdir(f"{folder}/pixkin", mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/pixkin/d.sock")
        listener.listen(1)
        yield f"{folder}/pixkin/d.sock"


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_a_socket_that_only_we_can_replace_is_taken(path: str, mode: int) -> None:
    """In a sticky folder, such as /tmp, nobody can replace the files of another user."""
    Path(path).parent.chmod(mode)

    check_listening(path)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_socket_that_others_can_replace_is_refused(path: str, mode: int) -> None:
    """Another user could put a socket of his own in its place."""
    Path(path).parent.chmod(mode)
    with pytest.raises(DaemonAbsent, match=f"other users can replace {path}"):
        check_listening(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("what", ["", "pixkin"])
def test_a_socket_of_another_user_is_refused(path: str, what: str) -> None:
    """The socket itself, or its folder, is another user's; a link to it is no way around."""
    os.chown(os.path.dirname(path) if what else path, 12345, 12345)
    link = os.path.dirname(os.path.dirname(path)) + "/link"
    os.symlink(path, link)
    for one in (path, link):
        with pytest.raises(DaemonAbsent, match=r"another user|other users"):
            check_listening(one)


def test_a_process_of_another_user_is_refused(folder: str, stranger: "subprocess.Popen[str]") -> None:
    """The owner of the file proves nothing: the kernel names the user who listens."""
    with pytest.raises(DaemonAbsent, match=r"another user \(number 12345\) listens on") as caught:
        check_listening(f"{folder}/pixkin/d.sock")

    assert caught.value.status == 69


def test_a_daemon_that_is_busy_is_there(path: str) -> None:
    """A full queue of connections is no absence."""
    waiting = []
    for _ in range(3):
        check_listening(path)
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(path)
    check_listening(path)
    for one in waiting:
        one.close()
