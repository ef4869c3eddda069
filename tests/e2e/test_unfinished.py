"""Photos that are still being written: each ends as one record, with the vector of the whole photo."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, new_home
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]

_NUMBERS = itertools.count()


class Camera:
    """A home with a running daemon, and one picture as often as it is needed, each time as another content."""

    def __init__(self, home: Home, jpeg: bytes) -> None:
        self.home = home
        self._jpeg = jpeg
        self.known = home.photos / "known.jpg"
        self.known.write_bytes(jpeg)
        home.start()
        home.sync()

    def shoot(self) -> tuple[Path, bytes]:
        """Return where a new photo is to stand, and its bytes: the pixels of the known one, but another content."""
        number = next(_NUMBERS)
        return self.home.photos / f"{number}.jpg", self._jpeg + b"%d" % number

    def found(self) -> dict[str, float]:
        """Return the distance of each photo in the index to the known one; a path that is there twice fails."""
        matches = self.home.like(self.known, "--self", "--no-fold", "-n", "1000")
        distances = {match["path"]: match["distance"] for match in matches}
        assert len(distances) == len(matches)
        return distances

    def failed(self) -> set[str]:
        """Return the paths of the photos that have failed."""
        return {failure["path"] for failure in self.home.status("--failed")["failures"]}

    def is_whole(self, photo: Path) -> bool:
        """Return whether the photo is in the index, with the vector of the whole picture."""
        return self.found().get(str(photo)) == pytest.approx(0, abs=0.05)


@pytest.fixture(scope="module")
def camera(photos: list[Path]) -> Iterator[Camera]:
    """Yield the camera that all tests of this module share."""
    with new_home() as home:
        yield Camera(home, next(photo for photo in photos if photo.suffix == ".jpg").read_bytes())


def test_half_a_photo_would_be_noticed(camera: Camera, photos: list[Path]) -> None:
    """The measure of the other tests can fail: another picture is far from the known one."""
    other = camera.home.copy(photos[0], "other.png")
    camera.home.sync()

    assert camera.found()[str(other)] > 1


def test_a_copy_that_stalls_is_found_when_it_is_closed(camera: Camera) -> None:
    """While it is open, `sync` names it and ends with 75; no answer and no failure names it."""
    photo, data = camera.shoot()
    with photo.open("wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
        stalled = camera.home.pixkin("sync")
        during, failed = camera.found(), camera.failed()
        file.write(data[len(data) // 2 :])
        complete = camera.home.pixkin("sync")
    wait_for(lambda: camera.is_whole(photo))

    assert [stalled.returncode, complete.returncode] == [75, 75]
    assert str(photo) in stalled.stderr.decode()
    assert str(photo) not in {*during, *failed}


def test_a_copy_that_is_closed_half_way_fails_until_it_is_complete(camera: Camera) -> None:
    """A tool that opens the file again for each part leaves half a photo, which is never encoded."""
    photo, data = camera.shoot()
    photo.write_bytes(data[: len(data) // 2])
    camera.home.sync()
    during, failed = camera.found(), camera.failed()
    with photo.open("ab") as file:
        file.write(data[len(data) // 2 :])
    wait_for(lambda: camera.is_whole(photo))

    assert str(photo) in failed - {*during}
    assert str(photo) not in camera.failed()


def test_a_preallocated_photo_is_not_believed_before_it_is_filled(camera: Camera) -> None:
    """It has its size from the start and ends in zeros, which decode to grey."""
    photo, data = camera.shoot()
    with photo.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(data))
        file.write(data[: len(data) // 2])
    camera.home.sync()
    during, failed = camera.found(), camera.failed()
    with photo.open("r+b") as file:
        file.write(data)
    wait_for(lambda: camera.is_whole(photo))

    assert str(photo) in failed - {*during}
    assert str(photo) not in camera.failed()


def test_a_truncated_photo_leaves_the_answers_until_it_is_complete(camera: Camera) -> None:
    """What was found before is not vouched for any more."""
    photo, data = camera.shoot()
    photo.write_bytes(data)
    camera.home.sync()
    before = camera.found()
    os.truncate(photo, len(data) // 2)  # this causes no event that is asked for
    camera.home.sync()
    during = camera.found()
    photo.write_bytes(data)
    wait_for(lambda: camera.is_whole(photo))

    assert str(photo) in {*before} - {*during}
    assert str(photo) not in camera.failed()


@pytest.mark.parametrize(
    "temporary",
    [".{}.Xy12Ab", "~syncthing~{}.tmp", ".syncthing.{}.tmp", ".pending-1700000000-{}", "{}.part", "{}.crdownload"],
)
def test_the_temporary_name_of_a_transfer_is_invisible(camera: Camera, temporary: str) -> None:
    """rsync, syncthing, phones and browsers write under another name and rename: one photo, one look."""
    photo, data = camera.shoot()
    unfinished = photo.with_name(temporary.format(photo.name))
    before = camera.home.status()["counters"]["inspects"]
    unfinished.write_bytes(data[: len(data) // 2])
    camera.home.sync()
    unfinished.write_bytes(data)
    camera.home.sync()
    during = camera.home.status()
    unfinished.rename(photo)
    wait_for(lambda: camera.is_whole(photo))

    assert (during["counters"]["inspects"], during["pending"]) == (before, 0)
    assert camera.home.status()["counters"]["inspects"] == before + 1
    assert not [path for path in {*camera.found(), *camera.failed()} if path == str(unfinished)]


def test_a_file_that_gets_its_name_when_it_is_complete_is_found(camera: Camera) -> None:
    """O_TMPFILE and linkat: the only event with the photo's name is that it was created."""
    photo, data = camera.shoot()
    try:
        descriptor = os.open(photo.parent, os.O_TMPFILE | os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no O_TMPFILE here: {error.strerror}")
    with open(descriptor, "wb", buffering=0) as file:
        file.write(data)
        os.link(f"/proc/self/fd/{descriptor}", photo, src_dir_fd=descriptor)  # else link(2), which does not follow
    wait_for(lambda: camera.is_whole(photo))

    assert str(photo) not in camera.failed()
