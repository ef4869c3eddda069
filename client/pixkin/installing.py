"""The command that brings what is missing into the Python environment that runs now: hints name it.

It names the packages of an extra, not `pixkin[extra]`: so it does the same for a checkout, a wheel and a release.
"""

import os
import re
import shlex
import sys
from typing import Final

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
    # If none is missing, one of them is damaged. If nothing says what they are, pixkin was not installed, but copied.
    words = missing or (["--force-reinstall", *wanted.values()] if wanted else [f"pixkin[{extra}]"])
    return " ".join([_adding(), *map(shlex.quote, words)])


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


def _requirements(extra: str) -> dict[str, str]:
    """Return what an extra needs, as pip takes it, by the names of the packages; none: pixkin itself is not installed."""
    from importlib import metadata

    try:
        lines = metadata.requires("pixkin") or []
    except metadata.PackageNotFoundError:
        return {}
    found = filter(None, map(_REQUIREMENT.match, lines))
    return {one[1]: f"{one[1]}{one[2]}" for one in found if one[3] == extra}
