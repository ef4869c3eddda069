"""Files that are no good photos: each gets its outcome, and nothing else suffers."""

import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, children, new_home
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]

_MEMORY_KB = 1_200_000  # of daemon and worker together; torch itself takes half of it
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n%%EOF\n"


def _bomb() -> bytes:
    """Return a PNG of 50 KB and 19,000 x 19,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 19_000, 19_000, 1, 0, 0, 0, 0)  # one bit a pixel, grey
    pixels = zlib.compress(bytes(1 + 19_000 // 8) * 19_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _jpeg(photos: list[Path]) -> bytes:
    return next(photo for photo in photos if photo.suffix == ".jpg").read_bytes()


def _without_privileges() -> tuple[str, ...]:
    """Return the words that run a command so that a file can be unreadable to it; none if that is so anyway."""
    if os.getuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root can read everything, and setpriv is not there")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a synced home with three good photos, one in a folder named like a photo, and one bad file of each kind."""
    with new_home() as home:
        home.before = _without_privileges()
        for photo in photos[:3]:
            home.copy(photo)
        home.copy(photos[3], "folder.jpg/inside.png")
        jpeg = _jpeg(photos)
        (home.photos / "truncated.jpg").write_bytes(jpeg[: len(jpeg) // 2])
        (home.photos / "preallocated.jpg").write_bytes(jpeg[: len(jpeg) // 3].ljust(len(jpeg), b"\0"))
        (home.photos / "text.jpg").write_bytes(b"not a photo\n" * 100)
        (home.photos / "empty.jpg").write_bytes(b"")
        (home.photos / "bomb.png").write_bytes(_bomb())
        (home.photos / "eps.jpg").write_bytes(_EPS)
        (home.photos / "locked.jpg").write_bytes(jpeg)
        (home.photos / "locked.jpg").chmod(0)
        os.mkfifo(home.photos / "fifo.jpg")
        home.start()
        home.sync()
        yield home


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncated.jpg", "truncated"),
        ("preallocated.jpg", "unfinished"),
        ("text.jpg", "not an image"),
        ("empty.jpg", "empty"),
        ("bomb.png", "361 MP is over the limit of 250 MP (decode.limit_mp)"),
        ("eps.jpg", "not an image"),  # never handed to Ghostscript, whatever the name
        ("locked.jpg", "Permission denied"),
    ],
)
def test_a_bad_file_fails_with_a_reason(library: Home, name: str, reason: str) -> None:
    """Each bad file is named by `status --failed`, with what is wrong with it."""
    failures = {failure["path"]: failure["reason"] for failure in library.status("--failed")["failures"]}

    assert reason in failures[str(library.photos / name)]


def test_a_bad_file_is_failed_and_no_longer_pending(library: Home) -> None:
    """What failed has its outcome, even if it will be tried again: the daemon has nothing left to do."""
    wait_for(lambda: library.status()["doing"] == "idle")  # what other tests have written is looked at twice
    report = library.status("--failed")

    assert report["failed"] == len(report["failures"]) > 0
    assert report["pending"] == 0


def test_good_photos_are_found_beside_bad_files(library: Home, photos: list[Path]) -> None:
    """Every good photo finds itself, also in a folder that is named like a photo."""
    good = [library.photos / photo.name for photo in photos[:3]] + [library.photos / "folder.jpg/inside.png"]
    found = [library.like("--self", "-n", "1", photo)[0]["path"] for photo in good]

    assert found == [str(photo) for photo in good]


def test_what_is_no_regular_file_is_invisible(library: Home) -> None:
    """A FIFO and a folder that are named like photos are neither photos nor failures."""
    failed = {os.path.basename(failure["path"]) for failure in library.status("--failed")["failures"]}

    assert not failed & {"fifo.jpg", "folder.jpg"}


def test_memory_stays_bounded(library: Home) -> None:
    """Daemon and worker together never take more than 1.2 GB, bombs included."""
    daemon = library.daemons[-1].process.pid
    peaks = [
        int(line.split()[1])
        for pid in (daemon, *children(daemon))
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    ]

    assert len(peaks) == 2
    assert sum(peaks) < _MEMORY_KB


def test_a_truncated_photo_is_found_once_it_is_complete(library: Home, photos: list[Path]) -> None:
    """What failed is no longer a failure when the rest of it has come."""
    jpeg = _jpeg(photos)
    late = library.photos / "late.jpg"
    late.write_bytes(jpeg[: len(jpeg) // 2])
    library.sync()
    before = library.status("--failed")["failures"]
    late.write_bytes(jpeg)
    library.sync()
    after = library.status("--failed")["failures"]
    found = library.like("--self", "-n", "1", late)

    assert str(late) in [failure["path"] for failure in before]
    assert str(late) not in [failure["path"] for failure in after]
    assert str(late) in [found[0]["path"], *found[0]["copies"]]


def test_photo_without_its_last_rows_is_found_and_marked(home: Home, photos: list[Path]) -> None:
    """Its file was cut off near the end. Of duplicates it is never the best."""
    rocket = next(photo for photo in photos if photo.name == "rocket.jpg")
    data = rocket.read_bytes()
    (home.photos / "a.jpg").write_bytes(data[: len(data) * 97 // 100])
    home.index(rocket)
    matches = home.like(rocket, "--no-fold")
    (group,) = map(json.loads, home.pixkin("dupes", "--json").stdout.splitlines())

    assert {Path(match["path"]).name: match["damaged"] for match in matches} == {"rocket.jpg": False, "a.jpg": True}
    assert [Path(photo["path"]).name for photo in group["photos"]] == ["rocket.jpg", "a.jpg"]
    assert [photo["notes"] for photo in group["photos"]] == [[], ["damaged"]]
