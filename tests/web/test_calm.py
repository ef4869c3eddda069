"""Nothing on the page moves by itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.web.acts import answered, library, listening, settled
from tests.web.conftest import Served, generated

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
Visit = Callable[..., "Page"]
# What has moved while nobody did anything, and by how much of the window: the layout shifts that count for CLS.
_SHIFTS = """() => new Promise((told) => {
  const found = [];
  new PerformanceObserver((list) => {
    for (const shift of list.getEntries())
      if (!shift.hadRecentInput) for (const { node } of shift.sources) found.push(`${shift.value} ${node?.outerHTML?.slice(0, 120)}`);
  }).observe({ type: 'layout-shift', buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => told(found))));
})"""
_AT_REST = "() => document.querySelector('.known')?.textContent.trim() && document.querySelectorAll('aside section').length > 3"


def test_no_photo_moves_by_itself(visit: Visit, site: Served) -> None:
    """What comes late, as names, months and the copies of the question's photo, has a place that was kept."""
    page = visit("/")
    settled(page)
    page.wait_for_function("() => document.querySelector('.doubt')?.textContent.trim()")
    question = library(page)["IMG_0003.jpg"]
    assert page.evaluate(_SHIFTS) == []

    page = visit(f"/like?q={question}&min=-1")
    answered(page)
    page.wait_for_function(_AT_REST)
    assert page.evaluate(_SHIFTS) == []

    listening(page)
    late = site.home.photos / "late.jpg"
    late.write_bytes(generated(60))
    page.get_by_role("button", name="The library has changed.").wait_for()
    assert page.evaluate(_SHIFTS) == []
    late.unlink()
    site.home.sync()

    page = visit("/library")
    settled(page)
    page.wait_for_selector("aside section >> nth=1")
    assert page.evaluate(_SHIFTS) == []
