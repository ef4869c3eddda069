"""Keeps the decisions of users about their photos in a file of its own: they are no derived data, and outlive every store.

The file is `decisions.jsonl` in the data folder, `$XDG_DATA_HOME/pixkin`, with mode 0600. Each line is a JSON object:

| key | what |
| --- | --- |
| `format` | 1 |
| `kind` | `apart`: the two pictures are no duplicates of each other, however alike they are; `together`: they may be |
| `time` | of the decision, UTC, ISO 8601; later than all lines before it |
| `photos` | two objects, each with the `content` id of a picture in hex, and `path`, `size` and `mtime_ns` of a file that shows it |

Lines are only appended, and a line is on the disk before the client is told. Of all lines about two pictures the latest
counts; of two lines with one time, `apart` counts. So two files are merged by concatenation, in any order. Lines of other kinds and formats are kept and ignored. A line that a crash has cut off is skipped, and the next
line begins on a new line.

A photo that is forgotten, or gone for long, loses `path`, `size` and `mtime_ns` in its lines. A line about a picture that the
user has forgotten goes. Only then the file is written again: aside, and then renamed over the old one.

A line names contents, so it holds for all copies, in every space, and after a rename. A later pixkin may give a picture
another content id. Then the line holds as long as the file at `path` has this size and mtime. If that file was moved or
edited, too, the line finds nothing, and the user must decide again.
"""

import logging
import os
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from pixkind.storage.environment import StoreFull
from pixkind.storage.lines import LineFile, cannot_write, line_of, said_in
from pixkind.storage.record import UNKNOWN, Record
from pixkind.storage.store import Store

_log = logging.getLogger(__name__)

_KINDS: Final = ("apart", "together")
_TICK: Final = timedelta(microseconds=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC) - _TICK

Pair = tuple[bytes, bytes]  # of contents, the lower one first


class DecidedPhoto(Struct, frozen=True):
    """A picture, and a file that shows it."""

    content: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    path: str = ""
    size: int = 0
    mtime_ns: int = 0


class Decision(Struct, frozen=True):
    """A decision about two pictures."""

    format: int
    kind: Literal["apart", "together"]
    time: Annotated[datetime, Meta(tz=True)]
    photos: tuple[DecidedPhoto, DecidedPhoto]


class Decisions:
    """The file. One thread at a time writes; any thread reads."""

    def __init__(self, folder: str) -> None:
        """Name the file in the data folder; `note` creates both."""
        self.path = os.path.join(folder, "decisions.jsonl")
        self._file = LineFile(self.path, _parsed)

    def apart(self, store: Store) -> set[Pair]:
        """Return the pairs of contents that no group may have together.

        Raises:
            OSError: the file cannot be read.
        """
        said: dict[Pair, tuple[datetime, bool]] = {}
        for decision in self._file.read():
            pair = _pair(*(_content_now(photo, store) for photo in decision.photos))
            rank = (decision.time, decision.kind == "apart")
            said[pair] = max(rank, said.get(pair, rank))
        # Pairs that are not taken over yet, because the file could not be written.
        return {pair for pair, (_, is_apart) in said.items() if is_apart} | (store.apart.pairs() - said.keys())

    def note(self, kind: Literal["apart", "together"], one: Record, other: Record) -> None:
        """Append a decision about the pictures of two photos, durably.

        Raises:
            StoreFull: nothing was noted.
        """
        self._append(kind, [(_photo(one.content, one), _photo(other.content, other))])

    def take_over(self, store: Store) -> None:
        """Append the pairs that an older pixkind has kept in the store, but none about which the file has a line already."""
        try:
            said = {
                _pair(*(bytes.fromhex(photo.content) for photo in decision.photos)) for decision in self._file.read()
            }
            old = sorted(store.apart.pairs() - said)
            photos = {content: _photo(content, *store.photos_of(content)[:1]) for pair in old for content in pair}
            if old:
                self._append("apart", [(photos[one], photos[other]) for one, other in old])
                _log.info("%d pairs of `pixkin dupes --apart` stand in %s from now on", len(old), self.path)
        except (OSError, StoreFull) as error:
            _log.warning("the pairs in an old store cannot be taken over: %s; the next start tries again", error)

    def forget(self, paths: Collection[str], contents: Collection[bytes] = ()) -> None:
        """Remove these paths from all lines, and all lines about these contents. The thread that writes must call it.

        Raises:
            StoreFull: nothing was removed.
        """
        ids = {content.hex() for content in contents}
        self._file.rewrite(lambda decision: _without(decision, paths, ids))

    def _append(self, kind: str, pairs: list[tuple[DecidedPhoto, DecidedPhoto]]) -> None:
        try:
            latest = max([datetime.now(UTC), *(decision.time for decision in self._file.read())])
            # Of a line in another time zone, the last moment in UTC may have no successor in that zone.
            time = min(latest, _LAST).astimezone(UTC) + _TICK
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._file.append(b"".join(_line(kind, time, photos) for photos in pairs))


def _without(decision: Decision, paths: Collection[str], ids: Collection[str]) -> bytes | None:
    """Return the line of a decision without these paths; empty if it is about one of these contents; None: it stays."""
    if any(photo.content in ids for photo in decision.photos):
        return b""
    if any(photo.path in paths for photo in decision.photos):
        photos = [DecidedPhoto(one.content) if one.path in paths else one for one in decision.photos]
        return _line(decision.kind, decision.time, photos)
    return None


def _line(kind: str, time: datetime, photos: Sequence[DecidedPhoto]) -> bytes:
    return line_of(kind, {"time": time.isoformat(timespec="microseconds"), "photos": photos})


def _parsed(line: bytes) -> Decision | None:
    """Return a decision; None for a kind or a format that is not known.

    Raises:
        ValueError: the line is broken.
    """
    decision: Decision | None = said_in(line, _KINDS, Decision)
    for photo in decision.photos if decision is not None else ():
        os.fsencode(photo.path)  # UnicodeEncodeError is a ValueError, too
    return decision


def _photo(content: bytes, record: Record | None = None) -> DecidedPhoto:
    if record is None:
        return DecidedPhoto(content.hex())
    return DecidedPhoto(content.hex(), record.path, record.stamp.size, record.stamp.mtime_ns)


def _content_now(photo: DecidedPhoto, store: Store) -> bytes:
    """Return the content that a picture has now: its id may be another one since, though its file is unchanged."""
    record = store.record(photo.path) if photo.path else None
    if record is None or record.content == UNKNOWN:
        return bytes.fromhex(photo.content)
    is_unchanged = (record.stamp.size, record.stamp.mtime_ns) == (photo.size, photo.mtime_ns)
    return record.content if is_unchanged else bytes.fromhex(photo.content)


def _pair(one: bytes, other: bytes) -> Pair:
    return min(one, other), max(one, other)
