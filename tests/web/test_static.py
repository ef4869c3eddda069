"""The files of the page: all words stand in one file, and what is loaded before the first photos is small."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "client/pixkin/web/static"
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
WORDS = json.loads((STATIC / "strings/en.json").read_text())


def templates(source: str) -> Iterator[str]:
    """Yield the markup of all templates, without what is computed."""
    for match in re.finditer(r"\b(?:html|svg)`", source):
        depth, at, kept = 0, match.end(), []
        while at < len(source) and not (depth == 0 and source[at] == "`"):
            if source.startswith("${", at):
                depth += 1
            elif depth and source[at] in "{}":
                depth += 1 if source[at] == "{" and source[at - 1] != "$" else -(source[at] == "}")
            elif depth == 0:
                kept.append(source[at])
            at += 1
        yield "".join(kept)


def said_outside(source: str) -> list[str]:
    """Return texts that people would read and that stand in a script: in markup, in labels, or set as text."""
    found = []
    for markup in templates(source):
        text = re.sub(r"<[^>]*>", " ", markup)
        found += re.findall(r"[A-Za-z]{2,}(?: [A-Za-z]+)*", text)
        found += re.findall(r'(?:aria-label|title|alt|placeholder)="([^"]*[A-Za-z]{2}[^"]*)"', markup)
    found += re.findall(
        r"\.(?:textContent|title|alt|ariaLabel|placeholder)\s*=\s*['\"]([^'\"]*[A-Za-z]{2}[^'\"]*)['\"]", source
    )
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_words_stand_in_one_file(script: Path) -> None:
    """A translation is a copy of one file. The name of the product needs none."""
    assert set(said_outside(script.read_text())) <= {"pixkin"}


def test_word_check_notices_a_text() -> None:
    """The check above can fail: for markup, for a label, and for a text that is set."""
    assert said_outside("html`<p>${say('a', { n: 1 })} more</p>`") == ["more"]
    assert said_outside('html`<a aria-label="Close it">${x}</a>`') == ["Close it"]
    assert said_outside("one.textContent = 'Not yet';") == ["Not yet"]


def test_every_text_that_a_script_asks_for_is_there_and_every_other_is_gone() -> None:
    """A missing text would be an error on the page."""
    source = "\n".join(script.read_text() for script in SCRIPTS)
    asked = set(re.findall(r"say\(\s*'([^']+)'", source))
    begins = set(re.findall(r"say\(\s*`([^`$]+)\$", source))
    quoted = set(re.findall(r"['\"]([a-z_]+(?:\.[a-z_]+)*)['\"]", source))

    assert asked <= WORDS.keys()
    assert [key for key in WORDS if key not in quoted and not key.startswith(tuple(begins))] == []


def test_markup_obeys_the_policy() -> None:
    """No script and no style within the markup, in no template either: the policy of the page would drop them."""
    page = (STATIC / "index.html").read_text()
    markup = [page, *(one for script in SCRIPTS for one in templates(script.read_text()))]

    assert not [one for one in markup if re.search(r"\sstyle=|\son[a-z]+=\"|<style", one)]
    assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="/static/js/main.js">']
    assert ".innerHTML" not in "".join(script.read_text() for script in SCRIPTS)
    assert not re.search(r"https?://(?!www\.w3\.org)", page)


def test_what_others_wrote_has_its_licence() -> None:
    """Each vendored library lies beside the text of its licence."""
    for folder in (STATIC / "vendor").iterdir():
        assert "Copyright" in (folder / "LICENSE").read_text() or "copyright" in (folder / "LICENSE").read_text()


def packed(*paths: Path) -> int:
    """Return the size of files as a server would send them, in bytes."""
    return sum(len(gzip.compress(path.read_bytes())) for path in paths)


def loaded_first() -> set[Path]:
    """Return the scripts that are loaded before the first photos of an answer: what is imported without `import()`."""
    found: set[Path] = set()
    waiting = [STATIC / "js/main.js", STATIC / "js/pages/similar.js"]
    while waiting:
        script = waiting.pop().resolve()
        if script not in found:
            found.add(script)
            waiting += [
                script.parent / name
                for name in re.findall(r"^import .*?from '([^']+)';$", script.read_text(), re.MULTILINE)
            ]
    return found


def test_the_page_is_small() -> None:
    """The budget, in kB of gzip: own scripts before the first photos, styles, markup, and the viewer at its first use."""
    own = {script for script in loaded_first() if "vendor" not in script.parts}

    assert packed(*own) <= 40_000
    assert packed(STATIC / "css/pixkin.css") <= 8_000
    assert packed(STATIC / "index.html") <= 4_000
    assert packed(STATIC / "vendor/photoswipe/photoswipe.esm.min.js") <= 20_000
    assert "photoswipe" not in "".join(script.read_text() for script in own)
