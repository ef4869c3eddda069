"""Answers `describe`, `browse`, `folders` and `timeline`: what the library holds, without a query image. Any thread may call."""

import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from pixkin.mounts import lies_in
from pixkin.protocol.pictures import Description, File, Month
from pixkin.protocol.replies import Descriptions, Folder, FolderList, Library, Months, Reply
from pixkin.protocol.requests import Browse, Describe, Folders, Timeline
from pixkind.search.errors import not_watched
from pixkind.search.photo_search import PhotoSearch
from pixkind.search.pictures import picture_of
from pixkind.server.status import StatusHandler
from pixkind.storage.record import Record

_CURSOR_BYTES = 8  # of the date in a cursor
_BIAS = 1 << 63


@dataclass(slots=True)
class LibraryHandler:
    """Looks at the pictures of the space that answers."""

    photo_search: PhotoSearch
    status_handler: StatusHandler

    def answer(self, request: Describe | Browse | Folders | Timeline) -> Reply:
        """Return the reply.

        Raises:
            RequestError: the folder does not exist, or lies in no root.
        """
        match request:
            case Describe():
                return Descriptions(descriptions=tuple(map(self._described, request.contents)))
            case Browse():
                return self._browse(request)
            case Folders():
                return self._folders(os.fsdecode(request.parent))
            case Timeline():
                dates = (datetime.fromtimestamp(when, UTC) for when, _, _ in self._dated(request.under))
                months = Counter((date.year, date.month) for date in dates)
                return Months(months=tuple(Month(*at, count) for at, count in sorted(months.items(), reverse=True)))

    def _described(self, content: bytes) -> Description:
        store, roots = self.photo_search.store, self.photo_search.roots
        facts = store.facts(content)
        photos = self.photo_search.photos(content)
        photos.sort(key=lambda one: (roots.is_offline(one.path), one.stamp.mtime_ns, one.path))
        files = tuple(
            File(
                os.fsencode(one.path),
                one.stamp.size,
                one.stamp.mtime_ns,
                roots.is_offline(one.path),
                one.place(facts).taken_s,
                one.place(facts).camera,
                one.details.pages if one.details else 1,
                one.details is not None and one.details.damaged,
            )
            for one in photos
        )
        return Description(
            picture_of(content, facts, photos[0] if photos else None),
            files,
            next((file.camera for file in files if file.camera), ""),
            files[0].pages if files else 1,
            self._why_not(content, photos),
        )

    def _why_not(self, content: bytes, photos: list[Record]) -> str:
        """Return why a picture cannot be found; empty if it can."""
        store = self.photo_search.store
        if not photos:
            return "no photo in the library shows this picture"
        if store.has_vector(content):
            return ""
        return next(filter(None, (store.reason(one.path) for one in photos)), "it is not encoded yet")

    def _browse(self, request: Browse) -> Library:
        since, before = request.taken_since_s, request.taken_before_s
        wanted = [
            one
            for one in self._dated(request.under)
            if (since is None or one[0] >= since) and (before is None or one[0] < before)
        ]
        after = _cursor(request.after) if request.after else None
        left = [one for one in wanted if after is None or (-one[0], one[1]) > after]
        page = left[: request.limit]
        store, roots = self.photo_search.store, self.photo_search.roots
        return Library(
            pictures=tuple(picture_of(content, store.facts(content), photo) for _, content, photo in page),
            paths=tuple(os.fsencode(photo.path) for _, _, photo in page),
            offline=tuple(roots.is_offline(photo.path) for _, _, photo in page),
            total=len(wanted),
            next=_cursor_bytes(*page[-1][:2]) if len(page) < len(left) else b"",
        )

    def _dated(self, under: bytes) -> list[tuple[int, bytes, Record]]:
        """Return the date, content and first photo of each picture that can be found, the newest first."""
        store, folder = self.photo_search.store, self.photo_search.folder(under)
        found = dict[bytes, tuple[bool, int, Record]]()
        for record in store.records():
            if record.live and lies_in(record.path, folder or "/") and self.photo_search.roots.root_of(record.path):
                taken_s = record.place(store.facts(record.content)).taken_s
                key = (not taken_s, taken_s or record.stamp.mtime_ns // 10**9, record)
                best = found.get(record.content, key)
                found[record.content] = min(best, key, key=lambda one: one[:2])
        dated = [(when, content, record) for content, (_, when, record) in found.items() if store.has_vector(content)]
        return sorted(dated, key=lambda one: (-one[0], one[1]))

    def _folders(self, parent: str) -> FolderList:
        photo_search = self.photo_search
        folder = photo_search.folder(os.fsencode(parent))
        if not folder or photo_search.roots.root_of(folder) is None:
            return FolderList(
                folders=tuple(map(self._folder, (r for r in photo_search.roots.paths if lies_in(r, folder or "/"))))
            )
        names = sorted(photo_search.store.folders(folder))
        return FolderList(folders=tuple(self._folder(os.path.join(folder, name)) for name in names))

    def _folder(self, path: str) -> Folder:
        store, root = self.photo_search.store, self.photo_search.roots.root_of(path)
        if root is None:
            raise not_watched(path, self.photo_search.roots)
        found, failed = store.count(path)
        state = self.status_handler.root(root).state
        return Folder(os.fsencode(path), found, failed, bool(store.folders(path)), state)


def _cursor(token: bytes) -> tuple[int, bytes]:
    """Return the date, negative, and the content of a cursor."""
    return _BIAS - int.from_bytes(token[:_CURSOR_BYTES].ljust(_CURSOR_BYTES, b"\0"), "big"), token[_CURSOR_BYTES:]


def _cursor_bytes(when: int, content: bytes) -> bytes:
    return (when + _BIAS).to_bytes(_CURSOR_BYTES, "big") + content
