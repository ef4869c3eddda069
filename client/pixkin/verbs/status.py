"""`pixkin status`: how the daemon is."""

import argparse
import sys
from typing import Final

from pixkin import render
from pixkin.connect import connect

LINE: Final = "print how the daemon is"
TEXT: Final = """\
Print how many photos are searchable, pending, failed and offline, and what the daemon is doing.

  pixkin status
  pixkin status --failed
  pixkin status --json | jq .counters
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--failed", action="store_true", help="also the photos that could not be indexed, and why")


def run(options: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    with connect(options) as client:
        report = client.status(failed=options.failed)
    if options.json:
        render.emit(render.report_as_json(report, failed=options.failed))
    else:
        render.emit(render.report_as_text(report, render.Screen.of(sys.stdout)))
    return 0
