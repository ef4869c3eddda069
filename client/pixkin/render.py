"""Replies as text: tables for people, JSON Lines and bare paths for programs.

Functions return what is to be written; only `emit` and `note` write.
Standard output gets data and nothing else; doubts and complaints go to standard error.
"""

from __future__ import annotations

import binascii
import json
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # wire imports msgspec, which would double the time that `pixkin --help` takes
    from collections.abc import Iterable, Mapping
    from typing import TextIO

    from pixkin.errors import PixkinError
    from pixkin.wire import Doubt, Failed, Match, Matches, Report, Root, Roots, Synced

_KILO = 1000


class Screen(NamedTuple):  # dataclasses would import inspect: a fifth of the time that `pixkin --help` takes
    """What the other end of standard output understands."""

    tty: bool = False
    colour: bool = False
    links: bool = False  # OSC 8 hyperlinks

    @classmethod
    def of(cls, stream: TextIO, env: Mapping[str, str] = os.environ) -> Screen:
        """Return what `stream` understands. Source: no-color.org."""
        tty = stream.isatty()
        clever = tty and env.get("TERM", "") != "dumb"
        return cls(tty, clever and not env.get("NO_COLOR"), clever)

    def paint(self, text: str, code: int) -> str:
        """Return the text with an ANSI attribute (SGR) where colours are wanted."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def link(self, path: bytes) -> str:
        """Return the path to be shown, as a hyperlink to the file where that is understood."""
        if not self.links:
            return shown(path)
        from urllib.parse import quote  # here, because it takes 5 ms and only terminals need it

        return f"\x1b]8;;file://{quote(os.uname().nodename)}{quote(path)}\x1b\\{shown(path)}\x1b]8;;\x1b\\"


_BOOST = "to index now: pixkin boost"
DIM, GREEN, YELLOW = 2, 32, 33


def emit(data: bytes) -> None:
    """Write to standard output."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def note(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"pixkin: {line}\n")


def complaint(error: PixkinError) -> None:
    """Write an error and the way out of it to standard error."""
    sys.stderr.write(f"pixkin: error: {harmless(error.what)}\n")
    if error.hint:
        sys.stderr.write(f"\nhint: {harmless(error.hint)}\n")


def shown(path: bytes) -> str:
    """Return the path as one line of text that no terminal acts upon."""
    return harmless(path.decode("utf-8", "backslashreplace"))


def harmless(text: str) -> str:
    """Return the text with everything that is not printable escaped, as ESC and newlines in file names."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


# Matches


def matches_as_paths(reply: Matches, end: bytes, screen: Screen) -> bytes:
    """Return the paths alone, each followed by `end`: as the kernel has them, but harmless on a terminal."""
    return b"".join((shown(m.path).encode() if screen.tty else m.path) + end for m in reply.matches)


def matches_as_json(reply: Matches) -> bytes:
    """Return one JSON object a line for each match."""
    return b"".join(json_line(_match(match)) for match in reply.matches)


def matches_as_table(reply: Matches, screen: Screen) -> bytes:
    """Return score, distance and path of each match: aligned for a terminal, else with tabs and without a header."""
    if not screen.tty:
        return "".join("\t".join(_cells(match)) + "\n" for match in reply.matches).encode()
    lines = [screen.paint(f"{'score':>6}  {'distance':>8}  path", DIM)] if reply.matches else []
    for match in reply.matches:
        score, distance, _, *marks = _cells(match)
        offline = screen.paint("  offline", YELLOW) if match.offline else ""
        lines.append(f"{screen.paint(f'{score:>6}', GREEN)}  {distance:>8}  {screen.link(match.path)}{offline}")
        if match.copies:
            lines.append(" " * 18 + screen.paint(marks[-1], DIM))
    return "".join(line + "\n" for line in lines).encode()


def doubts(doubt: Doubt) -> str:
    """Return in one line what an answer cannot vouch for; empty if there is nothing."""
    parts = []
    if doubt.pending:
        parts.append(f"{_many(doubt.pending, 'photo is', 'photos are')} still waiting to be indexed")
    if doubt.failed:
        parts.append(f"{_many(doubt.failed, 'photo', 'photos')} could not be indexed (pixkin status --failed)")
    if doubt.offline:
        parts.append(f"{_many(doubt.offline, 'photo is', 'photos are')} on a drive that is not there")
    parts += [f"not everything in {shown(path)} is known (pixkin status)" for path in doubt.unwatched]
    return "; ".join(parts)


# Status


def report_as_json(report: Report, *, failed: bool) -> bytes:
    """Return one JSON object; `failures` is part of it only if `failed` were asked for."""
    record: dict[str, object] = {
        "photos": report.photos,
        "pending": report.pending,
        "failed": report.failed,
        "offline": report.offline,
        "roots": [_root(root) for root in report.roots],
        "encoder": report.encoder,
        "space": report.space,
        "store_bytes": report.store_bytes,
        "rate": report.rate,
        "eta_s": report.eta_s,
        "doing": report.doing,
        "counters": report.counters,
        "version": report.version,
        "pid": report.pid,
        "uptime_s": report.uptime_s,
    }
    if failed:
        record["failures"] = [_failed(failure) for failure in report.failures]
    return json_line(record)


def report_as_text(report: Report, screen: Screen) -> bytes:
    """Return the report as a page for people."""
    waiting = f"{report.pending:,}"
    if report.rate:
        waiting += f", {report.rate:.1f} a second, about {_span(report.eta_s)} to go"
    rows = [
        ("photos", f"{report.photos:,}"),
        ("pending", waiting),
        ("failed", f"{report.failed:,}" + (", see pixkin status --failed" if report.failed else "")),
        ("offline", f"{report.offline:,}"),
        ("encoder", f"{report.encoder}, space {report.space}"),
        ("store", size(report.store_bytes)),
        ("daemon", f"pixkind {report.version}, process {report.pid}, up {_span(report.uptime_s)}"),
        ("doing", report.doing or "nothing"),
        *(("counters" if not i else "", f"{name} {n:,}") for i, (name, n) in enumerate(report.counters.items())),
        *(("roots" if not i else "", _root_lines(root, screen)) for i, root in enumerate(report.roots)),
    ]
    lines = [f"{screen.paint(f'{name:<10}', DIM)}{text}" for name, text in rows]
    lines += ["", *_failures(report.failures)] if report.failures else []
    return "".join(line + "\n" for line in lines).encode()


# Sync, pause, resume and boost


def roots_as_text(done: str, reply: Roots) -> bytes:
    """Return a line for each root that something was done to; if it was done to all indexing, what that does now."""
    if not reply.roots:
        return f"{harmless(reply.doing)}\n".encode()
    return "".join(f"{done} {shown(root.path)}\n" for root in reply.roots).encode()


def synced_as_json(reply: Synced) -> bytes:
    """Return one JSON object."""
    return json_line(
        {
            "photos": reply.photos,
            "failed": [_failed(failure) for failure in reply.failed],
            **_paths("open", reply.open),
            "roots": [_root(root) for root in reply.roots],
            "held": reply.held,
            "why": reply.why,
        }
    )


def synced_as_text(reply: Synced) -> bytes:
    """Return the one line that sums it up."""
    return f"synced {_many(reply.photos, 'photo', 'photos')}, {len(reply.failed):,} failed\n".encode()


def synced_remarks(reply: Synced) -> list[str]:
    """Return a line for each thing that has no outcome or no vector."""
    return [
        *(f"{shown(path)} is still open for writing" for path in reply.open),
        *(f"{shown(root.path)} is {root.state}{_why(root)}" for root in reply.roots),
        *(f"{shown(root.path)}: {harmless(root.hint)}" for root in reply.roots if root.hint),
        *([f"{_many(reply.held, 'photo waits', 'photos wait')}: {harmless(reply.why)}", _BOOST] if reply.held else []),
        *(f"failed: {line}" for line in _failures(reply.failed)),
    ]


# Their parts


def _cells(match: Match) -> list[str]:
    marks = ["offline"] if match.offline else []
    if match.copies:
        marks.append(f"+{_many(len(match.copies), 'copy', 'copies')}")
    return [f"{match.score:.3f}", f"{match.distance:.2f}", shown(match.path), *marks]


def _match(match: Match) -> dict[str, object]:
    numbers = {"score": match.score, "distance": match.distance, "offline": match.offline}
    return {**path_fields("path", match.path), **numbers, **_paths("copies", match.copies)}


def _root(root: Root) -> dict[str, object]:
    return {**path_fields("path", root.path), "state": str(root.state), "reason": root.reason, "hint": root.hint}


def _failed(failure: Failed) -> dict[str, object]:
    return {**path_fields("path", failure.path), "reason": failure.reason, "retry_at": failure.retry_at}


def _root_lines(root: Root, screen: Screen) -> str:
    state = f"{root.state:<9}"
    if root.state != "online" or root.reason:
        state = screen.paint(state, YELLOW)
    hint = f"\n{'':<20}{harmless(root.hint)}" if root.hint else ""
    return f"{state} {shown(root.path)}{_why(root)}{hint}"


def _why(root: Root) -> str:
    return f": {harmless(root.reason)}" if root.reason else ""


def _failures(failures: Iterable[Failed]) -> list[str]:
    return [f"{shown(failure.path)}: {harmless(failure.reason)}" for failure in failures]


def path_fields(key: str, path: bytes) -> dict[str, object]:
    """Return the path under `key` and, if it is not UTF-8, exactly under `key`_b64."""
    record: dict[str, object] = {key: path.decode("utf-8", "backslashreplace")}
    if not _is_utf8(path):
        record[f"{key}_b64"] = _b64(path)
    return record


def _paths(key: str, paths: Iterable[bytes]) -> dict[str, object]:
    """Return the paths under `key` and, if one of them is not UTF-8, all of them exactly under `key`_b64."""
    record: dict[str, object] = {key: [path.decode("utf-8", "backslashreplace") for path in paths]}
    if not all(map(_is_utf8, paths)):
        record[f"{key}_b64"] = [_b64(path) for path in paths]
    return record


def _b64(path: bytes) -> str:
    return binascii.b2a_base64(path, newline=False).decode()


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def json_line(record: Mapping[str, object]) -> bytes:
    """Return one JSON object as a line."""
    # ASCII only: in UTF-8 the control characters U+0080 to U+009F would reach a terminal as they are.
    return json.dumps(record).encode() + b"\n"


def _many(n: int, one: str, more: str) -> str:
    return f"{n:,} {one if n == 1 else more}"


def size(n_bytes: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < _KILO:
            return f"{n_bytes:.0f} bytes" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= _KILO
    return f"{n_bytes:.1f} TB"


def _span(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days} d {h} h"
    if hours:
        return f"{h} h {m} min"
    return f"{m} min {s} s" if m else f"{s} s"
