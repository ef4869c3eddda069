import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from pixkind.encoder.worker.budget import FREE_BYTES, Budget, price
from pixkind.encoder.worker.header import open_image
from pixkind.errors import PhotoError


@pytest.fixture
def take() -> Iterator[Callable[..., threading.Event]]:
    """Yield a function that has a thread reserve memory and a core of a budget; its event tells when it has them.

    The thread keeps both until the event `done`, which is set at the end of the test.
    """
    ends, threads = [threading.Event()], list[threading.Thread]()

    def start(
        budget: Budget, cost_bytes: int, *, urgent: bool = False, done: threading.Event | None = None
    ) -> threading.Event:
        has, end = threading.Event(), done or ends[0]
        ends.append(end)

        def run() -> None:
            with budget.share(urgent=urgent) as share:
                share.reserve(cost_bytes)
                with share.core():
                    has.set()
                    end.wait()

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return has

    yield start
    for end in ends:
        end.set()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive()


def test_small_photos_go_on_beside_one_large_photo(take: Callable[..., threading.Event]) -> None:
    """A photo that needs more than the share keeps only other large ones waiting."""
    budget, done = Budget(most_bytes=1000, share_bytes=300), threading.Event()
    assert take(budget, 600, done=done).wait(40)
    second = take(budget, 700)
    small = [take(budget, 150) for _ in range(2)]

    assert all(has.wait(40) for has in small)
    assert not second.wait(0.05)
    done.set()
    assert second.wait(40)


def test_small_photos_do_not_starve_a_large_one(take: Callable[..., threading.Event]) -> None:
    """What the large photo waits for is claimed: no small one takes it."""
    budget, done = Budget(most_bytes=1000, share_bytes=300), threading.Event()
    assert take(budget, 200, done=done).wait(40)
    large = take(budget, 900)
    assert not large.wait(0.05)
    later = take(budget, 50)
    assert not later.wait(0.05)
    done.set()

    assert large.wait(40)
    assert later.wait(40)


def test_a_photo_beyond_all_memory_is_refused() -> None:
    """The sentence says what it takes, and the limit."""
    with Budget().share() as share, pytest.raises(PhotoError, match=r"it takes 2,000 MB of memory, .* limit of 680 MB"):
        share.reserve(2_000_000_000)


def test_a_query_waits_for_no_photo_of_the_index(take: Callable[..., threading.Event]) -> None:
    """It needs no core, and memory only if there is none left; an ordinary photo needs so little that it does not wait."""
    budget, done = Budget(threading.Semaphore(1)), threading.Event()
    assert take(budget, budget.most_bytes - 100_000_000, done=done).wait(40)
    large = take(budget, 100_000_001, urgent=True)
    waiting = take(budget, 0)  # for the core
    others = [take(budget, cost_bytes, urgent=True) for cost_bytes in (FREE_BYTES, 100_000_000)]

    assert all(has.wait(40) for has in others)
    assert not large.wait(0.05)
    assert not waiting.is_set()


def test_who_waits_for_memory_holds_no_core(take: Callable[..., threading.Event]) -> None:
    """The core that a photo would be decoded on is another's until there is memory for it."""
    cores, done = threading.Semaphore(2), threading.Event()
    budget = Budget(cores, most_bytes=100, share_bytes=100)
    assert take(budget, 100, done=done).wait(40)
    decoded = take(budget, 60)

    assert not decoded.wait(0.05)
    assert cores.acquire(timeout=240)  # the second; the first is that of the photo that has the memory
    assert not cores.acquire(blocking=False)
    cores.release()
    done.set()
    assert decoded.wait(40)


def _saved(kind: str, mode: str, **options: object) -> bytes:
    """Return a picture of 4 MP with little in it, but not nothing."""
    picture = Image.linear_gradient("L").resize((2048, 2048)).convert(mode)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


_PHOTOS: dict[str, Callable[[], bytes]] = {
    "png": lambda: _saved("PNG", "RGBA"),
    "jpeg without an end": lambda: _saved("JPEG", "RGB", quality=95)[:-2],
    "progressive": lambda: _saved("JPEG", "RGB", progressive=True, subsampling=0),
    "progressive 4:2:0": lambda: _saved("JPEG", "RGB", progressive=True, subsampling=2),
    "progressive CMYK": lambda: _saved("JPEG", "CMYK", progressive=True),
    "webp": lambda: _saved("WEBP", "RGBA", lossless=True, method=0),
    "avif": lambda: _saved("AVIF", "RGBA", subsampling="4:4:4", speed=10),
    "jp2": lambda: _saved("JPEG2000", "RGBA", num_resolutions=1),
    "jp2 of levels": lambda: _saved("JPEG2000", "RGB"),
    "jp2 of tiles": lambda: _saved("JPEG2000", "RGB", num_resolutions=1, tile_size=(256, 256)),
    "tiff of one strip": lambda: _saved("TIFF", "RGB", compression="tiff_deflate", strip_size=1 << 30),
    "tiff": lambda: _saved("TIFF", "F", compression="tiff_lzw"),
}

_MEASURE = """
import io, sys
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import LITE0, decode

def peak_kb():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])

photo = io.BytesIO(open(sys.argv[1], "rb").read())
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = peak_kb()
decode(photo, LITE0, limit_mp=100, budget=Budget())
print(peak_kb() - before)
"""


@pytest.mark.parametrize("name", _PHOTOS)
def test_a_photo_takes_no_more_than_its_price(name: str, tmp_path: Path) -> None:
    """The peak of a process that decodes nothing else stays within the price, and what strips and libraries take."""
    file = tmp_path / "photo"
    file.write_bytes(_PHOTOS[name]())
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, file], capture_output=True, text=True, check=True, timeout=240
    )
    photo = io.BytesIO(file.read_bytes())
    with open_image(photo, 100) as image:
        cost_bytes = price(image, image.size, photo)

    assert int(done.stdout) * 1024 < cost_bytes + 24_000_000
