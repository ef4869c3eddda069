"""Questions, answers, and the way from one to the next. This module knows neither screen nor daemon."""

import os
from dataclasses import dataclass, field, replace
from typing import Final

from pixkin.protocol.pictures import Picture
from pixkin.protocol.replies import Doubt, Match
from pixkin.protocol.requests import MAX_FRAMES, MIN_FRAMES

_NO_DOUBT: Final = Doubt()
MOST_IMAGES: Final = MAX_FRAMES - MIN_FRAMES


@dataclass(frozen=True)
class Hit:
    """One photo of an answer."""

    picture: Picture
    path: bytes
    match: Match | None = None  # None: the question was not about likeness
    offline: bool = False  # its drive was not connected


@dataclass(frozen=True)
class QuestionImage:
    """One picture of a question."""

    content: bytes  # empty: the file at `path`, which need not be indexed
    path: bytes

    @property
    def key(self) -> bytes:
        """What makes it one picture, whatever its path."""
        return self.content or self.path

    @property
    def name(self) -> bytes:
        """The last part of its path."""
        return os.path.basename(self.path)


@dataclass(frozen=True)
class Question:
    """What was asked: photos like some pictures and unlike others. Without pictures: the newest photos of the library."""

    more: tuple[QuestionImage, ...] = ()
    less: tuple[QuestionImage, ...] = ()

    def with_more(self, image: QuestionImage) -> "Question":
        """Return the question with one more picture; or without it, if it was there already."""
        return Question(_toggled(self.more, image), _without(self.less, image))

    def with_less(self, image: QuestionImage) -> "Question":
        """Return the question with one more picture to subtract; or without it, if it was there already."""
        return Question(_without(self.more, image), _toggled(self.less, image))

    def why_not(self) -> str:
        """Return why it cannot be asked, a sentence; empty: it can."""
        if len(self.more) + len(self.less) > MOST_IMAGES:
            return f"A question has at most {MOST_IMAGES} pictures."
        if self.less and not self.more:
            return "A question needs a picture that the photos are like. Press Enter or + on one first."
        return ""


def _without(images: tuple[QuestionImage, ...], image: QuestionImage) -> tuple[QuestionImage, ...]:
    return tuple(one for one in images if one.key != image.key)


def _toggled(images: tuple[QuestionImage, ...], image: QuestionImage) -> tuple[QuestionImage, ...]:
    rest = _without(images, image)
    return rest if len(rest) < len(images) else (*images, image)


@dataclass(frozen=True)
class Answer:
    """The photos that answer a question."""

    hits: tuple[Hit, ...] = ()
    total: int = 0  # how many there are in all
    doubt: Doubt = _NO_DOUBT
    next: bytes = b""  # where the next page begins; empty: this is the last

    def and_then(self, older: "Answer") -> "Answer":
        """Return this answer with the next page behind it."""
        return replace(older, hits=(*self.hits, *older.hits))


@dataclass(eq=False)
class Hop:
    """A question with its answer, and the place in it."""

    question: Question
    answer: Answer | None = None  # None: it is not there yet
    at: int = 0  # the picture in focus
    top: int = 0  # the first row on the screen

    @property
    def hit(self) -> Hit | None:
        """The photo in focus."""
        return self.answer.hits[self.at] if self.answer and self.answer.hits else None

    def move_to(self, at: int, columns: int, rows: int) -> None:
        """Move the focus, and let as few rows pass as need be."""
        last = len(self.answer.hits) - 1 if self.answer else 0
        self.at = min(max(at, 0), max(last, 0))
        row = self.at // columns
        most = max(0, max(last, 0) // columns - rows + 1)
        self.top = min(max(min(self.top, row), row - rows + 1), most)

    def renew(self, answer: Answer) -> None:
        """Take a newer answer; the focus stays on its photo if that is still there."""
        if (hit := self.hit) is not None:
            places = {one.picture.content: at for at, one in enumerate(answer.hits)}
            self.at = places.get(hit.picture.content, min(self.at, max(len(answer.hits) - 1, 0)))
        self.answer = answer


@dataclass
class Trail:
    """The hops so far; the last one is on the screen."""

    hops: list[Hop] = field(default_factory=lambda: [Hop(Question())])

    @property
    def hop(self) -> Hop:
        """The hop on the screen."""
        return self.hops[-1]

    def go_on(self, question: Question) -> None:
        """Begin another hop."""
        self.hops.append(Hop(question))

    def back(self) -> bool:
        """Return to the hop before, with its answer and place; return whether there was one."""
        if len(self.hops) == 1:
            return False
        del self.hops[-1]
        return True
