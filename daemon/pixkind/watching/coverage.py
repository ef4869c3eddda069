"""Records how well each root is covered: whether it is watched and was ever scanned, and what in it cannot be read.

The ingest thread changes the records; any thread reads them.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from pixkin.mounts import lies_in


class Watching(Protocol):
    """The part of the watcher that coverage needs."""

    def follow(self, root: str) -> None:
        """Watch a root, for the first time or again."""

    def unwatched(self) -> dict[str, str]:
        """Return the roots that are not fully watched, each with the reason."""


class Unwatched:
    """Watches nothing: for `--once`, which only scans."""

    def follow(self, root: str) -> None:
        """Do nothing."""

    def unwatched(self) -> dict[str, str]:
        """Return nothing, since nothing is meant to be watched."""
        return {}


class Coverage:
    """The coverage of all roots."""

    def __init__(self, roots: Sequence[str], watch: Watching) -> None:
        """Begin with nothing covered."""
        self.watch = watch
        self._unscanned = set(roots)
        self._unreadable: dict[str, dict[str, str]] = {root: {} for root in roots}  # root -> path -> why
        self._links: dict[str, int] = {}  # by folder: symbolic links in it, at its last scan
        self._not_met: set[str] = set()  # the folders of `_links` that the running scan has not met yet
        self._following: set[str] = set()
        self._again: set[str] = set()

    @property
    def is_complete(self) -> bool:
        """Whether every root has been scanned once or was found to be offline."""
        return not (self._unscanned or self._following)

    def follow(self, root: str, then: Callable[[BaseException | None], None]) -> None:
        """Have a root watched in a new thread, which then calls `then` with the error, or None.

        Watching lists every folder, which takes minutes on a cold disk, and the caller has a loop to run.
        """
        if root in self._following:
            self._again.add(root)  # that thread may have passed the folder in question already
            return
        self._following.add(root)
        threading.Thread(target=self._follow, args=(root, then), name="follow", daemon=True).start()

    def followed(self, root: str) -> bool:
        """Note that the thread of `follow` is done; return whether `follow` was called again while it ran."""
        self._following.discard(root)
        again = root in self._again
        self._again.discard(root)
        return again

    def scanned(self, root: str) -> None:
        """Note that the scan of a root has ended, or that the root is not there to be scanned."""
        self._unscanned.discard(root)

    def is_unscanned(self, root: str) -> bool:
        """Return whether a root has never been scanned completely."""
        return root in self._unscanned

    def is_following(self, root: str) -> bool:
        """Return whether a thread is listing the folders of a root to watch them."""
        return root in self._following

    def scan_began(self, top: str) -> None:
        """Note that a scan begins; if it is of a whole root, forget what could not be read before."""
        if top in self._unreadable:
            self._unreadable[top] = {}
        self._not_met = {folder for folder in self._links if lies_in(folder, top)}

    def scan_ended(self) -> None:
        """Note that the scan has ended: the folders that it has not met are gone, or cannot be read."""
        for folder in self._not_met:
            self._links.pop(folder, None)

    def add_links(self, folder: str, links: int) -> None:
        """Note how many symbolic links are in a folder."""
        self._not_met.discard(folder)
        if links:
            self._links[folder] = links
        else:
            self._links.pop(folder, None)

    def links(self, root: str) -> int:
        """Return how many symbolic links are in a root; each folder counts as of its last scan."""
        return sum(links for folder, links in list(self._links.items()) if lies_in(folder, root))

    def has_unreadable(self, root: str) -> bool:
        """Return whether something in a root could not be read at the last scan."""
        return bool(self._unreadable[root])

    def add_unreadable(self, root: str, path: str, why: str) -> None:
        """Note that `path`, and everything below it, cannot be read."""
        self._unreadable[root][path] = why

    def gaps(self) -> dict[str, str]:
        """Return the roots that are not fully readable or not fully watched, each with the reason."""
        found = dict(self.watch.unwatched())
        for root in self._unreadable:
            if unreadable := list(self._unreadable[root].items()):
                path, why = unreadable[0]
                others = f", and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
                found[root] = f"cannot read {path}: {why}{others}"
        return found

    def _follow(self, root: str, then: Callable[[BaseException | None], None]) -> None:
        error: BaseException | None = None
        try:
            self.watch.follow(root)
        except BaseException as caught:  # noqa: BLE001  # the thread's outermost frame; the ingest thread raises it
            error = caught
        then(error)
