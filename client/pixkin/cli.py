"""The command `pixkin`: its words, its verbs and its exit statuses.

Nothing here imports more than the standard library until a daemon is known to be there.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pixkin import __version__, locations, render, values
from pixkin.errors import DaemonBusy, InputUnreadable, PixkinError, UsageError
from pixkin.presence import probe

if TYPE_CHECKING:
    from pixkin.client import Client
    from pixkin.wire import Matches

_NONE, _INTERRUPTED = 1, 130  # exit statuses; those of errors are in their classes
# For as long as options are added: argparse tries each of them on a formatter, which imports shutil for its width.
_NARROW = partial(argparse.RawDescriptionHelpFormatter, width=80)

_DESCRIPTION = """\
Ask the running pixkind which of your photos look like an image.

  pixkin like holiday/beach.jpg           the ten photos most like it
  pixkin status                           how many photos are indexed, and how many wait
  pixkin sync                             return when everything on the drive is in the index
  pixkin pause 2h                         index nothing for two hours; or, with a folder, let its drive go
"""

_EXITS = """\
exit status:
  0   there are matches, or it was done       70  refused, or a defect
  1   there are none                          75  the daemon is busy, or not everything has an outcome yet
  2   wrong usage                             76  client and daemon speak different protocols
  66  an image or folder cannot be read       130 interrupted
  69  no daemon is running
"""

_LIKE = """\
Print the photos most like IMAGE, best first: score, distance, path.
The score is the cosine of the two pictures' features after the library's mean was taken off, from -1 to 1;
the distance is the Euclidean one of the same features, and 0 for the same picture.
Several images are combined into one question.

  pixkin like beach.jpg
  pixkin like beach.jpg sea.jpg -n 20 --min-score 0.6
  pixkin like --under ~/Pictures/2024 -0 beach.jpg | xargs -0 cp -t album/
  curl -s https://example.org/a.jpg | pixkin like -
"""

_STATUS = """\
Print how many photos are searchable, pending, failed and offline, and what the daemon is doing.

  pixkin status
  pixkin status --failed
  pixkin status --json | jq .counters
"""

_SYNC = """\
Look at every file under PATH (by default everywhere) and return when each has an outcome:
searchable, gone, or failed. Files still being written, and drives that are not there,
are named and not waited for, nor are photos while indexing is paused; the exit status is 75 then.

  pixkin sync
  cp *.jpg ~/Pictures/new/ && pixkin sync ~/Pictures/new
  pixkin sync /mnt/photos --accept-drive    the photos have moved to another drive
"""

_PAUSE = """\
Stop indexing, for TIME or until `pixkin resume`. Folders are still watched and all queries answered;
photos that are being encoded are finished. A reload of the daemon keeps the pause, its end ends it.

With ROOT, one of the watched folders: close every file there and open none any more.
When the command returns, the drive can be ejected. Its photos are still answered.
That pause ends with `pixkin resume ROOT`, when the drive was away and is back, and with the daemon.

  pixkin pause 2h                           also 90s, 30min, 1d; a folder of such a name is ./2h
  pixkin pause /mnt/photos && umount /mnt/photos
"""

_RESUME = """\
End what `pixkin pause` began; what is new or changed under ROOT is indexed.
Without ROOT it ends every pause, and `pixkin boost`.

  pixkin resume
  pixkin resume /mnt/photos
"""

_BOOST = """\
Index now, for TIME (by default one hour), on battery and however busy the machine is, and not in the background.
It ends a pause of all indexing, but not that of a folder; `pixkin resume` ends it.

  pixkin boost
  pixkin boost 20min && pixkin sync
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        argv: the words behind `pixkin`; None: those of this process.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `pixkin … | head` ends in silence
    if argv is not None:
        return _run(argv)
    gc.disable()
    try:
        return _run(sys.argv[1:])
    finally:
        # All that was imported is spared the collections with which Python ends: a sixth of the time of `pixkin like`.
        gc.freeze()


def _run(words: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse_args(_joined(words))
    if options.verb is None:
        parser.print_help(sys.stderr)
        return UsageError.status
    verb: Callable[[argparse.Namespace], int] = options.run
    try:
        return verb(options)
    except PixkinError as error:
        render.complaint(error)
        return error.status
    except KeyboardInterrupt:
        return _INTERRUPTED


def _like(options: argparse.Namespace) -> int:
    if options.images.count("-") > 1:
        raise UsageError("standard input (-) can be only one of the images")
    with _client(options, options.timeout) as client:
        reply = client.like(
            *(_standard_input() if image == "-" else image for image in options.images),
            n=options.limit,
            min_score=options.min_score,
            max_distance=options.max_distance,
            under=options.under,
            taken_since_s=options.since and options.since[0],
            taken_before_s=options.until and options.until[1],
            online=options.online,
            itself=options.itself,
            fold=options.fold,
        )
    render.emit(_written(reply, options.form))
    if doubts := render.doubts(reply.doubt):
        render.note(doubts)
    return 0 if reply.matches else _NONE


def _written(reply: "Matches", form: str | None) -> bytes:
    screen = render.Screen.of(sys.stdout)
    match form:
        case "json":
            return render.matches_as_json(reply)
        case "null":
            return render.matches_as_paths(reply, b"\0", render.Screen())
        case "paths":
            return render.matches_as_paths(reply, b"\n", screen)
        case _:
            return render.matches_as_table(reply, screen)


def _status(options: argparse.Namespace) -> int:
    with _client(options) as client:
        report = client.status(failed=options.failed)
    if options.json:
        render.emit(render.report_as_json(report, failed=options.failed))
    else:
        render.emit(render.report_as_text(report, render.Screen.of(sys.stdout)))
    return 0


def _sync(options: argparse.Namespace) -> int:
    if options.accept_drive and options.path is None:
        raise UsageError("--accept-drive needs PATH, the watched folder whose drive is another one now")
    with _client(options) as client:
        reply = client.sync(options.path, options.timeout, accept_drive=options.accept_drive)
    render.emit(render.synced_as_json(reply) if options.json else render.synced_as_text(reply))
    for line in render.synced_remarks(reply):
        render.note(line)
    return DaemonBusy.status if reply.open or reply.roots or reply.held else 0


def _pause(options: argparse.Namespace) -> int:
    span, root = (options.what, None) if isinstance(options.what, int) else (0, options.what)
    with _client(options) as client:
        reply = client.pause(root, for_s=span, timeout_s=options.timeout)
    render.emit(render.roots_as_text("paused", reply))
    return 0


def _boost(options: argparse.Namespace) -> int:
    with _client(options) as client:
        render.emit(render.roots_as_text("boosted", client.boost(options.time)))
    return 0


def _resume(options: argparse.Namespace) -> int:
    with _client(options) as client:
        render.emit(render.roots_as_text("resumed", client.resume(options.root)))
    return 0


def _client(options: argparse.Namespace, reply_s: float = 30.0) -> "Client":
    """Return the client, once it is known that there is a daemon: its libraries take 0.1 s to import."""
    path = locations.socket_file() if options.socket is None else os.path.abspath(options.socket)
    probe(path)
    from pixkin.client import Client

    return Client(path, reply_s=reply_s)


def _standard_input() -> bytes:
    from pixkin.wire import MAX_IMAGES

    try:
        with open(0, "rb", closefd=False) as file:
            data = file.read(MAX_IMAGES + 1)  # one more than may be sent tells that an endless stream is too much
    except OSError as error:
        raise InputUnreadable("standard input cannot be read") from error
    if not data:
        raise InputUnreadable("standard input is empty", "pipe an image into it: `pixkin like - < a.jpg`")
    return data


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words with `--min-score -0.5` as one: where there is a `-0`, argparse takes -0.5 for an option too."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--min-score":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS, formatter_class=_NARROW)
    _add_socket(common)
    parser = argparse.ArgumentParser(
        prog="pixkin",
        description=_DESCRIPTION,
        epilog=_EXITS,
        formatter_class=_NARROW,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pixkin {__version__}")
    _add_socket(parser)
    parser.set_defaults(socket=None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def verb(name: str, line: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            help=line,
            description=text,
            parents=[common],
            formatter_class=_NARROW,
            allow_abbrev=False,
        )
        added.set_defaults(run=run)
        return added

    _add_like(verb("like", "print the photos most like an image", _LIKE, _like))
    _add_status(verb("status", "print how the daemon is", _STATUS, _status))
    _add_sync(verb("sync", "return when the index is up to date", _SYNC, _sync))
    pause = verb("pause", "stop indexing for a while, or let a drive go", _PAUSE, _pause)
    resume = verb("resume", "go on after a pause", _RESUME, _resume)
    boost = verb("boost", "index now, whatever else goes on", _BOOST, _boost)
    pause.add_argument(
        "what", nargs="?", type=values.span_or_path, metavar="TIME|ROOT", help="how long, or one of the watched folders"
    )
    resume.add_argument("root", nargs="?", metavar="ROOT", help="one of the watched folders (default: everything)")
    boost.add_argument("time", nargs="?", type=values.span, default=3600, metavar="TIME", help="how long (default: 1h)")
    pause.add_argument(
        "--timeout", type=values.seconds, default=10.0, metavar="S", help="give up after S seconds (default: 10)"
    )
    for each in (parser, *verbs.choices.values()):
        each.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _add_socket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket, if it is not where it is by default")


def _add_like(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="an image file, indexed or not; - is standard input; at most eight")
    add("-n", "--limit", type=values.limit, default=10, metavar="N", help="at most N matches, 1 to 1000 (default: 10)")
    add("--min-score", type=values.score, metavar="S", help="only matches that score at least S, -1 to 1")
    add("--max-distance", type=values.distance, metavar="D", help="only matches at a distance of at most D")
    add("--under", metavar="FOLDER", help="only photos beneath FOLDER")
    add("--since", type=values.period, metavar="DATE", help="only photos taken in 2019, 2019-06, 2019-06-30 or later")
    add("--until", type=values.period, metavar="DATE", help="only photos taken then or earlier")
    add("--online", action="store_true", help="only photos whose drive is there now")
    add("--self", dest="itself", action="store_true", help="also the photo itself")
    add("--no-fold", dest="fold", action="store_false", help="print exact copies as matches of their own")
    add("--timeout", type=values.seconds, default=30.0, metavar="S", help="give up after S seconds (default: 30)")
    forms = parser.add_mutually_exclusive_group()
    for flags, form, text in (
        (("--json",), "json", "print a JSON object a line: path, score, distance, offline, copies"),
        (("--paths",), "paths", "print the paths alone, one a line"),
        (("-0", "--null"), "null", "print the paths alone, each followed by a zero byte, for xargs -0"),
    ):
        forms.add_argument(*flags, dest="form", action="store_const", const=form, help=text)


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--failed", action="store_true", help="also the photos that could not be indexed, and why")


def _add_sync(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", metavar="PATH", help="a photo or a folder")
    parser.add_argument("--timeout", type=values.seconds, metavar="S", help="give up after S seconds (default: never)")
    parser.add_argument(
        "--accept-drive",
        action="store_true",
        help="PATH is a watched folder: take the drive that stands there for its own",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
