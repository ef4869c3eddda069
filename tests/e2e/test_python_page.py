"""The examples in docs/topics/python.md and README.md run, and print what the page shows."""

import contextlib
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Home

ROOT = Path(__file__).parents[2]
_EXAMPLE = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.e2e


def run(text: str, name: str, folder: Path) -> list[tuple[str, str]]:
    """Run the examples of a document, one after the other, and return what each printed and what the document shows."""
    outcomes = []
    names: dict[str, Any] = {"__name__": "__main__"}
    for example in _EXAMPLE.finditer(text):
        printed = io.StringIO()
        lines = "\n" * text.count("\n", 0, example.start(1))  # so that a traceback names the line of the document
        with contextlib.redirect_stdout(printed):
            exec(compile(lines + example[1], name, "exec"), names)  # noqa: S102  the examples are our own
        told = printed.getvalue().replace(str(folder), "/home/ada/Pictures")
        outcomes.append((told, told if example[2] is None else example[2]))
    return outcomes


@pytest.fixture
def pictures(home: Home, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Index the sample photos and a copy, and make this process one of the user's, in the folder of photos."""
    shutil.copy(next(photo for photo in photos if photo.name == "coffee.png"), home.photos / "coffee copy.png")
    home.index(*photos)
    monkeypatch.setenv("XDG_RUNTIME_DIR", home.env["XDG_RUNTIME_DIR"])
    monkeypatch.chdir(home.photos)
    return home.photos


@pytest.mark.parametrize(("name", "at_least"), [("docs/topics/python.md", 10), ("README.md", 1)])
def test_the_examples_print_what_the_document_shows(pictures: Path, name: str, at_least: int) -> None:
    """All of them, in their order, against a real daemon."""
    outcomes = run((ROOT / name).read_text(), name, pictures)

    assert len(outcomes) >= at_least
    assert [told for told, _ in outcomes] == [shown for _, shown in outcomes]


def test_the_check_notices_a_wrong_example(tmp_path: Path) -> None:
    """The check above can fail: by what is printed, and by an error."""
    right, wrong = "```python\nprint(1)\n```\n```text\n1\n```\n", "```python\nx = 2\nprint(x)\n```\n\n```text\n3\n```\n"
    assert run(right + wrong, "a", tmp_path) == [
        ("1\n", "1\n"),
        ("2\n", "2\n"),
    ]  # an empty line parts the output from the code

    assert run("```python\nprint(1)\n```\n```text\n2\n```\n", "a", tmp_path) == [("1\n", "2\n")]
    with pytest.raises(NameError):
        run("```python\nnothing\n```\n", "a", tmp_path)
