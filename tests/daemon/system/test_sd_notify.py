"""Notifications to systemd, received on a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixkind.system import sd_notify


@pytest.fixture
def manager(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Yield the socket on which a service manager would listen."""
    path = str(short_tmp / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(240)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield sock


def test_every_notice_arrives_as_systemd_reads_it(manager: socket.socket) -> None:
    """Each function sends one datagram with the assignments of sd_notify(3)."""
    sd_notify.ready()
    sd_notify.status("indexed 812 of 40,211")
    sd_notify.alive()
    sd_notify.patience(1.5)
    sd_notify.reloading(now_ns=5_000_999)
    sd_notify.stopping()

    assert [manager.recv(4096) for _ in range(6)] == [
        b"READY=1",
        b"STATUS=indexed 812 of 40,211",
        b"WATCHDOG=1",
        b"EXTEND_TIMEOUT_USEC=1500000\nWATCHDOG=1",
        b"RELOADING=1\nMONOTONIC_USEC=5000",
        b"STOPPING=1",
    ]


def test_status_cannot_smuggle_an_assignment(manager: socket.socket) -> None:
    """A status is one line of UTF-8, whatever a file name in it contains."""
    sd_notify.status("reading a\nMAINPID=1\udcff.jpg")

    assert manager.recv(4096) == b"STATUS=reading a MAINPID=1\\udcff.jpg"


def test_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading @ stands for the NUL of an abstract address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0pixkin-test-{os.getpid()}")
        sock.settimeout(240)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@pixkin-test-{os.getpid()}")
        sd_notify.ready()

        assert sock.recv(4096) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/notify", "/" + "x" * 200])
def test_missing_manager_disturbs_nobody(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    """Without a service manager, or with one that is gone, a notification is dropped."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    sd_notify.ready()
