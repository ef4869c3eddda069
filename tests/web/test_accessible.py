"""Every page by the rules of axe-core, in light, dark and on a phone; and without a pointer."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.web.acts import duplicates, library, settled
from tests.web.conftest import SETUPS, Served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
Visit = Callable[..., "Page"]
_AXE = find_spec("axe_playwright_python")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = """async (rules) => {
  const { violations } = await axe.run(document, { runOnly: rules });
  return violations.map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.target.join(' ') + ': ' + node.failureSummary)]);
}"""


def violations(page: "Page") -> list[Any]:
    """Return what axe-core finds on the page as it is."""
    if not page.evaluate("() => 'axe' in window"):
        assert _AXE is not None, "axe-playwright-python, of the extra [dev], is not installed"
        assert _AXE.origin is not None
        page.evaluate(Path(_AXE.origin).with_name("axe.min.js").read_text())
    return list(page.evaluate(_RUN, RULES))


@pytest.mark.parametrize("setup", SETUPS)
def test_no_page_breaks_a_rule(visit: Visit, site: Served, setup: str) -> None:
    """Pages, the viewer, a comparison, the sheet of keys, and a refusal."""
    page = visit("/", **SETUPS[setup])
    ids = library(page)
    one, two, three = (ids[f"IMG_000{number}.jpg"] for number in (3, 4, 5))
    pages = {
        "/": ".t",
        f"/like?q={one}&q={two}&not={three}&min=-1": ".t",
        f"/like?q={one}&min=-1&photo={two}": "dialog.viewer .pswp__img",
        f"/library?compare={one}&compare={two}": "dialog.comparing .pane",
        "/library": ".t",
        "/dupes": ".group",
        f"/dupes/{duplicates(page)[0]}": ".differs",
        "/watches": "main .notice",
        "/status": ".facts",
        "/like?q=" + "a" * 25 + "q": ".lost",
    }
    found = {}
    for path, ready in pages.items():
        page.goto(site.address + path)
        page.wait_for_selector(ready)
        if ready == ".t":
            settled(page)
        found[path] = violations(page)
    page.keyboard.press("?")
    page.wait_for_selector("dialog.help")
    found["?"] = violations(page)

    assert {path: some for path, some in found.items() if some} == {}


def test_text_twice_as_large_and_320_pixels_need_no_sideways_scrolling(visit: Visit, site: Served) -> None:
    """WCAG 1.4.4 and 1.4.10."""
    page = visit("/", viewport={"width": 320, "height": 700})
    ids = library(page)
    for path in ("/", f"/like?q={ids['IMG_0001.jpg']}&min=-1", "/library", "/dupes", "/watches", "/status"):
        page.goto(site.address + path)
        page.wait_for_selector("main :is(.t, .group, .notice, .facts)")
        for size in ("100%", "200%"):
            page.evaluate("(size) => { document.documentElement.style.fontSize = size; }", size)
            wide = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (path, size)


def test_the_keyboard_alone_reaches_everything(visit: Visit) -> None:
    """Tab goes through the page, each stop is visible, and the grid is one stop."""
    page = visit("/library")
    settled(page)
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
              const { activeElement: at } = document;
              const box = at.getBoundingClientRect();
              return [at.className || at.id || at.tagName, at.closest('.t') !== null, box.width > 0 && box.bottom > 0];
            }"""
        )
        if stop[0] == "BODY":
            break
        stops.append(stop)

    assert all(is_seen for _, _, is_seen in stops)
    assert sum(in_grid for _, in_grid, _ in stops) == 1
    assert stops[0][0] == "skip"
