"""What people see when something is missing or goes wrong; each fault is made for real, and has a sentence on the page."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.e2e.conftest import new_home
from tests.waiting import wait_for
from tests.web.acts import answered, bring, library, listening, order, settled
from tests.web.conftest import Served, Visitor, generated, served

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Page, Route

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
Visit = Callable[..., "Page"]


@pytest.fixture(scope="module")
def site(small_site: Served) -> Served:
    """Return the library of these tests."""
    return small_site


def test_without_a_daemon_the_last_photos_stay_and_it_is_found_again(visit: Visit, site: Served) -> None:
    """There is a command to copy; the page looks by itself, and goes on."""
    page = visit("/")
    ids = library(page)
    page.goto(f"{site.address}/like?q={ids['IMG_0001.jpg']}&min=-1")
    answered(page)
    before = order(page)

    site.home.daemons[-1].stop()
    page.wait_for_selector("text=pixkind is not running.")
    assert "systemctl --user start pixkind" in page.locator("#away code").inner_text()
    assert order(page) == before
    page.get_by_role("button", name="Copy").first.click()
    assert page.evaluate("() => navigator.clipboard.readText()") == "systemctl --user start pixkind"

    site.home.start()
    page.wait_for_selector("text=pixkind is not running.", state="detached")
    settled(page)
    assert order(page) == before


@pytest.mark.parametrize("how", ["answers", "is busy"])
def test_a_daemon_that_answers_in_its_last_moment_is_missed(visit: Visit, site: Served, how: str) -> None:
    """The page asks until events go on: these end before a daemon does, which may still answer, or say that it is stopping."""
    page = visit("/")
    settled(page)
    listening(page)
    busy = {"type": "about:blank", "title": "Not now", "status": 503, "detail": "it is stopping", "daemon": "busy"}
    well = page.evaluate("async () => (await fetch('/api/v1/status')).json()")
    answers = [(503, busy) if how == "is busy" else (200, well)] * 2

    def tell(route: "Route") -> None:
        if answers:
            status, said = answers.pop()
            route.fulfill(status=status, json=said)
        else:
            route.continue_()

    page.route("**/api/v1/status", tell)
    site.home.daemons[-1].stop()
    page.wait_for_selector("text=pixkind is not running.")

    site.home.start()
    page.wait_for_selector("text=pixkind is not running.", state="detached")


def test_an_answer_that_an_event_has_overtaken_is_not_believed(visit: Visit, site: Served) -> None:
    """A status that was on its way while a photo came is older than the event, and the library is at rest after it."""
    page = visit("/")
    settled(page)
    listening(page)
    late: list[tuple[Route, APIResponse]] = []
    page.route("**/api/v1/status", lambda route: late.append((route, route.fetch())), times=1)
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")  # it looks how things stand
    wait_for(lambda: page.evaluate("1") == 1 and bool(late))  # its handler runs while playwright is asked
    new = site.home.photos / "overtaking.jpg"
    new.write_bytes(generated(81))
    site.home.sync()
    count = f"{site.home.client().status().photos} photos"
    shown = "(count) => document.querySelector('.live b')?.textContent === count"
    page.wait_for_function(shown, arg=count)
    with page.expect_response("**/api/v1/status"):
        (route, response) = late.pop()
        route.fulfill(response=response)
    with page.expect_response("**/api/v1/status"):
        pass  # it asks again

    page.wait_for_function(shown, arg=count)

    new.unlink()
    site.home.sync()


def test_an_event_that_comes_before_the_first_status_breaks_no_page(visit: Visit, site: Served) -> None:
    """Another tab passes on what its stream tells, and an event says only what changes: a page may not take it for all."""
    page = visit("/status")
    held: list[Route] = []
    page.route("**/api/v1/status", lambda route: held.append(route))  # noqa: PLW0108  playwright counts arguments
    page.route("**/api/v1/events", lambda route: route.abort())
    page.goto(site.address)
    page.wait_for_selector(".t")
    page.evaluate("() => { new BroadcastChannel('pixkin-events').onmessage = () => { window.isTold = true; }; }")
    other = page.context.new_page()
    other.goto(f"{site.address}/static/icon.svg")
    other.evaluate(
        "() => new BroadcastChannel('pixkin-events').postMessage({ name: 'generation', detail: { generation: 7 } })"
    )
    page.wait_for_function("() => window.isTold")
    page.locator("header a[href='/library']").click()
    page.wait_for_selector("main:not(.start) .t")
    page.locator("header a.logo").click()
    page.wait_for_selector("main.start .t")

    page.unroute("**/api/v1/status")
    for route in held:
        route.continue_()
    count = f"{site.home.client().status().photos} photos"
    page.wait_for_function("(count) => document.querySelector('.live b')?.textContent === count", arg=count)


def test_a_change_that_no_stream_has_told_is_noticed(visit: Visit, site: Served) -> None:
    """A stream may begin late, or be cut: the page compares what it knew with how things stand."""
    page = visit("/")
    ids = library(page)
    page.route("**/api/v1/events", lambda route: route.abort())
    page.goto(f"{site.address}/like?q={ids['IMG_0001.jpg']}&min=-1")
    answered(page)
    before = order(page)
    page.wait_for_function("() => document.querySelector('.live b')?.textContent")  # it knows how things stand
    new = site.home.photos / "untold.jpg"
    new.write_bytes(generated(80))
    page.get_by_role("button", name="The library has changed.").click()
    page.wait_for_function("(n) => document.querySelectorAll('.t').length > n", arg=len(before))

    new.unlink()
    site.home.sync()


def test_a_change_before_the_first_status_is_noticed(visit: Visit, site: Served) -> None:
    """An answer says what it was made from: a page that hears of nothing for a while compares that with the first that it hears."""
    page = visit("/")
    ids = library(page)
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    page.route("**/api/v1/status", hold)
    page.route("**/api/v1/events", lambda route: route.abort())
    page.goto(f"{site.address}/like?q={ids['IMG_0001.jpg']}&min=-1")
    answered(page)
    new = site.home.photos / "before.jpg"
    new.write_bytes(generated(81))
    site.home.sync()
    page.unroute("**/api/v1/status")
    for route in held:
        route.continue_()
    page.get_by_role("button", name="The library has changed.").wait_for()

    new.unlink()
    site.home.sync()


def test_a_library_of_more_than_a_page_goes_on_with_older_photos(visit: Visit, site: Served) -> None:
    """A browser holds 100,000 photos; a link goes on from there, and the address says from where on it shows them."""
    page = visit("/")
    id_ = library(page)["IMG_0001.jpg"]
    asked: list[str] = []

    def tell(route: "Route") -> None:
        """Tell of a library of 120,000 photos, all of one picture."""
        query = parse_qs(urlsplit(route.request.url).query)
        asked.append(after := query.get("after", [""])[0])
        number = ord(after[0]) - ord("a") if after else 0
        columns: dict[str, list[object]] = {
            "id": [id_],
            "ar": [1.5],
            "rgb": [0],
            "flags": [0],
            "taken": [1_500_000_000 - number],
        }
        photos = {name: column * 10_000 for name, column in columns.items()}
        following = f"{'bcdefghijkl'[number]}{'a' * 38}" if number < 11 else None
        doubt = {"pending": 0, "failed": 0, "offline": 0, "unwatched": []}
        route.fulfill(json={"basis": "", "total": 120_000, "next": following, "doubt": doubt, "photos": photos})

    page.route("**/api/v1/library?*n=10000", tell)  # not of the page that is left, which asks for 200
    page.goto(f"{site.address}/library")
    older = page.get_by_role("link", name="Show older photos")
    older.wait_for()
    assert page.locator("h1").inner_text() == "120,000 photos"
    assert len(asked) == 10

    older.click()
    page.wait_for_url(f"**/library?after=k{'a' * 38}")
    page.wait_for_function("() => document.querySelector('.t')?.ariaSetSize === '20000'")
    assert asked[10:] == [f"{letter}{'a' * 38}" for letter in "kl"]
    assert older.count() == 0
    page.get_by_role("link", name="Show the newest photos").click()
    page.wait_for_url("**/library")


def test_what_is_no_picture_is_refused_with_a_reason(visit: Visit) -> None:
    """The decoder's reason and the formats that can be read; the page stays as it is."""
    page = visit("/")
    settled(page)

    bring(page, "drop", b"no picture at all")
    page.wait_for_selector("#asking .notice")

    said = page.locator("#asking .notice").inner_text()
    assert "picture 0.jpg cannot be read." in said
    assert "JPEG" in said
    page.get_by_role("button", name="Dismiss").click()
    assert page.locator("#asking .notice").count() == 0
    assert page.url.endswith("/")


def test_a_pasted_photo_that_is_gone_leaves_the_rest_of_the_question(visit: Visit, site: Served) -> None:
    """Its place says so; the other photo is still asked with."""
    page = visit("/")
    ids = library(page)
    page.goto(f"{site.address}/like?q={ids['IMG_0002.jpg']}&q={'a' * 25}q&min=-1")
    settled(page)

    page.wait_for_selector(".lost")
    assert page.locator(".hero img").count() == 1
    assert len(order(page)) > 0


def test_nothing_above_the_line_shows_the_nearest(visit: Visit, site: Served) -> None:
    """A line that is too high is said; the nearest photos are shown, faded."""
    page = visit("/")
    ids = library(page)
    page.goto(f"{site.address}/like?q={ids['IMG_0003.jpg']}&min=0.999")
    answered(page)

    assert page.locator("h1").inner_text().startswith("No photo is this close.")
    assert page.locator(".t.short").count() == page.locator(".t").count() > 0


def test_a_pause_has_a_reason_and_an_end(visit: Visit, site: Served) -> None:
    """The status page pauses indexing, says why it stands still, and goes on."""
    page = visit("/status")
    page.get_by_role("button", name="Pause indexing").click()
    page.wait_for_selector("text=Indexing is paused, because you said so.")
    page.get_by_role("button", name="Go on now").click()
    page.wait_for_selector("text=Pause indexing")

    assert page.locator(".list li").filter(has_text=str(site.home.photos)).count() == 1


def test_photos_that_fail_are_named_with_the_reason(visit: Visit, site: Served) -> None:
    """The line of doubt leads to the status page, which names them."""
    broken = site.home.photos / "broken.jpg"
    broken.write_bytes(generated(70)[:900])
    site.home.sync()
    page = visit("/library")
    page.get_by_role("link", name="1 photo failed").click()
    page.wait_for_url("**/status")
    page.wait_for_selector("text=broken.jpg")

    broken.unlink()
    site.home.sync()


def test_an_empty_library_says_how_to_fill_it(chromium: "Browser") -> None:
    """The file of the configuration, and a line to copy into it."""
    with new_home() as home:
        home.start()
        home.sync()
        with served(home) as site:
            visitor = Visitor(chromium, site)
            page = visitor.open("/")
            page.wait_for_selector("text=Which folder holds your photos?")

            assert "config.toml" in page.locator(".notice").inner_text()
            assert 'folders = ["~/Pictures"]' in page.locator(".notice").inner_text()
            # The wall fills by itself, as photos become searchable.
            (home.photos / "first.jpg").write_bytes(generated(1))
            page.wait_for_selector(".t")
            visitor.leave()


def test_a_question_is_watched_and_its_match_is_told(visit: Visit, site: Served) -> None:
    """`w` keeps the question; a new photo that is like it is announced, and listed on the page of watches."""
    page = visit("/")
    ids = library(page)
    page.goto(f"{site.address}/like?q={ids['IMG_0005.jpg']}&min=0.5")
    answered(page)
    page.locator(".t a").first.focus()
    page.keyboard.press("w")
    page.wait_for_selector("text=This question is watched now.")
    listening(page)

    new = site.home.photos / "new.jpg"
    new.write_bytes(generated(5, quality=70, scale=0.8))
    page.wait_for_selector(".toast >> text=New photo for")
    page.locator(".toast button").first.click()
    page.wait_for_selector(".arrivals img")

    page.get_by_role("button", name="End").click()
    page.wait_for_selector("text=No question is watched.")
    os.unlink(new)
    site.home.sync()
