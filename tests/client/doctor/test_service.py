"""The systemd unit: its program, whether it starts at login, has failed, and outlives the session."""

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from pixkin.doctor import service
from pixkin.doctor.finding import NOTE, OK, PROBLEM, Finding

UNIT = "systemd/user/pixkind.service"


class Machine:
    """A machine that systemd runs, and a user's configuration."""

    def __init__(self, folder: Path) -> None:
        self.config, self.systemd, self.lingering = (folder / name for name in ("config", "systemd", "linger"))
        for one in (self.systemd, self.lingering, self.config / "systemd/user/default.target.wants"):
            one.mkdir(parents=True)
        self.program = folder / "bin/pixkind"
        self.program.parent.mkdir()
        self.program.write_text("#!/bin/sh\n")
        self.program.chmod(0o755)
        systemctl = folder / "bin/systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\ncat {folder}/state\n')
        systemctl.chmod(0o755)
        self.state = folder / "state"
        self.state.write_text("active\n")

    def install(self, start: str = "") -> None:
        """Write a unit that is enabled, and let it outlive the session."""
        (self.config / UNIT).write_text(f"[Service]\nType=notify\nExecStart={start or self.program}\n")
        (self.config / "systemd/user/default.target.wants/pixkind.service").symlink_to(self.config / UNIT)
        (self.lingering / pwd.getpwuid(os.geteuid()).pw_name).touch()

    def check(self) -> list[Finding]:
        """Return what is found."""
        env = {"XDG_CONFIG_HOME": str(self.config)}
        return service.check(env, systemd=str(self.systemd), lingering=str(self.lingering))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine whose systemctl says what a file says."""
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return made


def _only(found: Iterable[Finding]) -> Finding:
    (one,) = found
    return one


def test_without_systemd_there_is_nothing_to_find(machine: Machine) -> None:
    """A container, or another service manager."""
    machine.systemd.rmdir()

    assert _only(machine.check()).level == OK


def test_without_a_unit_the_command_that_writes_it_is_named(machine: Machine) -> None:
    """That is no problem: pixkind may run in a terminal."""
    assert _only(machine.check()) == (
        NOTE,
        "service",
        "pixkind does not start by itself: it has no systemd unit",
        "pixkind service install",
    )


@pytest.mark.parametrize("start", ["", "PROGRAM --verbose", '"PROGRAM" --verbose', '"PRO\\GRAM"'])
def test_a_unit_that_starts_at_login_and_outlives_the_session_is_fine(machine: Machine, start: str) -> None:
    """However its program is quoted."""
    machine.install(start.replace("PRO\\GRAM", "PROGRAM").replace("PROGRAM", str(machine.program)))

    assert _only(machine.check()) == (OK, "service", f"{machine.config / UNIT} starts {machine.program}", "")


def test_specifiers_of_systemd_are_resolved(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """`%h` is the home, and `%%` a percent sign."""
    odd = machine.program.with_name("100%")
    machine.program.rename(odd)
    monkeypatch.setenv("HOME", str(odd.parents[1]))
    machine.install("%h/bin/100%%")

    assert _only(machine.check()).level == OK


def test_a_program_that_is_gone_is_a_problem(machine: Machine) -> None:
    """As after the virtual environment was deleted or moved."""
    machine.install()
    machine.program.chmod(stat.S_IRUSR)
    machine.program.unlink()

    assert _only(machine.check()) == (
        PROBLEM,
        "service",
        f"the unit starts {machine.program}, which is no program any more",
        "pixkind service install && systemctl --user daemon-reload",
    )


def test_a_unit_that_is_not_enabled_or_has_failed_is_a_problem(machine: Machine) -> None:
    """Each has its command."""
    machine.install()
    machine.state.write_text("failed\n")
    failed = _only(machine.check())
    (machine.config / "systemd/user/default.target.wants/pixkind.service").unlink()
    off = _only(machine.check())

    assert (failed.level, failed.fix) == (PROBLEM, "systemctl --user restart pixkind")
    assert (off.level, off.fix) == (PROBLEM, "systemctl --user enable --now pixkind")


def test_a_service_that_ends_with_the_session_is_noted(machine: Machine) -> None:
    """On a desktop that may be meant."""
    machine.install()
    next(machine.lingering.iterdir()).unlink()

    assert machine.check()[1:] == [(NOTE, "service", "pixkind ends when you log out", "loginctl enable-linger")]
