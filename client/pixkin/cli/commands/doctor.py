"""`pixkin doctor`: looks at the whole installation, and says what is wrong and how to mend it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pixkin import __version__
from pixkin.cli import output
from pixkin.cli.connect import connect
from pixkin.doctor.finding import NOTE, OK, PROBLEM, Finding
from pixkin.errors import PixkinError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

LINE: Final = "look for what is wrong, and say what mends it"
TEXT: Final = """\
Look at the installation: the program and its configuration, weights and runtime; the folders of pixkin, their
permissions and the room on the disk; the systemd service; the clock and the limits of the kernel; and at what the daemon
says of its folders, decoders and failures. For each problem print one sentence, and the command that mends it.
Nothing is changed. The exit status is 1 if something does not work; notes alone end with 0.

  pixkin doctor
  pixkin doctor --json | jq 'select(.level == "problem")'
"""
_SICK: Final = 1
_COLOURS: Final = {PROBLEM: output.YELLOW, NOTE: output.DIM, OK: output.GREEN}


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object for each thing that was looked at")


def run(options: argparse.Namespace) -> int:
    """Look at everything, print it, and return the exit status."""
    screen, problems = output.Screen.of(sys.stdout), 0
    for finding in _findings(options):
        problems += finding.level == PROBLEM
        output.emit(output.json_line(finding._asdict()) if options.json else _as_text(finding, screen))
    if not options.json:
        said = output.many(problems, "problem", "problems") if problems else "nothing is wrong"
        output.note(f"{said}, pixkin {__version__}")
    return _SICK if problems else 0


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    # Imported here: `pixkin --help` imports every command.
    from pixkin.doctor import daemon, installation, machine, places, service

    try:
        report = connect(options).status(formats=True)
    except PixkinError as error:
        yield from installation.check()
        yield Finding(PROBLEM, "daemon", error.what, error.hint)
    else:
        yield from installation.check([os.fsdecode(root.path) for root in report.roots])
        yield from daemon.check(report)
        yield from machine.limits(report.pid)
    yield from places.check()
    yield from service.check()
    yield machine.clock()


def _as_text(finding: Finding, screen: output.Screen) -> bytes:
    level = screen.paint(f"{finding.level:7}", _COLOURS[finding.level])
    lines = [f"{level}  {finding.area}: {output.harmless(finding.what)}"]
    if finding.fix and finding.level != OK:
        lines.append(f"         {output.harmless(finding.fix)}")
    return "".join(f"{line}\n" for line in lines).encode()
