"""Answers `dupes` and `apart`: each search for near-duplicates runs in a thread of its own, one search at a time.

A client asks again and again, and gets the groups that were found since its last request.
While no client asks, the search pauses, so a client that hangs up costs nothing. After a while the search ends.
The thread has a low priority and waits for no request.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, NamedTuple

from pixkin.protocol.replies import Code, Failure, Group, Groups, Noted, Reply
from pixkin.protocol.requests import Apart, Dupes
from pixkind.fs.open_photo import OpenPhoto
from pixkind.ingest.inbox import Inbox
from pixkind.search.duplicates import DuplicateSearch
from pixkind.search.errors import RequestError
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.deferred import Deferred, internal_error, reply_when, stopping
from pixkind.storage.decisions import Decisions, Pair
from pixkind.storage.environment import StoreFull
from pixkind.storage.record import UNKNOWN, Record
from pixkind.system import process
from pixkind.system.threads import ServiceThread

_NICE: Final = 15  # as for indexing: encoder/worker/jobs.py tells how other priorities slow queries down
_PHOTOS: Final = 1000  # in a reply, so that groups arrive early and a reply never reaches 64 MiB


@dataclass(frozen=True, slots=True)
class SearchTimeouts:
    """Timeouts of a duplicate search, and how far it may run ahead of its client."""

    reply_s: float = 1.0  # a request is answered after this time, even if no group was found
    pause_s: float = 2.0  # the search pauses when no request has come for this time
    replace_s: float = 5.0  # the search ends in favour of another one when no request has come for this time
    forget_s: float = 600.0  # the search ends in any case: the client's output may wait in a pager for a while
    ahead: int = 1000  # groups that are found before they are asked for


class _SearchEnded(Exception):
    """The groups are no longer wanted."""


class _Waiting(NamedTuple):
    due: float  # monotonic time at which the request is answered, even if no group was found
    is_asking: bool  # for the groups of this search; False: it waits for the end of this search
    future: "Future[None]"


class _Job:
    """A search, its thread, and the requests that wait for its groups."""

    def __init__(
        self, number: int, search: Callable[[Callable[[], None]], DuplicateSearch], timeouts: SearchTimeouts
    ) -> None:
        self.number = number
        self._timeouts = timeouts
        self.asked_at = time.monotonic()
        self.thread = ServiceThread("dupes", self._run)
        self.search = search(self._beat)
        self._changed = threading.Condition()  # guards all below
        self._groups: deque[Group] = deque()
        self._waiting: list[_Waiting] = []
        self._end: Failure | None = None  # why the search was ended
        self.is_running = True
        self.is_end_told = False

    def end(self, why: Failure) -> None:
        """Make the search end soon."""
        with self._changed:
            self._end = self._end or why
            self._changed.notify()

    def wait(self, *, is_asking: bool) -> "Future[None]":
        """Return a future that is done when groups were found, the search has ended, or `reply_s` has passed."""
        future: Future[None] = Future()
        with self._changed:
            if is_asking:
                self.asked_at = time.monotonic()
            if self.is_running:
                self._waiting.append(_Waiting(time.monotonic() + self._timeouts.reply_s, is_asking, future))
                self._changed.notify()
            else:
                future.set_result(None)
        return future

    def reply(self) -> Groups | Failure:
        """Return the groups that were found since the last request."""
        self.asked_at = time.monotonic()
        with self._changed:
            if self._end is not None:
                return self._end
            groups: list[Group] = []
            while self._groups and sum(len(group.photos) for group in groups) < _PHOTOS:
                groups.append(self._groups.popleft())
            left_out = [self.search.left_out.popleft() for _ in range(min(_PHOTOS, len(self.search.left_out)))]
            done = self.is_end_told = not self.is_running and not self._groups and not self.search.left_out
            self._changed.notify()
        search = self.search
        return Groups(
            search=self.number,
            groups=tuple(groups),
            done=done,
            compared=search.compared,
            pictures=search.pictures,
            thinned=search.is_thinned,
            left_out=tuple(left_out),
        )

    # The thread of the search.

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            for group in self.search.groups():
                with self._changed:
                    self._groups.append(group)
                self._beat()
        except _SearchEnded:
            self.end(_search_ended())
        except BaseException:
            self.end(internal_error())
            raise
        finally:
            with self._changed:
                self.is_running = False
            self._answer_waiting()
            process.trim()

    def _beat(self) -> None:
        """Pause while no client asks, or while too many groups wait to be fetched.

        Raises:
            _SearchEnded: the groups are no longer wanted.
        """
        self._answer_waiting()
        while self.idle_s > self._timeouts.pause_s or len(self._groups) >= self._timeouts.ahead:
            with self._changed:
                if self._end is None and self.idle_s <= self._timeouts.forget_s:
                    self._changed.wait(self._timeouts.reply_s)
            self._answer_waiting()
            if self._end is not None or self.idle_s > self._timeouts.forget_s:
                raise _SearchEnded
        if self._end is not None:
            raise _SearchEnded

    @property
    def idle_s(self) -> float:
        """For how long no client has asked for the groups."""
        is_asked = any(waiting.is_asking for waiting in list(self._waiting))
        return 0.0 if is_asked else time.monotonic() - self.asked_at

    def _answer_waiting(self) -> None:
        """Complete the futures of the requests that are due."""
        now = time.monotonic()
        with self._changed:
            ready = [
                waiting
                for waiting in self._waiting
                if waiting.due <= now or not self.is_running or (waiting.is_asking and self._groups)
            ]
            self._waiting = [waiting for waiting in self._waiting if waiting not in ready]
        for waiting in ready:
            waiting.future.set_result(None)


class DupesHandler:
    """The searches for duplicates. Any thread may call."""

    def __init__(
        self,
        photo_search: PhotoSearch,
        inbox: Inbox,
        decisions: Decisions,
        *,
        timeouts: SearchTimeouts = SearchTimeouts(),  # it is frozen
        open_photos: set[OpenPhoto] | None = None,
    ) -> None:
        """Begin without a search.

        Args:
            photo_search: knows folders and contents; replaced when another space answers.
            inbox: of the ingest thread, which writes the decisions.
            decisions: of users, about pairs of photos.
            timeouts: of each search.
            open_photos: gets the photos that are open.
        """
        self.photo_search = photo_search
        self._inbox = inbox
        self._decisions = decisions
        self._timeouts = timeouts
        self._open_photos = open_photos
        self._lock = threading.Lock()  # guards all below
        self._jobs: dict[int, _Job] = {}
        self._is_stopping = False

    # A service.

    def start(self) -> None:
        """Do nothing: a search starts with its first request."""

    def stop(self) -> None:
        """End all searches."""
        with self._lock:
            self._is_stopping = True
            jobs = list(self._jobs.values())
        for job in jobs:
            job.end(stopping().failure)
        for job in jobs:
            job.thread.join(10)

    def failure(self) -> BaseException | None:
        """Return the exception that ended the thread of a search."""
        return next((job.thread.failure for job in list(self._jobs.values()) if job.thread.failure), None)

    def beat(self) -> None:
        """Return None: a search may take minutes, and its client is told of its progress."""

    def move(self, photo_search: PhotoSearch) -> None:
        """Search in another space from now on. Searches in the former space end, since it may be dropped."""
        with self._lock:
            self.photo_search = photo_search
            jobs = list(self._jobs.values())
        for job in jobs:
            job.end(_search_ended())

    # Requests.

    def answer(self, request: Dupes | Apart) -> Reply | Deferred:
        """Return the reply, or a Deferred.

        Raises:
            RequestError: the folder lies in no root, a photo is not indexed, both photos are the same picture, or the
                daemon is stopping.
        """
        return self._apart(request) if isinstance(request, Apart) else self._dupes(request)

    def _dupes(self, request: Dupes) -> Reply | Deferred:
        """Return the groups of a search that runs, or start a new one."""
        folder = "" if request.search else self.photo_search.folder(request.folder)
        apart = set() if request.search else self._apart_pairs()
        with self._lock:
            if self._is_stopping:
                raise stopping()
            self._forget()
            if request.search:
                job = self._jobs.get(request.search)
                return _search_ended() if job is None else _next_groups(job)
            for job in self._jobs.values():
                if job.is_running:
                    if job.idle_s > self._timeouts.replace_s:
                        job.end(_search_ended())
                    return Deferred([job.wait(is_asking=False)], Groups)
            # Random, so that no search before a restart has it, either.
            number = int.from_bytes(os.urandom(7), "big") + 1
            job = _Job(number, lambda beat: self._search(folder, request.min_score, beat, apart), self._timeouts)
            self._jobs[job.number] = job
            job.thread.start()
            return _next_groups(job)

    def _apart(self, request: Apart) -> Deferred:
        """Store that two photos are no duplicates of each other, or that they may be again."""
        one, other = (self._record(os.fsdecode(path)) for path in (request.one, request.other))
        if one.content == other.content:
            raise RequestError(Code.REFUSED, "both are exactly the same picture", os.fsdecode(request.other))
        kind: Literal["apart", "together"] = "together" if request.together else "apart"
        future = self._inbox.submit(partial(self._decisions.note, kind, one, other))

        def noted() -> Reply:
            try:
                future.result()
            except StoreFull as error:
                hint = "ask again when it can be written"
                raise RequestError(Code.BUSY, f"it cannot be stored: {error}", hint=hint) from error
            return Noted()

        return reply_when([future], noted)

    def _apart_pairs(self) -> set[Pair]:
        """Return the pairs of contents that no group may have together."""
        try:
            return self._decisions.apart(self.photo_search.store)
        except OSError as error:  # without them, a group could name a photo for deletion that is no duplicate
            what = f"your decisions with --apart cannot be read: {self._decisions.path}: {error.strerror}"
            raise RequestError(Code.BUSY, what, hint="ask again when it can be read") from error

    def _search(self, folder: str, least: float, beat: Callable[[], None], apart: set[Pair]) -> DuplicateSearch:
        photo_search = self.photo_search
        return DuplicateSearch(
            photo_search.store,
            photo_search.index,
            photo_search.roots,
            folder,
            least,
            beat,
            apart=apart,
            dirty=self._inbox.dirty,
            open_photos=self._open_photos,
        )

    def _forget(self) -> None:
        """Let go of ended searches whose end was told, or whose client has not asked in time."""
        late = time.monotonic() - self._timeouts.forget_s
        self._jobs = {
            number: job
            for number, job in self._jobs.items()
            if job.is_running or (job.asked_at > late and not job.is_end_told)
        }

    def _record(self, asked: str) -> Record:
        """Return the record of an indexed photo."""
        path, _ = self.photo_search.roots.find(asked)
        record = self.photo_search.store.record(path)
        is_watched = self.photo_search.roots.root_of(path) is not None
        if record is None or not record.live or record.content == UNKNOWN or not is_watched:
            raise RequestError(Code.UNREADABLE, "not an indexed photo", asked, "pixkin sync")
        return record


def _next_groups(job: _Job) -> Deferred:
    return Deferred([job.wait(is_asking=True)], job.reply)


def _search_ended() -> Failure:
    what = "this search for duplicates has ended: its groups were not fetched in time, or another space answers now"
    return Failure(code=Code.EXPIRED, what=what, hint="ask again")
