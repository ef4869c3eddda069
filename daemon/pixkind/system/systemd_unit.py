"""Writes the units of the systemd user services, removes them, and shows the status of the daemon's.

The page of `pixkin web` has a service and a socket of its own. They are written where its libraries are installed.

The functions return text for people and leave printing to the command line. Nothing here starts or stops the service.
The text names the command that does.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pixkin import locations
from pixkin.errors import Refused
from pixkin.replacing import replace

UNIT: Final = "pixkind.service"
WEB_UNITS: Final = ("pixkin-web.service", "pixkin-web.socket")
_WEB: Final = "uvicorn"  # the library that serves the page
# These decide where configuration, index and weights are. The user manager may not have the values of this shell.
_PLACES: Final = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
_EXEC: Final = "ExecStart=%h/.local/bin/pixkin"  # of both programs
_STATE: Final = "ReadWritePaths=%h/.local/state/pixkin"
_DATA: Final = "ReadWritePaths=-%h/.local/share/pixkin"
_CACHE: Final = "ReadWritePaths=-%h/.cache/pixkin"


def install(env: Mapping[str, str] = os.environ) -> str:
    """Write the units for this installation's programs, and the folders to which they write.

    Existing units are replaced atomically.

    Returns:
        A report for people, with the command that starts the service.

    Raises:
        Refused: this Python environment has no `pixkind`, a path cannot stand in a unit, or a folder cannot be written.
    """
    program = os.path.join(sys.prefix, "bin", "pixkind")
    if not os.access(program, os.X_OK):
        raise Refused(
            f"no program at {program}", "install pixkin into an environment of its own: pipx install 'pixkin[light]'"
        )
    if re.search(r"[\"'\\\x00-\x1f]", program):
        raise Refused(
            f"systemd cannot start a program whose path has quotes, backslashes or control characters: {program}"
        )
    folders = (locations.state_folder(env), locations.data_folder(env), locations.cache_folder(env))
    units = (UNIT, *(WEB_UNITS if find_spec(_WEB) else ()))
    for path in (program, *folders, *_places(env).values()):
        _check_writable(path)
    try:
        for folder in folders:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        for unit in units:
            replace(_unit_file(unit, env), os.fsencode(_text(unit, folders, env)), 0o644)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    socket = " pixkin-web.socket" if len(units) > 1 else ""
    lines = "".join(f"wrote {_unit_file(unit, env)}\n" for unit in units)
    return (
        f"{lines}\n"
        "start it, now and at every login:\n"
        f"    systemctl --user daemon-reload && systemctl --user enable --now pixkind{socket}\n\n"
        "keep it running after you log out: loginctl enable-linger"
    )


def uninstall(env: Mapping[str, str] = os.environ) -> str:
    """Remove the unit, and the link that starts it at login; keep the index.

    Raises:
        Refused: the unit cannot be removed.
    """
    unit = _unit_file(UNIT, env)
    wanted = (("default.target.wants", UNIT), ("sockets.target.wants", WEB_UNITS[1]), *(("", one) for one in WEB_UNITS))
    try:
        for folder, name in wanted:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(os.path.dirname(unit), folder, name))
        os.unlink(unit)
    except FileNotFoundError:
        return f"nothing to remove: there is no {unit}"
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    return (
        f"removed {unit}\n\n"
        "stop it, if it runs:\n"
        "    systemctl --user stop pixkind pixkin-web.socket pixkin-web; systemctl --user daemon-reload\n\n"
        f"the index stays in {locations.state_folder(env)}, and your decisions in {locations.data_folder(env)}"
    )


def status() -> str:
    """Return the output of `systemctl status` for the service."""
    command = ["systemctl", "--user", "status", "pixkind", "--no-pager"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", check=False)
    except FileNotFoundError:
        return "systemd is not installed; run `pixkind` in a terminal or from another service manager"
    return (done.stdout + done.stderr).rstrip()


def _places(env: Mapping[str, str]) -> dict[str, str]:
    return {name: env[name] for name in _PLACES if os.path.isabs(env.get(name, ""))}


def _check_writable(path: str) -> None:
    """Refuse a path that would begin a line of its own in the unit, or that systemd does not read.

    Source: unichar_is_valid in systemd's src/basic/utf8.c: noncharacters count as no UTF-8.
    """
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef]", path) or any(
        ord(one) & 0xFFFE == 0xFFFE for one in path
    ):
        raise Refused(
            f"a systemd unit cannot name {path}: it has control characters, or is not UTF-8",
            f"set the variables {', '.join(_PLACES)} and HOME to other folders",
        )


def _unit_file(unit: str, env: Mapping[str, str]) -> str:
    return os.path.join(os.path.dirname(os.path.dirname(locations.config_file(env))), "systemd", "user", unit)


def _text(unit: str, folders: tuple[str, str, str], env: Mapping[str, str]) -> str:
    places = [f"Environment={_quoted(f'{name}={path}')}" for name, path in _places(env).items()]
    state, data, cache = folders
    text = re.sub(rf"^{re.escape(_EXEC)}(d?)", _program, _template(unit), flags=re.MULTILINE)
    for line, instead in (
        (_STATE, [f"ReadWritePaths={_quoted(state)}", *places]),
        (_DATA, [f"ReadWritePaths={_quoted(f'-{data}')}"]),
        (_CACHE, [f"ReadWritePaths={_quoted(f'-{cache}')}"]),
    ):
        text = text.replace(line, "\n".join(instead))
    return text


def _program(line: re.Match[str]) -> str:
    return f"ExecStart={_quoted(os.path.join(sys.prefix, 'bin', f'pixkin{line[1]}'))}"


def _template(unit: str) -> str:
    """Return a unit from the package or, in a checkout, from the repository."""
    beside = Path(__file__).parents[1] / unit
    return (beside if beside.exists() else Path(__file__).parents[3] / "systemd" / unit).read_text(encoding="utf-8")


def _quoted(word: str) -> str:
    r"""Return `word` for a unit file. Source: systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers"."""
    escaped = re.sub(r'(["\\])', r"\\\1", word).replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[\s\"'\\;]", word) else escaped
