"""How fast the whole daemon indexes photos, of 12 megapixels and others, against the naive recipe and against what is possible.

    python benchmarks/bench_index.py [PHOTOS] [--case camera|larger|progressive|small|mixed|large]...

The photos are scikit-image's photographs, cropped, enlarged and perturbed, so that each is another picture.
The naive recipe: decode in full, resize, one photo at a time through torchvision's MobileNetV2; with one torch thread
and with one a core, of which the faster counts: on a busy machine the threads of a batch of one wait for each other.
The limit: 1 / (1/decode + 1/encode + 1/hash), the daemon's own three steps, each alone on all cores in this run.
The bars: at least 7 x the naive recipe for 12 megapixels (`camera`), over 256 photos or more; 90 % of the limit in every
case; at most 1.2 GB of memory, whatever the photos are (`large`: 100 megapixels of RGBA, and of a progressive JPEG).
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import Home, command_line, cpu_s, header, memory_bytes, new_home, picture, take_photo
from PIL import Image

from pixkind.encoder.space import LITE0, resolve
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import LITE0 as RECIPE
from pixkind.encoder.worker.decode import Square, decode
from pixkind.encoder.worker.header import inspect, open_photo
from pixkind.encoder.worker.jobs import BATCH

_LIMIT_MP = 100
_NAIVE = 32  # photos at most: it is slow
_MEMORY_EVERY_S = 0.05
_CAMERA, _LARGER, _LARGEST, _SMALL = (4000, 3000), (8000, 6000), (11_500, 8_600), (600, 400)


@dataclass(frozen=True)
class Case:
    """A folder of photos. Each kind, a suffix with size and options, comes in turn."""

    share: float  # of the photos asked for
    kinds: "tuple[tuple[str, tuple[int, int], dict[str, Any]], ...]"
    has_naive: bool = True

    def save(self, folder: Path, number: int) -> None:
        """Write one photo; no two are the same picture."""
        suffix, size, options = self.kinds[number % len(self.kinds)]
        image = take_photo(number, size)
        if options.get("alpha"):
            image.putalpha(Image.linear_gradient("L").resize(size))
        image.save(folder / f"{number:05}.{suffix}", **{key: value for key, value in options.items() if key != "alpha"})


_JPEG: "dict[str, Any]" = {"quality": 88}
_PROGRESSIVE: "dict[str, Any]" = {"quality": 88, "progressive": True}
_CASES = {
    "camera": Case(1, (("jpg", _CAMERA, _JPEG),)),
    "larger": Case(1 / 8, (("jpg", _LARGER, _JPEG),)),
    "progressive": Case(1 / 4, (("jpg", _CAMERA, _PROGRESSIVE),)),
    "small": Case(4, (("png", _SMALL, {}),)),
    "mixed": Case(
        1,
        (("jpg", _CAMERA, _JPEG), ("png", _SMALL, {}), ("jpg", (1600, 1200), _PROGRESSIVE), ("webp", (2000, 1500), {})),
    ),
    # For its memory: nobody's naive recipe should have to decode it.
    "large": Case(
        1 / 8,
        (
            ("png", _LARGEST, {"alpha": True, "compress_level": 1}),
            ("jpg", _LARGEST, _PROGRESSIVE),
            ("jpg", _LARGER, _JPEG),
            ("jpg", _LARGER, _JPEG),
        ),
        has_naive=False,
    ),
}


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("photos", nargs="?", type=int, default=64)
    parser.add_argument("--case", choices=_CASES, action="append")
    told = parser.parse_args()
    header(f"bench_index: {told.photos} photos, and a share of it in each case")
    for name in told.case or _CASES:
        _measure(name, _CASES[name], max(8, int(told.photos * _CASES[name].share)))


def _measure(name: str, case: Case, n: int) -> None:
    with new_home() as home:
        made = home.folder / "made"
        made.mkdir()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda number: case.save(made, number), range(n)))
        size = sum(path.stat().st_size for path in made.iterdir()) / n
        print(f"\n{name}: {n} photos of {size / 1e6:.2f} MB")
        whole = _daemon(home, made, n)
        paths = sorted(home.photos.glob("*/*"))
        hashed = _rate("hash (inspect) alone", n, lambda: _on_all_cores(_inspect, paths))
        squares: list[Square] = []
        decoded = _rate("decode alone", n, lambda: squares.extend(_on_all_cores(_decode, paths)))
        encoded = _encode(squares)
        limit = 1 / (1 / decoded + 1 / encoded + 1 / hashed)
        naive = f", {whole / _naive(paths[:_NAIVE]):.1f} x the naive recipe" if case.has_naive else ""
        print(f"the daemon: {whole / limit:.0%} of the limit of {limit:.1f} photos/s{naive}")


def _daemon(home: Home, made: Path, n: int) -> float:
    """Return the photos a second of the whole daemon, its worker warm, its commits durable; tell its memory."""
    home.start()
    (home.photos / "warm.jpg").write_bytes(picture(0))
    client = home.client()
    client.sync()
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_MEMORY_EVERY_S):
            peak.append(memory_bytes(home.processes()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, cpu = time.perf_counter(), cpu_s(home.processes())
    made.rename(home.photos / "made")
    client.sync()
    took, cpu = time.perf_counter() - began, cpu_s(home.processes()) - cpu
    done.set()
    watcher.join()
    report = client.status()
    if report.photos != n + 1 or report.failed or report.counters["encodes"] != n + 1:
        sys.exit(f"not every photo was encoded once: {report}")
    home.stop()
    return _row("the whole daemon", n, took, cpu, f"; RssAnon + RssShmem at most {max(peak) / 1e6:.0f} MB")


def _rate(what: str, n: int, work: Callable[[], object]) -> float:
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return _row(what, n, time.perf_counter() - began, time.process_time() - cpu)


def _row(what: str, n: int, took: float, cpu: float, more: str = "") -> float:
    print(f"{what:<32} {n / took:8.1f} photos/s, {took:6.1f} s; processor {1e3 * cpu / n:6.0f} ms a photo{more}")
    return n / took


def _on_all_cores(step: "Callable[[Path], Square | None]", paths: list[Path]) -> list[Square]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [square for square in pool.map(step, paths) if square is not None]


def _inspect(path: Path) -> None:
    with open_photo(os.open(path, os.O_RDONLY)) as file:
        inspect(file, job=0, limit_mp=_LIMIT_MP)


def _decode(path: Path) -> Square:
    with open_photo(os.open(path, os.O_RDONLY)) as file:
        return decode(file, RECIPE, limit_mp=_LIMIT_MP, budget=Budget())


def _encode(squares: list[Square]) -> float:
    """Return the photos a second of the network, a thread of its own on each core: two that share a batch wait for each other."""
    from pixkind.encoder.worker import models

    space = resolve(LITE0, "", "")
    network = models.load(space.model, space.weights, threads=1)
    network.embed(np.stack(squares[:BATCH]))  # the first one makes its plans
    batches = [np.stack(squares[i : i + BATCH]) for i in range(0, len(squares), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        what = f"encode alone, {network.precision}"
        return _rate(what, len(squares), lambda: list(pool.map(network.embed, batches)))


def _naive(paths: list[Path]) -> float:
    """Return the photos a second of the code that everyone writes first; its weights are random, which costs the same."""
    import torch
    from torchvision import models, transforms

    network = models.mobilenet_v2(weights=None).eval()
    prepare = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])

    def work() -> None:
        with torch.inference_mode():
            for path in paths:
                network(prepare(Image.open(path).convert("RGB")).unsqueeze(0))

    rates = []
    for count in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(count)
        rates.append(_rate(f"the naive recipe, threads: {count}", len(paths), work))
    return max(rates)


if __name__ == "__main__":
    main()
