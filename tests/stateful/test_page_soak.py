"""A page that is open for hours does not grow, has one stream of events, and loses none of them. `make soak` runs this."""

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import Home, new_home
from tests.stateful.growth import Bound, Process, faults, plot, table, write_csv
from tests.stateful.test_soak import FOLDER, MINUTES, SEED
from tests.web.conftest import Served, Visitor, fill_small, generated, served

# The browser of these tests is that of the page's other tests.
from tests.web.conftest import chromium as chromium  # noqa: PLC0414

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

pytestmark = [pytest.mark.e2e]
_TABS = 3
_NEW = 20  # photos that come and go
_SAMPLE_S = 5.0
_ASLEEP_MS = 4000
_HELD = "async () => (await navigator.locks.query()).held.filter((one) => one.name === 'pixkin-events').length"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the tabs and at `pixkin web`."""

    time_s: float
    heap_mb: float  # of the scripts of all tabs, without what nobody holds any more
    nodes: int  # of all documents
    listeners: int
    web_mb: float  # RssAnon
    web_files: int
    web_threads: int


BOUNDS = (
    Bound("scripts of the tabs, MB", lambda s: s.heap_mb, 0.1, 3, "captions of photos are remembered"),
    Bound("nodes of the documents", lambda s: s.nodes, 0.2, 600, "an answer has more photos than another"),
    Bound("listeners of events", lambda s: s.listeners, 0.2, 100, "the same"),
    Bound("pixkin web, MB", lambda s: s.web_mb, 0.1, 6, "malloc keeps some free memory for later"),
    Bound("pixkin web, descriptors", lambda s: s.web_files, 0, 8, "a browser has up to six connections"),
    Bound("pixkin web, threads", lambda s: s.web_threads, 0, 2, "they are started one by one"),
)


@dataclass  # without slots: playwright notes its own wrapper of `sent` on it
class Tab:
    """A page, and the numbers of the events that it was sent."""

    page: "Page"
    session: "CDPSession"
    last: tuple[str, int] | None = None
    lost: list[str] = field(default_factory=list)
    events: int = 0

    def sent(self, message: dict[str, Any]) -> None:
        """Note an event: its number follows that of the last, unless the page is told that it has missed some."""
        self.events += 1
        if not message["eventId"]:
            is_missed = message["eventName"] == "generation" and json.loads(message["data"]).get("missed")
            self.last = None if is_missed else self.last
            return
        epoch, _, number = message["eventId"].partition("-")
        if self.last is not None and (epoch, int(number)) != (self.last[0], self.last[1] + 1):
            self.lost.append(f"{message['eventId']} follows {self.last}")
        self.last = epoch, int(number)


class Use:
    """What people do with a page for hours."""

    def __init__(self, home: Home, site: Served, context: "BrowserContext") -> None:
        self.home, self.site, self.context = home, site, context
        self.chance = random.Random(SEED)
        self.tabs = [self._open() for _ in range(_TABS)]
        self.closed: list[Tab] = []
        # How often, relative to each other: on average a step takes half a second.
        self.acts: dict[Callable[[], None], int] = {
            self.photo: 60,
            self.hop: 30,
            self.back: 10,
            self.elsewhere: 10,
            self.another_tab: 4,
            self.sleep: 2,
            self.restart: 2,
        }

    def _open(self) -> Tab:
        page = self.context.new_page()
        tab = Tab(page, self.context.new_cdp_session(page))
        tab.session.on("Network.eventSourceMessageReceived", tab.sent)
        for domain in ("Network", "Performance"):
            tab.session.send(f"{domain}.enable")
        page.goto(self.site.address)
        page.wait_for_selector(".t")
        return tab

    def steps(self) -> Iterator[str]:
        """Do one thing after the other; yield the name of each."""
        while True:
            act = self.chance.choices([*self.acts], [*self.acts.values()])[0]
            act()
            self.tabs[0].page.wait_for_timeout(200)
            yield act.__name__

    def photo(self) -> None:
        """A photo comes, or goes."""
        path = self.home.photos / f"new {self.chance.randrange(_NEW)}.jpg"
        if path.exists():
            path.unlink()
        else:
            path.write_bytes(generated(200 + int(path.stem.split()[1])))

    def hop(self) -> None:
        """Ask with a photo of the page."""
        page = self.chance.choice(self.tabs).page
        links = page.locator(".t a")
        if count := links.count():
            links.nth(self.chance.randrange(min(count, 6))).evaluate("(link) => link.click()")

    def back(self) -> None:
        """Go back, if there is somewhere to go."""
        self.chance.choice(self.tabs).page.evaluate("() => history.state?.depth && history.back()")

    def elsewhere(self) -> None:
        """Follow a link of the header."""
        link = self.chance.choice(["/", "/library", "/dupes", "/watches", "/status"])
        self.chance.choice(self.tabs).page.locator(f"header a[href='{link}']").first.evaluate("(link) => link.click()")

    def another_tab(self) -> None:
        """Close a tab, which may be the one that has the stream, and open another."""
        tab = self.tabs.pop(self.chance.randrange(_TABS))
        tab.page.close()
        self.closed.append(tab)
        self.tabs.append(self._open())

    def sleep(self) -> None:
        """The machine sleeps: neither the server nor a tab goes on for a while."""
        tab = self.chance.choice(self.tabs)
        self.site.process.send_signal(signal.SIGSTOP)
        tab.session.send("Page.setWebLifecycleState", {"state": "frozen"})
        self.tabs[self.tabs.index(tab) - 1].page.wait_for_timeout(_ASLEEP_MS)
        tab.session.send("Page.setWebLifecycleState", {"state": "active"})
        self.site.process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """The daemon is started anew."""
        assert self.home.daemons[-1].stop() == 0
        self.home.start()

    def sample(self, time_s: float) -> Sample:
        """Look at all tabs and at the server."""
        figures: Counter[str] = Counter()
        for tab in self.tabs:
            tab.session.send("HeapProfiler.collectGarbage")
            for one in tab.session.send("Performance.getMetrics")["metrics"]:
                figures[one["name"]] += one["value"]
        web = Process.of(self.site.process.pid)
        return Sample(
            time_s,
            figures["JSHeapUsedSize"] / 2**20,
            int(figures["Nodes"]),
            int(figures["JSEventListeners"]),
            web.anonymous_mb,
            web.files,
            web.threads,
        )


def test_a_page_that_is_open_for_hours_does_not_grow(chromium: "Browser") -> None:
    """At any time one tab has the stream; no number is left out; and at last all tabs say how many photos there are."""
    samples: list[Sample] = []
    done: Counter[str] = Counter()
    FOLDER.mkdir(exist_ok=True)
    with new_home() as home:
        fill_small(home)
        home.index()
        with served(home) as site:
            context = Visitor(chromium, site).context()
            use = Use(home, site, context)
            began = time.monotonic()
            try:
                for step in use.steps():
                    done[step] += 1
                    time_s = time.monotonic() - began
                    if not samples or time_s > samples[-1].time_s + _SAMPLE_S:
                        samples.append(use.sample(time_s))
                        assert use.tabs[0].page.evaluate(_HELD) == 1
                    if time_s > MINUTES * 60:
                        break
                home.sync()
                count = home.client().status().photos
                for tab in use.tabs:
                    tab.page.wait_for_function(
                        "(text) => document.querySelector('.live b')?.textContent === text", arg=f"{count} photos"
                    )
            except BaseException as error:
                error.add_note(f"PIXKIN_SEED={SEED}\n{(home.folder / 'log').read_text()[-20_000:]}")
                raise
            finally:
                if samples:
                    write_csv(samples, FOLDER / "page.csv")
                context.close()
    (FOLDER / "page.svg").write_text(plot(samples, BOUNDS))
    told = sum(tab.events for tab in (*use.tabs, *use.closed))
    sys.stdout.write(
        f"PIXKIN_SEED={SEED} {dict(done)} {told} events\n{table(samples, BOUNDS)}\n{FOLDER / 'page.svg'}\n"
    )

    assert told > 0
    assert [lost for tab in (*use.tabs, *use.closed) for lost in tab.lost] == []
    assert faults(samples, BOUNDS) == []
