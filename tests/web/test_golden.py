"""Pages look as they did when a person last looked at them. `make golden` takes new pictures: look at each before you keep it."""

import base64
import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from PIL import Image, ImageChops, ImageFont
from tests.e2e.conftest import new_home
from tests.waiting import wait_for
from tests.web.acts import duplicates, library, settled
from tests.web.conftest import SETUPS, Served, fill_small, generated, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
Visit = Callable[..., "Page"]
GOLDEN: Final = Path(__file__).with_name("golden")
_KEPT: Final = 2  # pixels of the page to one of a kept picture
_COMPARED: Final = 2  # pixels of a kept picture to one that is compared: edges of letters differ between browsers
_OFF: Final = 24  # of 255
_MOST: Final = 0.005  # of the picture may be off by more
_PATIENCE_S: Final = 60.0
_TAKEN_S: Final = 1_500_000_000
# One font for every machine, and nothing that differs from run to run: how long it took, and where the library lies.
_STYLE: Final = """@font-face { font-family: Fixed; src: url(data:font/ttf;base64,%s); }
* { font-family: Fixed !important; caret-color: transparent !important; }
:is(.doubt, .known, .figcaption bdi + bdi, .viewer .top span) { visibility: hidden; }"""
_AT_REST: Final = """async () => {
  await document.fonts.ready;
  const seen = [...document.images].filter((one) => one.getBoundingClientRect().top < innerHeight && one.checkVisibility());
  if (!document.querySelector('.live b')?.textContent || !seen.every((one) => one.complete && one.naturalWidth)) return false;
  await Promise.all(seen.map((one) => one.decode()));
  return new Promise((told) => requestAnimationFrame(() => requestAnimationFrame(() => told(true))));
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    """Yield a small library whose files say when they were taken, with one photo in two files."""
    with new_home() as home:
        fill_small(home)
        (home.photos / "small copy.jpg").write_bytes(generated(1, quality=80, scale=0.5))
        for at, photo in enumerate(sorted(home.photos.iterdir())):
            os.utime(photo, (_TAKEN_S, _TAKEN_S + at * 10**7))
        home.index()
        with served(home) as made:
            yield made


def taken(page: "Page") -> Image.Image:
    """Return a picture of the page, as small as those that are kept."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB").reduce(_KEPT)


def off(seen: Image.Image, kept: Image.Image) -> float:
    """Return which share of two pictures is not alike."""
    if seen.size != kept.size:
        return 1.0
    small = (one.convert("RGB").reduce(_COMPARED) for one in (seen, kept))
    worst = ImageChops.difference(*small)
    red, green, blue = worst.split()
    counts = ImageChops.lighter(ImageChops.lighter(red, green), blue).histogram()
    return sum(counts[_OFF + 1 :]) / sum(counts)


def is_alike(page: "Page", kept: Image.Image) -> bool:
    """Return whether a page looks as it did."""
    return off(taken(page), kept) <= _MOST


@pytest.mark.parametrize("setup", SETUPS)
def test_pages_look_as_they_did(visit: Visit, site: Served, setup: str, tmp_path: Path) -> None:
    """First page, answer, viewer, library, duplicates, a group, and watches; fonts and photos are always the same."""
    page = visit("/", bypass_csp=True, device_scale_factor=1, **SETUPS[setup])
    ids = library(page)
    question, other = ids["IMG_0001.jpg"], ids["IMG_0005.jpg"]
    addresses = {
        "start": ("/", ".t"),
        "similar": (f"/like?q={question}&not={other}&min=-1", "aside section >> nth=3"),
        "viewer": (f"/like?q={question}&min=-1&photo={other}", "dialog.viewer .pswp__img"),
        "library": ("/library", "aside section >> nth=1"),
        "dupes": ("/dupes", ".group"),
        "group": (f"/dupes/{duplicates(page)[0]}", ".differs"),
        "watches": ("/watches", "main .notice"),
    }
    font = base64.b64encode(ImageFont.load_default(10).font_bytes).decode()  # type: ignore[union-attr]
    differs = {}
    for name, (address, ready) in addresses.items():
        page.goto(site.address + address)
        page.add_style_tag(content=_STYLE % font)
        page.wait_for_selector(ready, state="attached")
        if page.locator(".t").count():
            settled(page)
        page.wait_for_function(_AT_REST)
        kept = GOLDEN / f"{name}-{setup}.webp"
        if os.environ.get("PIXKIN_GOLDEN"):
            GOLDEN.mkdir(exist_ok=True)
            taken(page).save(kept, lossless=True)
            continue
        golden = Image.open(kept)
        try:
            # A browser paints a picture some frames after it has decoded it.
            wait_for(partial(is_alike, page, golden), _PATIENCE_S)
        except TimeoutError:
            taken(page).save(tmp_path / kept.name, lossless=True)
            differs[str(tmp_path / kept.name)] = f"{off(taken(page), golden):.1%}"

    assert differs == {}, "look at these; if that is how they shall look: make golden"
