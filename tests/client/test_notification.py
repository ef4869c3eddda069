from pathlib import Path

import pytest
from tests.desktop import desktop

from pixkin.notification import show


@pytest.mark.parametrize("is_without_busctl", [False, True], ids=["busctl", "notify-send"])
def test_the_desktop_shows_it(short_tmp: Path, monkeypatch: pytest.MonkeyPatch, *, is_without_busctl: bool) -> None:
    """By the program of systemd, or by that of the desktop where there is no systemd. Names of files are no markup."""
    if is_without_busctl:
        (short_tmp / "busctl").write_text("#!/bin/sh\nexit 1\n")
        (short_tmp / "busctl").chmod(0o755)
        monkeypatch.setenv("PATH", str(short_tmp), prepend=":")
    with desktop(short_tmp) as made:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", made.address)
        is_shown = show("-1 & <b>", '-/p/"<b>" & b.jpg')

    assert is_shown
    (notice,) = made.notices
    assert (notice.app, notice.summary, notice.body) == ("pixkin", "-1 & <b>", '-/p/"&lt;b&gt;" &amp; b.jpg')
    assert (notice.icon, notice.actions) == ("image-x-generic", [])
    assert notice.hints["desktop-entry"] == ("s", "pixkin")


def test_the_bus_of_a_session_is_found_without_its_address(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where systemd has started the bus: it is `bus` in the runtime folder."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_tmp))
    with desktop(short_tmp) as made:
        assert show("1 photo is indexed", "Point at it.")

    assert made.notices[0].summary == "1 photo is indexed"


def test_without_a_desktop_no_program_is_started(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server, or over ssh; a program that were started there could start a bus."""
    for name in ("busctl", "notify-send"):
        (short_tmp / name).write_text(f"#!/bin/sh\ntouch {short_tmp}/started\n")
        (short_tmp / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(short_tmp), prepend=":")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_tmp))

    assert not show("1 photo is indexed", "Point at it.")
    assert not (short_tmp / "started").exists()


def test_a_bus_without_a_server_is_no_desktop(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it must be said in another way."""
    with desktop(short_tmp, serves=False) as made:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", made.address)

        assert not show("1 photo is indexed", "Point at it.")
