"""`make docs` makes a site of all documents, in which every link leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.documents import PAGES, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site. A warning of Sphinx, such as about a page that no other leads to, is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--quiet", "-b", "html", str(ROOT / "docs"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_document_is_a_page_of_it(site: Path) -> None:
    """With its own heading; what stands at the root of the repository is one, too."""
    for page in PAGES[1:]:
        made = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        assert page.read_text().splitlines()[0].removeprefix("# ") in re.sub(r"<[^>]+>", "", made.read_text())
    for name, heading in (
        ("index", "Point at one photo"),
        ("commands", "pixkin like"),
        ("configuration", "[index]"),
        ("protocol", "The protocol of pixkin"),
        ("failures", "truncated"),
        ("security", "promise"),
        ("changelog", "Unreleased"),
        ("architecture", "ingest"),
    ):
        assert heading in re.sub(r"<[^>]+>", "", (site / f"{name}.html").read_text()), name


def test_no_link_of_it_is_broken(site: Path) -> None:
    """Files and anchors of the site itself exist."""
    broken = []
    for page in site.rglob("*.html"):
        text = page.read_text()
        broken += [(page.name, one) for one in re.findall(r'<span class="xref[^>]*>(.*?)</span>', text)]
        for target in re.findall(r'(?:href|src)="([^"]+)"', text):
            name, _, anchor = unquote(target).partition("#")
            if re.match(r"[a-z]+:|//", name) or name.endswith((".js", ".css")) or "?" in name:
                continue
            file = (page.parent / name) if name else page
            if not file.exists() or (anchor and f'id="{anchor}"' not in file.read_text()):
                broken.append((page.name, target))

    assert broken == []
