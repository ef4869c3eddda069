"""Photos whose decoders hold whole frames, all at once: the worker's memory has a bound, and what is taken is given back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Home, children, new_home
from tests.processes import anonymous_mb, watched_mb

pytestmark = [pytest.mark.e2e]

_MOST_MB = 1200  # of the worker, with torch
_KEPT_MB = 700  # of the worker when all is decoded: torch takes 430
_COM = b"\xff\xfe\xff\xff" + bytes(65_533)


def _write(folder: Path) -> None:
    """Write photos that need up to all of the memory that one may take, and some that need more."""
    red = (200, 30, 40)
    Image.new("RGB", (6400, 6400), red).save(folder / "whole.webp", quality=1, method=0)
    Image.new("RGB", (7000, 7000), red).save(folder / "whole.avif", quality=1, speed=10)
    Image.new("RGB", (6000, 6000), red).save(folder / "levels.jp2")
    Image.new("RGB", (10_000, 8_000), red).save(folder / "scans.jpg", progressive=True, quality=30, subsampling=0)
    Image.new("RGBA", (10_000, 9_000), red).save(folder / "alpha.png", compress_level=1)
    Image.new("F", (9000, 9000), 0.5).save(folder / "floats.tif", compression="tiff_deflate")
    Image.new("RGB", (8000, 8000), red).save(folder / "large.webp", quality=1, method=0)
    Image.new("F", (10_000, 9_900), 0.5).save(folder / "strip.tif", compression="tiff_deflate", strip_size=1 << 30)
    jpeg = (folder / "scans.jpg").read_bytes()
    (folder / "comments.jpg").write_bytes(jpeg[:2] + _COM * 450 + jpeg[2:])
    (folder / "many_comments.jpg").write_bytes(jpeg[:2] + _COM * 1000 + jpeg[2:])


@pytest.fixture(scope="module")
def measured() -> Iterator[tuple[Home, float, float]]:
    """Yield a synced home with such photos, the most memory that a worker has had, and what it keeps."""
    with new_home() as home:
        _write(home.photos)
        daemon = home.start()
        with watched_mb(lambda: children(daemon.process.pid)) as most:
            home.sync()
        yield home, most[0], max(map(anonymous_mb, children(daemon.process.pid)), default=0.0)


def test_the_worker_stays_within_its_memory(measured: tuple[Home, float, float]) -> None:
    """Whatever the photos are, and it gives back what it has taken."""
    _, most_mb, kept_mb = measured

    assert 500 < most_mb < _MOST_MB  # 500: they were decoded while it was watched
    assert kept_mb < _KEPT_MB


def test_only_what_needs_more_is_refused(measured: tuple[Home, float, float]) -> None:
    """The reason says how much it needs."""
    failures = measured[0].status("--failed")["failures"]
    reasons = {Path(failure["path"]).name: failure["reason"] for failure in failures}

    assert reasons.keys() == {"large.webp", "strip.tif", "many_comments.jpg"}
    assert reasons["large.webp"].startswith("to decode it takes 1,024 MB of memory, which is over the limit of 680 MB")
    assert "32 MiB" in reasons["many_comments.jpg"]
