"""A memory card is erased on the word of `pixkin have`: everything on it must be somewhere else, or have been copied."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, new_home, picture
from tests.e2e.drives import make_ext4, mount_exfat, run, unmount_all
from tests.e2e.fuse_switch import switchable
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
_PIXKIN = Path(sys.executable).with_name("pixkin")
NEEDS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")


class Card:
    """A home whose library has the photos 0 to 2, and a card; whatever is mounted is unmounted at the end."""

    def __init__(self, home: Home, stack: ExitStack) -> None:
        self.home = home
        self.stack = stack
        self.card = home.folder / "card"
        self.card.mkdir()

    def put(self, folder: Path, *numbers: int) -> None:
        """Write photos as new files."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            (folder / f"{number}.jpg").write_bytes(picture(number))

    def start(self, *roots: Path) -> None:
        """Index the photo folder and these roots."""
        self.home.configure(index={"folders": [str(root) for root in (self.home.photos, *roots)]})
        self.home.start()
        self.home.sync()

    def mount(self, point: Path, *words: str | Path) -> None:
        """Mount something."""
        point.mkdir(exist_ok=True)
        try:
            run("mount", *words, point)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"cannot be mounted here: {error.stderr}")
        self.stack.callback(unmount_all, point)

    def have(self, *words: str | Path) -> tuple[int, dict[str, str], str]:
        """Return the exit status, the word for each file by its path below the card, and what is said."""
        done = self.home.pixkin("have", *words)
        lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
        return (
            done.returncode,
            {os.path.relpath(path, words[0]): word for word, _, path, *_ in lines},
            done.stderr.decode(),
        )


@pytest.fixture
def card() -> Iterator[Card]:
    """Yield them."""
    with new_home() as home, ExitStack() as stack:
        made = Card(home, stack)
        yield made
        for daemon in home.daemons:
            daemon.stop()


def _all(word: str) -> dict[str, str]:
    return {f"DCIM/{number}.jpg": word for number in range(3)}


# A copy that is no copy


def test_photos_that_are_there_may_be_erased(card: Card) -> None:
    """Each copy is read; nothing is said but the counts."""
    card.put(card.home.photos / "2024", 0, 1, 2)
    card.put(card.card / "DCIM", 0, 1, 2)
    card.start()

    assert card.have(card.card) == (0, _all("there"), "pixkin: 3 there, 0 near, 0 new\n")


@NEEDS_ROOT
def test_the_card_under_another_name_is_no_copy(card: Card) -> None:
    """By a bind mount, also if only its camera folder is asked about."""
    card.put(card.card / "DCIM", 0, 1, 2)
    card.put(card.card / "backup", 0, 1, 2)
    alias = card.home.folder / "alias"
    card.mount(alias, "--bind", card.card)
    card.start(card.card)

    assert card.have(alias / "DCIM")[:2] == (1, {f"{number}.jpg": "only here" for number in range(3)})
    assert card.have(alias)[0] == 1


@NEEDS_ROOT
def test_another_folder_of_the_card_is_no_copy(card: Card) -> None:
    """The drive is erased as a whole. It may be mounted twice, and the folder alone be watched."""
    card.mount(card.card, "-o", "loop", make_ext4(card.home.folder / "card.img"))
    card.put(card.card / "DCIM", 0, 1, 2)
    card.put(card.card / "backup", 0, 1, 2)
    device = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if str(card.card) in line)
    twice = card.home.folder / "twice"
    card.mount(twice, device)
    card.start(twice / "backup")

    for place in (card.card, twice):
        assert card.have(place / "DCIM")[:2] == (1, {f"{number}.jpg": "only here" for number in range(3)})
    assert card.have(card.card / "DCIM", "--also", twice / "backup")[0] == 2
    assert card.have(card.card / "DCIM", "--copy-to", twice / "new")[0] == 2


def test_a_link_to_the_card_is_no_copy(card: Card) -> None:
    """A folder of the library was moved to the card, and a link took its place."""
    card.put(card.home.photos, 9)
    card.put(card.home.photos / "import", 0, 1, 2)
    card.start()
    (card.home.photos / "import").rename(card.card / "DCIM")
    (card.home.photos / "import").symlink_to(card.card / "DCIM")
    at_once = card.have(card.card)
    card.home.sync()

    assert at_once[0] == card.have(card.card)[0] == 1
    assert "there" not in at_once[1].values()


@NEEDS_ROOT
def test_a_layer_of_an_overlay_is_no_copy(card: Card) -> None:
    """The card shows the library's own files."""
    card.put(card.home.photos / "DCIM", 0, 1, 2)
    upper, work = (card.home.folder / name for name in ("upper", "work"))
    upper.mkdir()
    work.mkdir()
    options = f"lowerdir={card.home.photos},upperdir={upper},workdir={work}"
    card.mount(card.card, "-t", "overlay", "overlay", "-o", options)
    card.start()

    assert card.have(card.card)[:2] == (1, _all("only here"))


def test_a_mirror_of_the_library_is_no_copy(card: Card) -> None:
    """A FUSE file system may show any file under other device and inode. Its times tell; a real copy has times of its own."""
    card.put(card.home.photos / "DCIM", 0, 1, 2)
    card.put(card.home.folder / "own/DCIM", 0, 1, 2)
    for photo in (card.home.folder / "own/DCIM").iterdir():
        os.utime(photo, (1.5e9, 1.5e9))
    card.start()
    with switchable(card.home.photos, card.card):
        mirror = card.have(card.card)
    with switchable(card.home.folder / "own", card.card):
        own = card.have(card.card)

    assert mirror[:2] == (1, _all("unseen"))
    assert own[:2] == (0, _all("there"))


@NEEDS_ROOT
def test_a_card_with_exfat_is_a_drive_of_its_own(card: Card) -> None:
    """Most cards have it. Its times are coarse, it ignores case, and by FUSE its inodes prove nothing."""
    mount_exfat(card.stack, card.home.folder / "card.img", card.card)
    card.put(card.card / "DCIM", 0, 1, 2)
    (card.card / "DCIM/a.mp4").write_bytes(b"video")
    videos = card.home.folder / "videos"
    for name in ("0.jpg", "1.jpg", "2.jpg", "a.mp4"):
        folder = videos if name == "a.mp4" else card.home.photos
        folder.mkdir(exist_ok=True)
        shutil.copy2(card.card / "DCIM" / name, folder / name)
    card.start()
    there = card.have(card.card, "--also", videos)
    shutil.rmtree(card.home.photos)
    card.home.photos.mkdir()
    card.put(card.home.photos, 9)
    card.home.daemons[-1].stop()
    card.start(card.card / "DCIM")
    spelt = card.have(card.card / "dcim")
    copied = card.have(card.home.photos, "--copy-to", card.card / "new")
    again = card.have(card.home.photos, "--copy-to", card.card / "new")

    assert (there[0], set(there[1].values())) == (0, {"there"})
    assert spelt[0] == 1
    assert "there" not in spelt[1].values()
    assert (copied[0], again[0]) == (0, 0)
    assert _bytes(card.card / "new") == _bytes(card.home.photos)


@NEEDS_ROOT
def test_copies_on_a_drive_that_was_unplugged_are_said(card: Card) -> None:
    """They are known; when the drive is back, they are there."""
    drive = card.home.folder / "drive"
    image = make_ext4(card.home.folder / "drive.img")
    card.mount(drive, "-o", "loop", image)
    card.put(drive, 0, 1, 2)
    card.put(card.home.photos, 9)
    card.put(card.card / "DCIM", 0, 1, 2)
    card.start(drive)
    before = card.have(card.card)
    unmount_all(drive)
    wait_for(lambda: card.home.status()["offline"] == 3)
    away = card.have(card.card)
    card.mount(drive, "-o", "loop", image)
    wait_for(lambda: not card.home.status()["offline"])

    assert before[:2] == (0, _all("there"))
    assert away[:2] == (1, _all("away"))
    assert "3 photos are only on drives that are not connected" in away[2]
    assert card.have(card.card)[:2] == (0, _all("there"))


@pytest.mark.parametrize("paused", ["", "photos"], ids=["all", "root"])
def test_copies_that_were_overwritten_or_deleted_are_none(card: Card, paused: str) -> None:
    """Nothing is indexed just now, so the index still has them."""
    card.put(card.home.photos, 0, 1, 2, 9)
    card.put(card.card / "DCIM", 0, 1, 2)
    card.start()
    card.home.pixkin("pause", *([card.home.photos] if paused else []))
    (card.home.photos / "0.jpg").unlink()
    (card.home.photos / "1.jpg").write_bytes(picture(8))
    status, words, _ = card.have(card.card)

    assert status == 1
    # A deletion is noticed even while nothing is indexed, though not in a paused folder.
    assert words["DCIM/0.jpg"] in (["unseen"] if paused else ["unseen", "new"])
    assert (words["DCIM/1.jpg"], words["DCIM/2.jpg"]) == ("unseen", "unseen" if paused else "there")


# What is no photo


def test_everything_on_the_card_counts(card: Card) -> None:
    """By kind, unless it is found elsewhere, or only photos matter."""
    card.put(card.home.photos, 0, 1, 2)
    card.put(card.card / "DCIM", 0, 1, 2)
    videos = card.home.folder / "videos"
    for name in ("DCIM/a.mp4", "DCIM/b.mov", "DCIM/0.xmp", ".hidden/h.jpg", "DCIM/.dot.jpg", "@eaDir/e.jpg"):
        for folder in (card.card, videos):
            path = folder / (
                name if folder == card.card else name.replace("@", "")
            )  # no copy counts in a folder of a NAS
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
    plain, only = card.have(card.card), card.have(card.card, "--photos-only")
    card.start()
    plain, only = card.have(card.card), card.have(card.card, "--photos-only")
    also = card.have(card.card, "--also", videos)
    (videos / "DCIM/a.mp4").write_bytes(b"DCIM/A.mp4")
    other = card.have(card.card, "--also", videos)
    (card.card / "DCIM/new.cr3").write_bytes(b"raw")
    card.home.configure(index={"suffixes": ["jpg"]})
    card.home.daemons[-1].reload()
    unread = card.have(card.card, "--photos-only")

    told = "3 hidden files, 1 sidecar, 2 videos were not looked at"
    assert (plain[0], only[0]) == (1, 0)
    assert told in plain[2]
    assert told in only[2]
    assert also[0] == 0
    assert set(also[1].values()) == {"there"}
    assert "6 other files are there too" in also[2]
    assert (other[0], other[1]["DCIM/a.mp4"]) == (1, "skipped")
    assert "1 video was not there" in other[2]
    assert unread[0] == 1
    assert "1 unread photo" in unread[2]


def test_a_card_with_videos_alone_is_not_empty(card: Card) -> None:
    """With --photos-only it may be the wrong folder."""
    card.put(card.home.photos, 0)
    (card.card / "a.mp4").write_bytes(b"video")
    card.start()

    assert card.have(card.card)[0] == 1
    assert card.have(card.card, "--photos-only")[0] == 66


# --copy-to


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_not_there_is_copied(card: Card) -> None:
    """Photos and all else, with folders and dates. The second run copies nothing; in the library it is there."""
    card.put(card.home.photos, 0)
    card.put(card.card / "DCIM", 0, 1, 2)
    (card.card / "DCIM/a.mp4").write_bytes(b"video")
    (card.card / "DCIM/broken.jpg").write_bytes(b"no photo")
    os.utime(card.card / "DCIM/1.jpg", ns=(1_555_555_555_123_456_789,) * 2)
    target = card.home.photos / "new"
    card.start()
    only = card.have(card.card, "--photos-only", "--copy-to", card.home.folder / "only")
    first = card.have(card.card, "--copy-to", target)
    second = card.have(card.card, "--copy-to", target)
    names = _bytes(target)
    card.home.pixkin("sync")
    third = card.have(card.card, "--copy-to", target)

    assert (only[0], first[0], second[0], third[0]) == (0, 0, 0, 0)
    assert set(_bytes(card.home.folder / "only")) == {"DCIM/1.jpg", "DCIM/2.jpg", "DCIM/broken.jpg"}
    assert names == {name: data for name, data in _bytes(card.card).items() if name != "DCIM/0.jpg"}
    assert "4 files were copied; every copy was read back and compared" in first[2]
    assert first[1] == {**dict.fromkeys(names, "copied"), "DCIM/0.jpg": "there"}
    assert (target / "DCIM/1.jpg").stat().st_mtime_ns == 1_555_555_555_123_456_789
    assert "copied before" in second[2]
    assert third[1] == {**first[1], "DCIM/1.jpg": "there", "DCIM/2.jpg": "there"}


def _videos(folder: Path) -> list[Path]:
    return list(folder.rglob("*.mp4"))


def _has_more(target: Path, than: int, process: "subprocess.Popen[bytes]") -> bool:
    """Return whether the process has copied a few more videos, or has ended."""
    return len(_videos(target)) > than + 2 or process.poll() is not None


def test_a_copy_that_is_killed_goes_on(card: Card) -> None:
    """Nothing half has a photo's name, and in the end all is there."""
    card.put(card.home.photos, 0)
    card.put(card.card / "DCIM", 1)
    for number in range(30):
        (card.card / f"DCIM/{number:02}.mp4").write_bytes(os.urandom(4_000_000))
    target = card.home.folder / "target"
    card.start()
    expected = _bytes(card.card)
    for _ in range(3):
        words = (str(_PIXKIN), "have", str(card.card), "--copy-to", str(target))
        process = subprocess.Popen(words, env=card.home.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(partial(_has_more, target, len(_videos(target)), process))
        process.send_signal(signal.SIGKILL)
        process.wait()
        copies = {name: data for name, data in _bytes(target).items() if not name.startswith("DCIM/.")}
        assert copies.items() <= expected.items()
    done = card.have(card.card, "--copy-to", target)

    assert done[0] == 0
    assert _bytes(target) == expected


@NEEDS_ROOT
def test_a_full_disk_is_said(card: Card) -> None:
    """What was copied stays; nothing half does; and a smaller photo is not lost, since the status is not 0."""
    card.put(card.home.photos, 0)
    card.put(card.card / "DCIM", 1, 2)
    for number in range(4):
        (card.card / f"DCIM/a{number}.mp4").write_bytes(os.urandom(1_000_000))
    target = card.home.folder / "target"
    card.mount(target, "-t", "tmpfs", "-o", "size=2500k", "tmpfs")
    card.start()
    status, words, said = card.have(card.card, "--copy-to", target)

    assert status == 1
    assert "the rest was not copied: no space left on device" in said
    copied = {name for name, word in words.items() if word == "copied"}
    assert len(copied) < 6
    assert _bytes(target) == {name: data for name, data in _bytes(card.card).items() if name in copied}


def test_a_card_that_is_pulled_out_is_said(card: Card) -> None:
    """Each file that was not copied is named, and no half copy is left."""
    source = card.home.folder / "source"
    card.put(card.home.photos, 0)
    card.put(source / "DCIM", 1, 2)
    card.start()
    with switchable(source, card.card) as switch:
        switch.mode("eio")
        target = card.home.folder / "target"
        done = card.home.pixkin("have", card.card / "DCIM/1.jpg", card.card / "DCIM/2.jpg", "--copy-to", target)

    assert done.returncode == 66
    assert done.stderr.count(b"not copied: input/output error") == 2
    assert _bytes(target) == {}
