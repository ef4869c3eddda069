"""Writes what is made from the commands' own help, and from the example of the configuration: `make manuals`.

- `docs/man`: pixkin(1), pixkind(1) and pixkin-config(5), by argparse-manpage
- `docs/completions`: for bash, zsh and fish, by shtab
- `docs/commands.md`: the help of each command, as it is

They are kept in the repository and go into the wheel, so that nobody needs the two packages. A test compares them.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import shtab
from build_manpages.manpage import Manpage

import pixkin
from pixkin.cli.main import _parser as pixkin_parser
from pixkind.cli import _parser as pixkind_parser

ROOT: Final = Path(__file__).parents[1]
FILES: Final = {"bash": "{}.bash", "zsh": "_{}", "fish": "{}.fish"}  # where each shell looks for a command's completion
_FOLDERS: Final = ("FOLDER",)
_PATHS: Final = ("IMAGE", "PHOTO", "PATH", "FILE", "FILE.png", "FILE.html", *_FOLDERS)


def made() -> dict[str, str]:
    """Return the text of each file, by its path below `docs`."""
    os.environ["COLUMNS"] = "80"  # argparse fills its texts for the terminal
    parsers = {"pixkin": pixkin_parser([]), "pixkind": pixkind_parser()}
    texts = {"man/pixkin-config.5": _configuration((ROOT / "config.example.toml").read_text())}
    for name, parser in parsers.items():
        about = {
            "manual_section": "1",
            "manual_title": "pixkin",
            "project_name": name,
            "date": "",
            "version": pixkin.__version__,
        }
        # troff would fill the lines of a usage, which argparse has broken already.
        texts[f"man/{name}.1"] = re.sub(
            r"^(usage: (?:.+\n)+)", r".nf\n\1.fi\n", f"{Manpage(parser, _data=about)}\n", flags=re.MULTILINE
        )
        for one in _all(parser):
            _complete_paths(one)
        for shell, file in FILES.items():
            lines = shtab.complete(parser, shell).splitlines()
            texts[f"completions/{file.format(name)}"] = "".join(f"{line.rstrip()}\n" for line in lines)
    texts["commands.md"] = _commands(parsers.values())
    return texts


def _commands(parsers: Iterable[argparse.ArgumentParser]) -> str:
    """Return a page with the help of each command."""
    lines = ["# The commands", "", "`pixkin help` prints these texts, too."]
    for parser in parsers:
        for one in _all(parser):
            lines += [
                "",
                f"{'##' if one is parser else '###'} {one.prog}",
                "",
                "```text",
                one.format_help().rstrip(),
                "```",
            ]
    return "\n".join(lines) + "\n"


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _all(one)


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        names = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
        if any(name in _PATHS for name in names):
            action.complete = shtab.DIRECTORY if names[0] in _FOLDERS else shtab.FILE  # type: ignore[attr-defined]  # shtab looks for it


def _configuration(example: str) -> str:
    r"""Return pixkin-config(5): the example as it is. A dot or quote would begin a request of troff, hence `\&`."""
    lines = [rf"\&{line}" for line in example.replace("\\", r"\e").splitlines()]
    return "\n".join(
        [
            f'.TH PIXKIN-CONFIG "5" "" "pixkin {pixkin.__version__}" "pixkin"',
            *(".SH NAME", r"pixkin-config \- the configuration of pixkind(1) and pixkin(1)"),
            *(".SH SYNOPSIS", "~/.config/pixkin/config.toml"),
            ".SH DESCRIPTION",
            "The file is TOML, and every setting may be left out.",
            "This example has all of them, each with its default, its unit and its reason.",
            *(".PP", ".nf", *lines, ".fi"),
            *(".SH SEE ALSO", "pixkin(1), pixkind(1)", ""),
        ]
    )


if __name__ == "__main__":
    for path, text in made().items():
        target = ROOT / "docs" / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        sys.stdout.write(f"{target.relative_to(ROOT)}\n")
