"""Pictures are counted by content before and after, on real mounts: none is lost in any situation."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.client.trash.library import Library, group
from tests.e2e.drives import mount_exfat

from pixkin.trash.destinations import TargetFolder, Trash
from pixkin.trash.offers import Wishes

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")

ANYWHERE = Wishes(drives=True)


class Machine:
    """A library, and whatever is mounted in it."""

    def __init__(self, library: Library, stack: ExitStack) -> None:
        """Keep both."""
        self.library = library
        self.stack = stack

    def mount(self, name: str, *words: "str | Path", program: str = "mount") -> Path:
        """Mount something on a new folder."""
        point = self.library.folder / name
        point.mkdir(exist_ok=True)
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
        done = subprocess.run([program, *words, point], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot be mounted here: {done.stderr}")
        self.stack.callback(lambda: subprocess.run(["umount", "-l", point], check=False, capture_output=True))
        return point

    def small(self, name: str, size: str = "1m") -> Path:
        """Mount a small file system of its own."""
        return self.mount(name, "-t", "tmpfs", "-o", f"size={size}", "none")

    def exfat(self, name: str) -> Path:
        """Mount a card."""
        point = self.library.folder / name
        point.mkdir(exist_ok=True)
        mount_exfat(self.stack, self.library.folder / "card.img", point)
        return point


@pytest.fixture
def machine(library: Library) -> Iterator[Machine]:
    """Yield a machine; what is mounted is unmounted at the end."""
    with ExitStack() as stack:
        yield Machine(library, stack)


def _bind(machine: Machine) -> tuple[Path, Path]:
    photo = machine.library.photo("a.jpg")
    return photo, machine.mount("bound", "--bind", machine.library.photos) / photo.name


def _bind_inside(machine: Machine) -> tuple[Path, Path]:
    photo = machine.library.photo("2020/a.jpg")
    return photo, machine.mount("photos/best", "--bind", photo.parent) / photo.name


def _drive_twice(machine: Machine) -> tuple[Path, Path]:
    machine.mount("first", "-t", "tmpfs", "-o", "size=1m", "none")
    photo = machine.library.folder / "first/a.jpg"
    shutil.copyfile(machine.library.photo("b.jpg"), photo)
    (machine.library.photos / "b.jpg").unlink()
    return photo, machine.mount("second", "--bind", photo.parent) / photo.name


def _overlay(machine: Machine) -> tuple[Path, Path]:
    photo = machine.library.photo("a.jpg")
    layers = machine.small("layers")  # an overlay's upper layer must not lie on another overlay
    for name in ("upper", "work"):
        (layers / name).mkdir()
    options = f"lowerdir={photo.parent},upperdir={layers}/upper,workdir={layers}/work"
    seen = machine.mount("overlay", "-t", "overlay", "overlay", "-o", options) / photo.name
    seen.read_bytes()  # the overlay remembers where it found the file
    return photo, seen


def _mergerfs(machine: Machine) -> tuple[Path, Path]:
    photo = machine.library.photo("a.jpg")
    return photo, machine.mount("pool", photo.parent, program="mergerfs") / photo.name


def _mergerfs_that_remembers(machine: Machine) -> tuple[Path, Path]:
    photo = machine.library.photo("a.jpg")
    options = "cache.files=full,cache.attr=3600,cache.entry=3600,inodecalc=path-hash"
    seen = machine.mount("pool", "-o", options, photo.parent, program="mergerfs") / photo.name
    seen.read_bytes()
    return photo, seen


def _hard_link(machine: Machine) -> tuple[Path, Path]:
    photo = machine.library.photo("a.jpg")
    other = machine.library.photos / "b.jpg"
    os.link(photo, other)
    return photo, other


def _another_case(machine: Machine) -> tuple[Path, Path]:
    card = machine.exfat("photos/card")
    shutil.copyfile(machine.library.photo("x.jpg"), card / "img_0.jpg")
    (machine.library.photos / "x.jpg").unlink()
    return card / "img_0.jpg", card / "IMG_0.JPG"


def _link_for_folder(machine: Machine) -> tuple[Path, Path]:
    photo = machine.library.photo("2020/a.jpg")
    (machine.library.photos / "link").symlink_to(photo.parent)
    return photo, machine.library.photos / "link/a.jpg"


SITUATIONS = [
    _hard_link,
    _bind,
    _bind_inside,
    _drive_twice,
    _overlay,
    _mergerfs,
    _mergerfs_that_remembers,
    _another_case,
    _link_for_folder,
]


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize("to", ["trash", "folder"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_two_names_of_one_file_lose_nothing(
    machine: Machine, situation: Callable[[Machine], tuple[Path, Path]], to: str, *, turned: bool
) -> None:
    """Whichever of them is to be kept. A file that went all the same has left another one of its own."""
    library = machine.library
    pair = situation(machine)[:: -1 if turned else 1]
    data = pair[0].read_bytes()
    assert pair[1].read_bytes() == data
    place = Trash(str(library.trash)) if to == "trash" else TargetFolder(str(library.folder / "moved"))
    library.move(group(*pair), place, ANYWHERE)
    if situation is _overlay:  # it shows a file that is gone as long as it remembers it
        Path("/proc/sys/vm/drop_caches").write_text("2")
    kept, listed = pair[0].read_bytes(), os.listdir(pair[0].parent)
    hidden = [name for _, _, names in os.walk(library.folder) for name in names if ".pixkin-" in name]

    assert (kept, hidden) == (data, [])
    assert "img_0.jpg" in listed or situation is not _another_case
    assert library.undo() == []
    assert pair[1].read_bytes() == data


def test_a_backup_on_another_drive_is_not_waste(machine: Machine) -> None:
    """It stays, and is counted, unless the user says that drives do not matter; its own drive has its trash."""
    library = machine.library
    kept = library.photo("a.jpg")
    backup = machine.small("backup") / "a.jpg"
    shutil.copyfile(kept, backup)
    wishes = Wishes()
    library.move(group(kept, backup), wishes=wishes)
    stayed = backup.exists()
    reasons = library.move(group(kept, backup), wishes=ANYWHERE)
    trash = backup.parent / f".Trash-{os.getuid()}"

    assert stayed
    assert wishes.stay["on another drive than the copy that stays (--drives)"] == 1
    assert reasons == []
    assert (trash / "files/a.jpg").read_bytes() == kept.read_bytes()
    assert (trash / "info/a.jpg.trashinfo").read_text().splitlines()[:2] == ["[Trash Info]", "Path=a.jpg"]
    assert trash.stat().st_mode & 0o777 == 0o700
    assert library.undo() == []
    assert backup.exists()
    assert not any((trash / "info").iterdir())


def test_a_photo_whose_drive_is_away_is_not_brought_back_elsewhere(machine: Machine) -> None:
    """The folder that it was mounted on is no place for it."""
    library = machine.library
    kept = library.photo("a.jpg")
    backup = machine.small("backup") / "x/a.jpg"
    backup.parent.mkdir()
    shutil.copyfile(kept, backup)
    library.move(group(kept, backup), TargetFolder(str(library.folder / "moved")), ANYWHERE)
    subprocess.run(["umount", library.folder / "backup"], check=True)
    reasons = library.undo()

    assert reasons == ["its drive is not mounted"]
    assert not any((library.folder / "backup").iterdir())
    assert Path(f"{library.folder}/moved{backup}").exists()


def test_a_snapshot_does_not_stay_for_a_live_photo(machine: Machine) -> None:
    """Not even for `--across`: it goes away by itself."""
    library = machine.library
    photo = library.photo("live/a.jpg")
    library.photo("old/a.jpg")
    snapshot = machine.mount("snapshot", "--bind", library.photos / "old") / "a.jpg"
    subprocess.run(["mount", "-o", "remount,bind,ro", snapshot.parent], check=True)
    wishes = Wishes(across=[str(photo.parent)])
    reference = Wishes(across=[str(photo.parent)], keep=[str(snapshot.parent)])

    assert wishes.offers(group(photo, snapshot)) == []
    assert len(wishes.left_out) == 1
    assert len(reference.offers(group(photo, snapshot))) == 1


@pytest.mark.parametrize("to", ["trash", "folder"])
def test_a_full_disk_keeps_the_photo(machine: Machine, to: str) -> None:
    """The trash has no room for the note, or the folder none for the copy."""
    library = machine.library
    drive = machine.small("drive")
    kept, copy = drive / "a.jpg", drive / "b.jpg"
    shutil.copyfile(library.photo("x.jpg"), kept)
    shutil.copyfile(kept, copy)
    given, place = group(kept, copy), Trash(str(library.trash))
    if to == "folder":
        drive = machine.small("target")
    else:
        library.move(group(kept, Path(shutil.copyfile(kept, drive / "c.jpg"))), place)  # makes the trash
    subprocess.run(["dd", "if=/dev/zero", f"of={drive}/filler"], check=False, capture_output=True)
    reasons = library.move(given, place if to == "trash" else TargetFolder(str(drive)), ANYWHERE)

    assert reasons == ["no space left on device"]
    assert copy.read_bytes() == kept.read_bytes()
    assert sorted(path.name for path in copy.parent.iterdir() if "pixkin" in path.name) == []


def test_a_drive_that_cannot_be_written_keeps_its_photos(machine: Machine) -> None:
    """There is no trash on it, and none can be made: `--move-to` is named."""
    library = machine.library
    drive = machine.small("drive")
    kept, copy = drive / "a.jpg", drive / "b.jpg"
    for path in (kept, copy):
        shutil.copyfile(library.photo("x.jpg"), path)
    subprocess.run(["mount", "-o", "remount,ro", drive], check=True)
    (trash,) = library.move(group(kept, copy))
    (folder,) = library.move(group(kept, copy), TargetFolder(str(library.folder / "moved")))

    assert trash == (
        "its drive has no trash, and none can be made (read-only file system); --move-to FOLDER needs none"
    )
    assert folder == "read-only file system"
    assert copy.exists()


def test_a_card_that_knows_no_links_gives_and_takes_back(machine: Machine) -> None:
    """On exfat-fuse there is neither a rename over nothing nor a hard link."""
    library = machine.library
    card = machine.exfat("card")
    kept, copy = card / "a.jpg", card / "DCIM/b.jpg"
    copy.parent.mkdir()
    for path in (kept, copy):
        shutil.copyfile(library.photo("x.jpg"), path)
    data = copy.read_bytes()
    trash = library.move(group(kept, copy))
    gone = copy.exists()
    undone = library.undo()
    folder = library.move(group(kept, copy), TargetFolder(str(library.folder / "moved")))
    moved = Path(f"{library.folder}/moved{copy}").read_bytes()

    assert (trash, gone, undone, folder, moved) == ([], False, [], [], data)
    assert library.undo() == []
    assert copy.read_bytes() == data
    assert [path.name for path in copy.parent.iterdir()] == ["b.jpg"]


def test_a_trash_of_another_drive_is_never_used(machine: Machine) -> None:
    """A bind mount of the home's own drive has the same device, but no rename reaches the trash of the home."""
    library = machine.library
    kept = library.photo("x/a.jpg")
    library.photo("x/b.jpg")
    bound = machine.mount("bound", "--bind", kept.parent)
    reasons = library.move(group(bound / "a.jpg", bound / "b.jpg"))

    assert reasons == []
    assert (kept.parent / f".Trash-{os.getuid()}/files/b.jpg").exists()
