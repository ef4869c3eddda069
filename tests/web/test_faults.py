"""What people see when a drive is away, a photo has vanished, or the daemon cannot answer; each fault is made for real."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import Home, children, new_home
from tests.e2e.drives import make_ext4, run, unmount, unmount_all
from tests.processes import FEW_WATCHES
from tests.web.acts import answered, bring, library, listening, order, settled
from tests.web.conftest import SMALL, Served, Visitor, fill_small, generated, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
Visit = Callable[..., "Page"]
PLUGGED = "on drives that are not connected"
# A daemon of another version of the protocol: the command that follows, after one change.
_OTHER_VERSION = """
import runpy, sys
from pixkin.protocol import requests
requests.VERSION, requests.GREETING = 9, b"pixkin/9"
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LARGE = "Connect its drive to see this photo large."


def opened(visit: Visit, site: Served, name: str) -> "Page":
    """Return a page with all photos, the most like this one first."""
    page = visit("/")
    settled(page)
    page.goto(f"{site.address}/like?q={library(page)[name]}&min=-1")
    answered(page)
    listening(page)
    return page


@contextmanager
def held_up(*pids: int) -> Iterator[None]:
    """Processes that do not go on within the `with`."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def site(small_site: Served) -> Served:
    """Return the library of these tests."""
    return small_site


@pytest.fixture
def drive() -> Iterator[Home]:
    """Yield a home whose photos lie on a drive of their own, which is mounted and indexed."""
    with new_home() as home:
        image = make_ext4(home.folder / "drive.img")
        try:
            run("mount", "-o", "loop", image, home.photos)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no loop mounts here: {error.stderr}")
        try:
            fill_small(home)
            home.index()
            yield home
        finally:
            unmount_all(home.photos)


def test_photos_of_a_drive_that_is_away_stay_and_say_so(chromium: "Browser", drive: Home) -> None:
    """Small pictures come from the cache; large ones, and those that are in no cache, say what is missing."""
    with served(drive) as site:
        visitor = Visitor(chromium, site)
        page = opened(visitor.open, site, "IMG_0001.jpg")
        before = order(page)
        unmount(drive.photos)
        page.get_by_role("button", name="The library has changed.").click()
        page.wait_for_selector(f"text={SMALL} photos are {PLUGGED}")

        assert order(page) == before
        assert page.locator(".t .tag").all_inner_texts() == ["offline"] * len(before)
        page.wait_for_function("() => [...document.querySelectorAll('.t img')].every((one) => one.naturalWidth > 0)")
        page.locator(".t a").first.focus()
        page.keyboard.press("Space")
        page.wait_for_selector(f"dialog >> text={LARGE}")

        shutil.rmtree(drive.folder / "cache_home/pixkin/thumbs")
        page = opened(visitor.open, site, "IMG_0001.jpg")
        page.wait_for_function("(n) => document.querySelectorAll('.t.failed[title]').length === n", arg=len(before))
        assert {one.get_attribute("title") for one in page.locator(".t").all()} == {
            "its drive is not connected, and it is not in the cache"
        }
        assert {*page.locator(".t .note").all_inner_texts()} == {*library(page)} - {"IMG_0001.jpg"}
        page.locator(".t a").nth(1).click()  # the search works all the same
        page.wait_for_function("(id) => location.search.includes(id)", arg=before[1])
        answered(page)

        run("mount", "-o", "loop", drive.folder / "drive.img", drive.photos)
        page.get_by_role("button", name="The library has changed.").click()
        page.wait_for_selector(f"text={PLUGGED}", state="detached")
        assert not page.locator(".t .tag").count()
        visitor.leave()


def test_a_photo_that_has_vanished_leaves_its_name(visit: Visit, site: Served) -> None:
    """Its tile becomes a note with the path that it had."""
    page = opened(visit, site, "IMG_0003.jpg")
    names = {id_: name for name, id_ in library(page).items()}
    last = names[order(page)[-1]]
    data = (site.home.photos / last).read_bytes()

    (site.home.photos / last).unlink()
    site.home.sync()
    page.wait_for_selector(f".t.failed >> text=Gone: {site.home.photos / last}")

    (site.home.photos / last).write_bytes(data)
    site.home.sync()


def test_an_encoder_that_sleeps_is_waited_for(visit: Visit, site: Served) -> None:
    """What takes long is said, until the answer is there."""
    page = opened(visit, site, "IMG_0004.jpg")
    with held_up(*children(site.home.daemons[-1].process.pid)):
        bring(page, "drop", generated(50))
        page.wait_for_selector("text=Waking the encoder.")
    page.wait_for_selector("text=Waking the encoder.", state="detached")
    answered(page)

    assert page.locator(".hero img").count() == 1


def test_a_daemon_that_does_not_answer_leaves_the_photos_of_before(visit: Visit, site: Served) -> None:
    """It is asked once more; then the page says so, and shows the last answer."""
    page = opened(visit, site, "IMG_0006.jpg")
    before = order(page)
    with held_up(site.home.daemons[-1].process.pid):
        page.locator(".t a").nth(2).click()
        page.wait_for_selector("text=The photos below are those of before.")
        assert order(page) == before


def test_versions_that_do_not_fit_are_told(visit: Visit, site: Served) -> None:
    """The page names both, and goes on when they fit again."""
    page = opened(visit, site, "IMG_0007.jpg")
    before = order(page)
    site.home.daemons[-1].stop()
    site.home.before = (sys.executable, "-c", _OTHER_VERSION)
    site.home.start()
    site.home.before = ()
    try:
        page.wait_for_selector("text=pixkin and pixkind have versions that do not fit.")
        assert "9 there, 1 here" in page.locator("#away").inner_text()
        assert order(page) == before
    finally:
        site.home.daemons[-1].stop()
        site.home.start()
    page.wait_for_selector("text=versions that do not fit", state="detached")


def test_a_folder_that_is_not_fully_watched_is_doubted(chromium: "Browser") -> None:
    """The line under the headline names it, and leads to the status page, which has the reason and what helps."""
    if (tried := subprocess.run([*FEW_WATCHES, "true"], capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"no user namespace with a limit of its own here: {tried.stderr.strip()}")
    with new_home() as home:
        fill_small(home)
        for number in range(30):
            (home.photos / str(number)).mkdir()
        home.before = FEW_WATCHES
        home.start()
        home.before = ()
        home.sync()
        with served(home) as site:
            visitor = Visitor(chromium, site)
            page = visitor.open("/library")
            page.get_by_role("link", name=f"{home.photos} is not fully watched").click()
            page.wait_for_url("**/status")
            page.wait_for_selector("text=sysctl fs.inotify.max_user_watches=")
            visitor.leave()
