"""Replies as text: tables for people, JSON Lines and bare paths for programs.

Most functions return text; only `emit`, `note`, `complaint` and `Progress` write it.
Standard output gets only data; doubts and errors go to standard error. A table of one command stands with the command.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from pixkin import printable
from pixkin.errors import OutputLost
from pixkin.printable import b64, is_utf8
from pixkin.tiles import answers

if TYPE_CHECKING:  # the protocol imports msgspec, which would double the time that `pixkin --help` takes
    from collections.abc import Iterable, Mapping
    from typing import TextIO

    from pixkin.errors import PixkinError
    from pixkin.protocol.explanations import Explanation
    from pixkin.protocol.pictures import Picture
    from pixkin.protocol.replies import Exclusion, Failed, Root, Roots


# All commands write paths, numbers and doubts by these.
shown, harmless, size, many = printable.shown, printable.harmless, printable.size, printable.many
DIM, GREEN, YELLOW = printable.DIM, printable.GREEN, printable.YELLOW
doubts = answers.doubts


class Screen(NamedTuple):  # dataclasses would import inspect, a fifth of the time of `pixkin --help`
    """What the terminal, file or pipe at standard output understands."""

    tty: bool = False
    colour: bool = False
    links: bool = False  # OSC 8 hyperlinks

    @classmethod
    def of(cls, stream: TextIO | None, env: Mapping[str, str] = os.environ) -> Screen:
        """Return what `stream` understands; None: it is closed. Source: no-color.org."""
        tty = stream is not None and stream.isatty()
        clever = tty and env.get("TERM", "") != "dumb"
        return cls(tty, clever and not env.get("NO_COLOR"), clever)

    def paint(self, text: str, code: int) -> str:
        """Return the text with an ANSI attribute (SGR) if the screen shows colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def dim(self, text: str) -> str:
        """Return the text as a header."""
        return self.paint(text, DIM)

    def link(self, path: bytes, text: str = "") -> str:
        """Return a text, or the path as `shown` does, as a hyperlink to the file if the screen understands links."""
        text = text or shown(path)
        if not self.links or not path:
            return text
        from urllib.parse import quote  # imported here: it takes 5 ms, and only terminals need it

        return f"\x1b]8;;file://{quote(os.uname().nodename)}{quote(path)}\x1b\\{text}\x1b]8;;\x1b\\"


def emit(data: bytes) -> None:
    """Write to standard output.

    Raises:
        OutputLost: it is closed, or cannot be written.
    """
    if sys.stdout is None:
        raise OutputLost("standard output is closed")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        give_up(sys.stdout)
        raise OutputLost(f"standard output cannot be written: {error.strerror}") from error


def give_up(stream: TextIO) -> None:
    """Send what a stream still holds to /dev/null: Python flushes it when it ends, and would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def note(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"pixkin: {line}\n")


def complaint(error: PixkinError) -> None:
    """Write an error and its hint to standard error."""
    sys.stderr.write(f"pixkin: error: {harmless(error.what)}\n")
    if error.hint:
        sys.stderr.write(f"\nhint: {harmless(error.hint)}\n")


class Progress:
    """A line on standard error that says how far a command is, if that is a terminal."""

    def __init__(self) -> None:
        self._is_shown = False

    def show(self, line: str) -> None:
        """Replace the line."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[Kpixkin: {line}")
            sys.stderr.flush()
            self._is_shown = True

    def clear(self) -> None:
        """Erase the line, so that something else can be written."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_shown = False


def agreed(question: str) -> bool:
    """Ask on standard error, and return whether the answer on standard input is yes."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def bare_path(path: bytes, form: str, screen: Screen) -> bytes:
    """Return a path alone: with `null` as the kernel has it, with `paths` on a line that is harmless on a terminal."""
    if form == "null":
        return path + b"\0"
    return (shown(path).encode() if screen.tty else path) + b"\n"


def taken(dated: Picture | Explanation) -> str:
    """Return when a picture was taken; of what only its name tells, that is said."""
    if dated.by_name:
        return f"{time.strftime('%Y-%m-%d', time.gmtime(dated.taken_s))}, as its name says"
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(dated.taken_s))


def roots_as_text(done: str, reply: Roots) -> bytes:
    """Return a line for each root that was changed; without roots, what indexing does now."""
    if not reply.roots:
        return f"{harmless(reply.doing)}\n".encode()
    return "".join(f"{done} {shown(root.path)}\n" for root in reply.roots).encode()


def root_fields(root: Root) -> dict[str, object]:
    """Return a root as JSON."""
    return {
        **path_fields("path", root.path),
        "state": str(root.state),
        "reason": root.reason,
        "hint": root.hint,
        "links": root.links,
    }


def failed_fields(failure: Failed) -> dict[str, object]:
    """Return a photo without a vector as JSON."""
    return {**path_fields("path", failure.path), "reason": failure.reason, "retry_at": failure.retry_at}


def exclusion_fields(exclusion: Exclusion) -> dict[str, object]:
    """Return a rule that leaves something out as JSON."""
    return {
        "pattern": exclusion.pattern,
        **path_fields("file", exclusion.file),
        "line": exclusion.line,
        "built_in": exclusion.built_in,
    }


def why(root: Root) -> str:
    """Return the reason for the state of a root, to follow its path."""
    return f": {harmless(root.reason)}" if root.reason else ""


def failure_lines(failures: Iterable[Failed]) -> list[str]:
    """Return a line for each photo without a vector."""
    return [f"{shown(failure.path)}: {harmless(failure.reason)}" for failure in failures]


def links(n: int) -> str:
    """Return a sentence that says how many symbolic links were left out."""
    return f"{many(n, 'symbolic link is', 'symbolic links are')} not followed"


def path_fields(key: str, path: bytes) -> dict[str, object]:
    """Return the path under `key` and, if it is not UTF-8, exactly under `key`_b64."""
    record: dict[str, object] = {key: path.decode("utf-8", "backslashreplace")}
    if not is_utf8(path):
        record[f"{key}_b64"] = b64(path)
    return record


def paths_fields(key: str, paths: Iterable[bytes]) -> dict[str, object]:
    """Return the paths under `key` and, if one of them is not UTF-8, all of them exactly under `key`_b64."""
    record: dict[str, object] = {key: [path.decode("utf-8", "backslashreplace") for path in paths]}
    if not all(map(is_utf8, paths)):
        record[f"{key}_b64"] = [b64(path) for path in paths]
    return record


def json_line(record: Mapping[str, object]) -> bytes:
    """Return one JSON object as a line."""
    # ASCII only: in UTF-8 the control characters U+0080 to U+009F would reach a terminal as they are.
    return json.dumps(record).encode() + b"\n"
