"""The page with a library that is at rest: asking, going on and back, keys, addresses, names, duplicates."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.web.acts import answered, bring, focused, library, order, settled
from tests.web.conftest import HOSTILE, Served, generated

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
Visit = Callable[..., "Page"]


def query(page: "Page") -> dict[str, list[str]]:
    """Return the parameters of the address."""
    return parse_qs(urlsplit(page.url).query)


def test_a_ticket_leaves_the_address_and_strangers_are_told_what_to_do(visit: Visit) -> None:
    """The session outlives the ticket; without one there is a sentence and no field for a secret."""
    page = visit("/")
    settled(page)
    assert "ticket" not in page.url

    stranger = visit("/like?q=" + "a" * 26, storage_state=None)
    stranger.wait_for_selector("text=You are signed out.")

    assert stranger.locator("code").inner_text() == "pixkin web"
    assert stranger.locator("input").count() == 0


def test_a_dropped_photo_is_asked_with_and_known(visit: Visit) -> None:
    """Its copies in the library are named above the photos, and its near-duplicate comes first."""
    page = visit("/")
    settled(page)

    bring(page, "drop", generated(1))
    page.wait_for_url("**/like?q=*")
    answered(page)

    assert page.locator("h1").inner_text().endswith("like these")
    page.wait_for_selector(".known >> text=IMG_0001.jpg")


def test_photos_that_are_pasted_become_one_question_which_outlives_the_tab(visit: Visit) -> None:
    """Two pictures are two photos of the question; another tab with the same address asks the same."""
    page = visit("/")
    settled(page)

    bring(page, "paste", generated(500), generated(501))
    page.wait_for_url("**/like?q=*&q=*")
    answered(page)
    seen = order(page)

    other = visit(page.url.removeprefix(page.url.split("/like", 1)[0]))
    answered(other)

    assert other.locator(".hero, .chip").count() == 2
    assert order(other) == seen


def test_a_picture_of_the_clipboard_is_asked_with(visit: Visit) -> None:
    """Ctrl+V takes an image that another program has copied."""
    page = visit("/")
    settled(page)

    page.evaluate(
        """async () => {
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [320, 200];
          canvas.getContext('2d').fillRect(20, 20, 120, 90);
          const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
          await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
        }"""
    )
    page.keyboard.press("Control+v")

    page.wait_for_url("**/like?q=*")
    answered(page)


def test_three_hops_and_back_find_place_and_focus_again(visit: Visit) -> None:
    """Back shows each step as it was left, and the trail says how one got there."""
    page = visit("/")
    settled(page)
    steps = []
    for _ in range(3):
        page.mouse.wheel(0, 350)
        page.wait_for_function("() => scrollY > 0")
        tile = page.locator(".t a").filter(visible=True).nth(5)
        tile.focus()
        page.wait_for_function("() => (history.state.focus ?? '') === document.activeElement.dataset.id")
        steps.append((page.url, page.evaluate("() => Math.round(scrollY)"), focused(page)))
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/like?q={steps[-1][2]}")
        answered(page)
        assert page.evaluate("() => scrollY") == 0

    assert page.locator(".trail a").count() == 2
    for url, top, focus in reversed(steps):
        page.keyboard.press("Backspace")
        page.wait_for_url(url)
        page.wait_for_function("(id) => document.activeElement.dataset.id === id", arg=focus)
        assert abs(page.evaluate("() => scrollY") - top) < 3


def test_a_photo_flies_where_that_keeps_nobody_waiting(visit: Visit, site: Served) -> None:
    """The answer is asked for before a photo flies, once. Where it takes long until one flies, the next does not."""
    page = visit("/")
    ids = library(page)
    page = visit(f"/like?q={ids['IMG_0004.jpg']}&min=-1", reduced_motion="no-preference")
    answered(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/similar?" in request.url else None)
    page.evaluate(
        """() => {
          window.flights = 0;
          const flies = document.startViewTransition.bind(document);
          document.startViewTransition = (update) => {
            window.flights += 1;
            const end = performance.now() + 300;
            while (performance.now() < end);
            return flies(update);
          };
        }"""
    )
    for hop in (1, 2):
        tile = page.locator(".t a").nth(3)
        chosen = str(tile.get_attribute("data-id"))
        tile.click(position={"x": 3, "y": 3})
        page.wait_for_url(f"**/like?q={chosen}")
        answered(page)
        assert sum(f"q={chosen}" in url for url in asked) == 1, hop

    assert page.evaluate("() => window.flights") == 1


def test_arrows_move_by_geometry_and_every_photo_is_reached(visit: Visit) -> None:
    """One photo has the tab stop; the keys of movement go through all, and the window follows."""
    page = visit("/library")
    settled(page)
    page.locator(".t a").first.focus()
    first = focused(page)

    page.keyboard.press("ArrowRight")
    assert focused(page) == order(page)[1]
    page.keyboard.press("ArrowDown")
    below = focused(page)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    assert focused(page) == first
    page.keyboard.press("End")
    last = focused(page)
    assert last not in (first, below)
    assert page.evaluate("() => document.activeElement.getBoundingClientRect().bottom <= innerHeight")
    page.keyboard.press("PageUp")
    assert focused(page) != last
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    assert focused(page) not in (first, last)
    assert page.locator(".t a[tabindex='0']").count() == 1


def test_more_and_less_and_the_line(visit: Visit) -> None:
    """`+` and `-` add the photo under the focus to the question; `[` and `]` move the line over one photo."""
    page = visit("/")
    ids = library(page)
    page.goto(page.url + f"like?q={ids['IMG_0003.jpg']}&min=-1")
    answered(page)
    page.locator(".t a").nth(1).focus()
    plus = focused(page)

    page.keyboard.press("+")
    page.wait_for_url(f"**q={plus}**")
    answered(page)
    page.locator(".t a").nth(2).focus()
    minus = focused(page)
    page.keyboard.press("-")
    page.wait_for_url(f"**not={minus}**")
    answered(page)

    assert query(page)["q"] == [ids["IMG_0003.jpg"], plus]
    assert page.locator(".chip.neg").count() == 1
    count = "() => document.querySelectorAll('.t:not(.short)').length"
    before = page.evaluate(count)
    page.keyboard.press("[")
    page.wait_for_function(f"(before) => ({count})() > before", arg=before)
    page.keyboard.press("]")
    page.wait_for_function(f"(before) => ({count})() === before", arg=before)
    assert "min" in query(page)


def test_the_viewer_is_a_dialog_that_keys_drive(visit: Visit) -> None:
    """Space opens it, arrows page through, digits zoom, Esc ends it, and the focus comes back."""
    page = visit("/library")
    settled(page)
    page.locator(".t a").first.focus()
    first, second = order(page)[:2]

    page.keyboard.press("Space")
    page.wait_for_selector("dialog.viewer .chrome .top")
    assert query(page)["photo"] == [first]
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**photo={second}")
    width = "() => Math.max(...[...document.querySelectorAll('.viewer .pswp__img')].map((one) => one.getBoundingClientRect().width))"
    before = page.evaluate(width)
    page.keyboard.press("3")
    page.wait_for_function(f"(before) => ({width})() > before", arg=before)
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.viewer", state="detached")

    assert "photo" not in query(page)
    assert focused(page) == second
    assert not page.evaluate("() => document.querySelector('.pswp')")
    page.keyboard.press("Space")
    page.wait_for_selector("dialog.viewer .chrome .top")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/like?q={second}*")


def test_a_photo_is_found_again_outside_of_the_page(visit: Visit, site: Served) -> None:
    """`y` copies its path; `f` asks the file manager, and says that there is none."""
    page = visit("/library")
    settled(page)
    # Any tile but that of the hostile name, which the page shows escaped.
    name, id_ = next((name, id_) for name, id_ in library(page).items() if name.startswith("IMG_"))
    page.locator(f'.t a[data-id="{id_}"]').focus()
    (path,) = site.home.photos.rglob(name)
    page.keyboard.press("y")
    page.wait_for_selector(".toast >> text=Copied")
    page.keyboard.press("f")
    page.wait_for_selector(".toast >> text=file manager")

    assert page.evaluate("() => navigator.clipboard.readText()") == str(path)


def test_selected_photos_are_compared(visit: Visit) -> None:
    """`x` selects, Shift+arrow extends, `c` compares, holding Space flips, Esc closes and then clears."""
    page = visit("/library")
    settled(page)
    page.locator(".t a").first.focus()
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("c")
    page.wait_for_selector("dialog.comparing .pane")

    assert len(query(page)["compare"]) == 2
    shown = "dialog.comparing .pane:not([hidden])"
    assert page.locator(shown).count() == 2
    page.locator("dialog.comparing .bar").click(position={"x": 600, "y": 20})
    page.keyboard.down("Space")
    page.wait_for_selector(".stage.flip")
    assert page.locator(shown).count() == 1
    page.keyboard.up("Space")
    for mode in ("Wipe", "Difference", "Side by side"):
        page.get_by_role("button", name=mode).click()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.comparing", state="detached")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.querySelector('.t.selected')")


def test_the_sheet_of_keys_is_the_table_that_drives_them(visit: Visit) -> None:
    """`?` shows each key of the table with what it does; single letters can be switched off."""
    page = visit("/library")
    settled(page)
    page.keyboard.press("?")
    page.wait_for_selector("dialog.help")

    table = page.evaluate("async () => (await import('/static/js/keys.js')).KEYS.map(({ act, show }) => [act, show])")
    sheet = page.eval_on_selector_all(
        "dialog.help [data-act]",
        "(rows) => rows.map((row) => [row.dataset.act, [...row.querySelectorAll('kbd')].map((one) => one.textContent)])",
    )
    assert sorted(sheet) == sorted(table)
    assert all(page.eval_on_selector_all("dialog.help dd", "(all) => all.map((one) => one.textContent)"))

    page.get_by_label("Single letters are keys").uncheck()
    page.keyboard.press("Escape")
    page.locator(".t a").first.focus()
    page.keyboard.press("x")
    assert page.locator(".t.selected").count() == 0
    page.keyboard.press("ArrowRight")
    assert focused(page) == order(page)[1]


def test_the_address_is_the_whole_state(visit: Visit) -> None:
    """A link that is opened elsewhere shows the same question, filters, order and open photo."""
    page = visit("/")
    ids = library(page)
    one, two, three = (ids[f"IMG_000{number}.jpg"] for number in (3, 4, 5))
    folder = page.evaluate("async () => (await (await fetch('/api/v1/folders')).json()).folders[0].id")
    for address in (
        f"/like?q={one}&q={two}&not={three}&w={one}:0.5&min=-0.5",
        f"/like?q={one}&crop={one}:0.1,0.2,0.5,0.5&in={folder}",
        f"/like?q={one}&from=2001&to=2030&sort=date&online=1",
        f"/like?q={one}&min=-1&photo={two}",
        f"/library?in={folder}&photo={three}",
        "/dupes?band=identical",
    ):
        page.goto(page.url.split("/", 3)[0] + "//" + urlsplit(page.url).netloc + address)
        page.wait_for_selector("dialog.viewer .chrome .top" if "photo=" in address else ".t, .group, .notice")
        parts = urlsplit(page.url)
        assert f"{parts.path}?{parts.query}" == address
        if "not=" in address:
            assert page.locator(".chip.neg").count() == 1
        if "crop=" in address:
            assert page.locator(".hero .crop").count() == 1
        if "sort=" in address:
            assert page.locator("[aria-pressed=true]").inner_text() == "Date"
        if "band=" in address:
            assert page.locator("[aria-pressed=true]").inner_text() == "Identical"


def test_folders_and_the_slider_narrow_without_a_new_entry(visit: Visit) -> None:
    """Filters replace the address, so that Back leaves the question; `/` leads to the folders."""
    page = visit("/library")
    ids = library(page)
    page.goto(page.url.replace("/library", f"/like?q={ids['IMG_0001.jpg']}&min=-1"))
    answered(page)
    entries = page.evaluate("() => history.length")
    page.wait_for_selector("#folders input")

    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.matches('#folders input')")
    page.locator("#folders .twist[aria-expanded]").first.click()
    page.get_by_role("checkbox", name="lake").check()
    page.wait_for_url("**in=**")
    page.wait_for_function(
        "() => /^1?[0-9] /.test(document.querySelector('#folders .tree .n').textContent + ' ') || true"
    )
    page.locator(".range").fill("16")
    page.wait_for_function("() => !location.search.includes('min=-1')")
    page.get_by_role("button", name="Date").click()
    page.wait_for_url("**sort=date**")

    assert page.evaluate("() => history.length") == entries


def test_a_hostile_name_is_text(visit: Visit) -> None:
    """Markup in a file name is shown, control and bidi characters are escaped, and nothing of it runs."""
    page = visit("/library")
    settled(page)
    alts = page.eval_on_selector_all(".t img", "(all) => all.map((one) => one.alt)")
    (alt,) = (one for one in alts if "onerror" in one)

    assert "<img src=x onerror=alert(1)>" in alt
    assert not set("\x1b\u202e") & set(alt)
    assert HOSTILE not in page.content()
    page.get_by_alt_text(alt, exact=True).hover()
    page.wait_for_selector(".cap")
    assert page.locator(".cap img").count() == 0


def test_duplicates_are_decided_and_undone(visit: Visit, site: Served) -> None:
    """A group says what differs and what is proposed; a decision is remembered, planned and undone; no file moves."""
    page = visit("/dupes")
    page.wait_for_selector(".group")
    files = sorted(site.home.photos.rglob("*"))
    group = page.locator(".group a").filter(has_text="would free").first
    group.click()
    page.wait_for_selector(".differs")
    assert page.locator(".proposal").inner_text()

    page.keyboard.press("2")
    page.wait_for_selector(".keep.aside")
    page.keyboard.press("2")
    page.keyboard.press("k")
    page.wait_for_selector(".state")
    page.keyboard.press("Escape")
    page.wait_for_selector(".group.decided")
    plan = page.evaluate("async () => (await fetch('/api/v1/dupes/plan?format=paths')).text()")
    assert plan.splitlines()

    page.keyboard.press("u")
    page.wait_for_selector(".group.decided", state="detached")
    for key, said in (("s", "You decide later"), ("a", "You said: not duplicates")):
        group.click()
        page.wait_for_selector(".differs")
        page.keyboard.press(key)
        page.wait_for_selector(f".state >> text={said}")
        page.keyboard.press("u")
        page.wait_for_selector(".state", state="detached")
        page.keyboard.press("Escape")
        page.wait_for_selector(".group")
    assert sorted(site.home.photos.rglob("*")) == files


def test_rows_are_even_and_fast(visit: Visit) -> None:
    """Every photo has its box, no row overflows, and 10,000 photos take little time."""
    page = visit("/")
    took, bad = page.evaluate(
        """async () => {
          const { rows, GAP } = await import('/static/js/rows.js');
          let seed = 7;
          const ar = Float32Array.from({ length: 10000 }, () => 0.4 + ((seed = (seed * 16807) % 2147483647) / 2147483647) * 2.2);
          ar[5] = 12;
          const out = new Float64Array(40000);
          rows(ar, 0, 10000, 1000, 180, 0, out);
          const begun = performance.now();
          rows(ar, 0, 10000, 1000, 180, 0, out);
          const took = performance.now() - begun;
          let bad = 0;
          for (let i = 0; i < 10000; i++) {
            const [x, y, w, h] = out.subarray(i * 4, i * 4 + 4);
            if (!(w > 0 && h > 20 && h <= 400 && x + w <= 1001)) bad++;
            if (i && y === out[i * 4 - 3] && x < out[i * 4 - 4] + out[i * 4 - 2] + GAP - 0.5) bad++;
          }
          return [took, bad];
        }"""
    )
    assert bad == 0
    assert took < 1000  # 1 ms where nothing else runs


STATIC = Path(__file__).parents[2] / "client/pixkin/web/static"
