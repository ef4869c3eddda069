"""Answers `why`: what has become of one file. Any thread may call."""

import os
import shlex
import stat
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from pixkin.locations import config_file
from pixkin.protocol.explanations import Explanation, Fate
from pixkin.protocol.requests import Why
from pixkind.fs.interface import ABSENT
from pixkind.fs.stamp import Stamp
from pixkind.ingest.loop import IngestLoop
from pixkind.ingest.waiting import WaitingPlace
from pixkind.search.errors import watched_folders
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.deferred import Deferred, reply_when
from pixkind.server.status import StatusHandler, exclusion_of
from pixkind.storage.record import UNKNOWN, Record
from pixkind.watching.scan import MISSING

_AT_ONCE: Final = 1  # the next try of a photo that is tried at the next look, because a decoder has changed


@dataclass(slots=True)
class WhyHandler:
    """Looks at one file, and at what the space that answers knows of it."""

    photo_search: PhotoSearch
    status_handler: StatusHandler
    ingest: IngestLoop
    network: str  # of the space

    def why(self, request: Why) -> Explanation | Deferred:
        """Return what has become of a file, or what that waits for."""
        roots = self.photo_search.roots
        path = roots.find_watched(os.fsdecode(request.path))
        if (root := roots.root_of(path)) is None:
            hint = f"add its folder to index.folders in {config_file()}; {watched_folders(roots)}"
            return Explanation(
                fate=Fate.UNWATCHED, path=os.fsencode(path), what="it lies in no watched folder", hint=hint
            )
        explained, record = self._explained(path, root)
        if not roots.is_read(root):
            return self._unseen(explained, root)
        if why := roots.left_out(path, root):
            return self._left_out(explained, path, why)
        return self._seen(explained, path, record)

    def _explained(self, path: str, root: str) -> tuple[Explanation, Record | None]:
        """Return what the index knows, and the record of the path; a photo that it does not know is missing."""
        store = self.photo_search.store
        record = store.record(path)
        told = Explanation(fate=Fate.MISSING, path=os.fsencode(path), root=os.fsencode(root))
        if record is None or not record.live:
            return told, record
        is_found = store.has_vector(record.content)
        place = record.place(store.facts(record.content))
        copies = () if record.content == UNKNOWN else self.photo_search.photos(record.content)
        told = msgspec.structs.replace(
            told,
            content=b"" if record.content == UNKNOWN else record.content,
            network=self.network if is_found else "",
            read_s=record.details.read_s if record.details else 0,
            copies=sum(one.path != path for one in copies),
            taken_s=place.taken_s or place.named_s,
            by_name=bool(place.named_s),
        )
        if record.failed:
            retry_at = record.retry_s if record.retry_s > _AT_ONCE else 0
            told = msgspec.structs.replace(told, fate=Fate.FAILED, what=store.reason(path), retry_at=retry_at)
        elif is_found:
            told = msgspec.structs.replace(told, fate=Fate.FOUND, what="queries find it")
        return told, record

    def _unseen(self, explained: Explanation, root: str) -> Explanation:
        """Return the same of a photo that cannot be looked at now: its root is away or paused."""
        state = self.status_handler.root(root)
        where = f"{root} is {state.state}{f': {state.reason}' if state.reason else ''}"
        if explained.fate is Fate.MISSING:
            what = f"the index does not know it, and cannot look at it now: {where}"
            return msgspec.structs.replace(explained, fate=Fate.UNKNOWN, what=what, hint=state.hint)
        what = f"{explained.what}; nobody can open it now: {where}"
        return msgspec.structs.replace(explained, what=what, hint=state.hint)

    def _seen(self, explained: Explanation, path: str, record: Record | None) -> Explanation | Deferred:
        """Return the same of what stands at a path now, as far as the index has noticed it."""

        def told(fate: Fate, what: str) -> Explanation:
            return msgspec.structs.replace(explained, fate=fate, what=what)

        try:
            mode, stamp = self.photo_search.roots.file_system(path).look(path)
        except OSError as error:
            if error.errno not in ABSENT:
                return told(Fate.UNKNOWN, f"it cannot be looked at: {error.strerror or error}")
            return told(
                Fate.MISSING, "there is no such file" if record is None else "it is gone: there is no such file now"
            )
        if stat.S_ISDIR(mode):
            return told(Fate.NO_PHOTO, "a folder: ask about a photo in it")
        if why := self.ingest.nothing_at(path):
            # MISSING: it is listed in another spelling, or has just gone.
            otherwise = Fate.MISSING if why == MISSING else Fate.NO_PHOTO
            return self._left_out(explained, path, why, otherwise)
        return explained if _is_settled(explained, record, stamp) else self._waits(explained, path, stamp)

    def _waits(self, explained: Explanation, path: str, stamp: Stamp) -> Deferred:
        place = self.ingest.waiting_places.of(path)
        return reply_when([place], partial(self._waiting, path, os.fsdecode(explained.root), stamp, place))

    def _left_out(self, explained: Explanation, path: str, why: str, otherwise: Fate = Fate.LEFT_OUT) -> Explanation:
        """Return the same of what a pattern leaves out, with the pattern; `otherwise`: the fate if none does."""
        rule = self.photo_search.roots.exclusions.rule_of(path, is_folder=False)
        if rule is None or why != f"left out by {rule}":
            return msgspec.structs.replace(explained, fate=otherwise, what=why)
        return msgspec.structs.replace(explained, fate=Fate.LEFT_OUT, what=why, exclusion=exclusion_of(rule))

    def _waiting(self, path: str, root: str, stamp: Stamp, future: "Future[WaitingPlace | None]") -> Explanation:
        explained, record = self._explained(path, root)  # anew: it may be through by now
        if _is_settled(explained, record, stamp):
            return explained
        place = future.result() or WaitingPlace("pixkind has not noticed it yet")
        hint = "" if future.result() else f"pixkin sync {shlex.quote(path)}"
        older = "; until then queries find it as it was" if explained.fate is Fate.FOUND else ""
        what = f"{place.what}{older}"
        return msgspec.structs.replace(explained, fate=Fate.WAITING, what=what, hint=hint, ahead=place.ahead)


def _is_settled(explained: Explanation, record: Record | None, stamp: Stamp) -> bool:
    """Return whether the index knows what has become of this version of a file."""
    return record is not None and record.stamp == stamp and explained.fate in {Fate.FOUND, Fate.FAILED}
