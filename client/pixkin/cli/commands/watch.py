"""`pixkin watch`: prints new photos that are like an image, as they come."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pixkin.cli import arguments, fields, output, questions
from pixkin.cli.commands import like
from pixkin.cli.connect import connect
from pixkin.errors import DaemonAbsent, DaemonBusy, PixkinError, UsageError

if TYPE_CHECKING:
    from pixkin.client import Client
    from pixkin.protocol.news import Arrival, Arrived, Watches, WatchState
    from pixkin.protocol.replies import Match

LINE: Final = "print new photos that are like an image, as they come"
TEXT: Final = """\
Ask a question that stays: which new photos are like IMAGE? Each match is printed when the photo is indexed, one line
each, as `pixkin like` prints it. The command runs until it is interrupted.

The daemon remembers the question, and what came while no `pixkin watch` ran. Such matches are printed at the next start.
A photo is new once: not after it was renamed, copied or indexed again. Photos that are indexed already are not new.
Without --like, the questions that were asked before go on: all, or the one that --name names.

  pixkin watch --like boat.jpg --min-score same-shot
  pixkin watch --like cat.jpg --min-score 0.5 --name cats --exec 'notify-send New'
  pixkin watch --name cats --once           print what has come, and do not wait
  pixkin watch --list
  pixkin watch --remove cats
"""
_NONE: Final = 1  # the exit status when nothing has come
_WAIT_S: Final = 50.0  # for news, in one request
_LONG_S: Final = 0.5  # a command that took longer is acknowledged at once
_PAUSES_S: Final = (1, 2, 4, 8, 15)  # while no daemon answers


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    text = "ask for photos like this image; may be repeated, or followed by several; weights are those of `pixkin like`"
    add("--like", nargs="+", action="extend", default=[], type=arguments.weighted, metavar="IMAGE", help=text)
    text = "not for photos that look like this image; may be repeated"
    add("--minus", action="append", default=[], type=arguments.weighted, metavar="IMAGE", help=text)
    text = (
        "only photos that score at least S, -1 to 1, or are at least in the band S, such as same-shot (default: alike)"
    )
    add("--min-score", type=arguments.score, metavar="S", help=text)
    add("--name", metavar="NAME", default="", help="the name of the question")
    text = "for each photo, run CMD with its path as the last argument; no shell reads the path"
    add("--exec", dest="command", type=arguments.command, metavar="CMD", help=text)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="print what has come, and do not wait for more")
    what.add_argument("--list", action="store_true", help="list all questions")
    what.add_argument("--remove", metavar="WATCH", help="end a question: its number or its name")
    arguments.add_forms(
        parser,
        json="print one line for each match, a JSON object: watch, name, seq, time, and the keys of `pixkin like`",
    )


def run(options: argparse.Namespace) -> int:
    """Ask, print what comes, and return the exit status."""
    if not options.like and (options.minus or options.min_score is not None):
        raise UsageError("--minus and --min-score belong to a question that begins: give --like IMAGE too")
    if options.like and (options.list or options.remove is not None):
        raise UsageError("--like begins a question: use it without --list and --remove")
    with connect(options) as client:
        if options.list or options.remove is not None:
            watches = client.watches()
            if options.remove is not None:
                watches = client.unwatch(_named(watches, options.remove).id)
                output.note(f"removed {output.harmless(options.remove)}")
                return 0
            output.emit(_listed(watches, options.form))
            return 0 if watches.watches else _NONE
        return _Printer(client, options).run()


class _Printer:
    """Prints what comes for one question, or for all."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client = client
        self._options = options
        self._screen = output.Screen.of(sys.stdout)
        self._names: dict[int, str] = {}  # by number of a question
        self._told: dict[int, int] = {}  # by number: the last match that was told before
        self._watch = 0  # 0: all questions
        self._done = self._noted = 0  # the last match that was printed, and that the daemon knows to be

    def run(self) -> int:
        """Print until there is no more; without `--once`, until an error."""
        self._watch, self._done = self._begin()
        printed = 0
        try:
            while True:
                asked = time.monotonic()
                reply = self._once() if self._options.once else self._wait()
                for arrival in reply.arrivals:
                    if arrival.seq > self._told.get(arrival.watch, 0):
                        self._print(arrival)
                        printed += 1
                    self._done = arrival.seq
                self._done = reply.last
                if self._options.once and not reply.arrivals:
                    return 0 if printed else _NONE
                if not reply.arrivals:  # too many clients wait: this one was sent away
                    time.sleep(max(0.0, 1 - (time.monotonic() - asked)))
        finally:
            self._acknowledge()  # what was interrupted in the middle goes on there

    def _acknowledge(self) -> None:
        if self._done != self._noted:
            with suppress(PixkinError):
                self._once()

    def _once(self) -> Arrived:
        self._noted = self._done
        return self._client.arrivals(self._watch, self._done, 0)

    def _wait(self) -> Arrived:
        """Return what comes next, however long the daemon is away."""
        failures = 0
        while True:
            asked = time.monotonic()
            try:
                self._noted = self._done
                reply = self._client.arrivals(self._watch, self._done, _WAIT_S)
            except (DaemonAbsent, DaemonBusy) as error:
                if isinstance(error, DaemonBusy) and time.monotonic() - asked >= _WAIT_S:
                    continue  # the machine is busy: the reply without news comes too late
                if not failures:
                    output.note(f"{output.harmless(error.what)}; waiting until pixkind answers")
                time.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
                failures += 1
            else:
                if failures:
                    output.note("pixkind is back")
                return reply

    def _begin(self) -> tuple[int, int]:
        """Return the number of the question, 0 for all, and the last match that was told."""
        options = self._options
        if options.like:
            sources = [questions.source(image) for image in options.like]
            minus = [questions.source(image) for image in options.minus]
            watches = self._client.watch(*sources, minus=minus, min_score=_least(options.min_score), name=options.name)
            asked = [one for one in watches.watches if one.id == watches.watch]
        else:
            watches = self._client.watches()
            asked = [_named(watches, options.name)] if options.name else [*watches.watches]
            if not asked:
                raise UsageError("there is no question yet", "pixkin watch --like IMAGE")
        self._names = {one.id: one.name for one in watches.watches}
        self._told = {one.id: one.told for one in watches.watches}
        for one in asked:
            if one.why:
                output.note(f"{_title(one)}: {output.harmless(one.why)}")
        return asked[0].id if options.like or options.name else 0, min(one.told for one in asked)

    def _print(self, arrival: Arrival) -> None:
        """Print a match, and run the command."""
        from pixkin.protocol.replies import Match

        if not arrival.path:
            output.note("a match has gone again before it could be printed")
            return
        match = Match(arrival.path, arrival.score, arrival.distance, arrival.offline, band=arrival.band)
        output.emit(self._written(arrival, match))
        if self._options.command:
            began = time.monotonic()
            _execute(self._options.command, arrival.path)
            if time.monotonic() - began > _LONG_S:  # not to be run again, whatever happens
                self._done = arrival.seq
                self._acknowledge()

    def _written(self, arrival: Arrival, match: Match) -> bytes:
        match self._options.form:
            case "json":
                about = {"watch": arrival.watch, "name": self._names.get(arrival.watch, ""), "seq": arrival.seq}
                return output.json_line({**about, "time": arrival.at_s, **fields.match_fields(match, None)})
            case "null" | "paths" as form:
                return output.bare_path(match.path, form, self._screen)
            case _:
                return like.match_lines(match, None, self._screen)


def _execute(command: list[str], path: bytes) -> None:
    """Run a command with a path as its last argument. If it fails, say so and go on."""
    import subprocess

    try:
        status = subprocess.run([*command, path], stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        output.note(f"{output.harmless(command[0])} cannot be run: {error.strerror}")
        return
    if status:
        output.note(f"{output.harmless(command[0])} {output.shown(path)} failed: exit status {status}")


def _least(score: float | str | None) -> float | str | None:
    return "loosely" if score == "auto" else score


def _named(watches: Watches, wanted: str) -> WatchState:
    """Return the question with this name or number.

    Raises:
        UsageError: there is none, or there are several.
    """
    found = [one for one in watches.watches if one.name == wanted or str(one.id) == wanted]
    if len(found) != 1:
        what = f"there is no question {wanted}" if not found else f"{len(found)} questions are called {wanted}"
        raise UsageError(output.harmless(what), "pixkin watch --list")
    return found[0]


def _title(watch: WatchState) -> str:
    return f"question {watch.id}" + (f" ({output.harmless(watch.name)})" if watch.name else "")


def _listed(watches: Watches, form: str | None) -> bytes:
    """Return a line for each question: number, name, limit, new matches, images."""
    if form == "json":
        return b"".join(output.json_line(_fields(one)) for one in watches.watches)
    rows = [_cells(one) for one in watches.watches]
    if not output.Screen.of(sys.stdout).tty:
        return "".join("\t".join(row) + "\n" for row in rows).encode()
    rows.insert(0, ("watch", "name", "at least", "new", "images"))
    wide = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join((*(cell.ljust(w) for cell, w in zip(row, wide, strict=False)), row[4])) for row in rows]
    return "".join(line + "\n" for line in lines).encode()


def _cells(watch: WatchState) -> tuple[str, ...]:
    limit = str(watch.min_band) if watch.min_score is None else f"{watch.min_score:g}"
    images = ", ".join(("not " if one.weight < 0 else "") + output.shown(one.path or b"?") for one in watch.images)
    why = f": {output.harmless(watch.why)}" if watch.why else ""
    return str(watch.id), output.harmless(watch.name), limit, f"{watch.new:,}", images + why


def _fields(watch: WatchState) -> dict[str, object]:
    images = [
        {**output.path_fields("path", one.path), "content": one.content.hex(), "weight": one.weight}
        for one in watch.images
    ]
    return {
        "watch": watch.id,
        "name": watch.name,
        "min_score": watch.min_score,
        "min_band": None if watch.min_score is not None else str(watch.min_band),
        "new": watch.new,
        "since": watch.began_s,
        "why": watch.why,
        "images": images,
    }
