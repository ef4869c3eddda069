"""The command that brings what is missing into the Python environment that runs now: hints name it.

It names the packages of an extra, not `pixkin[extra]`: so it does the same for a checkout, a wheel and a release. A tool of uv is
different: it keeps only what the last `uv tool install` has named, so the command names all that the tool has.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from typing import Any, Final

_REQUIREMENT: Final = re.compile(r"([\w.-]+)(.*?)\s*;.*\bextra\s*==\s*[\"']([\w-]+)[\"']")


def version(package: str) -> str:
    """Return the version of a package; empty: it is not installed."""
    from importlib import metadata  # it takes 40 ms, and most commands need none of this

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def command(extra: str) -> str:
    """Return the command that installs the packages of an extra of pixkin, those that are missing here."""
    if _is_managed():
        extras = extra if extra in {"light", "daemon"} else f"light,{extra}"
        return f"pipx install {shlex.quote(f'pixkin[{extras}]')}"
    wanted = _requirements(extra)
    missing = [words for name, words in wanted.items() if not version(name)]
    if wanted and not missing:  # one of them is damaged
        return _anew(wanted)
    if os.path.exists(_receipt()):
        return _uv_tool(extra=extra)
    # If nothing says what an extra needs, pixkin was not installed, but copied.
    return shlex.join([*_adding(), *(missing or [f"pixkin[{extra}]"])])


def again(package: str) -> str:
    """Return the command that installs a package anew, because its files are damaged."""
    return "pipx install 'pixkin[light]'" if _is_managed() else _anew({package: package})


def _anew(packages: Mapping[str, str]) -> str:
    """Return the command that installs packages anew: names, and what pip takes for each."""
    if os.path.exists(_receipt()):
        return _uv_tool(*(f"--reinstall-package={name}" for name in packages))
    adding = ["pipx", "runpip", _name(), "install"] if _is_of_pipx() else _adding()
    return shlex.join([*adding, "--force-reinstall", *packages.values()])


def _is_managed() -> bool:
    """Return whether this is a system's own Python, which wants no packages from elsewhere. Source: PEP 668."""
    import sysconfig

    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return sys.prefix == sys.base_prefix and os.path.exists(marker)


def _adding() -> list[str]:
    """Return the command that adds packages here, without their names."""
    if _is_of_pipx():
        return ["pipx", "inject", _name()]  # so that an upgrade keeps them
    from importlib.util import find_spec

    # uv makes environments without pip.
    return (
        [sys.executable, "-m", "pip", "install"]
        if find_spec("pip")
        else ["uv", "pip", "install", "--python", sys.executable]
    )


def _is_of_pipx() -> bool:
    return os.path.exists(os.path.join(sys.prefix, "pipx_metadata.json"))


def _name() -> str:
    """Return what pipx calls this environment."""
    return os.path.basename(sys.prefix)


def _receipt() -> str:
    """Return the file in which `uv tool` keeps what it was asked for."""
    return os.path.join(sys.prefix, "uv-receipt.toml")


def _uv_tool(*options: str, extra: str = "") -> str:
    """Return the command that installs this tool once more, with an extra: uv removes what the command does not name."""
    import tomllib

    with open(_receipt(), "rb") as file:
        tool = tomllib.load(file)["tool"]
    own, *others = sorted(tool["requirements"], key=lambda one: one["name"] != "pixkin")
    own["extras"] = sorted({*own.get("extras", ()), *([extra] if extra else ())})
    python = ["--python", tool["python"]] if "python" in tool else []
    further = [word for one in others for word in ("--with", _requirement(one))]
    return shlex.join(["uv", "tool", "install", *python, *options, *further, _requirement(own)])


def _requirement(entry: Mapping[str, Any]) -> str:
    """Return an entry of a receipt as uv takes it."""
    from urllib.parse import quote

    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    places = [f" @ file://{quote(entry[kind])}" for kind in ("path", "directory", "editable") if kind in entry]
    return "".join([entry["name"], extras, *(places or [entry.get("specifier", "")])])


def _requirements(extra: str) -> dict[str, str]:
    """Return what an extra needs, as pip takes it, by the names of the packages; none: pixkin itself is not installed."""
    from importlib import metadata

    try:
        lines = metadata.requires("pixkin") or []
    except metadata.PackageNotFoundError:
        return {}
    found = filter(None, map(_REQUIREMENT.match, lines))
    return {one[1]: f"{one[1]}{one[2]}" for one in found if one[3] == extra}
