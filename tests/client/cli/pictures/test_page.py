"""The page that `--html` writes, as a browser parses it."""

import base64
import hashlib
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from pixkin.cli import output
from pixkin.cli.pictures.page import page
from pixkin.tiles.tile import Tile, TileGroup

EVIL = b'/p/<script>alert(1)</script>/" onerror=alert(1) \xff\n\xe2\x80\xae.jpg'


class Parsed(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attrs for name, attrs in self.elements if name == tag]


def test_a_page_needs_nothing_but_itself(jpeg: Callable[..., bytes]) -> None:
    """Pictures are embedded; the policy allows them and the one style sheet, by its hash; there is no script."""
    data = page("Photos", [TileGroup([Tile("0.900", b"/p/a.jpg", jpeg=jpeg(), width=384, height=256)])])
    parsed = Parsed(data)
    style = re.search(rb"<style>(.*)</style>", data, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()

    policies = [one["content"] for one in parsed.all("meta") if one.get("http-equiv")]
    assert policies == [
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ]
    (image,) = parsed.all("img")
    kind, _, encoded = (image["src"] or "").partition(",")
    assert (kind, base64.b64decode(encoded)) == ("data:image/jpeg;base64", jpeg())
    assert image["alt"] == "a.jpg: 0.900"
    assert not {"script", "link", "iframe", "object", "form"} & {name for name, _ in parsed.elements}
    assert b"http:" not in data
    assert b"https:" not in data


def test_a_hostile_name_is_text_and_its_link_has_the_bytes_of_the_path() -> None:
    """Nothing of it becomes an element or an attribute; control and bidirectional characters are escaped."""
    evil = "<img src=x onerror=alert(1)>"
    group = TileGroup([Tile(evil, EVIL, output.YELLOW, evil, missing=evil)], evil, more=3)
    parsed = Parsed(page(evil, [group], [evil]))

    assert [one for one in parsed.elements if one[0] in {"img", "script"}] == []
    assert {name for _, attrs in parsed.elements for name in attrs} <= {
        *("lang", "charset", "name", "content", "http-equiv", "class", "href", "alt", "src"),
    }
    assert parsed.text.count(evil) == 7  # title, heading, note, group, tile, remark, reason
    assert '" onerror=alert(1) \\xff\\n\\u202e.jpg' in parsed.text
    assert "3 more photos are not shown." in parsed.text
    links = [one["href"] or "" for one in parsed.all("a")]
    assert links == [
        "file:///p/%3Cscript%3Ealert%281%29%3C/script%3E/%22%20onerror%3Dalert%281%29%20%FF%0A%E2%80%AE.jpg"
    ]


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_no_name_breaks_a_page(name: bytes) -> None:
    """Whatever the bytes of a name, the page has the same elements."""
    plain, odd = (Parsed(page("", [TileGroup([Tile("", b"/p/" + one)])])) for one in (b"a", name))

    assert [tag for tag, _ in odd.elements if tag != "small"] == [tag for tag, _ in plain.elements if tag != "small"]
    assert output.shown(os.path.basename(b"/p/" + name)) in odd.text
