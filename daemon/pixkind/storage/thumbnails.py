"""The thumbnails that are kept: files in the user's cache, and not in the store, which is read at every start and rewritten.

`$XDG_CACHE_HOME/pixkin/thumbs/ab/cdef….S.jpg`: the folder and the name are the content id, so a thumbnail outlives renames,
moves and drives that are not connected, and all copies share it. Files are 0600 and folders 0700. Size X is not kept: it
takes as much room as three hundred of size S, and is looked at once.

The total stays below `thumbnails.cache_mb`. Those that were used least recently go first, until a tenth is free; the time
of a file says when it was used, to the hour. While indexing, a thumbnail is only kept if there is room for it.

Any thread reads. One thread writes; it begins with the first thumbnail, and sleeps without waking up. Whatever fails here
costs a thumbnail, and is logged once.

No thumbnail is left of a photo that was forgotten (ingest/wipe). A thumbnail is written only if a photo in the store has its
content at that moment. `wipe` deletes all others. It runs after the photos were forgotten, and excludes the writing thread,
so nothing slips through between the two.
"""

import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from pixkin.errors import PixkinError
from pixkin.private import check_private
from pixkind.encoder.messages import Size
from pixkind.encoder.thumbnail_checks import Drawing, check
from pixkind.storage.environment import StoreFull
from pixkind.storage.keys import CONTENT_BYTES

_log = logging.getLogger(__name__)

KEPT: Final = (Size.S, Size.M, Size.L)
TAG: Final = "CACHEDIR.TAG"  # https://bford.info/cachedir: backups leave the folder out
TAG_TEXT: Final = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n# Thumbnails of pixkin. They are made again when needed.\n"
)
NEW: Final = "new"  # the file that is being written
HOUR_S: Final = 3600
MOST_WAITING: Final = 256  # thumbnails in memory that wait to be written; 5 MB
LEAST_LEFT: Final = 0.9  # of `most_bytes`, when some had to go


class ThumbnailCache:
    """The thumbnails of one library."""

    def __init__(self, folder: str, cache_mb: int, is_named: Callable[[bytes], bool]) -> None:
        """Look at nothing yet.

        Args:
            folder: `$XDG_CACHE_HOME/pixkin/thumbs`; it is made when it is needed.
            cache_mb: how much is kept, in MiB; 0: nothing.
            is_named: whether a photo in the store has a content.
        """
        self._folder = folder
        self._most_bytes = cache_mb << 20
        self._is_named = is_named
        self._bytes: int | None = None  # of all files; None: not counted yet. Written by the writing thread
        self._lock = threading.Lock()  # held while a file is written, and while a folder is wiped
        self._begins = threading.Lock()  # guards the next two
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._queue: queue.SimpleQueue[tuple[bytes, Size, bytes, bool] | None] = queue.SimpleQueue()
        self._why = ""  # why nothing can be written, as was last logged
        try:
            check_private(folder)
        except PixkinError as error:
            self._most_bytes = 0
            _log.warning("no thumbnails are kept: %s", error.what)

    # Any thread.

    def get(self, content: bytes, size: Size) -> Drawing | None:
        """Return a thumbnail; None if it is not kept."""
        path = self._path(content, size)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            with open(descriptor, "rb", buffering=0) as file:
                st = os.fstat(descriptor)
                drawing = check(file.read(), size)
                if not 0 <= time.time() - st.st_mtime < HOUR_S:
                    os.utime(descriptor)
                return drawing
        except (OSError, ValueError):  # a power cut, or a failing disk
            with suppress(OSError):
                os.unlink(path)
            return None

    def wants(self, content: bytes) -> bool:
        """Return whether a thumbnail of size S may be made in passing: there is room, and it is not kept already."""
        has_room = (self._bytes or 0) < self._most_bytes and self._queue.qsize() < MOST_WAITING
        return has_room and not os.path.exists(self._path(content, Size.S))

    def put(self, content: bytes, size: Size, data: bytes, *, in_passing: bool = False) -> None:
        """Keep a thumbnail soon. `in_passing`: only if there is room."""
        if size not in KEPT or self._queue.qsize() >= MOST_WAITING:
            return
        with self._begins:
            if self._is_closed or not self._most_bytes:
                return
            self._queue.put((content, size, data, in_passing))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="thumbnails", daemon=True)
                self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, in this time, and end the thread. Nothing is kept any more."""
        with self._begins:
            self._is_closed, thread = True, self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout_s)

    def wipe(self) -> Iterator[None]:
        """Delete all thumbnails of contents that no photo has, a folder a step.

        Raises:
            StoreFull: some of them cannot be deleted.
        """
        try:
            for folder in self._folders():
                with self._lock, os.scandir(folder) as files:
                    for file in files:
                        content = _content_of(file.path)
                        if content is None or not self._is_named(content):
                            os.unlink(file)
                yield
            with self._lock, suppress(FileNotFoundError):
                os.unlink(os.path.join(self._folder, NEW))
        except OSError as error:
            raise StoreFull(f"{error.filename} cannot be deleted ({error.strerror})") from error

    # The writing thread.

    def _run(self) -> None:
        while (one := self._queue.get()) is not None:
            try:
                self._write(*one)
                self._why = ""
            except (OSError, PixkinError) as error:
                why = error.what if isinstance(error, PixkinError) else error.strerror or str(error)
                if why != self._why:
                    _log.warning("thumbnails cannot be kept in %s: %s", self._folder, why)
                self._why = why

    def _write(self, content: bytes, size: Size, data: bytes, in_passing: bool) -> None:  # noqa: FBT001
        total = self._count() if self._bytes is None else self._bytes
        if in_passing and total + len(data) > self._most_bytes:
            self._bytes = max(total, self._most_bytes)  # full: `wants` says so
            return
        path, new = self._path(content, size), os.path.join(self._folder, NEW)
        self._prepare(os.path.dirname(path))
        with self._lock:
            if not self._is_named(content):
                return
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb", buffering=0) as file:
                file.write(data)
            os.rename(new, path)
        self._bytes = total + len(data)
        if self._bytes > self._most_bytes:
            self._make_room()

    def _prepare(self, folder: str) -> None:
        """Make the folder of a thumbnail, and that of all."""
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            return
        except FileNotFoundError:
            os.makedirs(self._folder, 0o700, exist_ok=True)
            check_private(self._folder)
            os.chmod(self._folder, 0o700)
            with open(os.path.join(self._folder, TAG), "wb") as tag:
                tag.write(TAG_TEXT)
            os.mkdir(folder, 0o700)

    def _count(self) -> int:
        return sum(size for _, _, size in self._files())

    def _make_room(self) -> None:
        """Delete those that were used least recently. Only the bytes of each hour are kept in memory."""
        hours: Counter[int] = Counter()
        for _, used_s, size in self._files():
            hours[int(used_s) // HOUR_S] += size
        self._bytes = hours.total()
        least = int(LEAST_LEFT * self._most_bytes)
        going, last = self._bytes - least, 0
        for last in sorted(hours):
            if (going := going - hours[last]) <= 0:
                break
        for path, used_s, size in self._files():
            if self._bytes > least and int(used_s) // HOUR_S <= last:
                os.unlink(path)
                self._bytes -= size

    def _files(self) -> Iterator[tuple[str, float, int]]:
        """Yield path, time of use and bytes of each file."""
        for folder in self._folders():
            with os.scandir(folder) as files:
                for file in files:
                    with suppress(FileNotFoundError):
                        st = file.stat(follow_symlinks=False)
                        yield file.path, st.st_mtime, st.st_size

    def _folders(self) -> list[str]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return [os.path.join(self._folder, name) for name in names if len(name) == 2]

    def _path(self, content: bytes, size: Size) -> str:
        name = content.hex()
        return os.path.join(self._folder, name[:2], f"{name[2:]}.{size}.jpg")


def _content_of(path: str) -> bytes | None:
    """Return the content id that a path of a thumbnail is made of; None if it is no such path."""
    folder, name = os.path.split(path)
    try:
        content = bytes.fromhex(os.path.basename(folder) + name.partition(".")[0])
    except ValueError:
        return None
    return content if len(content) == CONTENT_BYTES else None
