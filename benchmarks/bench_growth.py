"""What one more photo costs the store, and how large the store is, from the first photo to a million.

    python benchmarks/bench_growth.py [PHOTOS] [--plot FILE.png]

Commits are the daemon's: 64 photos with their vectors, and the strikes of the next ones, each durable.
The bars: the cost per photo is the same at 10,000 and at 1,000,000, give or take a fifth; at most 4.6 KB a photo.
A commit writes the pages of random keys, so what counts is what it costs beside the encoding, some 10 ms a photo.
"""

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from common import DIMS, command_line, header
from PIL import Image, ImageDraw

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.ingest.committer import BATCH
from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.record import Facts
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

_MARKS: Final = (3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_WINDOW: Final = 30  # commits before a mark that are one row
_YEAR_NS: Final = 31_557_600 * 10**9
_PLOT: Final = (900, 500)
_MARGIN: Final = 60


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one commit, a photo."""

    photos: int  # in the store after it
    wall_us: float
    cpu_us: float
    written_kb: float


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=30_000)
    parser.add_argument("--plot", type=Path, help="draw the cost of every commit into this PNG")
    options = parser.parse_args()
    header(f"bench_growth: {options.photos} photos, in commits of {BATCH}")
    with tempfile.TemporaryDirectory(prefix="pk") as folder:
        costs = _grow(Store(os.path.join(folder, "index.lmdb"), "space", map_gb=64), options.photos)
    if options.plot:
        _draw(costs, options.plot)


def _grow(store: Store, photos: int) -> list[Cost]:
    vectors = np.random.default_rng(0).standard_normal((4096, DIMS)).astype("<f2")
    costs: list[Cost] = []
    print(f"{'photos':>9} {'processor':>13} {'wall':>13} {'written':>12} {'store':>13}   a photo")
    for start in range(0, photos, BATCH):
        end = min(start + BATCH, photos)
        batch = _batch(start, end, vectors)
        wall, cpu, written = time.perf_counter(), time.process_time(), _written()
        store.commit(batch)
        spent = (time.perf_counter() - wall, time.process_time() - cpu, (_written() - written) / 1e9)
        costs.append(Cost(end, *(1e6 * one / len(batch.photos) for one in spent)))
        if any(start < mark <= end for mark in _MARKS) or end == photos:
            _row(costs[-_WINDOW:], store.size / end)
    store.close()
    return costs


def _row(costs: Sequence[Cost], size: float) -> None:
    cpu, wall = (statistics.median(values) for values in ([c.cpu_us for c in costs], [c.wall_us for c in costs]))
    written = statistics.median(cost.written_kb for cost in costs)
    print(f"{costs[-1].photos:>9} {cpu:>10.0f} us {wall:>10.0f} us {written:>9.0f} KB {size / 1e3:>10.2f} KB")


def _batch(start: int, end: int, vectors: np.ndarray) -> WriteBatch:
    """Return what the daemon commits of these photos: a folder of 500 each, a second apart."""
    batch = WriteBatch()
    for number in range(start, end):
        path = f"/home/somebody/Pictures/{2000 + number // 40_000}/{number // 500:05}/IMG_{number:07}.jpg"
        content = _content(number)
        stamp = Stamp(30 * _YEAR_NS + number * 10**9, 3_000_000 + number, 50 * _YEAR_NS + number * 10**6, number)
        batch.photos.append(PhotoFound(path, stamp, content, Details(10**9 + number, "Canon EOS 5D")))
        batch.contents[content] = Facts(4000, 3000, 10**9 + number, "Canon EOS 5D")
        vector = vectors[number % len(vectors)].copy()
        vector[0] = number % 2048  # no two pages are the same
        batch.vectors[content] = vector.tobytes()
        batch.acquitted.append(content)
        batch.strikes.append(_content(number + BATCH))
    return batch


def _content(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "little"), digest_size=CONTENT_BYTES).digest()


def _written() -> int:
    """Return the bytes that this process has written; `write_bytes` counts whole folios. Source: proc_pid_io(5)."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def _draw(costs: Sequence[Cost], file: Path) -> None:
    """Draw wall time (grey) and processor time (black) a photo over the photos in the store."""
    image = Image.new("RGB", _PLOT, "white")
    draw = ImageDraw.Draw(image)
    width, height = _PLOT[0] - 2 * _MARGIN, _PLOT[1] - 2 * _MARGIN
    most = sorted(cost.wall_us for cost in costs)[len(costs) * 98 // 100]

    def spot(photos: int, cost_us: float) -> tuple[float, float]:
        return _MARGIN + width * photos / costs[-1].photos, _MARGIN + height * (1 - min(cost_us / most, 1.05))

    for cost in costs:
        draw.point(spot(cost.photos, cost.wall_us), fill="#aaaaaa")
        draw.point(spot(cost.photos, cost.cpu_us), fill="black")
    draw.line([spot(0, most), spot(0, 0), spot(costs[-1].photos, 0)], fill="black")
    for share in (0.25, 0.5, 0.75, 1.0):
        photos = int(share * costs[-1].photos)
        draw.text((spot(photos, 0)[0] - 20, _PLOT[1] - _MARGIN + 8), f"{photos:,}", fill="black")
        draw.text((5, spot(0, share * most)[1] - 5), f"{share * most:.0f} us", fill="black")
    title = (
        f"one more photo, in commits of {BATCH}: wall (grey) and processor time (black), over the photos in the store"
    )
    draw.text((_MARGIN, 20), title, fill="black")
    image.save(file)


if __name__ == "__main__":
    main()
