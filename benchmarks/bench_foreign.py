"""How long a query by a photo takes that is not indexed, and how long it takes until a new photo can be found.

    python benchmarks/bench_foreign.py [QUERIES]

Each photo is a JPEG of 12 megapixels that was never seen before.
Warm: the worker has torch in memory. Cold: there is no worker, so torch is imported first.
The bars: 80 ms warm; cold 1.5 x a bare `import torch` in the same run and 0.5 s; from the close of a written file to
searchable at most 0.5 s beyond `rest_s`.
"""

import time
from pathlib import Path

from common import BIN, Home, command_line, header, new_home, show, take_photo, wait_for, wall_s

from pixkin.protocol.requests import Region

_COLD = 5
_REST_S = 0.05  # what `new_home` configures
_POLL_S = 0.002
_SHARES = (0.5, 0.1)
_PATIENCE_S = 60.0


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("queries", nargs="?", type=int, default=20)
    n = parser.parse_args().queries
    header(f"bench_foreign: {n} queries by JPEGs of 12 MP that are not indexed")
    with new_home() as home:
        paths = _photos(home.folder, n + 2 * _COLD + 1)
        bare, cold = _cold(home, [paths.pop() for _ in range(_COLD)])
        home.configure()
        home.start()
        _like(home, paths.pop())
        asked = [paths.pop() for _ in range(n)]
        warm = [_like(home, path) for path in asked]
        parts = [[_like(home, path, region=Region(0.4, 0.4, share, share)) for path in asked] for share in _SHARES]
        ways = [_like(home, path, rotate=True) for path in asked]
        arrivals = [_arrive(home, path) for path in paths]
        home.stop()
    torch_s = show('python -c "import torch"', bare)
    cold_s = show("query by a photo that is not indexed, worker cold", cold)
    show("the same, worker warm", warm)
    for share, part in zip(_SHARES, parts, strict=True):
        show(f"by a region of {share:.0%} of its width and height, warm", part)
    show("by every way that it can stand, warm", ways)
    show("close-write to searchable, without the rest, warm", arrivals)
    print(f"cold: {cold_s / torch_s:.1f} x the import of torch; the bar in this run is {1.5 * torch_s + 0.5:.2f} s")


def _photos(folder: Path, n: int) -> list[Path]:
    paths = [folder / f"{number}.jpg" for number in range(n)]
    for number, path in enumerate(paths):
        take_photo(number).save(path, "JPEG", quality=88)
    return paths


def _cold(home: Home, paths: list[Path]) -> tuple[list[float], list[float]]:
    """Return the seconds of importing torch alone, and of queries that find no worker."""
    home.configure("[encoder]\nkeep_warm_s = 0\n")
    home.start()
    bare, cold = [], []
    for path in paths:
        bare.append(wall_s([BIN / "python", "-c", "import torch"]))
        cold.append(_like(home, path))
        wait_for(lambda: len(home.processes()) == 1, _PATIENCE_S, _POLL_S)
    home.stop()
    return bare, cold


def _like(home: Home, path: Path, *, region: Region | None = None, rotate: bool = False) -> float:
    began = time.perf_counter()
    home.client().like(path, region=region, rotate=rotate)
    return time.perf_counter() - began


def _arrive(home: Home, path: Path) -> float:
    """Return the seconds beyond the rest from a photo's close to its being searchable."""
    client = home.client()
    target, photos = home.photos / path.name, client.status().photos
    with target.open("wb") as file:
        file.write(path.read_bytes())
    began = time.perf_counter()
    wait_for(lambda: client.status().photos > photos, _PATIENCE_S, _POLL_S)
    return time.perf_counter() - began - _REST_S


if __name__ == "__main__":
    main()
