"""The documents that users read, and the console sessions in them."""

import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = (ROOT / "README.md", ROOT / "docs/tutorial.md", *sorted((ROOT / "docs/topics").glob("*.md")))
TEXT: Final = "\n".join(page.read_text() for page in PAGES)

_CONSOLE: Final = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINE: Final = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


class Shown(NamedTuple):
    """A command as a document shows it, and what it prints there; empty: the document does not say."""

    line: str
    printed: str


def sessions(text: str) -> list[Shown]:
    """Return the commands of a document, in their order."""
    return [Shown(*one) for console in _CONSOLE.findall(text) for one in _LINE.findall(console)]
