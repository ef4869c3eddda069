"""What the documents name exists, and the architecture stays short enough to be read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "PROTOCOL.md", "SECURITY.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
# A document may leave out where a module or a test lies: `storage/store` is daemon/pixkind/storage/store.py.
BASES = [ROOT / base for base in ("", "daemon/pixkind", "client/pixkin", "tests", "tests/daemon")]
ARCHITECTURE_WORDS = 2500

_CODE = re.compile(r"```.*?```|`([^`\n]+)`", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"\.?[a-z_][\w.-]*(/[\w.-]+)*/?", re.IGNORECASE)
_NO_PATHS = {"pixkin/", "pixkin/1"}  # the greeting of the protocol
_FILES = (".py", ".md", ".toml", ".service", ".ini")


def named(text: str) -> Iterator[str]:
    """Yield the files and folders of the repository that a document names as code: `storage/store`, `test_config.py`."""
    for match in _CODE.finditer(text):
        word = match[1] or ""
        if word not in _NO_PATHS and _PATH.fullmatch(word) and ("/" in word or word.endswith(_FILES)):
            yield word


def links(text: str) -> Iterator[str]:
    """Yield what a document links to within the repository, with the anchor if there is one."""
    yield from (target for target in _LINK.findall(_CODE.sub("", text)) if "://" not in target)


def is_there(name: str) -> bool:
    """Return whether a file, a folder or a module has this name below one of the bases."""
    return any((base / name).exists() or (base / f"{name}.py").is_file() for base in BASES)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(target: str, document: Path) -> bool:
    """Return whether a link leads nowhere."""
    name, _, anchor = target.partition("#")
    file = document.parent / name if name else document
    return not file.exists() or bool(anchor and anchor not in anchors(file.read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    """A module or a test that moves is renamed in the documents too."""
    assert [name for name in named(document.read_text()) if not is_there(name)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    """A link within the repository names a file, and an anchor one of its headings."""
    assert [target for target in links(document.read_text()) if is_broken(target, document)] == []


def test_the_architecture_is_short() -> None:
    """A document that is read before the code is at most ten minutes long."""
    assert len((ROOT / "ARCHITECTURE.md").read_text().split()) <= ARCHITECTURE_WORDS


def test_checks_notice_what_does_not_exist() -> None:
    """The checks above can fail: code is told from prose, and paths of the reader's machine from the repository's."""
    text = "`storage/stor`, `test_gone.py`, `/p/a.jpg`, `~/a/b.toml`, `fs`, `a b/c`, [x](docs/gone.md)\n```\nfs/gone\n```\n"

    assert list(named(text)) == ["storage/stor", "test_gone.py"]
    assert not any(map(is_there, named(text)))
    assert list(links(text)) == ["docs/gone.md"]
    assert is_broken("docs/gone.md", ROOT / "README.md")
    assert is_broken("PROTOCOL.md#gone", ROOT / "README.md")
    assert not is_broken("PROTOCOL.md#the-protocol-of-pixkin-version-1", ROOT / "README.md")


def test_every_promise_names_tests_that_exist() -> None:
    """The tests in SECURITY.md, as `e2e/test_forget.py::test_name`."""
    tests = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text())
    files = {name: next((base / name for base in BASES if (base / name).is_file()), None) for name, _ in tests}

    assert len(tests) > 20
    assert [
        f"{name}::{test}"
        for name, test in tests
        if (file := files[name]) is None or f"def {test}(" not in file.read_text()
    ] == []
