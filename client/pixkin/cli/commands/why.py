"""`pixkin why`: says why a photo is found, or is not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pixkin.cli import arguments, fields, output, questions
from pixkin.cli.connect import connect

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pixkin.protocol.explanations import About, Explanation

LINE: Final = "say why a photo is found, or is not"
TEXT: Final = """\
Say what has become of each PHOTO: read when and encoded by which network; waiting, and at which place; failed, and why;
left out, and by which rule; missing, no photo, in no watched folder; or on a drive that is not connected.
With --like, say also how much PHOTO is like IMAGE, and its place among the matches of `pixkin like`, or what keeps it
from being one. Apart from --timeout and --json, the options are those of `pixkin like`; they shape this question.
The exit status is 0 if queries find each PHOTO and, with --like, each is among the matches. Else it is 1.

  pixkin why holiday/beach.jpg
  pixkin why beach.jpg --like sea.jpg
  pixkin why beach.jpg --like sea.jpg --under ~/Pictures/2019 --min-score 0.6
"""
_NOT_FOUND: Final = 1
# The other fates are said by the sentence itself.
_WORDS: Final = {"found": "indexed: ", "waiting": "waiting: ", "failed": "failed: "}


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="a file; it need not exist")
    text = "ask also how PHOTO does in a query by IMAGE; - is standard input; may be repeated"
    add("--like", action="append", default=[], type=arguments.weighted, metavar="IMAGE", help=text)
    questions.add(parser)
    add("--timeout", type=arguments.seconds, default=30.0, metavar="S", help="give up after S seconds (default: 30)")
    add("--json", action="store_true", help="print one JSON object for each PHOTO")


def run(options: argparse.Namespace) -> int:
    """Explain each photo, and return the exit status."""
    images, minus = questions.images_of(options, options.like)
    status = 0
    with connect(options, options.timeout) as client:
        for photo in options.photos:
            explained = client.why(photo)
            about = None
            if images and explained.network:
                about = questions.ask(client, options, images, minus, about=photo).about
            if options.json:
                output.emit(output.json_line(fields.explanation_fields(explained, about)))
            else:
                output.emit("".join(f"{line}\n" for line in _lines(explained, about, options)).encode())
            if explained.fate != "found" or (images and (about is None or not about.place)):
                status = _NOT_FOUND
    return status


def _lines(explained: Explanation, about: About | None, options: argparse.Namespace) -> Iterator[str]:
    yield f"{output.shown(explained.path)}: {_WORDS.get(explained.fate, '')}{output.harmless(explained.what)}"
    known = [f"read {_time(explained.read_s)}"] if explained.read_s else []
    known += [f"taken {output.taken(explained)}"] if explained.taken_s else []
    known += [f"network {output.harmless(explained.network)}"] if explained.network else []
    if explained.copies:
        known.append(f"{output.many(explained.copies, 'other file shows', 'other files show')} the same picture")
    known += [f"it is tried again {_time(explained.retry_at)}"] if explained.retry_at else []
    if explained.ahead:
        from pixkin.protocol.explanations import COUNTED

        most = "up to " if explained.ahead > COUNTED else ""
        known.append(f"{most}{output.many(explained.ahead, 'photo is', 'photos are')} read before it")
    if known:
        yield f"  {'; '.join(known)}"
    if explained.hint:
        yield f"  hint: {output.harmless(explained.hint)}"
    if options.like and explained.network:
        yield f"  {_likeness(about, options)}"


def _likeness(about: About | None, options: argparse.Namespace) -> str:
    if about is None:
        return "it cannot be compared now: its vector is being made again"
    band = "" if about.band == "unknown" else f" ({about.band})"
    how = f"score {about.score:.3f}{band}, distance {about.distance:.2f}"
    if about.behind:
        return f"{how}: part of match {about.place}, {output.shown(about.behind)}"
    if about.place:
        return f"{how}: match {about.place}"
    if "limit" in about.short_of:
        return f"{how}: no match, because {options.limit:,} or more matches are nearer; -n shows more"
    return f"{how}: no match, because of {' and '.join(questions.named(about.short_of, options))}"


def _time(epoch_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))
