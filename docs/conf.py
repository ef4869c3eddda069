"""Makes a site of the documents: `make docs`. What stands at the root of the repository is taken in by a page of one line."""

import re
from pathlib import Path
from typing import Any

import pixkin

project = "pixkin"
version = release = pixkin.__version__
copyright = "the authors of pixkin"  # noqa: A001  the name that Sphinx gives it
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "pixkin"
html_static_path: list[str] = []
exclude_patterns = ["man", "completions", "releasing.md"]
html_extra_path = [str(Path(__file__).with_name("results.jpg"))]

_PAGES = {
    **{
        f"{name.upper()}.md": f"{name}.md"
        for name in ("protocol", "security", "changelog", "architecture", "contributing")
    },
    "README.md": "installation.md",
    "config.example.toml": "configuration.md",
}
_AT_ROOT = re.compile(rf"\]\((?:\.\./)*({'|'.join(map(re.escape, _PAGES))})")


def _lead(*event: Any) -> None:  # noqa: ANN401  the last part of either event is a list with the text
    """Lead links to a document at the root of the repository to its page."""
    event[-1][0] = _AT_ROOT.sub(lambda found: f"](/{_PAGES[found[1]]}", event[-1][0])


def setup(app: Any) -> None:  # noqa: ANN401  Sphinx is no dependency of mypy's run
    """Change links before a document is parsed."""
    app.connect("source-read", _lead)
    app.connect("include-read", _lead)
