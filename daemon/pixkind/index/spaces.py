"""Which space answers, and which is filled: two of them after a change of model, until the second finds what the first finds.

The configuration means the space that is filled; what answered before goes on answering meanwhile, with an index and an
encoder of its own. A photo that is new is encoded for both, so that it is found at once. The ingest thread changes it, any
thread reads it.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from pixkin.protocol.replies import Filling
from pixkind.encoder.space import Space, resolve
from pixkind.encoder.supervisor import Encoder
from pixkind.errors import ConfigError
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.environment import StoreFull
from pixkind.storage.spaces import ActiveSpace
from pixkind.storage.store import Store
from pixkind.storage.write_batch import CommitDelta

PATIENCE_S: Final = 60.0  # a file that somebody writes to for ever does not prevent a switch
FAILS: Final = 0.05  # share of the photos at which a network may fail, though the former one did not: a few are odd

_PREPARED: Final = "this pixkind prepares images for the network in another way than the one that filled the space"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class OpenSpace:
    """An open space, and what answers from it."""

    space: Space
    store: Store  # as seen from this space
    index: VectorIndex
    encoder: Encoder | None  # None: an image that is not indexed cannot be encoded for it
    why: str = ""  # it cannot


@dataclass(slots=True, eq=False)
class OpenSpaces:
    """The spaces of a running daemon: a service."""

    filling: OpenSpace
    roots: Sequence[str]
    is_read: Callable[[str], bool]  # whether a root can be read now
    data_home: str
    make_index: Callable[[Store], VectorIndex]
    make_encoder: Callable[[Space], Encoder]
    post: Callable[[Callable[[], None]], object]  # has something called in the ingest thread
    _listeners: list[Callable[[OpenSpace], object]] = field(default_factory=list)
    _answering: OpenSpace | None = None  # None: the one that is filled
    _is_pinned: bool = False
    _encoders: dict[str, Encoder] = field(default_factory=dict)  # of former spaces: a query may still wait for one
    _is_running: bool = False
    _complete_at: float | None = None  # monotonic: since when the one that is filled finds everything

    @property
    def answering(self) -> OpenSpace:
        """The space that answers."""
        return self._answering or self.filling

    def on_switch(self, listener: Callable[[OpenSpace], object]) -> None:
        """Have `listener` called in the ingest thread with the space that answers, each time another one begins to."""
        self._listeners.append(listener)

    def count(self, folder: str) -> tuple[int, int]:
        """Return how many live photos in `folder` and below the space that answers finds, and how many failed."""
        return self.answering.store.count(folder)

    def open(self) -> None:
        """Find out who answers: the one that did, if the one that is filled does not find all that it finds."""
        spaces, own = self.filling.store.spaces, self.filling.space.name
        choice = spaces.chosen() or ActiveSpace(own, own)
        self._is_pinned = choice.is_pinned and choice.configured == own
        if choice.space != own and choice.space in spaces.names() and spaces.size(choice.space)[0]:
            self._answering = self._open_space(choice.space)
            if not self._is_pinned and not self._lacking():
                self._answer(None)
            else:
                text = "%s answers, from the space %s, while %s is filled: pixkin status"
                _log.info(text, self.answering.space.model, choice.space, own)
        self._note()

    # A service.

    def start(self) -> None:
        """Start the encoder of the space that answers, if it is another one."""
        self._is_running = True
        for encoder in self._encoders.values():
            encoder.start()

    def stop(self) -> None:
        """Stop what belongs to spaces; called twice it does no more."""
        for encoder in self._encoders.values():
            encoder.stop()
        for open_space in {self.filling, self.answering}:
            open_space.index.stop()

    def failure(self) -> BaseException | None:
        """Return what the making of codes died of. That a former network cannot be loaded any more ends nothing."""
        open_space = self.answering
        if (
            open_space is not self.filling
            and open_space.encoder is not None
            and open_space.encoder.failure() is not None
        ):
            self.post(self._encoder_died)
        return self.filling.index.failure() or self.answering.index.failure()

    def beat(self) -> int:
        """Return a number that is another one each time."""
        return self.filling.index.beat()

    # What the ingest thread tells and asks.

    def apply(self, delta: CommitDelta) -> None:
        """Take in what a commit changed."""
        self.filling.index.apply(delta)
        if self._answering is not None and (beside := delta.beside.get(self._answering.space.name)) is not None:
            self._answering.index.apply(beside)

    def is_found(self, path: str, mtime_ns: int) -> bool:
        """Return whether the space that answers finds the photo at `path` in this version, though another is filled."""
        if (open_space := self._answering) is None or (record := open_space.store.record(path)) is None:
            return False
        return record.live and record.stamp.mtime_ns == mtime_ns and open_space.store.has_vector(record.content)

    def recognises(self, content: bytes, path: str, mtime_ns: int) -> bool:
        """Return whether the space that answers has this content, and only has to learn that it is at `path`, too."""
        open_space = self._answering
        return open_space is not None and open_space.store.has_vector(content) and not self.is_found(path, mtime_ns)

    def beside(self, content: bytes) -> tuple[str, Encoder] | None:
        """Return the space that answers while another is filled, and its encoder, if it lacks this content."""
        open_space = self._answering
        if open_space is None or open_space.encoder is None or open_space.store.has_vector(content):
            return None
        return open_space.space.name, open_space.encoder

    def turn(self, now: float, *, is_busy: bool, is_still: bool) -> None:
        """Let the space that is filled answer, if it finds all that the other finds.

        Args:
            now: monotonic.
            is_busy: photos are looked for, or on their way.
            is_still: not even a path waits to be looked at: a folder that is renamed goes before it comes.
        """
        if self._answering is None or self._is_pinned or is_busy or self._lacking():
            self._complete_at = None
            return
        self._complete_at = now if self._complete_at is None else self._complete_at
        if is_still or now - self._complete_at >= PATIENCE_S:
            self._answer(None)
            self._note()

    # What people ask.

    def use(self, name: str) -> None:
        """Let a space answer from now on, whatever it finds; empty: the configured one, as soon as it finds everything.

        Raises:
            KeyError: there is no such space.
            StoreFull: it cannot be opened; all is as it was.
        """
        spaces = self.filling.store.spaces
        if name and name not in spaces.names():
            raise KeyError(name)
        if name and name != self.answering.space.name:
            self._answer(None if name == self.filling.space.name else self._open_space(name))
        self._is_pinned = bool(name)
        self._note()

    def progress(self) -> Filling | None:
        """Return how far the space is that is filled, if another answers."""
        open_space = self._answering
        if open_space is None:
            return None
        counts = [(self.is_read(root), *count) for root, count in zip(self.roots, self._counts(), strict=True)]
        found = sum(filled for _, _, filled in counts)
        away = sum(max(0, answered - filled) for is_read, answered, filled in counts if not is_read)
        own, wanted = self.filling.space, found + self._lacking()
        return Filling(own.model, own.name, found, wanted, away, self._failing(), self._is_pinned)

    def gaps(self) -> tuple[int, int]:
        """Return how many photos only the space that is filled finds, and how many only the one that answers."""
        counts = self._counts() if self._answering is not None else []
        return sum(max(0, filled - found) for found, filled in counts), sum(max(0, a - b) for a, b in counts)

    def _counts(self) -> list[tuple[int, int]]:
        here, there = self.answering.store, self.filling.store
        return [(here.count(root)[0], there.count(root)[0]) for root in self.roots]

    def _lacking(self) -> int:
        """Return how many photos the space that is filled does not find, though the other does, but for a few that it cannot have."""
        counts, failing = self._counts(), self._failing()
        lacking = sum(max(0, found - filled) for found, filled in counts)
        return max(0, lacking - failing) if failing <= FAILS * sum(found for found, _ in counts) else lacking

    def _failing(self) -> int:
        """Return at how many photos only the new network fails."""
        here, there = self.answering.store, self.filling.store
        return sum(max(0, there.count(root)[1] - here.count(root)[1]) for root in self.roots)

    def _encoder_died(self) -> None:
        """Do without the encoder of the space that answers: it has died."""
        open_space = self._answering
        if (
            open_space is not None
            and open_space.encoder is not None
            and (error := open_space.encoder.failure()) is not None
        ):
            _log.warning("nothing more can be encoded for the space %s: %s", open_space.space.name, error)
            self._answering = replace(open_space, encoder=None, why=str(error))
            self._tell_listeners()

    def _open_space(self, name: str) -> OpenSpace:
        space, why = self._known(name)
        store = self.filling.store.beside(name)
        encoder = None if why else self._encoder(space)
        return OpenSpace(space, store, self.make_index(store), encoder, why)

    def _encoder(self, space: Space) -> Encoder:
        if (encoder := self._encoders.get(space.name)) is None:
            encoder = self._encoders[space.name] = self.make_encoder(space)
            if self._is_running:
                encoder.start()
        return encoder

    def _known(self, name: str) -> tuple[Space, str]:
        """Return a former space, and why nothing can be encoded for it; empty if it can."""
        space, why = self.filling.store.spaces.space(name), ""
        for weights in (space.weights, ""):
            try:
                found = resolve(space.model, weights, self.data_home)
            except ConfigError as error:
                why = why or error.what
                continue
            if found.name == name:
                return found, ""
            if found.name.rpartition("-")[0] == name.rpartition("-")[0]:
                return space, _PREPARED
            why = f"{found.weights} does not hold the weights with which the space {name} was made"
        return space, why

    def _answer(self, open_space: OpenSpace | None) -> None:
        """Let another space answer from now on; None: the one that is filled."""
        former, self._answering = self._answering, open_space
        if former is not None:
            former.store.leave()
            if former.index.is_making:
                former.index.stop()  # else there is nothing to stop: a snapshot of it would be of no use
        now = self.answering
        _log.info("%s answers from now on: space %s, %d pictures", now.space.model, now.space.name, len(now.index))
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener(self.answering)

    def _note(self) -> None:
        spaces, own = self.filling.store.spaces, self.filling.space
        with suppress(StoreFull):  # the next start finds out by itself
            spaces.put(own)
            spaces.choose(ActiveSpace(self.answering.space.name, own.name, self._is_pinned))
