"""Looks at what the running daemon says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pixkin import __version__
from pixkin.doctor.finding import NOTE, OK, PROBLEM, Finding

if TYPE_CHECKING:
    from pixkin.protocol.replies import Report, Root

_SYSCTL: Final = re.compile(r"sysctl (\S+)")
# What `doing` of a report begins with, and what ends it.
_HELD: Final = (
    ("paused by pixkin pause", NOTE, "pixkin resume"),
    ("paused: ", NOTE, "pixkin boost"),
    ("waiting for room", PROBLEM, "make room on the disk of the index"),
)
_FINE: Final = ("online", "scanning")


def check(report: Report) -> Iterator[Finding]:
    """Yield what a report tells, asked for with its formats."""
    if report.version == __version__:
        yield Finding(OK, "daemon", f"pixkind {report.version} answers, process {report.pid}")
    else:
        what = f"pixkind {report.version} runs, and this is pixkin {__version__}"
        yield Finding(PROBLEM, "daemon", what, "systemctl --user restart pixkind")
    yield from map(_root, report.roots)
    for words, level, fix in _HELD:
        if report.doing.startswith(words):
            yield Finding(level, "indexing", report.doing, fix)
    if report.failed:
        what = f"{report.failed:,} photos could not be indexed"
        yield Finding(NOTE, "photos", what, "pixkin status --failed")
    for one in report.formats:
        if not one.live:
            yield Finding(NOTE, "decoders", f"{one.name}: not read", one.hint)
    missing = () if report.sandbox is None else report.sandbox.missing
    yield from (Finding(NOTE, "sandbox", f"it lacks {one}") for one in missing)


def _root(root: Root) -> Finding:
    path = root.path.decode("utf-8", "backslashreplace")
    if root.state in _FINE:
        return Finding(OK, "folder", f"{path} is {root.state}")
    said = f"{path} is {root.state}{f': {root.reason}' if root.reason else ''}"
    if limit := _SYSCTL.search(root.reason):
        return Finding(PROBLEM, "folder", said, f"sudo sysctl {limit[1]}")
    if root.state == "degraded":  # as every network drive is, or there are folders in it that may not be read
        return Finding(NOTE, "folder", said, root.hint or "pixkin sync looks at it at once")
    if root.state == "offline" and not root.hint:
        return Finding(NOTE, "folder", said, "connect its drive")
    return Finding(NOTE if root.state == "paused" else PROBLEM, "folder", said, root.hint or "pixkin status")
