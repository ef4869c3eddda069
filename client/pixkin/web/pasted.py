"""Keeps the photos that were dropped or pasted on the page, so that a question with one of them can be asked again.

What is kept is no original but a JPEG of 2,048 pixels that the worker has made: it has no metadata, such as a place, and no
bytes of a stranger. The network sees a far smaller picture, so it answers the same. The file lies in the cache folder,
`queries/ID.jpg`, for this user alone; the 256 newest stay for 30 days.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from pixkin.errors import InputUnreadable
from pixkin.web import ids

MOST: Final = 256
DAYS: Final = 30
_SUFFIX: Final = ".jpg"


class PastedPhotos:
    """The folder of kept photos."""

    def __init__(self, folder: str, *, days: int = DAYS) -> None:
        """Keep where it is; it is made when a photo comes.

        Args:
            folder: its path.
            days: how long a photo is kept; 0: none is.
        """
        self._folder, self._days = folder, days

    def keep(self, content: bytes, data: bytes, now: float | None = None) -> None:
        """Keep a picture, and delete those that are too old or too many.

        Raises:
            InputUnreadable: it cannot be written.
        """
        now = time.time() if now is None else now
        if not self._days:
            return
        making = os.path.join(self._folder, f".{secrets.token_hex(8)}")
        try:
            os.makedirs(self._folder, 0o700, exist_ok=True)
            with open(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
            os.replace(making, self._file(content))
        except OSError as error:
            with suppress(OSError):
                os.unlink(making)
            raise InputUnreadable(f"{self._folder}: {(error.strerror or 'it cannot be written').lower()}") from error
        self.prune(now)

    def data(self, content: bytes) -> bytes | None:
        """Return the JPEG of a picture; None: it is not kept."""
        try:
            with open(os.open(self._file(content), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
                return file.read()
        except OSError:
            return None

    def kept_s(self, content: bytes) -> float | None:
        """Return when a picture was pasted, in s since the epoch; None: it is not kept."""
        try:
            return os.stat(self._file(content)).st_mtime
        except OSError:
            return None

    def forget(self, content: bytes) -> bool:
        """Delete a picture, and return whether it was there."""
        try:
            os.unlink(self._file(content))
        except OSError:
            return False
        return True

    def prune(self, now: float) -> None:
        """Delete what is too old or too much, and what a process that was killed has left."""
        for place, (pasted, path) in enumerate(sorted(self._files(), reverse=True)):
            if place >= MOST or pasted < now - self._days * 86400:
                with suppress(OSError):
                    os.unlink(path)

    def _files(self) -> Iterator[tuple[float, str]]:
        """Yield when each was written, and its path."""
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    yield entry.stat(follow_symlinks=False).st_mtime, entry.path

    def _file(self, content: bytes) -> str:
        return os.path.join(self._folder, ids.encoded(content) + _SUFFIX)
