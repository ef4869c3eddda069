"""Searches for duplicates in the background: the daemon finds groups while it is asked, and the page wants all, sorted."""

import asyncio
import hashlib
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from pixkin.client import Client
from pixkin.errors import PixkinError
from pixkin.protocol.replies import Band, Doubt, Group, Groups, Photo
from pixkin.web import ids
from pixkin.web.threads import ClientThreads

MOST: Final = 20_000  # groups that are kept; about 1 kB each
_FRESH_S: Final = 5.0  # so long a search holds although the library has changed: while it is indexed, it always has


class DuplicateSearch:
    """One search, and what it has found so far."""

    def __init__(self, folder: bytes, min_score: float, state: tuple[int, ...]) -> None:
        """Remember what is searched for, and in which state of the library."""
        self.folder, self.min_score, self.state = folder, min_score, state
        self.asked_ns = time.time_ns()  # the daemon has looked at all files after that
        self.compared = self.pictures = self.left_out = 0
        self.doubt = Doubt()
        self.error: PixkinError | None = None
        self.done_s = 0.0  # of the monotonic clock; 0: it goes on
        self.running: Future[None] | None = None
        self._groups: dict[str, Group] = {}
        self._sorted: list[tuple[str, Group]] = []
        self._lock = threading.Lock()

    def run(self, client: Client) -> None:
        """Search; return when all groups are found, or it failed."""
        folder = os.fsdecode(self.folder) if self.folder else None
        try:
            for group in client.dupes(folder, min_score=self.min_score, told=self._told):
                with self._lock:
                    if len(self._groups) < MOST:
                        self._groups[group_id(group)] = group
        except PixkinError as error:
            self.error = error
        finally:
            self.done_s = time.monotonic()

    def _told(self, reply: Groups) -> None:
        self.compared, self.pictures = reply.compared, reply.pictures
        self.left_out += len(reply.left_out)
        if reply.done:
            self.doubt = reply.doubt

    def groups(self, band: Band | None = None) -> list[tuple[str, Group]]:
        """Return the groups with their ids, the largest saving first."""
        with self._lock:
            if len(self._sorted) != len(self._groups):
                self._sorted = sorted(
                    self._groups.items(), key=lambda item: (-saving(item[1]), -item[1].score, item[0])
                )
            return [item for item in self._sorted if band is None or item[1].band is band]

    def group(self, id_: str) -> Group | None:
        """Return a group."""
        with self._lock:
            return self._groups.get(id_)

    def is_fresh(self, state: tuple[int, ...]) -> bool:
        """Return whether it goes on, or has found what still holds in this state of the library."""
        if not self.done_s:
            return True
        return self.error is None and (self.state == state or time.monotonic() - self.done_s < _FRESH_S)


class DuplicateSearches:
    """The last two searches: near-duplicates, and photos that are only similar."""

    def __init__(self, daemon: ClientThreads) -> None:
        """Begin with none. The daemon runs one search at a time, so one thread is enough."""
        self._daemon = daemon
        self._pool = ThreadPoolExecutor(1, "dupes")
        self._searches: list[DuplicateSearch] = []

    async def search(self, folder: bytes, min_score: float) -> DuplicateSearch:
        """Return the search for this; begin it if there is none, or if it is old.

        Raises:
            PixkinError: as the client does.
        """
        state = await self._daemon.ask(_state)
        for one in self._searches:
            if (one.folder, one.min_score) == (folder, min_score) and one.is_fresh(state):
                return one
        new = DuplicateSearch(folder, min_score, state)
        # What is old still names the groups that a page shows.
        self._searches = [new, *self._searches][:2]
        new.running = self._pool.submit(new.run, self._daemon.client)
        return new

    async def settled(self, search: DuplicateSearch, wait_s: float) -> DuplicateSearch:
        """Return a search when it is done, or after this time.

        Raises:
            PixkinError: it failed.
        """
        if search.running is not None:
            await asyncio.wait([asyncio.wrap_future(search.running)], timeout=wait_s)
        if search.error is not None:
            raise search.error
        return search

    def found(self, id_: str) -> tuple[DuplicateSearch, Group] | None:
        """Return a group, and the search that found it."""
        pairs = ((search, search.group(id_)) for search in self._searches)
        return next(((search, group) for search, group in pairs if group is not None), None)

    def outdate(self) -> None:
        """Search anew when somebody asks: photos have been moved, or are no duplicates any more."""
        for search in self._searches:
            search.state = ()
            if search.done_s:
                search.done_s = -_FRESH_S

    def close(self) -> None:
        """Begin no further search."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _state(client: Client) -> tuple[int, ...]:
    """Return what changes with the library: its pictures, and its files."""
    return client.changes().generation, client.status().photos


def saving(group: Group) -> int:
    """Return how many bytes the spare photos of a group take."""
    return sum(photo.size for photo in group.photos if photo.spare)


def group_id(group: Group) -> str:
    """Return the id of a group: a hash of its contents, so that it survives a rename and a new store."""
    contents = sorted({photo.content for photo in group.photos})
    return ids.encoded(hashlib.blake2b(b"".join(contents), digest_size=16).digest())


def file_id(path: bytes) -> str:
    """Return the id of a file: copies have one content, but a decision is about each of them."""
    return ids.encoded(hashlib.blake2b(path, digest_size=16).digest())


def member(group: Group, id_: str) -> Photo | None:
    """Return the photo of a group that has this id."""
    return next((photo for photo in group.photos if file_id(photo.path) == id_), None)
