"""The answers to `dupes` and `apart`: hunts for near-duplicates, in threads of their own, one at a time.

A client asks again and again, and is given what was found since. While nobody asks, the hunt stands still, so a client that
hangs up costs nothing; after a while it is given up. Its thread is of a low class, and waits for no answer.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from pixkin.protocol.replies import Code, Doubt, Failure, Group, Groups, Noted, Reply
from pixkin.protocol.requests import Apart, Dupes
from pixkind.ingest.inbox import Inbox
from pixkind.search.duplicates import DuplicateSearch
from pixkind.search.errors import RequestError
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.deferred import Deferred
from pixkind.storage.environment import StoreFull
from pixkind.storage.record import UNKNOWN
from pixkind.system import process
from pixkind.system.threads import ServiceThread

_NICE: Final = 15  # as indexing: encoder/worker/jobs.py says what others do to queries
_PHOTOS: Final = 1000  # of a reply: what is found comes soon, and 64 MiB are never reached


@dataclass(frozen=True, slots=True)
class Patience:
    """How long who waits for whom."""

    wait_s: float = 1.0  # until a request is answered although nothing was found
    silent_s: float = 2.0  # without a request, until a hunt stands still
    left_s: float = 5.0  # until it is given up for another
    forgotten_s: float = 600.0  # until it is given up anyway: a pager may stand before its client
    ahead: int = 1000  # groups that are found before they are asked for


class _GivenUp(Exception):
    """The groups are not wanted any more."""


class _Waiting(NamedTuple):
    due: float  # monotonic, at which it is answered although nothing was found
    is_asking: bool  # for the groups of this hunt, not until it is over
    future: "Future[None]"


class _Job:
    """A hunt, its thread, and who waits for its groups."""

    def __init__(
        self,
        number: int,
        search: Callable[[Callable[[], None]], DuplicateSearch],
        doubt: Callable[[], Doubt],
        patience: Patience,
    ) -> None:
        self.number = number
        self._patience = patience
        self.asked_at = time.monotonic()
        self.thread = ServiceThread("dupes", self._run)
        self.search = search(self._beat)
        self._doubt = doubt
        self._turn = threading.Condition()  # guards all below
        self._groups: deque[Group] = deque()
        self._waiting: list[_Waiting] = []
        self._end: Failure | None = None  # it was given up
        self.is_running = True
        self.reports_changes = False  # that it has ended

    def give_up(self, why: Failure) -> None:
        """Have it end soon."""
        with self._turn:
            self._end = self._end or why
            self._turn.notify()

    def wait(self, *, is_asking: bool) -> "Future[None]":
        """Return a future that is done when there are groups, or it has ended, or a moment has passed."""
        future: Future[None] = Future()
        with self._turn:
            if is_asking:
                self.asked_at = time.monotonic()
            if self.is_running:
                self._waiting.append(_Waiting(time.monotonic() + self._patience.wait_s, is_asking, future))
                self._turn.notify()
            else:
                future.set_result(None)
        return future

    def reply(self) -> Groups | Failure:
        """Return what was found since it was asked last."""
        self.asked_at = time.monotonic()
        with self._turn:
            if self._end is not None:
                return self._end
            some: list[Group] = []
            while self._groups and sum(len(group.photos) for group in some) < _PHOTOS:
                some.append(self._groups.popleft())
            done = self.reports_changes = not self.is_running and not self._groups
            self._turn.notify()
        search = self.search
        return Groups(
            search=self.number,
            groups=tuple(some),
            done=done,
            compared=search.compared,
            pictures=search.pictures,
            thinned=search.is_thinned,
            doubt=self._doubt() if done else Doubt(),
        )

    # Its thread.

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            for group in self.search.groups():
                with self._turn:
                    self._groups.append(group)
                self._beat()
        except _GivenUp:
            self.give_up(_forgotten())
        except BaseException:
            self.give_up(Failure(code=Code.INTERNAL, what="pixkind made a mistake; its log says more"))
            raise
        finally:
            with self._turn:
                self.is_running = False
            self._tell()
            process.trim()

    def _beat(self) -> None:
        """Stand still while nobody asks, or too much was found already.

        Raises:
            _Stopped: it is not wanted any more.
        """
        self._tell()
        while self.silent_s > self._patience.silent_s or len(self._groups) >= self._patience.ahead:
            with self._turn:
                if self._end is None and self.silent_s <= self._patience.forgotten_s:
                    self._turn.wait(self._patience.wait_s)
            self._tell()
            if self._end is not None or self.silent_s > self._patience.forgotten_s:
                raise _GivenUp
        if self._end is not None:
            raise _GivenUp

    @property
    def silent_s(self) -> float:
        """For how long nobody has asked."""
        is_asked = any(one.is_asking for one in list(self._waiting))
        return 0.0 if is_asked else time.monotonic() - self.asked_at

    def _tell(self) -> None:
        """Answer who has waited long enough."""
        now = time.monotonic()
        with self._turn:
            ready = [
                one
                for one in self._waiting
                if one.due <= now or not self.is_running or (one.is_asking and self._groups)
            ]
            self._waiting = [one for one in self._waiting if one not in ready]
        for one in ready:
            one.future.set_result(None)


class DupesHandler:
    """The hunts. Any thread may ask."""

    def __init__(
        self,
        photo_search: PhotoSearch,
        inbox: Inbox,
        *,
        patience: Patience = Patience(),  # it is frozen
    ) -> None:
        """Prepare.

        Args:
            photo_search: knows folders, contents, and what an answer cannot vouch for; replaced when another space answers.
            inbox: of the ingest thread, which writes the store.
            patience: how long who waits for whom.
        """
        self.photo_search = photo_search
        self._inbox = inbox
        self._patience = patience
        self._lock = threading.Lock()  # guards all below
        self._jobs: dict[int, _Job] = {}
        self._is_stopping = False
        self._beats = 0

    # A service.

    def start(self) -> None:
        """Begin nothing: a hunt begins when it is asked for."""

    def stop(self) -> None:
        """Give up what is hunted."""
        with self._lock:
            self._is_stopping = True
            jobs = list(self._jobs.values())
        for job in jobs:
            job.give_up(_stopping())
        for job in jobs:
            job.thread.join(10)

    def failure(self) -> BaseException | None:
        """Return what a hunt died of."""
        return next((job.thread.failure for job in list(self._jobs.values()) if job.thread.failure), None)

    def beat(self) -> int:
        """Return a number that is another one each time: a hunt may take minutes, and who waits for it is told."""
        self._beats += 1
        return self._beats

    def move(self, photo_search: PhotoSearch) -> None:
        """Hunt in another space from now on; what is hunted in the former one, which may be dropped, is given up."""
        with self._lock:
            self.photo_search = photo_search
            jobs = list(self._jobs.values())
        for job in jobs:
            job.give_up(_forgotten())

    # Requests.

    def answer(self, request: Dupes | Apart) -> Reply | Deferred:
        """Return the reply, or what it waits for.

        Raises:
            Unanswerable: the folder lies in no root, a photo is not indexed, or both are the same picture.
        """
        return self._apart(request) if isinstance(request, Apart) else self._dupes(request)

    def _dupes(self, request: Dupes) -> Reply | Deferred:
        """Return what was found, or what that waits for."""
        folder = "" if request.search else self.photo_search.folder(request.folder)
        with self._lock:
            if self._is_stopping:
                return _stopping()
            self._forget()
            if request.search:
                job = self._jobs.get(request.search)
                return _forgotten() if job is None else _parked(job)
            for job in self._jobs.values():
                if job.is_running:
                    if job.silent_s > self._patience.left_s:
                        job.give_up(_forgotten())
                    return Deferred([job.wait(is_asking=False)], Groups)
            number = int.from_bytes(os.urandom(7), "big") + 1  # not that of a hunt before a restart, either
            job = _Job(
                number,
                lambda beat: self._search(folder, request.min_score, beat),
                self.photo_search.doubt,
                self._patience,
            )
            self._jobs[job.number] = job
            job.thread.start()
            return _parked(job)

    def _apart(self, request: Apart) -> Deferred:
        """Store that two photos are no duplicates of each other, or that they may be again."""
        one, other = (self._content(os.fsdecode(path)) for path in (request.one, request.other))
        if one == other:
            raise RequestError(Code.REFUSED, "both are exactly the same picture", os.fsdecode(request.other))
        store = self.photo_search.store.apart
        future = self._inbox.submit(partial(store.delete if request.together else store.put, one, other))

        def noted() -> Reply:
            try:
                future.result()
            except StoreFull as error:
                return Failure(
                    code=Code.BUSY, what=f"it cannot be stored: {error}", hint="ask again when there is room"
                )
            except CancelledError:
                return _stopping()
            return Noted()

        return Deferred([future], noted)

    def _search(self, folder: str, least: float, beat: Callable[[], None]) -> DuplicateSearch:
        photo_search = self.photo_search
        return DuplicateSearch(photo_search.store, photo_search.index, photo_search.roots, folder, least, beat)

    def _forget(self) -> None:
        """Let go of hunts that have ended, when that was told, or nobody has asked in time."""
        late = time.monotonic() - self._patience.forgotten_s
        self._jobs = {
            number: job
            for number, job in self._jobs.items()
            if job.is_running or (job.asked_at > late and not job.reports_changes)
        }

    def _content(self, asked: str) -> bytes:
        path, _ = self.photo_search.roots.find(asked)
        record = self.photo_search.store.record(path)
        if (
            record is None
            or not record.live
            or record.content == UNKNOWN
            or self.photo_search.roots.root_of(path) is None
        ):
            raise RequestError(Code.UNREADABLE, "not an indexed photo", asked, "pixkin sync")
        return record.content


def _parked(job: _Job) -> Deferred:
    return Deferred([job.wait(is_asking=True)], job.reply)


def _forgotten() -> Failure:
    what = "this search for duplicates was given up: nobody asked for its groups, or another space answers"
    return Failure(code=Code.EXPIRED, what=what, hint="ask again")


def _stopping() -> Failure:
    return Failure(code=Code.STOPPING, what="pixkind is stopping")
