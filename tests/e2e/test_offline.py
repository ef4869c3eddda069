"""Nothing leaves the machine: everything works where there is no network, and no process opens a network socket."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, children, new_home

pytestmark = [pytest.mark.e2e]

# Python imports it when it starts; the worker does not, because it is started with -I.
_WITNESS = """
import os, sys
log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def witness(event, arguments):
    if event == "socket.__new__":
        os.write(log, b"family %d\\n" % arguments[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "http.client.connect"):
        os.write(log, event.encode() + b"\\n")
sys.addaudithook(witness)
"""
_INHERITED = -1  # the family of a socket that is made of a descriptor


def _without_network() -> tuple[str, ...]:
    """Return the words that run a command in a new network namespace, in which no interface is up."""
    words = ("unshare", "--net", *(() if os.getuid() == 0 else ("--map-current-user",)))
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    return words


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home without a network, in which two photos of one picture and a third are indexed, and its sockets are noted."""
    with new_home() as home:
        (home.folder / "site").mkdir()
        (home.folder / "site/sitecustomize.py").write_text(_WITNESS.format(log=str(home.folder / "sockets")))
        home.env["PYTHONPATH"] = str(home.folder / "site")
        home.before = _without_network()
        home.copy(photos[0], f"copy{photos[0].suffix}")
        home.index(*photos[:2])
        yield home


def test_everything_works_without_a_network(library: Home, photos: list[Path]) -> None:
    """Photos are indexed, and every kind of question is answered."""
    matches = library.like(photos[2])
    groups = [json.loads(line) for line in library.pixkin("dupes", "--json").stdout.splitlines()]
    there = library.pixkin("have", photos[0])
    status = library.status()

    assert len(matches) == 2
    assert [len(group["photos"]) for group in groups] == [2]
    assert there.returncode in (0, 1), there.stderr.decode()
    assert (status["photos"], status["failed"]) == (3, 0)


def test_all_sockets_are_local(library: Home, photos: list[Path]) -> None:
    """Daemon and worker hold AF_UNIX sockets alone, and Python never made another, nor asked for an address."""
    library.like(photos[3])  # then there is a worker
    daemon = library.daemons[-1].process.pid
    pids = (daemon, *children(daemon))
    said = set((library.folder / "sockets").read_text().splitlines())

    assert len(pids) == 2
    assert all(_sockets(pid) for pid in pids)
    assert all(_sockets(pid) <= _unix_sockets(pid) for pid in pids)
    assert f"family {int(socket.AF_UNIX)}" in said
    assert said <= {f"family {int(socket.AF_UNIX)}", f"family {_INHERITED}"}


def _sockets(pid: int) -> set[str]:
    """Return the inodes of the sockets that a process has open."""
    targets = (os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir())
    return {match[1] for target in targets if (match := re.fullmatch(r"socket:\[(\d+)\]", target))}


def _unix_sockets(pid: int) -> set[str]:
    """Return the inodes of all AF_UNIX sockets of a process's network namespace. Source: proc_pid_net(5)."""
    return {line.split()[6] for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]}
