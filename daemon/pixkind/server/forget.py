"""Answers `forget`. The ingest thread forgets; any thread may call."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from pixkin.mounts import lies_in
from pixkin.protocol.replies import Code, Forgotten, Reply
from pixkin.protocol.requests import Forget
from pixkind.fs.roots import WatchedRoots
from pixkind.ingest.inbox import Inbox
from pixkind.ingest.purge import Forgetting, Purge
from pixkind.ingest.wipe import Wipe
from pixkind.search.errors import RequestError
from pixkind.server.deferred import Deferred, reply_when
from pixkind.storage.environment import StoreFull


@dataclass(slots=True)
class ForgetHandler:
    """Forgets photos that users name."""

    roots: WatchedRoots
    purge: Purge
    wipe: Wipe
    inbox: Inbox  # of the ingest thread

    def answer(self, request: Forget) -> Deferred:
        """Return what becomes of the photos, when that is done."""
        asked = Forgetting(_outermost(path for named in request.paths for path in self._paths(os.fsdecode(named))))
        future = self.inbox.submit_steps(self.purge.count(asked)) if request.dry_run else self.wipe.forget(asked)

        def done() -> Reply:
            try:
                future.result()
            except StoreFull as error:
                hint = "ask again when it can be written; some photos may be forgotten already"
                raise RequestError(Code.BUSY, f"the photos cannot be forgotten: {error}", hint=hint) from error
            return Forgotten(photos=asked.photos, away=asked.away, there=asked.there, traces=asked.traces)

        return reply_when([future], done)

    def _paths(self, path: str) -> Iterable[str]:
        """Yield the paths under which the index may know what a user names: as it is named, and without links."""
        path = os.path.normpath(path)
        yield path
        # The last component may be a link that took the place of a folder.
        yield self.roots.find_name(path)
        if (real := self.roots.find(path)[0]) in self.roots.paths:
            yield real


def _outermost(paths: Iterable[str]) -> list[str]:
    """Return the paths that lie in no other one."""
    every = {*paths}
    return [path for path in every if not any(path != one and lies_in(path, one) for one in every)]
