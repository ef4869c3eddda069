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
    if line := _uv_tool(extra=extra):
        return line
    # If nothing says what an extra needs, pixkin was not installed, but copied.
    return shlex.join([*_adding(), *(missing or [f"pixkin[{extra}]"])])


def again(package: str) -> str:
    """Return the command that installs a package anew, because its files are damaged."""
    return "pipx install 'pixkin[light]'" if _is_managed() else _anew({package: package})


def _anew(packages: Mapping[str, str]) -> str:
    """Return the command that installs packages anew: names, and what pip takes for each."""
    if line := _uv_tool(*(f"--reinstall-package={name}" for name in packages)):
        return line
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


def _uv_tool(*options: str, extra: str = "") -> str:
    """Return the command that installs this tool once more, with an extra: uv removes what the command does not name.

    Empty: this is no tool of uv, or a command cannot name where its packages come from. Others may have the same names.
    """
    import tomllib

    try:
        with open(os.path.join(sys.prefix, "uv-receipt.toml"), "rb") as file:
            tool = tomllib.load(file)["tool"]
    except FileNotFoundError:
        return ""
    own, *others = sorted(tool["requirements"], key=lambda one: one["name"] != "pixkin")
    own["extras"] = sorted({*own.get("extras", ()), *([extra] if extra else ())})
    python = ["--python", tool["python"]] if "python" in tool else []
    try:
        further = [word for one in others for word in ("--with", _requirement(one))]
        words = [*python, *_indexes(tool.get("options", {})), *options, *further, _requirement(own)]
    except ValueError:
        return ""
    return shlex.join(["uv", "tool", "install", *words])


def _indexes(options: Mapping[str, Any]) -> list[str]:
    """Return the options of uv that name where a tool's packages come from."""
    words = ["--no-index"] if options.get("no-index") else []
    for one in options.get("index", ()):
        option = "--default-index" if one.get("default") else "--index"
        words += [option, f"{one['name']}={one['url']}" if "name" in one else one["url"]]
    for name in ("index-url", "extra-index-url", "find-links"):
        urls = options.get(name, [])
        words += [word for url in ([urls] if isinstance(urls, str) else urls) for word in (f"--{name}", url)]
    return words


def _requirement(entry: Mapping[str, Any]) -> str:
    """Return an entry of a receipt as uv takes it.

    Raises:
        ValueError: it has keys that are not known here.
    """
    from urllib.parse import quote

    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    words = [entry["name"], extras]
    for key in entry.keys() - {"name", "extras"}:
        match key:
            case "specifier":
                words.append(entry[key])
            case "path" | "directory" | "editable":
                words.append(f" @ file://{quote(entry[key])}")
            case "url":
                words.append(f" @ {entry[key]}")
            case "git":
                words.append(f" @ git+{_revision(entry[key])}")
            case _:
                raise ValueError(key)
    return "".join(words)


def _revision(url: str) -> str:
    """Return the address of a repository in a receipt as uv takes it.

    Raises:
        ValueError: it has keys that are not known here.
    """
    from urllib.parse import parse_qsl

    address, _, query = url.partition("?")
    asked = dict(parse_qsl(query))
    at = [asked.pop(key) for key in ("rev", "tag", "branch") if key in asked]
    folder = asked.pop("subdirectory", "")
    if asked:
        raise ValueError(query)
    return "@".join([address, *at]) + (f"#subdirectory={folder}" if folder else "")


def _requirements(extra: str) -> dict[str, str]:
    """Return what an extra needs, as pip takes it, by the names of the packages; none: pixkin itself is not installed."""
    from importlib import metadata

    try:
        lines = metadata.requires("pixkin") or []
    except metadata.PackageNotFoundError:
        return {}
    found = filter(None, map(_REQUIREMENT.match, lines))
    return {one[1]: f"{one[1]}{one[2]}" for one in found if one[3] == extra}
