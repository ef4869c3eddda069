"""The answers about spaces: which there are, which is to answer from now on, and the end of one."""

import functools
import os
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Final

from pixkin.protocol.replies import Code, Failure, Reply, Spaces, SpaceState
from pixkin.protocol.requests import DropSpace, ListSpaces, UseSpace
from pixkind.index.snapshot import Snapshot
from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.inbox import Inbox
from pixkind.search.errors import RequestError
from pixkind.server.deferred import Deferred
from pixkind.storage.environment import StoreFull

_HINT: Final = "pixkin space list"


@dataclass(slots=True)
class SpaceHandler:
    """Everything that such an answer can come from. Any thread may ask; what changes something is done by the ingest thread."""

    spaces: OpenSpaces
    inbox: Inbox  # of the ingest thread
    _dropping: set[str] = field(default_factory=set)

    def answer(self, request: ListSpaces | UseSpace | DropSpace) -> Reply | Deferred:
        """Return the spaces, at once or when it is done."""
        if isinstance(request, ListSpaces):
            return self._spaces()
        if isinstance(request, UseSpace):
            future = self.inbox.submit(functools.partial(self._use, request.name))
        else:
            future = self.inbox.submit_steps(self._drop(request.name))

        def done() -> Reply:
            try:
                future.result()
            except RequestError as error:
                return error.failure
            except CancelledError:
                return Failure(code=Code.STOPPING, what="pixkind is stopping")
            return self._spaces()

        return Deferred([future], done)

    def _spaces(self) -> Spaces:
        store, answering, filling = self.spaces.filling.store, self.spaces.answering, self.spaces.filling
        found = {open_space.space.name: open_space.store.count("/")[0] for open_space in (answering, filling)}
        spaces = []
        for name in store.spaces.names():
            vectors, size = store.spaces.size(name)
            spaces.append(
                SpaceState(
                    name=name,
                    encoder=store.spaces.space(name).model,
                    vectors=vectors,
                    photos=found[name] if name in found else store.covered(name),
                    bytes=size,
                    answers=name == answering.space.name,
                    fills=name == filling.space.name,
                )
            )
        return Spaces(spaces=tuple(spaces), photos=max((space.photos for space in spaces), default=0))

    # In the ingest thread.

    def _use(self, asked: str) -> None:
        try:
            self.spaces.use(self._name(asked) if asked else "")
        except StoreFull as error:
            raise RequestError(Code.BUSY, f"the space {asked} cannot be opened: {error}") from error

    def _drop(self, asked: str) -> Iterator[None]:
        """Forget a space in slices, so that everything else has its turn in between."""
        store = self.spaces.filling.store
        name = self._name(asked)
        self._check_free(name)
        self._dropping.add(name)
        try:
            Snapshot(os.path.join(store.folder, "codes", name)).remove()
            yield from store.drop(name)
        except StoreFull as error:
            raise RequestError(Code.BUSY, f"not all of the space {name} could be forgotten: {error}") from error
        finally:
            self._dropping.discard(name)

    def _name(self, asked: str) -> str:
        """Return the name of the space that is meant: its own, or its encoder's if it is the only one of that."""
        spaces = self.spaces.filling.store.spaces
        names = set(spaces.names()) - self._dropping
        if asked in names:
            return asked
        of_encoder = sorted(name for name in names if spaces.space(name).model == asked)
        if len(of_encoder) == 1:
            return of_encoder[0]
        what = (
            f"several spaces are {asked}'s: {', '.join(of_encoder)}" if of_encoder else f"there is no space {asked!r}"
        )
        raise RequestError(Code.REFUSED, what, hint=_HINT)

    def _check_free(self, name: str) -> None:
        if name == self.spaces.answering.space.name:
            what, hint = "answers", "let another answer first: pixkin space use NAME"
        elif name == self.spaces.filling.space.name:
            what, hint = "is the configured one", "choose another encoder.model first"
        else:
            return
        raise RequestError(Code.REFUSED, f"the space {name} {what}", hint=hint)
