"""The command that brings what is missing into the Python environment that runs now: hints name it.

It names the packages of an extra, not `pixkin[extra]`: so it does the same for a checkout, a wheel and a release.
"""

import os
import re
import shlex
import sys
from typing import Final

_REQUIREMENT: Final = re.compile(r"([\w.-]+)(.*?)\s*;.*\bextra\s*==\s*[\"']([\w-]+)[\"']")


def command(extra: str) -> str:
    """Return the command that installs the packages of an extra of pixkin, those that are missing here."""
    if _is_managed():
        extras = extra if extra in {"light", "daemon"} else f"light,{extra}"
        return f"pipx install {shlex.quote(f'pixkin[{extras}]')}"
    missing, every = _packages(extra)
    # If none is missing, one of them is damaged.
    return " ".join([_adding(), *map(shlex.quote, missing or ["--force-reinstall", *every])])


def again(package: str) -> str:
    """Return the command that installs a package anew, because its files are damaged."""
    if _is_managed():
        return "pipx install 'pixkin[light]'"
    adding = "pipx runpip pixkin install" if _is_in("pipx/venvs") else _adding()
    return f"{adding} --force-reinstall {shlex.quote(package)}"


def _is_managed() -> bool:
    """Return whether this is a system's own Python, which wants no packages from elsewhere. Source: PEP 668."""
    import sysconfig

    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return sys.prefix == sys.base_prefix and os.path.exists(marker)


def _adding() -> str:
    """Return the command that adds packages here, without their names."""
    if _is_in("pipx/venvs"):
        return "pipx inject pixkin"  # so that an upgrade keeps them
    from importlib.util import find_spec

    program = shlex.quote(sys.executable)
    # uv makes environments without pip.
    return f"{program} -m pip install" if find_spec("pip") else f"uv pip install --python {program}"


def _is_in(folders: str) -> bool:
    return f"/{folders}/" in f"{sys.prefix}/"


def _packages(extra: str) -> tuple[list[str], list[str]]:
    """Return the requirements of an extra: those that are missing, and all."""
    from importlib import metadata  # it takes 40 ms, and few hints need it

    def is_missing(package: str) -> bool:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            return True
        return False

    try:
        lines = metadata.requires("pixkin") or []
    except metadata.PackageNotFoundError:  # nothing says what it needs
        return [f"pixkin[{extra}]"], []
    wanted = [(found[1], found[2]) for line in lines if (found := _REQUIREMENT.match(line)) and found[3] == extra]
    return [f"{name}{bound}" for name, bound in wanted if is_missing(name)], [
        f"{name}{bound}" for name, bound in wanted
    ]
