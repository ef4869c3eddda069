"""The answers about spaces: which there are, which is to answer from now on, and the end of one."""

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Final

from pixkin.wire import Code, DropSpace, Failure, ListSpaces, Reply, Space, Spaces, UseSpace
from pixkind.environment import StoreFull
from pixkind.like import Parked
from pixkind.matching import Unanswerable
from pixkind.snapshot import Snapshot
from pixkind.switch import Switch

_HINT: Final = "pixkin space list"
_Done = Future[None]


@dataclass(slots=True)
class SpaceAnswers:
    """Everything that such an answer can come from. Any thread may ask; what changes something is done by the ingest thread."""

    switch: Switch
    call: Callable[
        [Callable[[_Done], object]], _Done
    ]  # has something called in the ingest thread; the future is its own
    post: Callable[[Callable[[], object]], None]  # the same, without a future
    _dropping: set[str] = field(default_factory=set)

    def answer(self, request: ListSpaces | UseSpace | DropSpace) -> Reply | Parked:
        """Return the spaces, at once or when it is done."""
        if isinstance(request, ListSpaces):
            return self._spaces()
        if isinstance(request, UseSpace):
            future = self.call(functools.partial(self._use, request.name))
        else:
            future = self.call(functools.partial(self._drop, request.name))

        def done() -> Reply:
            try:
                future.result()
            except Unanswerable as error:
                return error.failure
            except CancelledError:
                return Failure(code=Code.STOPPING, what="pixkind is stopping")
            return self._spaces()

        return Parked([future], done)

    def _spaces(self) -> Spaces:
        store, answering, filling = self.switch.filling.store, self.switch.answering, self.switch.filling
        found = {room.space.name: room.store.count("/")[0] for room in (answering, filling)}
        spaces = []
        for name in store.atlas.names():
            vectors, size = store.atlas.size(name)
            spaces.append(
                Space(
                    name=name,
                    encoder=store.atlas.space(name).model,
                    vectors=vectors,
                    photos=found[name] if name in found else store.covered(name),
                    bytes=size,
                    answers=name == answering.space.name,
                    fills=name == filling.space.name,
                )
            )
        return Spaces(spaces=tuple(spaces), photos=max((space.photos for space in spaces), default=0))

    # In the ingest thread.

    def _use(self, name: str, future: _Done) -> None:
        if name and (name not in self.switch.filling.store.atlas.names() or name in self._dropping):
            _end(future, _unknown(name))
            return
        try:
            self.switch.use(name)
        except StoreFull as error:
            _end(future, Unanswerable(Code.BUSY, f"the space {name} cannot be opened: {error}"))
        else:
            _end(future)

    def _drop(self, name: str, future: _Done) -> None:
        store = self.switch.filling.store
        if name == self.switch.answering.space.name:
            _end(future, _in_use(name, "answers", "let another answer first: pixkin space use NAME"))
        elif name == self.switch.filling.space.name:
            _end(future, _in_use(name, "is the configured one", "choose another encoder.model first"))
        elif name not in store.atlas.names() or name in self._dropping:
            _end(future, _unknown(name))
        else:
            self._dropping.add(name)
            Snapshot(os.path.join(store.folder, "codes", name)).remove()
            self._step(name, store.drop(name), future)

    def _step(self, name: str, steps: Iterator[None], future: _Done) -> None:
        """Forget one slice, and have the others their turn before the next."""
        try:
            next(steps)
        except StopIteration:
            self._dropping.discard(name)
            _end(future)
        except StoreFull as error:
            self._dropping.discard(name)
            _end(future, Unanswerable(Code.BUSY, f"not all of the space {name} could be forgotten: {error}"))
        else:
            self.post(functools.partial(self._step, name, steps, future))


def _end(future: _Done, error: Unanswerable | None = None) -> None:
    if not future.set_running_or_notify_cancel():  # its client gave up; it is done all the same
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _unknown(name: str) -> Unanswerable:
    return Unanswerable(Code.REFUSED, f"there is no space {name!r}", hint=_HINT)


def _in_use(name: str, how: str, hint: str) -> Unanswerable:
    return Unanswerable(Code.REFUSED, f"the space {name} {how}", hint=hint)
