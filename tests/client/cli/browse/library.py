"""A client that answers as the daemon would, from memory; and what a test tells it to fail with."""

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from pixkin.errors import PixkinError
from pixkin.protocol.pictures import Description, File, Picture
from pixkin.protocol.replies import (
    Band,
    Descriptions,
    Doubt,
    Group,
    Groups,
    Library,
    Match,
    Matches,
    Noted,
    Photo,
    Relation,
    Report,
    Thumb,
)
from pixkin.protocol.requests import Size
from pixkin.query_images import Indexed

PAGE = 500


def content(number: int) -> bytes:
    """Return the content id of a picture."""
    return number.to_bytes(16, "big")


class FakeLibrary:
    """Pictures with the numbers 1 to `count`; picture 1 is the newest. It has the methods of `Client` that are used."""

    def __init__(
        self, count: int = 100, paths: dict[int, bytes] | None = None, files: list[Path] | None = None
    ) -> None:
        self.count, self.files = count, files or []
        self.paths = {n: b"/photos/%04d.jpg" % n for n in range(1, count + 1)} | (paths or {})
        self.gone: set[int] = set()
        self.offline: set[int] = set()
        self.errors: dict[str, PixkinError] = {}  # by the name of a method
        self.asked: list[tuple[Any, ...]] = []
        self.report = Report(photos=count)
        self.groups: tuple[Group, ...] = ()
        self.apart_pairs: list[tuple[str, str]] = []
        self.wait = threading.Event()  # cleared: no answer comes
        self.wait.set()

    def _asked(self, name: str, *values: object) -> None:
        self.asked.append((name, *values))
        self.wait.wait()
        if error := self.errors.get(name) or self.errors.get("all"):
            raise error

    def picture(self, number: int) -> Picture:
        """Return a picture of 3:2, or 2:3 if its number is even."""
        size = (300, 200) if number % 2 else (200, 300)
        return Picture(content(number), *size, colour=0x204060, taken_s=1_600_000_000 - number)

    def browse(self, *, after: bytes = b"", n: int = 200) -> Library:
        """Return a page, as the daemon would."""
        self._asked("browse", after)
        first = int(after or 0) + 1
        numbers = range(first, min(first + n, self.count + 1))
        following = b"%d" % numbers[-1] if numbers and numbers[-1] < self.count else b""
        return Library(
            pictures=tuple(map(self.picture, numbers)),
            paths=tuple(self.paths[number] for number in numbers),
            offline=tuple(number in self.offline for number in numbers),
            total=self.count,
            next=following,
        )

    def like(self, *images: object, minus: list[object], n: int, pictures: bool) -> Matches:
        """Answer with all pictures whose number is larger than that of the first image."""
        assert pictures
        self._asked("like", images, tuple(minus))
        first = int.from_bytes(images[0].content, "big") if isinstance(images[0], Indexed) else 0
        bands = (Relation.SAME_SHOT, Relation.ALIKE, Relation.NO_RELATION)
        return Matches(
            matches=tuple(
                Match(
                    self.paths[number],
                    0.9 - at / 1000,
                    1.0,
                    number in self.offline,
                    band=bands[min(at // 3, 2)],
                    picture=self.picture(number),
                )
                for at, number in enumerate(range(first + 1, min(first + 1 + n, self.count + 1)))
            ),
            doubt=Doubt(pending=3),
        )

    def describe(self, *contents: bytes) -> Descriptions:
        """Describe pictures."""
        self._asked("describe", *contents)
        return Descriptions(descriptions=tuple(self._described(int.from_bytes(one, "big")) for one in contents))

    def _described(self, number: int) -> Description:
        files = () if number in self.gone else (File(self.paths[number], 123_456, offline=number in self.offline),)
        return Description(self.picture(number), files, camera="ACME One")

    def thumbnail(self, image: str | None = None, *, content: bytes = b"", size: Size = Size.S) -> Thumb:
        """Return a picture of one colour, or a photo."""
        self._asked("thumbnail", image or content, size)
        number = int.from_bytes(content, "big")
        file = io.BytesIO()
        if self.files:
            picture = PillowImage.open(self.files[number % len(self.files)]).convert("RGB")
            picture.thumbnail((100_000, 256))
        else:
            shape = self.picture(number)
            picture = PillowImage.new("RGB", (shape.width, shape.height), (number % 256, 40, 200))
        picture.save(file, "JPEG")
        return Thumb(content=content, data=file.getvalue(), width=picture.width, height=picture.height)

    def status(self) -> Report:
        """Return the report."""
        self._asked("status")
        return self.report

    def dupes(self, *, told: Callable[[Groups], object]) -> Iterator[Group]:
        """Yield the groups."""
        self._asked("dupes")
        told(Groups(search=1, groups=self.groups, done=True, compared=self.count, pictures=self.count))
        yield from self.groups

    def apart(self, one: str, other: str) -> Noted:
        """Note a pair."""
        self._asked("apart", one, other)
        self.apart_pairs.append((one, other))
        return Noted()

    def together(self, one: str, other: str) -> Noted:
        """Forget a pair."""
        self._asked("together", one, other)
        self.apart_pairs.remove((one, other))
        return Noted()


def group(*numbers: int, band: Band = Band.SAME_SHOT) -> Group:
    """Return a group of near-duplicates, the first the largest."""
    photos = tuple(
        Photo(b"/photos/%04d.jpg" % number, content(number), 3000 // (at + 1), 2000 // (at + 1), 1_000_000 // (at + 1))
        for at, number in enumerate(numbers)
    )
    return Group(band, 0.93, photos)
