"""Files of JSON lines that outlive the store: what users have said, and nobody can derive.

Lines are only appended, with mode 0600, and a line is on the disk before anybody is told of it. A line that a crash has cut
off is skipped, and the next line begins on a new line. Lines that are not understood are kept. The file is only written
again to remove something: aside, and then renamed over the old one.
"""

import errno
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import msgspec

from pixkind.storage.environment import StoreFull, sync

_log = logging.getLogger(__name__)

FORMAT: Final = 1
_BEGIN: Final = b'{"format"'  # of every line that is written here

_Line = TypeVar("_Line")


class LineFile(Generic[_Line]):
    """One such file. One thread at a time writes; any thread reads."""

    def __init__(self, path: str, parsed: Callable[[bytes], _Line | None]) -> None:
        """Name the file; the first line creates it, and its folder.

        Args:
            path: of the file.
            parsed: returns what a line says, or None if its kind or format is not known; a ValueError says that it is broken.
        """
        self.path = path
        self._parsed = parsed

    def read(self) -> Iterator[_Line]:
        """Yield what the lines say that are understood.

        Raises:
            OSError: the file cannot be read.
        """
        unread = 0
        with suppress(FileNotFoundError), open(self.path, "rb") as file:
            for line in file:
                try:
                    if (said := self._parsed(line)) is not None:
                        yield said
                except (ValueError, RecursionError):
                    unread += bool(line.strip())
        if unread:
            _log.warning("%d lines of %s cannot be read, and are skipped", unread, self.path)

    def append(self, lines: bytes) -> None:
        """Append lines, durably.

        Raises:
            StoreFull: nothing was appended.
        """
        try:
            _append_durably(self.path, lines)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def rewrite(self, changed: Callable[[_Line], bytes | None]) -> None:
        """Replace the file: after a power cut it has the old lines or the new ones. The thread that writes must call it.

        Args:
            changed: returns the line that takes the place of what a line says; None: it stays as it is.

        Raises:
            StoreFull: nothing was changed.
        """
        try:
            with suppress(FileNotFoundError), open(self.path, "rb") as file:
                lines = file.readlines()
                kept = [self._changed(line, changed) for line in lines]
                if kept != lines:
                    replace_durably(self.path, b"".join(kept))
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _changed(self, line: bytes, changed: Callable[[_Line], bytes | None]) -> bytes:
        with suppress(ValueError, RecursionError):
            if (said := self._parsed(line)) is not None and (new := changed(said)) is not None:
                return new
        return line


def line_of(kind: str, said: dict[str, object]) -> bytes:
    """Return a line; what it says is made of the types of msgspec. It is ASCII: a name that is not UTF-8 is escaped."""
    return json.dumps(msgspec.to_builtins({"format": FORMAT, "kind": kind, **said})).encode() + b"\n"


def object_in(line: bytes) -> dict[str, object] | None:
    """Return the JSON object that a line is; None if it is of an unknown format, or something else.

    Raises:
        ValueError: the line is broken.
    """
    try:
        made = json.loads(line)
    except ValueError:
        if (at := line.find(_BEGIN, 1)) < 0:
            raise
        return object_in(line[at:])  # behind a line that was cut off, when files were concatenated
    return made if isinstance(made, dict) and made.get("format") == FORMAT else None


def said_in(line: bytes, kinds: Collection[str], made_of: object) -> Any:  # noqa: ANN401  what `made_of` says
    """Return what a line says, converted to a type of msgspec; None for a kind or a format that is not known.

    Raises:
        ValueError: the line is broken.
    """
    made = object_in(line)
    if made is None or made.get("kind") not in kinds:
        return None
    try:
        return msgspec.convert(made, made_of)
    except msgspec.ValidationError as error:  # a ValueError only from msgspec 0.20 on
        raise ValueError(str(error)) from error


def cannot_write(path: str, error: OSError) -> StoreFull:
    """Return the error for a file that cannot be written."""
    why = f"{path} cannot be written ({error.strerror})"
    if error.errno == errno.EROFS:  # the unit of an older pixkind does not name the data folder
        why += "; if pixkind is a service, run `pixkind service install` again and restart it"
    return StoreFull(why)


def replace_durably(path: str, data: bytes) -> None:
    """Replace a file: after a power cut it has the old bytes or the new ones. May raise OSError."""
    aside = f"{path}.new"
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    sync(os.path.dirname(path))


def _append_durably(path: str, lines: bytes) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        st = os.fstat(descriptor)
        if st.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
        size = st.st_size
        is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = b"\n" * is_torn + lines
        written = 0
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            if os.fstat(descriptor).st_size == size + written:  # nothing was appended by another program
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if not size:
        for above in (folder, os.path.dirname(folder)):
            sync(above)
