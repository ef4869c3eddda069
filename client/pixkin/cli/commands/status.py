"""`pixkin status`: prints how many photos are indexed and what the daemon is doing."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from pixkin.cli import output
from pixkin.cli.connect import connect
from pixkin.cli.metrics import as_metrics
from pixkin.errors import InputUnreadable

if TYPE_CHECKING:  # the protocol imports msgspec, which takes as long as everything else
    from collections.abc import Iterable

    from pixkin.protocol.replies import Chance, Exclusion, Filling, Format, Report, Root, Sandbox

_AT_ONCE: Final = 200  # paths of one request
LINE: Final = "print how many photos are indexed, and what the daemon is doing"
TEXT: Final = """\
Print how many photos are searchable, waiting, failed and offline, and what the daemon is doing.

  pixkin status
  pixkin status --failed
  pixkin status --failed --ignore broken.jpg ~/Pictures/recovered
  pixkin status --formats
  pixkin status --exclusions
  pixkin status --json | jq .counters
  pixkin status --metrics > pixkin.new && mv pixkin.new pixkin.prom
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print one JSON object")
    forms.add_argument("--metrics", action="store_true", help="print metrics in the text format of Prometheus")
    parser.add_argument("--failed", action="store_true", help="also list the photos that could not be indexed, and why")
    ignoring = parser.add_mutually_exclusive_group()
    ignoring.add_argument(
        "--ignore", nargs="+", metavar="PATH", help="say no more of failed photos at and below PATH, until they change"
    )
    ignoring.add_argument("--unignore", nargs="+", metavar="PATH", help="undo --ignore")
    parser.add_argument(
        "--formats", action="store_true", help="also list the photo formats that can be read, and what the others need"
    )
    parser.add_argument("--exclusions", action="store_true", help="also list what leaves photos and folders out")


def run(options: argparse.Namespace) -> int:
    """Send the request, print the answer, and return the exit status."""
    if options.ignore or options.unignore:
        return _ignore(options)
    with connect(options) as client:
        asked = {name: getattr(options, name) for name in ("failed", "formats", "exclusions")}
        report = client.status(**asked)
    if options.metrics:
        output.emit(as_metrics(report))
    elif options.json:
        output.emit(as_json(report, **asked))
    else:
        parts = [as_text(report, output.Screen.of(sys.stdout))]
        parts += [_formats(report.formats)] if options.formats else []
        parts += [_exclusions(report.exclusions)] if options.exclusions else []
        output.emit(b"\n".join(parts))
    return 0


def _ignore(options: argparse.Namespace) -> int:
    """Ignore failed photos, or undo that, print how many, and return the exit status."""
    paths, undo = options.ignore or options.unignore, bool(options.unignore)
    parts = [paths[at : at + _AT_ONCE] for at in range(0, len(paths), _AT_ONCE)]
    with connect(options) as client:
        replies = [client.ignore(*part, undo=undo) for part in parts]
    photos = output.many(sum(reply.photos for reply in replies), "photo", "photos")
    missing = [path for reply in replies for path in reply.missing]
    for path in missing:
        output.note(f"{output.shown(path)}: no photo there {'is ignored' if undo else 'has failed'}")
    output.emit(f"{'told of again' if undo else 'ignored'}: {photos}\n".encode())
    return InputUnreadable.status if missing else 0


def as_json(report: Report, *, failed: bool, formats: bool = False, exclusions: bool = False) -> bytes:
    """Return one JSON object; `failures`, `formats` and `exclusions` are part of it only if they were asked for."""
    record: dict[str, object] = {
        "photos": report.photos,
        "pending": report.pending,
        "failed": report.failed,
        "ignored": report.ignored,
        "offline": report.offline,
        "roots": [output.root_fields(root) for root in report.roots],
        "encoder": report.encoder,
        "space": report.space,
        "chance": report.chance and _chance(report.chance),
        "filling": _filling(report.filling),
        "store_bytes": report.store_bytes,
        "rate": report.rate,
        "eta_s": report.eta_s,
        "doing": report.doing,
        "counters": report.counters,
        "version": report.version,
        "pid": report.pid,
        "uptime_s": report.uptime_s,
        "sandbox": _sandbox(report.sandbox),
    }
    if failed:
        record["failures"] = [
            output.failed_fields(failure) | {"ignored": failure.ignored} for failure in report.failures
        ]
    if formats:
        keys = ("name", "decoder", "live", "hint", "licence")
        record["formats"] = [{key: getattr(one, key) for key in keys} for one in report.formats]
    if exclusions:
        record["exclusions"] = [output.exclusion_fields(one) for one in report.exclusions]
    return output.json_line(record)


def as_text(report: Report, screen: output.Screen) -> bytes:
    """Return the report as a page for people."""
    waiting = f"{report.pending:,}"
    if report.rate:
        waiting += f", {report.rate:.1f} a second, about {_span(report.eta_s)} to go"
    rows = [
        ("photos", f"{report.photos:,}"),
        ("pending", waiting),
        ("failed", _failed(report)),
        ("offline", f"{report.offline:,}"),
        ("encoder", output.harmless(f"{report.encoder}, space {report.space}")),
        *([("filling", _filling_lines(report.filling))] if report.filling else []),
        ("scores", _scores(report.chance)),
        ("store", output.size(report.store_bytes)),
        ("daemon", f"pixkind {report.version}, process {report.pid}, up {_span(report.uptime_s)}"),
        ("doing", output.harmless(report.doing) or "nothing"),
        *_sandbox_rows(report.sandbox),
        *(("counters" if not i else "", f"{name} {n:,}") for i, (name, n) in enumerate(report.counters.items())),
        *(("roots" if not i else "", _root_lines(root, screen)) for i, root in enumerate(report.roots)),
    ]
    lines = [f"{screen.paint(f'{name:<10}', output.DIM)}{text}" for name, text in rows]
    if told := [one for one in report.failures if not one.ignored]:
        lines += ["", *output.failure_lines(told)]
        if (more := report.failed - len(told)) > 0:
            lines.append(f"and {more:,} more")
    if ignored := [one for one in report.failures if one.ignored]:
        lines += ["", *(f"ignored: {line}" for line in output.failure_lines(ignored))]
    return "".join(line + "\n" for line in lines).encode()


def _failed(report: Report) -> str:
    see = ", see pixkin status --failed" if report.failed else ""
    return f"{report.failed:,}{see}" + (f"; {report.ignored:,} more are ignored" if report.ignored else "")


def _chance(chance: Chance) -> dict[str, object]:
    rare = {"one_in_20": chance.one_in_20, "one_in_1000": chance.one_in_1000}
    return {"median": chance.median, **rare, "best": chance.best}


def _scores(chance: Chance | None) -> str:
    if chance is None:
        return "not known yet: there are too few photos"
    usual = round(chance.median, 1) + 0  # + 0: no minus before a zero
    return (
        f"unrelated photos usually score about {usual:g} (5 % above {chance.one_in_20:.2f}); "
        f"matches above about {chance.best:.2f} are related"
    )


def _sandbox(sandbox: Sandbox | None) -> dict[str, object] | None:
    return None if sandbox is None else {"enforced": sandbox.enforced, "missing": sandbox.missing}


def _sandbox_rows(sandbox: Sandbox | None) -> list[tuple[str, str]]:
    """Return what the sandbox lacks; nothing if it is complete."""
    missing = () if sandbox is None else sandbox.missing
    return [("" if i else "sandbox", output.harmless(f"without {what}")) for i, what in enumerate(missing)]


def _filling(filling: Filling | None) -> dict[str, object] | None:
    if filling is None:
        return None
    numbers = {"found": filling.found, "wanted": filling.wanted, "away": filling.away, "failed": filling.failed}
    return {"encoder": filling.encoder, "space": filling.space, **numbers, "pinned": filling.pinned}


def _filling_lines(filling: Filling) -> str:
    share = 100 * filling.found // max(filling.wanted, 1)
    lines = [f"{filling.encoder}, space {filling.space}, {share} % built"]
    if filling.pinned:
        lines.append("another space is pinned; to unpin it: pixkin space use")
    else:
        lines[0] += f"; in use as soon as it finds {output.many(filling.wanted, 'photo', 'photos')}"
    if filling.failed:
        lines.append(f"it failed on {output.many(filling.failed, 'photo', 'photos')}, see pixkin status --failed")
    if filling.away:
        away = f"{output.many(filling.away, 'photo is', 'photos are')} on drives that are not connected, or paused"
        lines.append(f"{away}; to switch without them: pixkin space use {filling.space}")
    return f"\n{'':<10}".join(map(output.harmless, lines))


def _root_lines(root: Root, screen: output.Screen) -> str:
    state = f"{root.state:<9}"
    if root.state != "online" or root.reason:
        state = screen.paint(state, output.YELLOW)
    more = [*([output.harmless(root.hint)] if root.hint else []), *([output.links(root.links)] if root.links else [])]
    below = "".join(f"\n{'':<20}{line}" for line in more)
    return f"{state} {output.shown(root.path)}{output.why(root)}{below}"


def _span(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days} d {h} h"
    if hours:
        return f"{h} h {m} min"
    return f"{m} min {s} s" if m else f"{s} s"


def _exclusions(exclusions: Iterable[Exclusion]) -> bytes:
    """Return a line for each pattern or file, with where it stands."""
    lines = []
    for one in exclusions:
        place = "built in" if one.built_in else output.shown(one.file) if one.file else "index.exclude"
        if one.pattern:
            lines.append(f"{output.harmless(one.pattern):<32} {place}{f', line {one.line}' if one.line else ''}")
        else:
            lines.append(f"{'the whole folder':<32} {place}")
    return "".join(f"{line}\n" for line in lines).encode()


def _formats(formats: Iterable[Format]) -> bytes:
    """Return a line for each format: its decoder, or how to install one, and the decoder's licence."""
    rows = [
        (one.name, one.decoder if one.live else f"not read: {one.hint}", f"({one.licence})" if one.licence else "")
        for one in formats
    ]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)] if rows else [0, 0]
    lines = (f"{name:<{widths[0]}}  {what:<{widths[1]}}  {licence}" for name, what, licence in rows)
    return "".join(f"{output.harmless(line.rstrip())}\n" for line in lines).encode()
