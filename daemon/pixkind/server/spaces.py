"""Answers `list_spaces`, `use_space` and `drop_space`. The ingest thread makes the changes."""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pixkin.protocol.replies import Code, Reply, Spaces, SpaceState
from pixkin.protocol.requests import DropSpace, ListSpaces, UseSpace
from pixkind.index.snapshot import Snapshot
from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.inbox import Inbox
from pixkind.search.errors import RequestError
from pixkind.server.deferred import Deferred, reply_when
from pixkind.storage.environment import StoreFull

_HINT: Final = "pixkin space list"


@dataclass(slots=True)
class SpaceHandler:
    """Lists, switches and deletes spaces. Any thread may call."""

    spaces: OpenSpaces
    inbox: Inbox  # of the ingest thread
    _dropping: set[str] = field(default_factory=set)

    def answer(self, request: ListSpaces | UseSpace | DropSpace) -> Reply | Deferred:
        """Return the spaces, after the change if the request asks for one."""
        if isinstance(request, ListSpaces):
            return self._spaces()
        if isinstance(request, UseSpace):
            future = self.inbox.submit(functools.partial(self._use, request.name))
        else:
            future = self.inbox.submit_steps(self._drop(request.name))

        def done() -> Reply:
            future.result()
            return self._spaces()

        return reply_when([future], done)

    def _spaces(self) -> Spaces:
        store, answering, filling = self.spaces.filling.store, self.spaces.answering, self.spaces.filling
        found = {open_space.space.name: open_space.store.count("/")[0] for open_space in (answering, filling)}
        spaces = []
        for name in store.spaces.names():
            space, (vectors, size) = store.spaces.space(name), store.spaces.size(name)
            spaces.append(
                SpaceState(
                    name=name,
                    encoder=space.model,
                    vectors=vectors,
                    photos=found[name] if name in found else store.covered(name),
                    bytes=size,
                    answers=name == answering.space.name,
                    fills=name == filling.space.name,
                    kind=space.kind,
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
            raise RequestError(Code.BUSY, f"the space {name} could not be deleted completely: {error}") from error
        finally:
            self._dropping.discard(name)

    def _name(self, asked: str) -> str:
        """Return the name of the space that a user means: its own name, or that of an encoder with one space only."""
        spaces = self.spaces.filling.store.spaces
        names = set(spaces.names()) - self._dropping
        if asked in names:
            return asked
        of_encoder = sorted(name for name in names if spaces.space(name).model == asked)
        if len(of_encoder) == 1:
            return of_encoder[0]
        several = f"{asked} has several spaces: {', '.join(of_encoder)}"
        what = several if of_encoder else f"there is no space {asked!r}"
        raise RequestError(Code.REFUSED, what, hint=_HINT)

    def _check_free(self, name: str) -> None:
        if name == self.spaces.answering.space.name:
            what, hint = "is in use", "use another one first: pixkin space use NAME"
        elif name == self.spaces.filling.space.name:
            what, hint = "belongs to the configured model", "set another encoder.model first"
        else:
            return
        raise RequestError(Code.REFUSED, f"the space {name} {what}", hint=hint)
