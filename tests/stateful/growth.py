"""Whether what is in use for hours grows: samples of a daemon, the bounds with their reasons, a table, a CSV and a plot.

The second quarter of a run is compared with the last. The first one is left out: caches fill, libraries load, and the store
gets its free pages.
"""

import csv
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from tests.e2e.conftest import children

NOTHING = math.nan  # there was no worker, or no query
_STORE_KB = 4.6  # a picture whose vector is kept, by benchmarks/bench_growth.py
_SNAPSHOT_KB = 0.25  # its codes, by benchmarks/bench_search.py


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a daemon, its worker and its store."""

    time_s: float  # since the start of the run
    steps: int  # done until then
    photos: int  # searchable
    kept: int  # pictures whose vectors the store keeps, of photos that are gone too
    folders: int  # that are watched
    daemon_mb: float  # RssAnon
    daemon_files: int  # descriptors
    daemon_threads: int
    watches: int  # of inotify
    worker_mb: float
    worker_files: float
    worker_threads: float
    store_kb: float
    snapshot_kb: float  # all files of the state folder but the store
    path_ms: float  # a query by an indexed photo: the median since the last sample
    path_worst_ms: float
    image_ms: float  # a query by a new image, which the worker encodes
    image_worst_ms: float


@dataclass(frozen=True, slots=True)
class Process:
    """What one process takes."""

    anonymous_mb: float
    files: int
    threads: int
    watches: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Look at a process.

        Raises:
            FileNotFoundError, ProcessLookupError: it has ended, even if it was not reaped yet.
        """
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        if "RssAnon" not in status:
            raise ProcessLookupError(f"process {pid} has ended")
        anonymous_mb, threads = int(status["RssAnon"].split()[0]) / 1024, int(status["Threads"])
        watches = 0
        names = os.listdir(f"/proc/{pid}/fdinfo")
        for name in names:
            with suppress(FileNotFoundError):  # it was closed meanwhile
                watches += Path(f"/proc/{pid}/fdinfo/{name}").read_text().count("inotify wd:")
        return cls(anonymous_mb, len(names), threads, watches)


def processes(pids: Sequence[int]) -> list[Process]:
    """Look at those of these processes that have not ended."""
    found = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(Process.of(pid))
    return found


def below(pid: int) -> list[int]:
    """Return all processes that descend from a process."""
    found = children(pid)
    for one in found:
        with suppress(FileNotFoundError):  # it has ended meanwhile
            found += children(one)
    return found


class Timed(Protocol):
    """A sample of anything: a dataclass with figures."""

    @property
    def time_s(self) -> float:
        """When it was taken, since the start of the run."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How much more something may be in the last quarter than in the second."""

    name: str
    of: Callable[[Any], float]  # from a sample
    share: float  # of what it was in the second quarter
    slack: float  # and so much more
    why: str
    at: float = 0.5  # which quantile of a quarter counts

    def figure(self, samples: Sequence[Timed]) -> float:
        """Return the quantile; NOTHING if there was never anything to measure."""
        values = sorted(value for value in map(self.of, samples) if not math.isnan(value))
        return values[int(self.at * (len(values) - 1))] if values else NOTHING

    def most(self, samples: Sequence[Timed]) -> float:
        """Return what is allowed in the last quarter of these samples."""
        return self.figure(quarters(samples)[1]) * (1 + self.share) + self.slack

    def is_broken(self, samples: Sequence[Timed]) -> bool:
        """Return whether it has grown by more than that."""
        return self.figure(quarters(samples)[3]) > self.most(samples)


BOUNDS = (
    Bound("photos", lambda s: s.photos, 0.15, 5, "the names are drawn from a closed set"),
    Bound("daemon, MB", lambda s: s.daemon_mb, 0.1, 6, "malloc keeps some free memory for later"),
    Bound("daemon, descriptors", lambda s: s.daemon_files, 0, 4, "a connection and a photo may be open"),
    Bound("daemon, threads", lambda s: s.daemon_threads, 0, 2, "the pool of queries starts its threads one by one"),
    Bound("watches beyond folders", lambda s: s.watches - s.folders, 0, 2, "a folder was renamed a moment ago"),
    Bound("worker, MB", lambda s: s.worker_mb, 0.1, 40, "one photo that is being decoded takes as much"),
    Bound("worker, descriptors", lambda s: s.worker_files, 0, 4, "some photos are on their way"),
    Bound("worker, threads", lambda s: s.worker_threads, 0, 2, "they are started with the first encode"),
    Bound(
        "store beyond pictures, KB",
        lambda s: s.store_kb - _STORE_KB * s.kept,
        0,
        1024,
        "LMDB keeps free pages in the file",
    ),
    Bound(
        "snapshot beyond, KB",
        lambda s: s.snapshot_kb - _SNAPSHOT_KB * s.kept,
        0,
        256,
        "it grows until it is made again",
    ),
    # Other programs make a query slower, never faster: so what counts is the fastest tenth.
    Bound("query by path, ms", lambda s: s.path_ms, 0.5, 3, "other programs share the caches", at=0.1),
    Bound("query by image, ms", lambda s: s.image_ms, 0.5, 15, "other programs share the caches", at=0.1),
)
SHOWN = (
    *BOUNDS,
    Bound(
        "store, KB",
        lambda s: s.store_kb,
        math.inf,
        0,
        "it grows with the pictures that it keeps for photos that are gone",
    ),
    Bound("query by path, worst ms", lambda s: s.path_worst_ms, math.inf, 0, "it depends on what else runs"),
    Bound(
        "query by image, worst ms", lambda s: s.image_worst_ms, math.inf, 0, "a worker that was killed is started again"
    ),
)


def quarters(samples: Sequence[Timed]) -> list[Sequence[Timed]]:
    """Return four parts that take equally long."""
    last_s = samples[-1].time_s
    parts = [[one for one in samples if int(4 * one.time_s / (last_s + 1e-9)) == part] for part in range(4)]
    assert all(parts), "there are too few samples"
    return list(parts)


def faults(samples: Sequence[Timed], bounds: Sequence[Bound] = BOUNDS) -> list[str]:
    """Return what has grown by more than its bound, in sentences."""
    return [
        f"{one.name}: {one.figure(quarters(samples)[3]):.1f} in the last quarter, at most {one.most(samples):.1f} is allowed"
        for one in bounds
        if one.is_broken(samples)
    ]


def table(samples: Sequence[Timed], shown: Sequence[Bound] = SHOWN) -> str:
    """Return the figure of each quarter, what is allowed in the last one, and why."""
    lines = [f"{'':26}{'first':>9}{'second':>9}{'third':>9}{'last':>9}{'allowed':>9}"]
    for one in shown:
        cells = [one.figure(part) for part in quarters(samples)]
        most = f"{one.most(samples):9.1f}" if math.isfinite(one.share) else f"{'any':>9}"
        mark = "GROWS: " if one.is_broken(samples) else ""
        lines.append(f"{one.name:26}{''.join(f'{cell:9.1f}' for cell in cells)}{most}  {mark}{one.why}")
    return "\n".join(lines)


def write_csv(samples: Sequence[Any], file: Path) -> None:
    """Write every sample as a line."""
    with file.open("w", newline="") as stream:
        lines = csv.DictWriter(stream, [field.name for field in fields(samples[0])])
        lines.writeheader()
        lines.writerows(map(asdict, samples))


_WIDTH, _HEIGHT, _COLUMNS = 460, 120, 3


def plot(samples: Sequence[Timed], shown: Sequence[Bound] = SHOWN) -> str:
    """Return an SVG with a panel for each figure over the time; 0 is always in it, and lines divide the quarters."""
    rows = math.ceil(len(shown) / _COLUMNS)
    panels = [
        f'<g transform="translate({20 + (_WIDTH + 30) * (number % _COLUMNS)} {40 + (_HEIGHT + 50) * (number // _COLUMNS)})">'
        f"{_panel(one, samples)}</g>"
        for number, one in enumerate(shown)
    ]
    size = f'width="{20 + (_WIDTH + 30) * _COLUMNS}" height="{20 + (_HEIGHT + 50) * rows}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *panels, "</svg>\n"])


def _panel(shown: Bound, samples: Sequence[Timed]) -> str:
    last_s = samples[-1].time_s
    values = [shown.of(one) for one in samples]
    low, high = (edge((value for value in values if not math.isnan(value)), default=0.0) for edge in (min, max))
    bottom, top = min(0.0, low), max(0.0, high)

    def spot(time_s: float, value: float) -> str:
        return f"{_WIDTH * time_s / last_s:.1f} {_HEIGHT * (top - value) / (top - bottom or 1.0):.1f}"

    lines = [
        f"M{spot(one.time_s, value)}L{spot(other.time_s, then)}"
        for (one, value), (other, then) in pairwise(zip(samples, values, strict=True))
        if not math.isnan(value + then)
    ]
    grid = "".join(f"M{_WIDTH * part / 4} 0V{_HEIGHT}" for part in range(5))
    colour = "#c00" if shown.is_broken(samples) else "#06c"
    return (
        f'<text y="-8">{shown.name}, {low:.1f} to {high:.1f}, in {last_s / 60:.0f} min</text>'
        f'<path d="{grid}M{spot(0, 0)}H{_WIDTH}" stroke="#ccc" fill="none"/>'
        f'<path d="{"".join(lines)}" stroke="{colour}" fill="none"/>'
    )
