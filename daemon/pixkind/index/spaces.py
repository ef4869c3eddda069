"""Which space answers queries, and which is filled: after a change of model these are two.

Vectors of two networks cannot be compared. So each network has a *space* of its own: the network, its exact weights, and the
way photos are prepared for it (encoder/space.py). The configuration names the space that is *filled*. As long as that space
finds fewer photos than the one that answered before, the old one *answers*, with an index and a worker of its own.

- **One store, two spaces.** Records, contents and the journal belong to all spaces; vectors and folder statistics belong to
  one. A commit says for each open space which contents appear and vanish. So deletions, copies and renames are right in both
  indexes. A picture that the old space has is found at its new place at once, and is encoded for the new space later.
  Each index catches up from the journal by itself; the journal keeps everything that either index needs.
- **A new photo is encoded for both spaces**, since it must be found at once. It goes before all photos that the old space
  finds already. Only new photos cost twice. All other photos are encoded newest first, as always.
- **The new space answers once it finds every photo that the old one finds**, root by root, and no photo waits. If photos
  keep waiting, it answers after a minute. Queries under way end in the space in which they began. Going back follows the
  same rule: a space that has everything answers from the first moment.
- **Photos on a disconnected drive are not given up**: the old space answers until the drive was there. Absence must hide no
  photo, and a drive in a drawer would hide half of them. `status` says for how many photos the switch waits, and
  `pixkin space use NAME` switches without them at once.
- **A photo at which only the new network fails** is found as long as the old space answers: no photo counts as failed that
  has a vector in the space that answers. If the new network fails at one photo in twenty or fewer, it still takes over. If it
  fails at more, the network is wrong, and never takes over by itself.
- **A former network needs its weights** to encode a new image; the store remembers their path. If they are missing or
  different, or photos are prepared in another way by now, indexed photos can still be queries. Any other image is answered
  with the reason, and new photos are found only after the switch.
- **`pixkin space use NAME` pins a space** until the configuration names another one. The configured space is still kept up
  to date. `pixkin space drop NAME` deletes 250 vectors a transaction, and lets other work run between two transactions.

The store remembers each space with its network and weights. It also remembers which space answers, what the configuration
named then, and whether a user chose it. The ingest thread changes the spaces; any thread reads them.
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
from pixkind.index.changes import ChangeLog
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.environment import StoreFull
from pixkind.storage.spaces import ActiveSpace
from pixkind.storage.store import Store
from pixkind.storage.write_batch import CommitDelta

PATIENCE_S: Final = 60.0  # a file that is written to for ever must not prevent a switch
FAILS: Final = 0.05  # share of the photos at which only the new network may fail: a few photos are odd

_PREPARED: Final = "this pixkind prepares images in another way than the pixkind that filled the space"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class OpenSpace:
    """An open space with its store, index and encoder."""

    space: Space
    store: Store  # seen from this space
    index: VectorIndex
    encoder: Encoder | None  # None: no image can be encoded for this space
    why: str = ""  # the reason


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
    _observers: list[Callable[[CommitDelta], object]] = field(default_factory=list)
    _answering: OpenSpace | None = None  # None: the space that is filled
    _is_pinned: bool = False
    _encoders: dict[str, Encoder] = field(default_factory=dict)  # of former spaces: a query may still wait for one
    _is_running: bool = False
    _complete_at: float | None = None  # monotonic: since when the space that is filled finds everything
    changes: ChangeLog = field(init=False)

    def __post_init__(self) -> None:
        self.changes = ChangeLog(self.filling.store.journal.generation)

    @property
    def answering(self) -> OpenSpace:
        """The space that answers."""
        return self._answering or self.filling

    def on_switch(self, listener: Callable[[OpenSpace], object]) -> None:
        """Have `listener` called in the ingest thread with the space that answers, each time another one begins to."""
        self._listeners.append(listener)

    def on_commit(self, observer: Callable[[CommitDelta], object]) -> None:
        """Have `observer` called in the ingest thread with what each commit changed in the space that answers."""
        self._observers.append(observer)

    def count(self, folder: str) -> tuple[int, int]:
        """Return how many live photos in `folder` and below can be found in the space that answers, and how many failed."""
        return self.answering.store.count(folder)

    def open(self) -> None:
        """Choose the space that answers: the former one if the space that is filled does not find all its photos yet."""
        spaces, own = self.filling.store.spaces, self.filling.space.name
        choice = spaces.chosen() or ActiveSpace(own, own)
        self._is_pinned = choice.is_pinned and choice.configured == own
        if choice.space != own and choice.space in spaces.names() and spaces.size(choice.space)[0]:
            self._answering = self._open_space(choice.space)
            if not self._is_pinned and not self._lacking():
                self._answer(None)
            else:
                text = "%s answers from the space %s while the space %s is filled: pixkin status"
                _log.info(text, self.answering.space.model, choice.space, own)
        self._note()

    # A service.

    def start(self) -> None:
        """Start the encoder of the space that answers, if it is not the one that is filled."""
        self._is_running = True
        for encoder in self._encoders.values():
            encoder.start()

    def stop(self) -> None:
        """Stop encoders and indexes. A second call does nothing."""
        for encoder in self._encoders.values():
            encoder.stop()
        for open_space in {self.filling, self.answering}:
            open_space.index.stop()

    def failure(self) -> BaseException | None:
        """Return the exception that ended the making of codes. A former network that cannot be loaded is no failure."""
        open_space = self.answering
        if (
            open_space is not self.filling
            and open_space.encoder is not None
            and open_space.encoder.failure() is not None
        ):
            self.post(self._encoder_died)
        return self.filling.index.failure() or self.answering.index.failure()

    def beat(self) -> None:
        """Return None: no loop of its own."""

    # Called by the ingest thread.

    def apply(self, delta: CommitDelta) -> None:
        """Apply the changes of a commit to the open indexes."""
        self.filling.index.apply(delta)
        answered = delta if self._answering is None else delta.beside.get(self._answering.space.name)
        if answered is None:
            return
        if self._answering is not None:
            self._answering.index.apply(answered)
        self.changes.note(answered, self.answering.store.pages.among([*answered.appeared, *answered.vanished]))
        for observer in self._observers:
            observer(answered)

    def is_found(self, path: str, mtime_ns: int) -> bool:
        """Return whether the space that answers finds the photo at `path` in this version."""
        store = self.answering.store
        if (record := store.record(path)) is None:
            return False
        return record.live and record.stamp.mtime_ns == mtime_ns and store.has_vector(record.content)

    def recognises(self, content: bytes, path: str, mtime_ns: int) -> bool:
        """Return whether another space answers, and has this content, but does not find it at `path` yet."""
        open_space = self._answering
        return open_space is not None and open_space.store.has_vector(content) and not self.is_found(path, mtime_ns)

    def beside(self, content: bytes) -> tuple[str, Encoder] | None:
        """Return name and encoder of another space that answers, if it lacks this content; else None."""
        open_space = self._answering
        if open_space is None or open_space.encoder is None or open_space.store.has_vector(content):
            return None
        return open_space.space.name, open_space.encoder

    def turn(self, now: float, *, is_busy: bool, is_still: bool) -> None:
        """Let the space that is filled answer if it finds all photos that the other one finds.

        Args:
            now: monotonic.
            is_busy: a scan runs, or photos wait for their outcome.
            is_still: no changed path waits either: a renamed folder first vanishes, and then appears.
        """
        if self._answering is None or self._is_pinned or is_busy or self._lacking():
            self._complete_at = None
            return
        self._complete_at = now if self._complete_at is None else self._complete_at
        if is_still or now - self._complete_at >= PATIENCE_S:
            self._answer(None)
            self._note()

    # Called for users.

    def use(self, name: str) -> None:
        """Let a space answer from now on, whatever it finds; empty: the configured one, once it finds everything.

        Raises:
            KeyError: there is no such space.
            StoreFull: the space cannot be opened; nothing has changed.
        """
        spaces = self.filling.store.spaces
        if name and name not in spaces.names():
            raise KeyError(name)
        if name and name != self.answering.space.name:
            self._answer(None if name == self.filling.space.name else self._open_space(name))
        self._is_pinned = bool(name)
        self._note()

    def progress(self) -> Filling | None:
        """Return how far the space that is filled has come; None if it answers itself."""
        open_space = self._answering
        if open_space is None:
            return None
        counts = [(self.is_read(root), *count) for root, count in zip(self.roots, self._counts(), strict=True)]
        found = sum(filled for _, _, filled in counts)
        away = sum(max(0, answered - filled) for is_read, answered, filled in counts if not is_read)
        own, wanted = self.filling.space, found + self._lacking()
        return Filling(own.model, own.name, found, wanted, away, self._failing(), self._is_pinned)

    def gaps(self) -> tuple[int, int]:
        """Return how many photos only the space that is filled finds, and how many only the space that answers finds."""
        counts = self._counts() if self._answering is not None else []
        return sum(max(0, filled - found) for found, filled in counts), sum(max(0, a - b) for a, b in counts)

    def _counts(self) -> list[tuple[int, int]]:
        here, there = self.answering.store, self.filling.store
        return [(here.count(root)[0], there.count(root)[0]) for root in self.roots]

    def _lacking(self) -> int:
        """Return how many photos only the space that answers finds, without a few at which the new network fails."""
        counts, failing = self._counts(), self._failing()
        lacking = sum(max(0, found - filled) for found, filled in counts)
        return max(0, lacking - failing) if failing <= FAILS * sum(found for found, _ in counts) else lacking

    def _failing(self) -> int:
        """Return the number of photos at which only the new network fails."""
        here, there = self.answering.store, self.filling.store
        return sum(max(0, there.count(root)[1] - here.count(root)[1]) for root in self.roots)

    def _encoder_died(self) -> None:
        """Go on without the encoder of the space that answers, which has died."""
        open_space = self._answering
        if (
            open_space is not None
            and open_space.encoder is not None
            and (error := open_space.encoder.failure()) is not None
        ):
            _log.warning("no more images can be encoded for the space %s: %s", open_space.space.name, error)
            self._answering = replace(open_space, encoder=None, why=str(error))
            self._tell_listeners()

    def _open_space(self, name: str) -> OpenSpace:
        space, why = self._known(name)
        store = self.filling.store.beside(name)
        try:
            encoder = None if why else self._encoder(space, store.dims)
        except ConfigError as error:  # its runtime is not installed any more
            encoder, why = None, error.what
        return OpenSpace(space, store, self.make_index(store), encoder, why)

    def _encoder(self, space: Space, dims: int) -> Encoder:
        if (encoder := self._encoders.get(space.name)) is None:
            encoder = self._encoders[space.name] = self.make_encoder(space)
            encoder.expect(dims)
            if self._is_running:
                encoder.start()
        return encoder

    def _known(self, name: str) -> tuple[Space, str]:
        """Return a former space, and why no image can be encoded for it; empty if it can."""
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
            why = f"{found.weights} does not hold the weights with which the space {name} was filled"
        return space, why

    def _answer(self, open_space: OpenSpace | None) -> None:
        """Let another space answer from now on; None: the space that is filled."""
        former, self._answering = self._answering, open_space
        if former is not None:
            former.store.leave()
            if former.index.is_making:
                former.index.stop()  # else no thread runs, and a snapshot would be useless
        now = self.answering
        _log.info(
            "%s answers from now on, from the space %s with %d pictures",
            now.space.model,
            now.space.name,
            len(now.index),
        )
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        self.changes.switch()
        for listener in self._listeners:
            listener(self.answering)

    def _note(self) -> None:
        spaces, own = self.filling.store.spaces, self.filling.space
        with suppress(StoreFull):  # the next start chooses again
            spaces.put(own)
            spaces.choose(ActiveSpace(self.answering.space.name, own.name, self._is_pinned))
