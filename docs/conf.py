"""Makes a site of the documents: `make docs`. What stands at the root of the repository is taken in by a page of one line."""

from pathlib import Path

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
suppress_warnings = ["myst.xref_missing"]  # tests/test_documents.py checks links, as GitHub follows them
html_extra_path = [str(Path(__file__).with_name("results.jpg"))]
