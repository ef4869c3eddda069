"""The requests of the screens, and the daemon's state as sentences. Nothing here knows the screen."""

import os
from typing import TYPE_CHECKING, Final

from pixkin.cli import output
from pixkin.cli.browse.trail import Answer, Hit, Question, QuestionImage
from pixkin.errors import DaemonAbsent, DaemonBusy, PixkinError, Refused, VersionsDiffer
from pixkin.query_images import Indexed

if TYPE_CHECKING:
    from pixkin.client import Client
    from pixkin.protocol.replies import Report
    from pixkin.query_images import Source

PAGE: Final = 500  # photos of the library in one request
MOST: Final = 1000  # photos that are like a question
PASSING: Final = (DaemonAbsent, DaemonBusy, VersionsDiffer)  # errors that may have gone at the next try
_TITLES: Final = {
    DaemonAbsent: "pixkind is not running",
    DaemonBusy: "pixkind is busy",
    VersionsDiffer: "pixkin and pixkind speak different versions",
}


def answer(client: "Client", question: Question, after: bytes = b"") -> Answer:
    """Return the answer to a question; of the library one page, which begins at `after`, the `next` of the page before.

    Raises:
        PixkinError: as the client does.
    """
    if not question.more:
        page = client.browse(after=after, n=PAGE)
        rows = zip(page.pictures, page.paths, page.offline, strict=True)
        hits = tuple(Hit(picture, path, offline=offline) for picture, path, offline in rows)
        return Answer(hits, page.total, page.doubt, page.next)
    wanted, unwanted = ([source(one) for one in images] for images in (question.more, question.less))
    reply = client.like(*wanted, minus=unwanted, n=MOST, pictures=True)
    hits = tuple(Hit(one.picture, one.path, one, one.offline) for one in reply.matches if one.picture is not None)
    if len(hits) < len(reply.matches):
        raise Refused("the daemon is too old to show pictures", "restart it: `systemctl --user restart pixkind`")
    return Answer(hits, len(hits), reply.doubt)


def source(image: QuestionImage) -> "Source":
    """Return a picture as the client takes it."""
    return Indexed(image.content) if image.content else os.fsdecode(image.path)


def trouble(error: PixkinError) -> tuple[str, str, str]:
    """Return what is wrong in a few words, and as sentences the details and what the user can do."""
    return _TITLES.get(type(error), "pixkind refused"), _sentence(error.what), _sentence(error.hint)


def _sentence(text: str) -> str:
    """Return an error's words as a sentence; a path keeps its letters."""
    return output.harmless(f"{text[:1].upper()}{text[1:]}.") if text else ""


def indexing(report: "Report") -> str:
    """Return how far the daemon is with indexing; empty: nothing waits."""
    if not report.pending:
        return ""
    waits = f"{output.many(report.pending, 'photo waits', 'photos wait')} to be indexed"
    if not report.rate:
        return f"{waits}: {output.harmless(report.doing)}" if report.doing else waits
    return f"{waits}, {report.rate:.1f} a second, about {max(1, round(report.eta_s / 60))} min to go"
