"""What the page costs, in a headless Chromium: first photos, moving, going on, lists of 10,000 and 100,000, and the daemon.

    python benchmarks/bench_page.py [PHOTOS]

The bars: first contentful paint 0.5 s, largest 1.2 s, nothing moves by itself, a key 100 ms, a click to new photos 200 ms, a
dropped photo of 12 megapixels to its answer 300 ms (3 s with a cold worker), frames 34 ms at the 95th percentile, 80 tiles,
10 and 50 ms to place 10,000 and 100,000 photos, 15 MB of JavaScript's memory; the server 60 MB, ready after 1 s; and
indexing at 95 % of its speed while the page is open. It needs Debian's package chromium.
"""

import base64
import io
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common import (
    BIN,
    Home,
    command_line,
    cpu_s,
    fill,
    header,
    memory_bytes,
    new_home,
    picture,
    show,
    switches,
    take_photo,
)
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, sync_playwright

_CHROMIUM = "/usr/bin/chromium"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
_ROUNDS = 5
_IDLE_S = 20
_NEW = 900  # photos in each turn of indexing
_TURNS = 2
_ORIGINALS = 10
# Seconds from an act to the frame after the first photo of the answer is there.
_TIMED = """([act, data]) => new Promise((told, fail) => {
  const file = data && new File([Uint8Array.from(atob(data), (one) => one.charCodeAt(0))], 'new.jpg', { type: 'image/jpeg' });
  const placed = () => performance.getEntriesByName('layout').length;
  const before = placed();
  const begun = performance.now();
  const took = () => (performance.now() - begun) / 1000;
  const answered = () => placed() > before && document.querySelector('main')?.ariaBusy === 'false' && document.querySelector('.t img')?.naturalWidth > 0;
  const look = () => requestAnimationFrame(() => answered() ? requestAnimationFrame(() => told(took())) : took() < 60 ? look() : fail());
  if (act === 'click') document.querySelectorAll('.t a')[3].click();
  else {
    const files = new DataTransfer();
    files.items.add(file);
    for (const type of ['dragenter', 'dragover', 'drop'])
      document.body.dispatchEvent(new DragEvent(type, { dataTransfer: files, bubbles: true, cancelable: true }));
  }
  look();
})"""
_PAINTS = """() => new Promise((told) => {
  const found = { moved: 0 };
  const see = (list) => list.getEntries().forEach((one) => {
    if (one.entryType === 'paint') found[one.name] = one.startTime / 1000;
    if (one.entryType === 'largest-contentful-paint') found.largest = one.startTime / 1000;
    if (one.entryType === 'layout-shift' && !one.hadRecentInput) found.moved += one.value;
  });
  for (const type of ['paint', 'largest-contentful-paint', 'layout-shift']) new PerformanceObserver(see).observe({ type, buffered: true });
  setTimeout(() => told(found), 300);
})"""
_KEYS = """() => {
  window.keys = [];
  new PerformanceObserver((list) => list.getEntries().forEach((one) => one.name === 'keydown' && window.keys.push(one.duration / 1000)))
    .observe({ type: 'event', durationThreshold: 16 });
}"""
_SCROLL = """() => new Promise((told) => {
  const frames = [];
  let last = performance.now(), tiles = 0;
  const step = (now) => {
    frames.push((now - last) / 1000);
    last = now;
    tiles = Math.max(tiles, document.querySelectorAll('.t').length);
    scrollBy(0, 120);
    if (frames.length < 300) requestAnimationFrame(step);
    else told([frames.slice(1), tiles]);
  };
  requestAnimationFrame(step);
})"""
_ROWS = """async (n) => {
  const { rows } = await import('/static/js/rows.js');
  const ar = Float32Array.from({ length: n }, (_, i) => 0.5 + ((i * 7919) % 1000) / 700);
  rows(ar, 0, n, 1000, 180, 0, new Float64Array(4 * n));
  const begun = performance.now();
  rows(ar, 0, n, 1000, 180, 0, new Float64Array(4 * n));
  return (performance.now() - begun) / 1000;
}"""
_IDS = "async (n) => (await (await fetch(`/api/v1/library?n=${n}`)).json()).photos.id"


class _Web:
    """A `pixkin web`, its ticket, and how long it took until it printed that."""

    def __init__(self, home: Home) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        began = time.perf_counter()
        command = [BIN / "pixkin", "web", "--no-open", "--port", str(port)]
        self.process = subprocess.Popen(command, env=home.env, stdout=subprocess.PIPE, text=True)
        found = re.search(r"#ticket=(\S+)", self.process.stdout.readline() if self.process.stdout else "")
        if found is None:
            sys.exit("pixkin web does not start")
        self.took_s, self.address, self.ticket = time.perf_counter() - began, f"http://127.0.0.1:{port}", found[1]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextmanager
def _visitor(browser: Browser, web: _Web) -> Iterator[BrowserContext]:
    """Yield a context that is signed in."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(f"{web.address}/#ticket={web.ticket}")
    page.wait_for_selector(".t")
    page.close()
    yield context
    context.close()


def _opened(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(".t img")
    page.wait_for_function("() => document.querySelector('.t img').naturalWidth > 0")
    return page


def _first_photos(browser: Browser, web: _Web, state: StorageState, ids: list[str]) -> None:
    """Print how soon a question's photos are seen by a browser that has nothing but the cookie."""
    paints = []
    for number in range(_ROUNDS):
        context = browser.new_context(storage_state=state, viewport={"width": 1280, "height": 800})
        page = _opened(context, f"{web.address}/like?q={ids[number]}&min=-1")
        page.wait_for_function("() => document.querySelector('.known')?.textContent.trim()")
        paints.append(page.evaluate(_PAINTS))
        context.close()
    show("first contentful paint", [one["first-contentful-paint"] for one in paints])
    show("largest contentful paint", [one["largest"] for one in paints])
    show("moved by itself (CLS)", [one["moved"] for one in paints], "", factor=1)


def _moving(context: BrowserContext, web: _Web, ids: list[str]) -> None:
    """Print what going on costs: clicks, keys, drops."""
    page = _opened(context, f"{web.address}/like?q={ids[9]}&min=-1")
    show("click on a photo to new photos", [page.evaluate(_TIMED, ["click", ""]) for _ in range(_ROUNDS)])
    page.locator(".t a").first.focus()
    page.evaluate(_KEYS)
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    show("a key that moves, the slowest of 40", [max(page.evaluate("() => window.keys"), default=0.016)])
    drops = []
    for number in range(_ROUNDS + 1):
        file = io.BytesIO()
        take_photo(number).save(file, "JPEG", quality=88)
        drops.append(page.evaluate(_TIMED, ["drop", base64.b64encode(file.getvalue()).decode()]))
    show("drop of 12 MP to its answer, worker cold", drops[:1])
    show("the same, worker warm", drops[1:])
    page.close()


def _long_list(context: BrowserContext, web: _Web, n: int) -> None:
    """Print what a list of many photos costs."""
    page = _opened(context, f"{web.address}/library")
    page.wait_for_function("(n) => document.querySelector('.t').ariaSetSize >= n", arg=str(n))
    frames, tiles = page.evaluate(_SCROLL)
    ordered = sorted(frames)
    show(f"scrolling through {n}: a frame", frames)
    show("the same, 95th percentile", [ordered[len(ordered) * 95 // 100]])
    show("the same, most tiles", [tiles], "", factor=1)
    session = context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    show(
        f"JavaScript's memory, {n} photos", [session.send("Runtime.getHeapUsage")["usedSize"] / 2**20], "MiB", factor=1
    )
    show("placing 10,000 photos", [page.evaluate(_ROWS, 10_000) for _ in range(_ROUNDS)])
    show("placing 100,000 photos", [page.evaluate(_ROWS, 100_000) for _ in range(_ROUNDS)])
    page.close()


def _server(context: BrowserContext, web: _Web) -> None:
    """Print what a page that is open and looked at costs while nothing happens."""
    page = _opened(context, f"{web.address}/library")
    page.wait_for_timeout(3000)
    processes = [web.process.pid]
    show("pixkin web, memory", [memory_bytes(processes) / 2**20], "MiB", factor=1)
    woken, computed = switches(processes), cpu_s(processes)
    page.wait_for_timeout(_IDLE_S * 1000)
    show("pixkin web, wake-ups a second, a page open", [(switches(processes) - woken) / _IDLE_S], "", factor=1)
    show("pixkin web, processor, a page open", [(cpu_s(processes) - computed) / _IDLE_S], "%", factor=100)
    page.close()


def _another(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG that is another one by what it multiplies its highest frequency with: that is not seen."""
    at = jpeg.index(b"\xff\xdb") + 5 + 62  # two of the last of 64 bytes of the first table
    return jpeg[:at] + bytes([1 + number // 255 % 255, 1 + number % 255]) + jpeg[at + 2 :]


def _indexing(home: Home, browser: Browser, web: _Web, state: StorageState) -> None:
    """Print how fast new photos are indexed, without and with the page open, in turns."""
    took: dict[bool, list[float]] = {False: [], True: []}
    originals = [picture(at, (4000, 3000)) for at in range(_ORIGINALS)]
    for number in range(2 * _TURNS):
        with_page = number % 2 == 1
        context = browser.new_context(storage_state=state, viewport={"width": 1280, "height": 800})
        if with_page:
            _opened(context, web.address).wait_for_timeout(3000)
        folder = home.photos / f"new {number}"
        folder.mkdir()
        began = time.perf_counter()
        for at in range(_NEW):
            (folder / f"{at}.jpg").write_bytes(_another(originals[at % _ORIGINALS], number * _NEW + at))
        subprocess.run([BIN / "pixkin", "sync"], env=home.env, stdout=subprocess.DEVNULL, check=True)
        took[with_page].append(_NEW / (time.perf_counter() - began))
        context.close()
    alone = show("photos indexed a second, no page", took[False], "/s", factor=1)
    beside = show("the same, the page open", took[True], "/s", factor=1)
    print(f"with the page: {beside / alone:.1%}")


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=10_000)
    n = parser.parse_args().photos
    header(f"bench_page: {n} photos, synthetic vectors")
    with new_home() as home, sync_playwright() as playwright:
        fill(home, n)
        home.start()
        starts = []
        for _ in range(_ROUNDS - 1):
            web = _Web(home)
            starts.append(web.took_s)
            web.stop()
        web = _Web(home)
        show("pixkin web, from exec to its address", [*starts, web.took_s])
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        try:
            with _visitor(browser, web) as context:
                state = context.storage_state()
                page = _opened(context, web.address)
                ids = page.evaluate(_IDS, 100)
                page.close()
                _first_photos(browser, web, state, ids)
                _moving(context, web, ids)
                _long_list(context, web, n)
                _server(context, web)
            _indexing(home, browser, web, state)
        finally:
            browser.close()
            web.stop()


if __name__ == "__main__":
    main()
