"""`pixkin help`: prints the help of a verb, or a page about a topic."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Final

from pixkin.cli import output
from pixkin.errors import UsageError

LINE: Final = "print the help of a verb, or a page about a topic"
TEXT: Final = """\
Print the help of a verb, or a page about a topic; without a word, the list of both.
In a terminal, the program in PAGER shows it.

  pixkin help like
  pixkin help duplicates
"""
_PAGER: Final = "less -FRX"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="a verb, or a topic of the list")


def run(options: argparse.Namespace) -> int:
    """Print what was asked for, and return the exit status."""
    from pixkin.cli.main import VERBS, help_of

    topics = _topics()
    if options.topic is None:
        listed = "".join(f"  {name:<16} {_title(path)}\n" for name, path in topics.items())
        _show(f"{help_of('')}\ntopics, for `pixkin help TOPIC`:\n{listed}")
    elif options.topic in VERBS or options.topic in topics:
        # A word may be both, as `watch`.
        texts = [help_of(options.topic)] if options.topic in VERBS else []
        texts += [topics[options.topic].read_text(encoding="utf-8")] if options.topic in topics else []
        _show("\n".join(texts))
    else:
        raise UsageError(f"there is no topic {options.topic}", "pixkin help")
    return 0


def _topics() -> dict[str, Path]:
    """Return the page of each topic: in the wheel they lie beside the modules, in a checkout among the documents."""
    package = Path(__file__).parents[2]
    folder = package / "topics"
    if not folder.is_dir():
        folder = package.parents[1] / "docs/topics"
    return {path.stem: path for path in sorted(folder.glob("*.md"))}


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("# ").strip()


def _show(text: str) -> None:
    """Print a text, by a pager if people read it in a terminal."""
    if not sys.stdout.isatty():
        output.emit(text.encode())
        return
    import shlex
    import signal
    import subprocess

    plain = re.sub(r"^```\w*\n", "", text, flags=re.MULTILINE)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # in a pager, Ctrl-C ends a search and not the pager
    try:
        subprocess.run(shlex.split(os.environ.get("PAGER") or _PAGER), input=plain.encode(), check=False)
    except (OSError, ValueError):  # there is no such program, or PAGER is no command
        output.emit(plain.encode())
    finally:
        signal.signal(signal.SIGINT, before)
