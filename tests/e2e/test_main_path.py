"""The main job on real photos: watch, encode, store, answer."""

import functools
import os
import shutil
import signal
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, children
from tests.processes import has_torch
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]

_DOGS = range(151, 269)  # ImageNet classes


def _class_of(path: str, names: list[str]) -> int:
    return 2 * names.index(os.path.basename(path))


def test_a_dog_finds_dogs(home: Home, shared_photos: Path) -> None:
    """Of 500 real photos of as many classes, the neighbours of a dog are dogs."""
    names = sorted(os.listdir(shared_photos))
    home.photos.rmdir()
    shutil.copytree(shared_photos, home.photos)
    once = home.pixkind("--once")
    home.start()
    dogs = [name for number, name in enumerate(names) if 2 * number in _DOGS][::6]
    found = [
        _class_of(match["path"], names) for name in dogs for match in home.like(str(home.photos / name), "-n", "5")
    ]

    assert once.returncode == 0, once.stderr
    assert "500 photos: 500 can be found, 0 failed, 500 encoded now" in once.stdout
    assert home.encodes() == 0
    assert sum(number in _DOGS for number in found) >= 0.8 * len(found)  # one photo in eight is a dog


def test_a_new_photo_is_found_without_a_restart_or_a_scan(home: Home, photos: list[Path]) -> None:
    """The watch alone brings a photo in, and takes it out again."""
    home.index(*photos[:3])
    rescans = home.status()["counters"]["rescans"]
    new = home.copy(photos[3], "below/a folder/new.png")
    wait_for(lambda: home.status()["photos"] == 4)
    found = home.like(photos[3])
    new.unlink()
    wait_for(lambda: home.status()["photos"] == 3)

    assert found[0]["path"] == str(new)
    assert home.status()["counters"]["rescans"] == rescans


def test_only_new_pictures_are_encoded(home: Home, photos: list[Path]) -> None:
    """A copy, a rename, a touch, a moved folder and a restart cost no encode, with the daemon running and stopped."""
    for photo in photos[:3]:
        home.copy(photo, f"album/{photo.name}")
    daemon = home.start()
    home.sync()
    first = home.encodes()
    album = home.photos / "album"
    shutil.copyfile(album / photos[0].name, home.photos / "copy.png")
    (album / photos[1].name).rename(album / "renamed.png")
    os.utime(album / photos[2].name)
    album.rename(home.photos / "holiday")
    home.sync()
    running = home.encodes()
    status = daemon.stop()
    (home.photos / "holiday").rename(home.photos / "stopped")
    os.utime(home.photos / "copy.png", (1, 1))
    home.start()
    home.sync()
    found = home.like(home.photos / "copy.png", "-n", "1")

    assert (first, running, status) == (3, 3, 0)
    assert home.encodes() == 0
    assert home.status()["photos"] == 4
    assert [match["path"] for match in found] == [str(home.photos / "stopped" / photos[0].name)]
    assert found[0]["score"] == pytest.approx(1.0, abs=1e-5)


def test_an_unchanged_photo_is_never_opened_again(home: Home, photos: list[Path]) -> None:
    """A restart inspects nothing."""
    home.copy(photos[0])
    daemon = home.start()
    home.sync()
    daemon.stop()
    home.start()
    home.sync()
    counters = home.status()["counters"]

    assert counters["inspects"] == counters["encodes"] == 0
    assert home.status()["photos"] == 1


def test_a_killed_worker_loses_nothing_and_condemns_no_photo(home: Home, photos: list[Path]) -> None:
    """`kill -9` of the worker in mid-batch: every photo is found in the end, none has failed."""
    for number in range(4):
        for photo in photos:
            target = home.copy(photo, f"{number}{photo.suffix}/{photo.name}")
            with target.open("ab") as file:
                file.write(b"%d" % number)  # another content each
    daemon = home.start()

    def is_at_work(photos: int) -> bool:
        return bool(children(daemon.process.pid)) and home.status()["photos"] >= photos

    def has_seen(kills: int) -> bool:
        return daemon.log.read_text().count("died of SIGKILL") == kills

    marks = (0, 10, 40)
    for kills, mark in enumerate(marks, 1):
        wait_for(functools.partial(is_at_work, mark))
        os.kill(children(daemon.process.pid)[0], signal.SIGKILL)
        wait_for(functools.partial(has_seen, kills))  # so that the next one is another's
    home.sync()
    report = home.status("--failed")

    assert has_seen(len(marks))
    assert report["failures"] == []
    assert report["photos"] == 4 * len(photos)


def test_the_worker_goes_when_it_has_nothing_to_do(home: Home, photos: list[Path]) -> None:
    """`keep_warm_s` after the last photo its memory is given back; the next photo starts another."""
    home.configure(encoder={"keep_warm_s": 0.2})
    home.copy(photos[0])
    daemon = home.start()
    home.sync()
    wait_for(lambda: not children(daemon.process.pid))
    home.copy(photos[1])
    home.sync()

    assert home.status()["photos"] == 2


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_the_daemon_itself_loads_no_network_and_no_pillow(home: Home, photos: list[Path], runtime: str) -> None:
    """Only the worker maps them, however much was indexed and asked."""
    home.configure(encoder={"runtime": runtime})
    home.copy(photos[0])
    daemon = home.start()
    home.sync()
    home.like(photos[1])
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    worker = children(daemon.process.pid)[0]

    assert has_torch(worker) == (runtime == "torch")
    if os.getuid() == 0:  # only root may see what a worker has mapped
        used = Path(f"/proc/{worker}/maps").read_text()
        assert "_imaging" in used
        assert ("onnxruntime" in used) == (runtime == "onnx")
    assert not has_torch(daemon.process.pid)
    assert "libtorch" not in maps
    assert "onnxruntime" not in maps
    assert "_imaging" not in maps
