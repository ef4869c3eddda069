"""The part of `Client` that looks at the library itself: its pictures, folders and months; and at thumbnails."""

from __future__ import annotations  # help() shows the names of types, not what they stand for

from collections.abc import Iterator
from contextlib import suppress

import msgspec

from pixkin.asking import Asking
from pixkin.dates import Taken, within
from pixkin.errors import InputUnreadable, Refused
from pixkin.protocol import requests
from pixkin.protocol.explanations import Explanation
from pixkin.protocol.replies import Code, Descriptions, Exported, Failure, FolderList, Library, Months, Thumb
from pixkin.protocol.requests import Size
from pixkin.query_images import Indexed, Path, Source, absolute, image_of, sent
from pixkin.reply_errors import expect


class Browsing(Asking):
    """Asks for pictures, folders and months."""

    def describe(self, *contents: bytes) -> Descriptions:
        """Return what is known of pictures: their files, dates, cameras and sizes.

        Args:
            *contents: one to 500 content ids.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Descriptions, self.ask(requests.Describe(contents=contents)))

    def why(self, path: Path) -> Explanation:
        """Return what has become of a file: whether queries find it, and if not, why.

        Args:
            path: of a photo, or of anything else; it need not exist.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Explanation, self.ask(requests.Why(path=absolute(path))))

    def browse(
        self,
        under: Path | None = None,
        *,
        taken: Taken | None = None,
        taken_since_s: int | None = None,
        taken_before_s: int | None = None,
        after: bytes = b"",
        n: int = 200,
    ) -> Library:
        """Return pictures of the library, the newest first. A photo without a date counts with the time of its file.

        Args:
            under: only photos below this folder.
            taken: only photos taken then, as in `like`.
            taken_since_s: only photos taken then or later, in s since the epoch; the camera's clock counts as UTC.
            taken_before_s: only photos taken before then, likewise.
            after: `next` of an earlier answer: go on from there, even if photos have come or gone since.
            n: the number of pictures, at most, 1 to 10,000.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Browse(
            under=b"" if under is None else absolute(under),
            **within(taken, taken_since_s, taken_before_s),
            after=after,
            limit=n,
        )
        return expect(Library, self.ask(request))

    def export(self, under: Path | None = None, *, vectors: bool = True, n: int = 200) -> Iterator[Exported]:
        """Yield the pictures of the library with all their files and their vectors, a page at a time, by content id.

        A picture that is there the whole time comes once. If another space begins to answer, `DaemonBusy` is raised.

        Args:
            under: only photos below this folder.
            vectors: false: leave them out.
            n: the number of pictures of a page, at most, 1 to 1,000.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Export(under=b"" if under is None else absolute(under), vectors=vectors, limit=n)
        while True:
            reply = expect(Exported, self.ask(request))
            if len(reply.vectors) != vectors * len(reply.pictures) * reply.dims * 2:
                raise Refused(
                    f"the daemon sent {len(reply.vectors)} bytes as vectors of {len(reply.pictures)} pictures"
                )
            yield reply
            if not reply.next:
                return
            request = msgspec.structs.replace(request, after=reply.next)

    def folders(self, parent: Path | None = None) -> FolderList:
        """Return the folders with photos right below a folder; None: all watched folders.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(FolderList, self.ask(requests.Folders(parent=b"" if parent is None else absolute(parent))))

    def timeline(self, under: Path | None = None) -> Months:
        """Return how many pictures there are of each month, the newest first. Dates count as in `browse`.

        Args:
            under: only photos below this folder.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Months, self.ask(requests.Timeline(under=b"" if under is None else absolute(under))))

    def thumbnail(self, image: Source | None = None, *, content: bytes = b"", size: Size = Size.S) -> Thumb:
        """Return a small copy of a picture: an upright JPEG in sRGB, without any metadata.

        Args:
            image: as in `like`.
            content: instead of an image: the content id of a picture of the library.
            size: how large it is.

        Raises:
            PixkinError: as `ask` does.
        """
        frames: list[bytes] = []
        named = image_of(Indexed(content) if image is None else image, frames)
        request, until_ms = requests.Thumbnail(image=named, size=size), self._until(self._reply_s)
        reply = self._exchange(request, frames, until_ms)
        if isinstance(reply, Failure) and reply.code is Code.UNREADABLE and named.path and not named.frame:
            # If it cannot be read here either, the reason of the daemon says more.
            with suppress(InputUnreadable):
                request = msgspec.structs.replace(request, image=sent(named, frames))
                reply = self._exchange(request, frames, until_ms)
        return expect(Thumb, reply)
