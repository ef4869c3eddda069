"""Answers `describe`, `browse`, `folders` and `timeline`: what the library holds, without a query image. Any thread may call."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pixkin.mounts import lies_in
from pixkin.protocol.pictures import Description, File, Month
from pixkin.protocol.replies import Code, Descriptions, Folder, FolderList, Library, Months, Reply
from pixkin.protocol.requests import Browse, Describe, Folders, Timeline
from pixkind.encoder.messages import Details
from pixkind.index.dates import Cursor, DatedPictures
from pixkind.index.filter import Filter
from pixkind.search.errors import NO_PHOTO, RequestError
from pixkind.search.photo_search import PhotoSearch
from pixkind.search.pictures import picture_of
from pixkind.server.status import StatusHandler
from pixkind.storage.record import Facts, Record

_FILES: Final = 100  # of a picture that are described
_DATE_BYTES: Final = 8  # of a cursor; a content id follows


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
                return FolderList(folders=tuple(self._folders(self.photo_search.folder(request.parent))))
            case Timeline():
                months = self._dated(self.photo_search.folder(request.under)).months()
                return Months(months=tuple(Month(year, month, count) for year, month, count in months))

    def _described(self, content: bytes) -> Description:
        facts, photos = self.photo_search.store.facts(content), self._photos(content)
        files = tuple(self._file(one, facts) for one in photos[:_FILES])
        return Description(
            picture_of(content, facts, photos),
            files,
            next((file.camera for file in files if file.camera), ""),
            files[0].pages if files else 1,
            len(photos) - len(files),
            self._why_not(content, photos),
        )

    def _file(self, photo: Record, facts: Facts | None) -> File:
        place, details = photo.place(facts), photo.details or Details()
        return File(
            os.fsencode(photo.path),
            photo.stamp.size,
            photo.stamp.mtime_ns,
            self.photo_search.roots.is_offline(photo.path),
            place.taken_s,
            place.camera,
            details.pages,
            details.damaged,
        )

    def _why_not(self, content: bytes, photos: list[Record]) -> str:
        """Return why a picture cannot be found; empty if it can."""
        store = self.photo_search.store
        if not photos:
            return NO_PHOTO
        if store.has_vector(content):
            return ""
        return next(filter(None, (store.reason(one.path) for one in photos)), "it is not encoded yet")

    def _browse(self, request: Browse) -> Library:
        photo_search = self.photo_search
        folder = photo_search.folder(request.under)
        dated = self._dated(folder).between(request.taken_since_s, request.taken_before_s)
        found, has_more = dated.newest(request.limit, _cursor(request.after) if request.after else None)
        # A picture whose photos have gone since is left out.
        shown = [(content, photos) for _, content in found if (photos := self._photos(content, folder))]
        return Library(
            pictures=tuple(picture_of(content, photo_search.store.facts(content), photos) for content, photos in shown),
            paths=tuple(os.fsencode(one.path) for _, (one, *_) in shown),
            offline=tuple(photo_search.roots.is_offline(one.path) for _, (one, *_) in shown),
            total=len(dated),
            next=_token(*found[-1]) if has_more else b"",
        )

    def _dated(self, folder: str) -> DatedPictures:
        """Return the pictures that can be found and have a photo below a folder, with their dates.

        Raises:
            RequestError: the first index of a large library is being made.
        """
        if (dated := self.photo_search.index.dated(Filter.below(folder))) is None:
            raise RequestError(Code.BUSY, "the index of the library is being made", hint="ask again in a minute")
        return dated

    def _photos(self, content: bytes, folder: str = "") -> list[Record]:
        """Return the photos of a picture below a folder, in their order."""
        return [one for one in self.photo_search.in_order(content) if not folder or lies_in(one.path, folder)]

    def _folders(self, parent: str) -> Iterator[Folder]:
        """Yield the folders right below one; the roots that lie in it if it lies in none."""
        store, roots = self.photo_search.store, self.photo_search.roots
        root = roots.root_of(parent) if parent else None
        if root is None:
            below = [(one, one) for one in roots.paths if not parent or lies_in(one, parent)]
        else:
            below = [(os.path.join(parent, name), root) for name in sorted(store.folders(parent))]
        states = {one: self.status_handler.root(one).state for one in {root for _, root in below}}
        for path, its_root in below:
            found, failed = store.count(path)
            yield Folder(os.fsencode(path), found, failed, bool(store.folders(path)), states[its_root])


def _cursor(token: bytes) -> Cursor:
    return int.from_bytes(token[:_DATE_BYTES], "big", signed=True), token[_DATE_BYTES:]


def _token(date: int, content: bytes) -> bytes:
    return date.to_bytes(_DATE_BYTES, "big", signed=True) + content
