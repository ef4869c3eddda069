"""Looks at the systemd unit of the daemon, as `pixkind service install` writes it."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Mapping
from typing import Final

from pixkin import locations
from pixkin.doctor.finding import NOTE, OK, PROBLEM, Finding

_INSTALL: Final = "pixkind service install"
_START: Final = re.compile(r'^ExecStart=(?:"((?:[^"\\]|\\.)*)"|(\S+))', re.MULTILINE)
_SYSTEMCTL_S: Final = 10.0


def check(
    env: Mapping[str, str] = os.environ,
    *,
    systemd: str = "/run/systemd/system",
    lingering: str = "/var/lib/systemd/linger",
) -> list[Finding]:
    """Look at the unit.

    Args:
        env: says where the configuration is.
        systemd: a folder that exists where systemd runs the machine.
        lingering: the folder in which systemd keeps the names of users whose services outlive their sessions.
    """
    if not os.path.isdir(systemd):
        return [Finding(OK, "service", "systemd does not run this machine, so there is no service")]
    folder = os.path.join(os.path.dirname(os.path.dirname(locations.config_file(env))), "systemd/user")
    unit = os.path.join(folder, "pixkind.service")
    try:
        with open(unit, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except FileNotFoundError:
        return [Finding(NOTE, "service", "pixkind does not start by itself: it has no systemd unit", _INSTALL)]
    except OSError as error:
        return [Finding(PROBLEM, "service", f"{unit}: {error.strerror}", _INSTALL)]
    found = _of_unit(text, folder) or [Finding(OK, "service", f"{unit} starts {_program(text)}")]
    if not os.path.exists(os.path.join(lingering, pwd.getpwuid(os.geteuid()).pw_name)):
        found.append(Finding(NOTE, "service", "pixkind ends when you log out", "loginctl enable-linger"))
    return found


def _of_unit(text: str, folder: str) -> list[Finding]:
    """Return what is wrong with a unit that is installed in a folder."""
    program = _program(text)
    if not os.access(program, os.X_OK):
        what = f"the unit starts {program or 'nothing'}, which is no program any more"
        return [Finding(PROBLEM, "service", what, f"{_INSTALL} && systemctl --user daemon-reload")]
    if not os.path.lexists(os.path.join(folder, "default.target.wants/pixkind.service")):
        what = "the unit is installed, but not enabled: pixkind does not start at login"
        return [Finding(PROBLEM, "service", what, "systemctl --user enable --now pixkind")]
    if _has_failed():
        what = "the service has failed; journalctl --user -u pixkind says why"
        return [Finding(PROBLEM, "service", what, "systemctl --user restart pixkind")]
    return []


def _program(text: str) -> str:
    r"""Return the program that a unit starts. Source: systemd.service(5), "Command lines"; `%h` is the home, `%%` is `%`."""
    if not (match := _START.search(text)):
        return ""
    word = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]
    return re.sub(
        "%(.)", lambda one: "%" if one[1] == "%" else os.path.expanduser("~") if one[1] == "h" else one[0], word
    )


def _has_failed() -> bool:
    command = ["systemctl", "--user", "is-failed", "pixkind"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "failed"
