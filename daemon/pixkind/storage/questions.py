"""Keeps the standing questions of users, and what was found for them, in a file of their own: nobody can derive them.

The file is `watches.jsonl` in the data folder, a file as `lines` describes. Each line is a JSON object with `format` 1 and

| `kind` | other keys |
| --- | --- |
| `watch` | `watch`: the number of a question, `time`, `name`, `min_score`, `min_band`, `images` |
| `vector` | `watch`, `image`: its place in `images`, `space`, `vector`: one more vector of this image |
| `match` | `watch`, `seq`: the number of a match, `time`, `content`, `score`, `distance`, `band` |
| `told` | `watch`, `seq`: a client knows this match and all before it |
| `used` | `watch`, `seq`: these numbers are never used again, though their lines are gone |

An image has the `content` id of its picture in hex, `path`, `weight`, and `vectors`: by the name of a space, the vector that
its network made, float16 in base64. So a question outlives its photo. An image that was not indexed also has a `picture`, a
small JPEG in base64: a later network can be asked with it.

All matches of all questions have one sequence of numbers, which only grows. A match is noted before anybody is told. What a
client knows is a number, and nothing is kept for a client but what is kept anyway: the last matches of each question.

The lines of a question that ends are removed. So is what a question holds of a photo that is forgotten.
"""

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from pixkin.protocol.bands import Relation
from pixkind.storage.environment import StoreFull
from pixkind.storage.lines import LineFile, cannot_write, line_of, said_in

_log = logging.getLogger(__name__)

MOST: Final = 64  # questions
KEPT: Final = 5000  # matches of one question: of so many nobody reads the first
_SUPERFLUOUS: Final = 1000  # lines that no longer matter, at which the file is written again

_Hex = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
_Number = Annotated[int, Meta(ge=0, lt=1 << 53)]


class AskedImage(Struct, frozen=True):
    """An image of a question."""

    content: _Hex
    path: str = ""  # of the file, if it is known
    weight: float = 1.0
    vectors: dict[str, bytes] = {}  # by the name of a space: (dims,) float16, little endian
    picture: bytes = b""  # a small JPEG; empty: it was indexed, or could not be made


class Begun(Struct, frozen=True, tag_field="kind", tag="watch"):
    """A question."""

    watch: _Number
    time: Annotated[datetime, Meta(tz=True)]
    images: tuple[AskedImage, ...]
    name: str = ""
    min_score: float | None = None
    min_band: Relation = Relation.UNKNOWN


class Learned(Struct, frozen=True, tag_field="kind", tag="vector"):
    """A vector of an image of a question, in one more space."""

    watch: _Number
    image: int
    space: str
    vector: bytes


class Matched(Struct, frozen=True, gc=False, tag_field="kind", tag="match"):
    """A picture that came after the question, and is like it."""

    watch: _Number
    seq: _Number
    time: Annotated[datetime, Meta(tz=True)]
    content: _Hex
    score: float
    distance: float
    band: Relation = Relation.UNKNOWN


class Told(Struct, frozen=True, tag_field="kind", tag="told"):
    """A client knows a match and all before it."""

    watch: _Number
    seq: _Number


class Used(Struct, frozen=True, tag_field="kind", tag="used"):
    """Numbers that are never used again."""

    watch: _Number
    seq: _Number


_Line = Begun | Learned | Matched | Told | Used
_KINDS: Final = {"watch", "vector", "match", "told", "used"}


@dataclass(frozen=True, slots=True)
class Question:
    """A standing question as it is now."""

    begun: Begun
    told: int = 0  # the last match that a client knows
    matched: tuple[Matched, ...] = ()  # the last ones

    @property
    def untold(self) -> int:
        """How many of its matches no client knows."""
        return sum(one.seq > self.told for one in self.matched)


class Questions:
    """The questions. The ingest thread writes; any thread reads, and sees each change as a whole."""

    def __init__(self, folder: str) -> None:
        """Read the file in the data folder. If it cannot be read, there are no questions, and none can be begun."""
        self._file: LineFile[_Line] = LineFile(os.path.join(folder, "watches.jsonl"), _parsed)
        self.all: Mapping[int, Question] = {}  # by number; never changed in place
        self.last = 0  # the number of the last match of all
        self._watch = 0  # the last number of a question
        self.unreadable: OSError | None = None
        lines = 0
        try:
            for line in self._file.read():
                lines += 1
                self._take(line)
        except OSError as error:
            _log.error("the questions of `pixkin watch` cannot be read: %s: %s", self._file.path, error.strerror)
            self.unreadable, self.all = error, {}
            return
        needed = sum(2 + len(one.matched) for one in self.all.values())
        if lines > needed + _SUPERFLUOUS:
            with suppress(StoreFull):  # the next start tries again
                self._file.rewrite(self._without_superfluous)

    def __bool__(self) -> bool:
        return bool(self.all)

    def check(self) -> None:
        """Raise StoreFull if the file could not be read: what stands in it must not be contradicted."""
        if self.unreadable is not None:
            raise cannot_write(self._file.path, self.unreadable)

    def begin(
        self,
        images: Sequence[AskedImage],
        name: str = "",
        min_score: float | None = None,
        band: Relation = Relation.UNKNOWN,
    ) -> int:
        """Note a question, durably, and return its number.

        Raises:
            StoreFull: nothing was noted.
        """
        begun = Begun(self._watch + 1, datetime.now(UTC), tuple(images), name, min_score, band)
        self._note([begun, Told(begun.watch, self.last)])
        return begun.watch

    def learn(self, watch: int, image: int, space: str, vector: bytes) -> None:
        """Note a vector of an image of a question in one more space, durably. Raises as `begin`."""
        self._note([Learned(watch, image, space, vector)])

    def match(self, found: Sequence[Matched]) -> None:
        """Note matches, durably; they get their numbers here. Raises as `begin`."""
        self._note([replace(one, seq=self.last + at) for at, one in enumerate(found, 1)])

    def tell(self, watch: int, seq: int) -> None:
        """Note, durably, that a client knows the matches of a question (0: of all) up to a number. Raises as `begin`."""
        seq = min(seq, self.last)
        if news := [Told(one, seq) for one, known in self.all.items() if watch in {0, one} and known.told < seq]:
            self._note(news)

    def end(self, watch: int) -> None:
        """Forget a question, durably. Raises as `begin`."""

        def without(line: _Line) -> bytes | None:
            if line.watch != watch or isinstance(line, Used):
                return None
            return _packed(Used(watch, self.last)) if isinstance(line, Begun) else b""

        self._file.rewrite(without)
        self.all = {number: one for number, one in self.all.items() if number != watch}

    def strip(self, paths: Collection[str]) -> None:
        """Remove these paths from all questions. Raises as `begin`."""
        self._change(lambda image: replace(image, path="") if image.path in paths else image, frozenset())

    def forget(self, is_meant: Callable[[str], bool], contents: Collection[bytes]) -> None:
        """Remove all images and matches with such a path or content; a question without a wanted image ends. Raises as `begin`."""
        self.check()
        ids = {content.hex() for content in contents}

        def kept(image: AskedImage) -> AskedImage | None:
            return None if image.content in ids or (image.path and is_meant(image.path)) else image

        self._change(kept, ids)

    def _change(self, change: Callable[[AskedImage], AskedImage | None], ids: Collection[str]) -> None:
        """Change the images of all questions, and remove the matches with one of these contents."""
        now = dict(self.all)
        for number, question in self.all.items():
            images = tuple(filter(None, map(change, question.begun.images)))
            if not any(image.weight > 0 for image in images):
                del now[number]
                continue
            matched = tuple(one for one in question.matched if one.content not in ids)
            now[number] = changed(question, begun=replace(question.begun, images=images), matched=matched)
        if now == self.all:
            return

        def line_now(line: _Line) -> bytes | None:
            match line:
                case Begun():
                    return _packed(now[line.watch].begun if line.watch in now else Used(line.watch, self.last))
                case Matched() if line.content in ids or line.watch not in now:
                    return _packed(Used(line.watch, line.seq))
                case Learned():
                    return b""  # the line of the question has this vector now
                case Told() if line.watch not in now:
                    return b""
                case _:
                    return None

        self._file.rewrite(line_now)
        self.all = now

    def _note(self, lines: Sequence[_Line]) -> None:
        if lines:
            self.check()
            self._file.append(b"".join(map(_packed, lines)))
            for line in lines:
                self._take(line)

    def _take(self, line: _Line) -> None:
        """Take a line into account."""
        self._watch = max(self._watch, line.watch)
        if isinstance(line, Matched | Told | Used):
            self.last = max(self.last, line.seq)
        if isinstance(line, Begun):
            self.all = {**self.all, line.watch: Question(line)}
            return
        if (question := self.all.get(line.watch)) is None:
            return
        match line:
            case Learned() if line.image < len(question.begun.images):
                images = list(question.begun.images)
                image = images[line.image]
                images[line.image] = replace(image, vectors={**image.vectors, line.space: line.vector})
                question = changed(question, begun=replace(question.begun, images=tuple(images)))
            case Matched():
                question = changed(question, matched=(*question.matched[1 - KEPT :], line))
            case Told():
                question = changed(question, told=max(question.told, line.seq))
            case _:
                return
        self.all = {**self.all, line.watch: question}

    def _without_superfluous(self, line: _Line) -> bytes | None:
        question = self.all.get(line.watch)
        if question is None:
            return None if isinstance(line, Used) else b""
        match line:
            case Told():
                return None if line.seq == question.told else b""
            case Matched():
                return None if line.seq >= question.matched[0].seq else b""
            case _:
                return None


def _packed(line: _Line) -> bytes:
    made = msgspec.to_builtins(line)
    return line_of(made.pop("kind"), made)


def _parsed(line: bytes) -> _Line | None:
    """Return what a line says; None for a kind or a format that is not known.

    Raises:
        ValueError: the line is broken.
    """
    said: _Line | None = said_in(line, _KINDS, _Line)
    for image in said.images if isinstance(said, Begun) else ():
        os.fsencode(image.path)  # UnicodeEncodeError is a ValueError
    return said
