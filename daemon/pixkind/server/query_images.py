"""Opens the images of queries, and tells what the worker made of them: the part that `like` and `have` share.

Any thread may call. Nothing here waits for the worker.
"""

import os
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import TypeVar

from pixkin.protocol.replies import Code, RootState
from pixkin.protocol.requests import Image
from pixkind.encoder.messages import Encoded, Inspected
from pixkind.encoder.supervisor import Encoder, WorkerDied
from pixkind.encoder.thumbnail_checks import Drawing
from pixkind.errors import PhotoError
from pixkind.fs.interface import ABSENT, FileSystem, NoAnswer, OpenLimits
from pixkind.fs.open_photo import OpenPhoto, StillOpen, Vanished
from pixkind.fs.roots import WatchedRoots
from pixkind.search.errors import RequestError
from pixkind.server.deferred import stopping
from pixkind.storage.record import Record
from pixkind.storage.store import Store

_Outcome = TypeVar("_Outcome", Inspected, Encoded, Drawing)


@dataclass(slots=True)
class QueryImages:
    """The way from an image of a query to an open descriptor, in the space that answers."""

    store: Store
    roots: WatchedRoots
    encoder: Encoder
    query_mb: int  # a larger image is refused, in MiB
    cannot_encode: str = ""  # why the worker can encode no image for this space; empty: it can
    open_photos: set[OpenPhoto] = field(default_factory=set)  # open for a query; all spaces share the set

    def find(self, image: Image) -> tuple[str, FileSystem | None]:
        """Return the path of an image as the store has it, and the file system to read it through.

        Without a file system the image must not be read now.
        """
        path, file_system = self.roots.find(os.fsdecode(image.path))
        root = self.roots.root_of(path)
        return path, file_system if root is None or self.roots.is_read(root) else None

    def is_current(self, record: Record, file_system: FileSystem | None) -> bool:
        """Return whether a photo is as its record says. A record that cannot be compared with its file counts as current."""
        if file_system is None:
            return True
        try:
            return file_system.look(record.path)[1] == record.stamp
        except OSError as error:
            return error.errno not in ABSENT

    def open(
        self,
        image: Image,
        path: str,
        file_system: FileSystem | None,
        opened: Callable[[], OpenPhoto] | None = None,
    ) -> OpenPhoto:
        """Return an image that is opened, until `let_go`.

        Args:
            image: as the client names it.
            path: as `find` returned it.
            file_system: likewise.
            opened: returns the photo, or raises what `file_system.open` does; None: it is opened now.

        Raises:
            RequestError: it cannot be opened, or is too large. The error names the image as the client does,
                so that the client knows which image to send.
        """
        asked = os.fsdecode(image.path)
        if file_system is None:
            raise self._unread(asked, path)
        try:
            photo = opened() if opened is not None else file_system.open(path, OpenLimits(self.query_mb, None))
        except Vanished as error:
            raise RequestError(Code.UNREADABLE, "no such file, or no regular file", asked) from error
        except NoAnswer as error:
            raise _silent(asked) from error
        except StillOpen as error:
            raise RequestError(Code.BUSY, "another program is writing to it", asked, "ask again") from error
        except PhotoError as error:
            raise RequestError(Code.UNREADABLE, error.reason, asked) from error
        self.open_photos.add(photo)
        if photo.stamp.size > self.query_mb << 20:
            self.let_go(photo)
            what = f"{photo.stamp.size / 2**20:.0f} MiB is over the limit of {self.query_mb} MiB (limits.query_mb)"
            raise RequestError(Code.REFUSED, what, asked)
        return photo

    def let_go(self, photo: OpenPhoto) -> None:
        """Close an image, once."""
        self.open_photos.discard(photo)
        photo.close()

    def let_go_all(self, photos: dict[int, OpenPhoto]) -> None:
        """Close images and remove them from `photos`, so that a second call does nothing."""
        while photos:
            self.let_go(photos.popitem()[1])

    def _unread(self, asked: str, path: str) -> RequestError:
        root = self.roots.root_of(path)
        state = RootState.SUSPECT if root is None else self.roots.root(root).state
        if state in (RootState.OFFLINE, RootState.PAUSED):
            return RequestError(Code.UNREADABLE, f"its folder is {state}", asked)
        return _silent(asked)


def outcome(future: "Future[_Outcome]", image: Image) -> _Outcome:
    """Return what the worker made of a query image.

    Raises:
        RequestError: the worker could not read it, died, or was stopped.
    """
    path = os.fsdecode(image.path)
    try:
        return future.result()
    except PhotoError as error:
        raise RequestError(Code.REFUSED, error.reason, path) from error
    except WorkerDied as error:
        what = error.blame or "the worker died while it looked at this image, maybe because of another"
        raise RequestError(Code.BUSY, what, path, "ask again") from error
    except CancelledError as error:
        raise stopping(path) from error


def _silent(path: str) -> RequestError:
    """Return the error for a path whose file system does not answer: a client that read it itself would hang."""
    return RequestError(Code.BUSY, "its file system does not answer", path, "ask again when it does")
