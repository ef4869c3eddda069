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
    return " ".join([_adding(), *map(shlex.quote, _packages(extra))])


def again(package: str) -> str:
    """Return the command that installs a package anew, because its files are damaged."""
    adding = "pipx runpip pixkin install" if _is_in("pipx/venvs") else _adding()
    return f"{adding} --force-reinstall {shlex.quote(package)}"


def _adding() -> str:
    """Return the command that adds packages here, without their names."""
    if _is_in("pipx/venvs"):
        return "pipx inject pixkin"  # so that an upgrade keeps them
    import sysconfig
    from importlib.util import find_spec

    program = shlex.quote(sys.executable)

    if find_spec("pip") is None:  # as uv makes environments
        return f"uv pip install --python {program}"
    # A system's own Python refuses, PEP 668; but pixkin is there already.
    is_managed = sys.prefix == sys.base_prefix and os.path.exists(
        os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    )
    return f"{program} -m pip install{' --break-system-packages' if is_managed else ''}"


def _is_in(folders: str) -> bool:
    return f"/{folders}/" in f"{sys.prefix}/"


def _packages(extra: str) -> list[str]:
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
        return [f"pixkin[{extra}]"]
    wanted = [(found[1], found[2]) for line in lines if (found := _REQUIREMENT.match(line)) and found[3] == extra]
    # If none is missing, one of them is damaged.
    needed = [one for one in wanted if is_missing(one[0])] or wanted
    return [f"{name}{bound}" for name, bound in needed]
