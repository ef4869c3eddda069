"""The state of the daemon as Prometheus reads it, for `pixkin status --metrics`.

Source: prometheus.io, "Exposition formats", the text format 0.0.4. A collector of text files, such as that of node_exporter,
takes the output as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pixkin.printable import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pixkin.protocol.replies import Report

_NO_NAME = re.compile("[^a-zA-Z0-9_]")


def as_metrics(report: Report) -> bytes:
    """Return the metrics, each with its help and type."""
    return "".join(f"{line}\n" for line in _lines(report)).encode()


def _lines(report: Report) -> Iterator[str]:
    gauges: tuple[tuple[str, str, float], ...] = (
        ("photos", "Photos that queries find.", report.photos),
        ("photos_pending", "Photos that wait to be indexed.", report.pending),
        ("photos_failed", "Photos that could not be indexed.", report.failed),
        (
            "photos_ignored",
            "Photos that could not be indexed, and of which the user wants to hear no more.",
            report.ignored,
        ),
        ("photos_offline", "Photos on drives that are not connected.", report.offline),
        ("store_bytes", "The size of the index on the disk.", report.store_bytes),
        ("indexing_photos_per_second", "How fast photos are indexed; 0 while none is.", report.rate),
        ("uptime_seconds", "How long the daemon has run.", report.uptime_s),
    )
    for name, text, value in gauges:
        yield from _metric(name, text, "gauge", [("", value)])
    roots = [
        (_labels(path=root.path.decode("utf-8", "backslashreplace"), state=str(root.state)), 1) for root in report.roots
    ]
    yield from _metric("folder_state", "The state of each watched folder.", "gauge", roots)
    about = _labels(version=report.version, encoder=report.encoder, space=report.space)
    yield from _metric("daemon_info", "The daemon and its network.", "gauge", [(about, 1)])
    for name, count in report.counters.items():
        known = _NO_NAME.sub("_", name)
        yield from _metric(f"{known}_total", f"Counted since the daemon started: {known}.", "counter", [("", count)])


def _metric(name: str, text: str, kind: str, samples: Sequence[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP pixkin_{name} {text}"
    yield f"# TYPE pixkin_{name} {kind}"
    for labels, value in samples:
        yield f"pixkin_{name}{labels} {value if isinstance(value, int) else round(value, 3)}"


def _labels(**values: str) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items()) + "}"


def _escaped(value: str) -> str:
    return harmless(value).replace("\\", r"\\").replace('"', r"\"")
