"""What people do on the page, in words that tests share."""

import base64
from typing import TYPE_CHECKING, Any

from tests.waiting import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

_BRING = """async ([kind, files]) => {
  const data = new DataTransfer();
  for (const [name, text, type] of files)
    data.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name, { type }));
  const options = { bubbles: true, cancelable: true };
  if (kind === 'paste') return document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, ...options }));
  for (const type of ['dragenter', 'dragover', 'drop'])
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, ...options }));
}"""


def bring(page: "Page", kind: str, *pictures: bytes, mime: str = "image/jpeg") -> None:
    """Drop or paste pictures on the page."""
    files = [[f"picture {at}.jpg", base64.b64encode(data).decode(), mime] for at, data in enumerate(pictures)]
    page.evaluate(_BRING, [kind, files])


def settled(page: "Page") -> None:
    """Wait until photos are shown and named."""
    page.wait_for_selector(".t")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.t img')].every((one) => !/^Photo [0-9]+$/.test(one.alt))"
    )


def answered(page: "Page") -> None:
    """Wait until the photos are those of the question in the address."""
    page.wait_for_function(
        """() => {
          const query = new URLSearchParams(location.search);
          const terms = [...query.getAll('q'), ...query.getAll('not')];
          const shown = [...document.querySelectorAll('.hero, .chip')];
          const isBusy = document.querySelector('main')?.ariaBusy !== 'false';
          return !isBusy && shown.length === terms.length && terms.every((id, at) => shown[at].innerHTML.includes(id));
        }"""
    )
    settled(page)


def listening(page: "Page") -> None:
    """Wait until the page would be told what happens."""
    page.wait_for_function("() => performance.getEntriesByName('listening').length")


def library(page: "Page") -> dict[str, str]:
    """Return the ids of the photos of the library, by the name of a file."""
    found: dict[str, Any] = page.evaluate(
        """async () => {
          const { photos } = await (await fetch('/api/v1/library?n=1000')).json();
          const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ids: photos.id }) };
          return (await fetch('/api/v1/photos/resolve', init)).json();
        }"""
    )
    return {one["name"]: one["id"] for one in found["photos"]}


def duplicates(page: "Page") -> list[str]:
    """Return the ids of the groups of near-duplicates, when all are found."""
    found: dict[str, Any] = {}

    def is_done() -> bool:
        found.update(page.evaluate("async () => (await fetch('/api/v1/dupes')).json()"))
        return bool(found["done"])

    wait_for(is_done)
    return [one["id"] for one in found["groups"]]


def focused(page: "Page") -> str:
    """Return the id of the photo that has the focus."""
    return str(page.evaluate("() => document.activeElement?.dataset?.id ?? ''"))


def order(page: "Page") -> list[str]:
    """Return the ids of the photos that are in the document, in the order in which they are read."""
    return list(page.eval_on_selector_all(".t a[data-id]", "(links) => links.map((link) => link.dataset.id)"))
