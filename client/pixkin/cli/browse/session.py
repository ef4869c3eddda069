"""What one run of `pixkin browse` knows and does: questions, marks, and the requests, each in a thread of its own."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeVar

from pixkin import locations
from pixkin.cli import output
from pixkin.cli.browse import asking
from pixkin.cli.browse.trail import Answer, Hit, Hop, Question, QuestionImage, Trail
from pixkin.errors import PixkinError

if TYPE_CHECKING:
    from pixkin.client import Client
    from pixkin.protocol.pictures import Description
    from pixkin.protocol.replies import Descriptions, Report

_Outcome = TypeVar("_Outcome")
_BEAT_S: Final = 5.0  # between two looks at the daemon's state and at the photos in sight
_NOTE_S: Final = 8.0  # a remark is shown for so long
_LONGEST_S: Final = 15.0  # between two tries
_DESCRIBED: Final = 5000  # photos of which is kept what was said
_NEAR: Final = 100  # photos from the end of a page at which the next page is fetched


@dataclass(frozen=True)
class Surface:
    """What the session needs of the screen."""

    tell: Callable[..., object]  # call a function in the screen's thread, soon
    later: Callable[[float, Callable[[], None]], object]  # the same, after some seconds
    renew: Callable[[], None]  # draw what has changed
    broken: Callable[[Exception], None]  # a bug: end with a traceback


class Session:
    """Everything but the screen. All methods belong to the screen's thread."""

    def __init__(self, client: "Client", surface: Surface) -> None:
        """Begin with the newest photos; nothing is asked yet."""
        self.client, self._surface = client, surface
        self.trail = Trail()
        self.marks: dict[bytes, None] = {}  # paths, in the order of the marking
        self.copied: tuple[bytes, ...] = ()
        self.described: dict[bytes, Description | None] = {}  # by content
        self.in_sight: tuple[Hit, ...] = ()
        self.report: Report | None = None
        self.trouble: PixkinError | None = None
        self.note = ""
        self._notes = 0
        self._asked: Hop | None = None  # its answer is on the way
        self._postponed: Hop | None = None  # it is asked again when the daemon answers
        self._pages = False  # the next page is on the way
        self._tries = 0  # since the daemon answered last
        self._beats = 0  # the newest; older ones are void
        self._looking = False
        self._photos: int | None = None  # how many were searchable when the newest ones were asked for
        self.recovered: list[Callable[[], None]] = []  # called when the daemon answers again

    def begin(self, image: bytes | None) -> None:
        """Ask for the newest photos, or with an image."""
        if image is None:
            self.ask(self.trail.hop)
        else:
            self.go_on(Question((QuestionImage(b"", image),)))
        self._beat_in(_BEAT_S)

    def errand(
        self,
        call: Callable[[], _Outcome],
        done: Callable[[_Outcome], None],
        failed: Callable[[PixkinError], None] | None = None,
    ) -> None:
        """Call a function in a thread, and `done` with its outcome, or `failed` with its error, in the screen's thread."""

        def work() -> None:
            try:
                outcome = call()
            except PixkinError as error:
                self.tell(self._failed, error, failed)
            except Exception as error:  # noqa: BLE001  the outermost frame of a thread
                self.tell(self._surface.broken, error)
            else:
                self.tell(self._done, outcome, done)

        Thread(target=work, daemon=True).start()

    def tell(self, function: Callable[..., object], *values: object) -> None:
        """Call a function in the screen's thread; from any thread. Nothing happens if the screen is gone."""
        with suppress(RuntimeError):
            self._surface.tell(function, *values)

    def _done(self, outcome: _Outcome, done: Callable[[_Outcome], None]) -> None:
        done(outcome)
        self._is_answered()
        self._surface.renew()

    def _is_answered(self) -> None:
        was, self.trouble, self._tries = self.trouble, None, 0
        if was is not None:
            for call in self.recovered:
                call()

    def _failed(self, error: PixkinError, failed: Callable[[PixkinError], None] | None) -> None:
        if failed is not None:
            failed(error)
        self.meet(error)

    def meet(self, error: PixkinError) -> None:
        """Say what is wrong, and try again soon if it may pass."""
        if isinstance(error, asking.PASSING):
            if self.trouble is None:
                self._beat_in(1)
            self.trouble = error
        else:
            self._is_answered()
            self.say(" ".join(part for part in asking.trouble(error)[1:] if part))
        self._surface.renew()

    def no_picture(self, error: PixkinError) -> None:
        """Note that a picture has not come. If the daemon is away, that is said; else the photo's own line says why."""
        if isinstance(error, asking.PASSING):
            self.meet(error)
        elif self.in_sight:
            self._look()  # perhaps the photo is gone
        self._surface.renew()

    def say(self, note: str) -> None:
        """Show a remark for some seconds."""
        self._notes += 1
        self.note = note
        self._surface.later(_NOTE_S, partial(self._unsay, self._notes))
        self._surface.renew()

    def _unsay(self, number: int) -> None:
        if number == self._notes:
            self.note = ""
            self._surface.renew()

    # The questions.

    def ask(self, hop: Hop) -> None:
        """Ask the question of a hop, for the first time or again."""
        self._asked, self._postponed = hop, None
        call = partial(asking.answer, self.client, hop.question)
        self.errand(call, partial(self._answered, hop), partial(self._unanswered, hop))
        self._surface.renew()

    def _answered(self, hop: Hop, answer: Answer) -> None:
        if self._asked is hop:
            self._asked = None
        if not hop.question.more:
            self._photos = None
        hop.renew(answer)

    def _unanswered(self, hop: Hop, error: PixkinError) -> None:
        if self._asked is hop:
            self._asked = None
        if hop is not self.trail.hop:
            return
        if isinstance(error, asking.PASSING):
            self._postponed = hop
        elif hop.answer is None:
            self.back()  # to what there was before the question that cannot be asked

    @property
    def is_asking(self) -> bool:
        """Whether the answer to the question on the screen is on its way."""
        return self.trail.hop in (self._asked, self._postponed)

    def go_on(self, question: Question) -> None:
        """Ask another question; the screen comes back to this one with `back`."""
        if why := question.why_not():
            self.say(why)
            return
        self.trail.go_on(question)
        self.ask(self.trail.hop)

    def back(self) -> None:
        """Return to the question before, with the place in its answer."""
        if not self.trail.back():
            self.say("This is where you began.")
        elif self.trail.hop.answer is None and not self.is_asking:
            self.ask(self.trail.hop)
        self._surface.renew()

    def reach_end(self) -> None:
        """Fetch the next page of the library if the focus comes near the end of this one."""
        hop = self.trail.hop
        if self._pages or self.trouble or hop.answer is None or not hop.answer.next:
            return
        if hop.at + _NEAR >= len(hop.answer.hits):
            self._pages = True
            call = partial(asking.answer, self.client, hop.question, hop.answer.next)
            self.errand(call, partial(self._more_came, hop, hop.answer), self._no_more_came)

    def _more_came(self, hop: Hop, before: Answer, older: Answer) -> None:
        self._pages = False
        if hop.answer is before:
            hop.answer = before.and_then(older)

    def _no_more_came(self, _: PixkinError) -> None:
        self._pages = False

    # What is known of photos.

    def description(self, hit: Hit) -> "Description | None":
        """Return what the daemon has said of a photo."""
        return self.described.get(hit.picture.content)

    def see(self, hits: Iterable[Hit]) -> None:
        """Note which photos are on the screen, and ask about those of which nothing is known."""
        self.in_sight = tuple(hits)
        if any(hit.picture.content not in self.described for hit in self.in_sight):
            self._look()

    def _look(self) -> None:
        contents = [*{hit.picture.content: None for hit in self.in_sight if hit.picture.content}]
        if contents and not self._looking:
            self._looking = True
            self.errand(partial(self.client.describe, *contents), partial(self._looked, contents), self._not_looked)

    def _looked(self, contents: list[bytes], reply: "Descriptions") -> None:
        self._looking = False
        if len(self.described) > _DESCRIBED:
            self.described.clear()
        self.described |= dict.fromkeys(contents) | dict(zip(contents, reply.descriptions, strict=False))

    def _not_looked(self, _: PixkinError) -> None:
        self._looking = False

    def _beat_in(self, seconds: float) -> None:
        self._beats += 1
        self._surface.later(seconds, partial(self._beat, self._beats))

    def _beat(self, number: int) -> None:
        """Look at the daemon's state and at the photos in sight; ask again what had no answer."""
        if number != self._beats:
            return
        self._tries += 1
        self._beat_in(min(2.0**self._tries, _LONGEST_S) if self.trouble else _BEAT_S)
        self.errand(self.client.status, self._reported)
        self._look()

    def _reported(self, report: "Report") -> None:
        self.report = report
        self._photos = report.photos if self._photos is None else self._photos
        hop = self.trail.hop
        # Results are renewed on request, never under the pointer. Where there are none, nothing is under it.
        is_empty = hop.answer is not None and not hop.answer.hits and report.photos > 0
        if hop is self._postponed or (is_empty and self._asked is None):
            self.ask(hop)

    # Marks.

    def mark(self, path: bytes) -> None:
        """Mark a photo, or unmark it."""
        if path in self.marks:
            del self.marks[path]
        else:
            self.marks[path] = None
        self._surface.renew()

    def copy(self, path: bytes | None) -> tuple[bytes, ...]:
        """Choose the marked photos, or else this one, to be printed at the end."""
        self.copied = tuple(self.marks) or ((path,) if path is not None else ())
        if self.copied:
            self.say(f"Copied {output.many(len(self.copied), 'path', 'paths')}; printed at the end, too.")
        return self.copied

    # Sentences.

    def title(self) -> str:
        """Return the question."""
        hop = self.trail.hop
        if not hop.question.more:
            return "your photos, newest first"
        names = [
            f"{sign} {output.shown(one.name)}"
            for sign, images in (("+", hop.question.more), ("-", hop.question.less))
            for one in images
        ]
        return f"photos like {' '.join(names).removeprefix('+ ')}"

    def state(self) -> str:
        """Return one line: what is wrong, what was done, or what the answer may miss."""
        if self.trouble is not None:
            title, what, hint = asking.trouble(self.trouble)
            return f"{title}; trying again. {hint or what}"
        if self.note:
            return self.note
        if self.is_asking:
            return "asking pixkind"
        answer = self.trail.hop.answer
        waits = asking.indexing(self.report) if self.report else ""
        newest = answer is not None and not self.trail.hop.question.more
        if newest and self.report and self._photos is not None and self.report.photos > self._photos:
            newer = output.many(self.report.photos - self._photos, "new photo", "new photos")
            waits = f"{newer}: r shows them" + (f"; {waits}" if waits else "")
        return waits or (output.doubts(answer.doubt) if answer else "")

    def nothing(self) -> tuple[str, ...]:
        """Return what to say where there is no photo to show, line by line; empty: wait."""
        if self.trouble is not None:
            title, what, hint = asking.trouble(self.trouble)
            return tuple(part for part in (f"{title}.", what, hint, "Trying again by itself.") if part)
        answer = self.trail.hop.answer
        if answer is None:
            return ("asking pixkind",) if self.is_asking else (self.note, "Press r to ask again.")
        if self.trail.hop.question.more:
            return ("No photo is like it.", output.doubts(answer.doubt))
        if self.report and self.report.pending:
            return ("No photo can be shown yet.", asking.indexing(self.report))
        return (
            "There are no photos yet.",
            "Which folder holds them? Name it in the configuration, and restart pixkind:",
            f'[index] folders = ["~/Pictures"]  in {output.harmless(locations.config_file())}',
        )
