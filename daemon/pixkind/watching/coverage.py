"""How much of each root is seen: whether it is watched, has been scanned at all, and what in it cannot be read.

The ingest thread changes it; any thread reads it.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol


class Watching(Protocol):
    """What is asked of the watch."""

    def follow(self, root: str) -> None:
        """Watch a root, from now on or again."""

    def unwatched(self) -> dict[str, str]:
        """Return the roots that are not fully watched, with the reasons."""


class Unwatched:
    """No watch at all: for `--once`, which only scans."""

    def follow(self, root: str) -> None:
        """Do nothing."""

    def unwatched(self) -> dict[str, str]:
        """Return nothing: there is nobody to tell."""
        return {}


class Coverage:
    """What is seen of all roots."""

    def __init__(self, roots: Sequence[str], watch: Watching) -> None:
        """Begin with nothing seen."""
        self.watch = watch
        self._unscanned = set(roots)
        self._blind: dict[str, dict[str, str]] = {root: {} for root in roots}  # root -> path -> why
        self._following: set[str] = set()
        self._again: set[str] = set()

    @property
    def is_complete(self) -> bool:
        """Whether every root has been scanned once, or found to be away."""
        return not (self._unscanned or self._following)

    def follow(self, root: str, then: Callable[[BaseException | None], None]) -> None:
        """Have a root watched, then call `then`, with what went wrong.

        In a thread of its own: it lists every folder, which takes minutes on a cold disk, and the caller has a loop.
        """
        if root in self._following:
            self._again.add(root)  # what was asked for now may be what that one has passed already
            return
        self._following.add(root)
        threading.Thread(target=self._follow, args=(root, then), name="follow", daemon=True).start()

    def followed(self, root: str) -> bool:
        """Note that what `follow` began is through; return whether it was asked for again meanwhile."""
        self._following.discard(root)
        again = root in self._again
        self._again.discard(root)
        return again

    def scanned(self, root: str) -> None:
        """Note that a root was scanned to its end, or is not there to be scanned."""
        self._unscanned.discard(root)

    def is_unscanned(self, root: str) -> bool:
        """Return whether what stands in a root is not known yet."""
        return root in self._unscanned

    def is_following(self, root: str) -> bool:
        """Return whether the folders of a root are being listed, to be watched."""
        return root in self._following

    def sees(self, top: str) -> None:
        """Note that a scan begins: if it is of a whole root, what could not be seen before may be seen now."""
        if top in self._blind:
            self._blind[top] = {}

    def is_blind(self, root: str) -> bool:
        """Return whether something in a root could not be seen when it was last scanned."""
        return bool(self._blind[root])

    def cannot_see(self, root: str, path: str, why: str) -> None:
        """Note that `path`, and what is below it, cannot be read."""
        self._blind[root][path] = why

    def gaps(self) -> dict[str, str]:
        """Return the roots of which not everything is seen or told, with the reasons."""
        found = dict(self.watch.unwatched())
        for root in self._blind:
            if blind := list(self._blind[root].items()):
                path, why = blind[0]
                others = f", and {len(blind) - 1} more" if len(blind) > 1 else ""
                found[root] = f"cannot see {path}: {why}{others}"
        return found

    def _follow(self, root: str, then: Callable[[BaseException | None], None]) -> None:
        error: BaseException | None = None
        try:
            self.watch.follow(root)
        except BaseException as caught:  # noqa: BLE001  # the thread's outermost frame; the loop raises it
            error = caught
        then(error)
