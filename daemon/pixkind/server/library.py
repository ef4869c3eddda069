"""Answers `describe`, `browse`, `export`, `folders` and `timeline`: what the library holds, without a query image. Any thread may call."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Final

import msgspec

from pixkin.mounts import lies_in
from pixkin.protocol.pictures import Description, File, Month
from pixkin.protocol.replies import Code, Descriptions, Exported, Folder, FolderList, Library, Months, Reply
from pixkin.protocol.requests import CONTENT_BYTES, Browse, Describe, Export, Folders, Timeline
from pixkind.encoder.messages import Details
from pixkind.index.dates import Cursor, DatedPictures
from pixkind.index.filter import Filter
from pixkind.search.errors import NO_PHOTO, RequestError
from pixkind.search.photo_search import PhotoSearch
from pixkind.search.pictures import picture_of
from pixkind.server.deferred import Deferred, reply_when
from pixkind.server.status import StatusHandler
from pixkind.server.turns import Turns
from pixkind.storage.record import UNKNOWN, Facts, Record

_FILES: Final = 100  # of a picture that are described
_DATE_BYTES: Final = 8  # of a cursor of `browse`; a content id follows
_MARK_BYTES: Final = 8  # of a cursor of `export`, behind a content id: they stand for the space
_LOOKED: Final = 2000  # contents that a request of `export` looks at: 0.1 s of a core
_EXPORTED_FILES: Final = 10_000  # of a picture; with paths of 4,096 bytes they fit into a reply
_EXPORTED_BYTES: Final = 4 << 20  # of paths: a reply with more ends early


@dataclass(slots=True)
class LibraryHandler:
    """Looks at the pictures of the space that answers."""

    photo_search: PhotoSearch
    status_handler: StatusHandler
    exporting: Turns = field(default_factory=lambda: Turns(1))  # so that no number of exports takes all threads

    def answer(self, request: Describe | Browse | Export | Folders | Timeline) -> Reply | Deferred:
        """Return the reply.

        Raises:
            RequestError: the folder does not exist, or lies in no root; or another space answers than in the export so far.
        """
        match request:
            case Describe():
                return Descriptions(descriptions=tuple(map(self._explained, request.contents)))
            case Browse():
                return self._browse(request)
            case Export():
                return reply_when([self.exporting.take()], lambda: self._export(request), self.exporting.give)
            case Folders():
                return FolderList(folders=tuple(self._folders(self.photo_search.folder(request.parent))))
            case Timeline():
                months = self._dated(self.photo_search.folder(request.under)).months()
                return Months(months=tuple(Month(year, month, count) for year, month, count in months))

    def _explained(self, content: bytes) -> Description:
        photos = self._photos(content)
        described = self._described(content, photos, _FILES)
        return msgspec.structs.replace(described, why=self._why_not(content, photos))

    def _described(self, content: bytes, photos: Sequence[Record], most: int) -> Description:
        """Return what is known of a picture and of its first files; `photos` are all of them."""
        facts = self.photo_search.store.facts(content)
        files = tuple(self._file(one, facts) for one in photos[:most])
        return Description(
            picture_of(content, facts, photos),
            files,
            next((file.camera for file in files if file.camera), ""),
            files[0].pages if files else 1,
            len(photos) - len(files),
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

    def _export(self, request: Export) -> Exported:
        """Return the next pictures in the order of the store, in which none moves while others come and go."""
        store, index = self.photo_search.store, self.photo_search.index
        folder, after, mark = self.photo_search.folder(request.under), request.after[:CONTENT_BYTES], _mark(store.space)
        if after and request.after != after + mark:
            what = "another space answers now, and its vectors cannot be mixed"
            raise RequestError(Code.EXPIRED, what, hint="begin the export again")
        described, last = self._following(after, folder, request.limit)
        rows = index.vectors(described) if request.vectors else {}
        found = rows if request.vectors else store.searchable(described)
        exported = Exported(
            pictures=tuple(one for content, one in described.items() if content in found),
            # Read as float32, in which each float16 has its exact value.
            vectors=b"".join(rows[content].astype("<f2").tobytes() for content in described if content in rows),
            space=store.space,
            dims=store.dims,
            photos=store.count(folder)[0] if folder else self.status_handler.photos(),
            next=last + mark if last else b"",
        )
        self.exporting.give()
        return exported

    def _following(self, after: bytes, folder: str, limit: int) -> tuple[dict[bytes, Description], bytes]:
        """Return pictures behind a content id, and the last one that was looked at; empty: there are no more."""
        looked = self._looked(after, folder)
        pages = self.photo_search.store.pages.among(looked)  # a file is one picture
        described: dict[bytes, Description] = {}
        size = 0
        for content in looked:
            if content not in pages and (photos := self._photos(content, folder)):
                one = described[content] = self._described(content, photos, _EXPORTED_FILES)
                size += sum(len(file.path) for file in one.files)
            if len(described) == limit or size > _EXPORTED_BYTES:
                return described, content
        return described, looked[-1] if len(looked) == _LOOKED else b""

    def _looked(self, after: bytes, folder: str) -> list[bytes]:
        """Return the next contents that may have a photo below a folder, and pages, sorted: all those, or _LOOKED."""
        found = self.photo_search.index.following(after, Filter.below(folder), _LOOKED) if folder else None
        if found is not None:
            return found
        return list(islice(self.photo_search.store.contents(after + b"\0" if after else UNKNOWN), _LOOKED))

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


def _mark(space: str) -> bytes:
    """Return what stands for a space in a cursor."""
    return blake2b(space.encode(), digest_size=_MARK_BYTES).digest()


def _cursor(token: bytes) -> Cursor:
    return int.from_bytes(token[:_DATE_BYTES], "big", signed=True), token[_DATE_BYTES:]


def _token(date: int, content: bytes) -> bytes:
    return date.to_bytes(_DATE_BYTES, "big", signed=True) + content
