"""The page in a real browser: a daemon with its worker, `pixkin web`, and one Chromium for all tests of a module."""

import io
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw
from tests.e2e.conftest import Home, new_home
from tests.webserver import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
SETUPS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True, "is_mobile": True},
}
SMALL = 12  # photos of a small library
PATIENCE_MS = 120_000  # limits only end what hangs
# A name that would be markup, and that turns the line around.
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202egpj.jpg"


class Served(WebServer):
    """The server of a home's page."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.env)
        self.home = home


def _shape(number: int) -> Image.Image:
    """Return a photo that only its number determines: a gradient, and shapes on it."""
    dice = random.Random(number)
    size = dice.choice([(640, 480), (480, 640), (800, 450), (600, 600)])
    colours = [tuple(dice.randrange(256) for _ in range(3)) for _ in range(6)]
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image = Image.blend(image, Image.new("RGB", size, colours[0]), 0.7)
    draw = ImageDraw.Draw(image)
    for colour in colours[1:]:
        x, y = dice.randrange(size[0]), dice.randrange(size[1])
        draw.ellipse((x - 90, y - 90, x + 90, y + 90), fill=colour)
    return image


def generated(number: int, quality: int = 90, scale: float = 1.0) -> bytes:
    """Return the JPEG of a generated photo; another quality or size is a near-duplicate of it."""
    image = _shape(number)
    file = io.BytesIO()
    image.resize((round(image.width * scale), round(image.height * scale))).save(file, "JPEG", quality=quality)
    return file.getvalue()


def fill(home: Home, photos: list[Path]) -> None:
    """Write the library of these tests: generated photos, real ones, duplicates, and a hostile name."""
    for number in range(40):
        folder = home.photos / ("lake" if number % 2 else "town")
        folder.mkdir(exist_ok=True)
        (folder / f"IMG_{number:04}.jpg").write_bytes(generated(number))
    for photo in photos:
        shutil.copyfile(photo, home.photos / photo.name)
    (home.photos / "lake/small copy.jpg").write_bytes(generated(1, quality=80, scale=0.5))
    (home.photos / "lake/exact copy.jpg").write_bytes(generated(2))
    (home.photos / HOSTILE).write_bytes(generated(99))


def fill_small(home: Home) -> None:
    """Write a small library: generated photos alone."""
    for number in range(SMALL):
        (home.photos / f"IMG_{number:04}.jpg").write_bytes(generated(number))


@contextmanager
def served(home: Home) -> Iterator[Served]:
    """Serve the page of a home."""
    made = Served(home)
    try:
        yield made
        assert made.process.poll() is None, "pixkin web has ended by itself"
    finally:
        made.stop()


@pytest.fixture(scope="module")
def site(photos: list[Path]) -> Iterator[Served]:
    """Yield a library that is indexed and served; the tests of a module share it."""
    with new_home() as home:
        fill(home, photos[:8])
        home.index()
        with served(home) as made:
            yield made


@pytest.fixture(scope="module")
def small_site() -> Iterator[Served]:
    """Yield a small library; the tests leave it as they found it, and its daemon running."""
    with new_home() as home:
        fill_small(home)
        home.index()
        with served(home) as made:
            yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """Yield Debian's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright, of the extra [dev], is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"THE PAGE IS NOT TESTED: there is no {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """Opens pages as a user who is signed in, and notes what a browser complains about."""

    def __init__(self, chromium: "Browser", site: Served) -> None:
        self._chromium = chromium
        self.site = site
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self._contexts: list[BrowserContext] = []
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{site.address}/#ticket={site.ticket}")
        page.wait_for_selector("main")
        self._cookies: Any = context.storage_state()
        context.close()

    def context(self, **options: Any) -> "BrowserContext":  # noqa: ANN401  options of playwright
        """Return a new context with the session's cookie; `storage_state=None`: without it."""
        settings = {
            "viewport": WIDE,
            "reduced_motion": "reduce",
            "storage_state": self._cookies,
            "permissions": ["clipboard-read", "clipboard-write"],
            **options,
        }
        context = self._chromium.new_context(**settings)
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        return context

    def open(self, path: str, **options: Any) -> "Page":  # noqa: ANN401  options of playwright
        """Open a page of the site in a context of its own."""
        page = self.context(**options).new_page()
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        page.goto(self.site.address + path)
        return page

    def _said(self, kind: str, text: str) -> None:
        # What a request was answered with is told by the page itself.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.complaints.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.site.address}/", "blob:", "data:")):
            self.strangers.append(url)

    def leave(self) -> None:
        """Close everything."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()


@pytest.fixture(scope="module")
def signed_in(chromium: "Browser", site: Served) -> Visitor:
    """Return a visitor that the tests of a module share."""
    return Visitor(chromium, site)


@pytest.fixture
def visit(signed_in: Visitor) -> Iterator[Callable[..., "Page"]]:
    """Open pages; a complaint of the browser, or a request that leaves the origin, fails the test."""
    signed_in.complaints.clear()
    signed_in.strangers.clear()
    yield signed_in.open
    signed_in.leave()
    assert signed_in.complaints == []
    assert signed_in.strangers == []
