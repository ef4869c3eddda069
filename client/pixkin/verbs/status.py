"""`pixkin status`: how the daemon is."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from pixkin import render, report
from pixkin.connect import connect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pixkin.wire import Format

LINE: Final = "print how the daemon is"
TEXT: Final = """\
Print how many photos are searchable, pending, failed and offline, and what the daemon is doing.

  pixkin status
  pixkin status --failed
  pixkin status --formats
  pixkin status --json | jq .counters
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--failed", action="store_true", help="also the photos that could not be indexed, and why")
    parser.add_argument("--formats", action="store_true", help="also which formats are read, and what the others need")


def run(options: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    with connect(options) as client:
        told = client.status(failed=options.failed, formats=options.formats)
    if options.json:
        render.emit(report.as_json(told, failed=options.failed, formats=options.formats))
    else:
        page = report.as_text(told, render.Screen.of(sys.stdout))
        render.emit(page + (b"\n" + _formats(told.formats) if options.formats else b""))
    return 0


def _formats(formats: Iterable[Format]) -> bytes:
    """Return a line for each format: what reads it, or what to do so that it is read; and under which licence."""
    rows = [
        (one.name, one.decoder if one.live else f"not read: {one.hint}", f"({one.licence})" if one.licence else "")
        for one in formats
    ]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)] if rows else [0, 0]
    lines = (f"{name:<{widths[0]}}  {what:<{widths[1]}}  {licence}" for name, what, licence in rows)
    return "".join(f"{render.harmless(line.rstrip())}\n" for line in lines).encode()
