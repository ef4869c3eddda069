"""The command `pixkin`: its verbs and its exit statuses. Each verb has a module in `commands/`.

Until a daemon is known to be there, this module imports only the standard library and the module of the given verb.
"""

import argparse
import gc
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Final, NoReturn

from pixkin import __version__, bug
from pixkin.cli import output
from pixkin.errors import PixkinError, Refused, UsageError

VERBS: Final = (
    *("like", "status", "sync", "pause", "resume", "boost", "have", "dupes"),
    *("watch", "browse", "forget", "space", "web", "why", "doctor", "export", "mcp", "open", "integrate", "help"),
)
_LASTING: Final = frozenset(
    ("watch", "browse", "web", "open", "mcp")
)  # they run for days, and must collect their garbage
_INTERRUPTED: Final = 130  # exit status; those of errors are in their classes
# Used while options are added: argparse formats each of them once, and without a width imports shutil to find one.
_NARROW: Final = partial(argparse.RawDescriptionHelpFormatter, width=80)

_DESCRIPTION = """\
Find the photos that look like an image. pixkin asks the daemon pixkind, which must be running.

  pixkin like holiday/beach.jpg           the ten photos most like it
  pixkin dupes                            groups of copies, edits and bursts
  pixkin browse                           look at the photos in the terminal
  pixkin web                              look at your photos, in a browser
  pixkin integrate                        "Find similar photos" in your file manager
  pixkin status                           how many photos are indexed, and how many wait
  pixkin doctor                           what is wrong, and what mends it
  pixkin sync                             wait until the index is up to date
  pixkin why beach.jpg                    why a photo is found, or is not
  pixkin have /media/card                 whether a memory card may be erased
  pixkin watch --like cat.jpg             each new photo like it, as it comes
  pixkin pause 2h                         index nothing for two hours
  pixkin pause /mnt/photos                release the drive of a watched folder
  pixkin forget ~/Pictures/old            wipe what is known of photos that are deleted
  pixkin export --npy photos.npy          the vectors of all photos, for other programs
  pixkin help duplicates                  a page about a topic; `pixkin help` lists them
"""

_EXITS = """\
exit status:
  0    success
  1    no match, no group, no question, not every file is there, found or forgotten, a problem; or a bug, with a traceback
  2    wrong usage
  66   a file or folder cannot be used, for example because a file is not an image
  69   no daemon of yours is running
  70   request refused, or a bug
  74   standard output is closed or cannot be written
  75   daemon busy, or not every file is indexed yet; `dupes`: some photos were left out; `forget`: traces are left
  76   client and daemon speak different protocol versions
  130  interrupted
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a sentence, and where the help is, instead of a screen of options."""

    verb = ""  # that was given

    def error(self, message: str) -> NoReturn:
        """End with the status of wrong usage."""
        program = f"{self.prog} {self.verb}".rstrip()
        output.complaint(UsageError(f"{message[:1].lower()}{message[1:]}", f"{program} --help"))
        raise SystemExit(UsageError.status)


class _VerbParser(_Parser):
    """Also takes images behind an option that follows an image, as in `like a.jpg --rotate b.jpg`."""

    _is_again = False  # argparse calls `parse_known_args` for each of its two passes

    def parse_known_args(  # type: ignore[override]  # no caller gives a namespace of another class
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the words again, options first, if words are left. That way argparse loses `--`, so words with it are not."""
        found, rest = super().parse_known_args(args, namespace)
        if not rest or not args or "--" in args or self._is_again:
            return found, rest
        self._is_again = True
        return self.parse_known_intermixed_args(args, namespace)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        argv: the words after `pixkin`; None: the arguments of this process.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `pixkin … | head` ends in silence
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  until the process ends
    if argv is not None:
        return _run(argv)
    gc.disable()
    try:
        return _run(sys.argv[1:])
    finally:
        # Python collects garbage when it ends. Frozen objects are skipped: that saves a sixth of the time of `pixkin like`.
        gc.freeze()


def _run(words: Sequence[str]) -> int:
    try:
        options = _parsed(words)
        if options.verb is None:
            return UsageError.status
        if options.verb in _LASTING:
            gc.enable()
        verb: Callable[[argparse.Namespace], int] = options.run
        return verb(options)
    except PixkinError as error:
        output.complaint(error)
        return error.status
    except OSError as error:  # such as a working folder that is gone
        where = f"{error.filename}: " if error.filename else ""
        output.complaint(Refused(f"{where}{error.strerror or error}"))
        return Refused.status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception:  # noqa: BLE001  the outermost frame
        bug.tell(__version__)
        return 1


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the options. Without a verb the help is printed.

    Raises:
        SystemExit: the help was asked for, or the words are wrong.
        UsageError: the command is forgotten.
        OutputLost: the help cannot be written.
    """
    if words and words[0] not in VERBS and not words[0].startswith("-") and os.path.isfile(words[0]):
        raise UsageError(f"{words[0]} is a file, and no command", f"pixkin like {shlex.quote(words[0])}")
    parser = _parser(words)
    try:
        options = parser.parse_args(_joined(words))
    except SystemExit as end:
        if not end.code:
            output.emit(b"")  # argparse does not flush the help that it prints
        raise
    if options.verb is None:
        parser.print_help(sys.stderr)
    return options


def help_of(verb: str) -> str:
    """Return the help of a verb; empty: of all."""
    words = [verb] if verb else []
    parser = _parser(words)
    if verb:
        verbs = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
        return str(verbs.choices[verb].format_help())
    return parser.format_help()


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words with `--min-score -0.5` as one word: beside the option `-0`, argparse takes -0.5 for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--min-score":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for these words: if they begin with a verb, only the module of that verb is imported."""
    parser = _Parser(
        prog="pixkin",
        description=_DESCRIPTION,
        epilog=_EXITS,
        formatter_class=_NARROW,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pixkin {__version__}")
    _add_socket(parser, default=None)
    parser.verb = words[0] if words and words[0] in VERBS else ""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_VerbParser)
    for name in words[:1] if words and words[0] in VERBS else VERBS:
        verb = import_module(f"pixkin.cli.commands.{name}")
        added = verbs.add_parser(
            name,
            help=verb.LINE,
            description=verb.TEXT,
            formatter_class=_NARROW,
            allow_abbrev=False,
        )
        _add_socket(added, default=argparse.SUPPRESS)  # a default would undo a --socket before the verb
        verb.add(added)
        added.set_defaults(run=verb.run)
        added.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _add_socket(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    text = "the path of the daemon's socket, if it is not the default one"
    parser.add_argument("--socket", metavar="PATH", default=default, help=text)
