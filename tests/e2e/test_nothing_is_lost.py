"""The recipes of the documents are run on a library in which much is not what it seems. Pictures are counted before and after.

A picture counts if a file with its bytes is in the library itself: what is in the trash, or in the folder that a recipe
moves files to, is about to go.
"""

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.documents import TEXT
from tests.e2e.conftest import Home, new_home, picture
from tests.e2e.drives import make_ext4, mount_exfat, run, unmount_all

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.getuid() != 0, reason="only root may mount"),
]

_DELETES = re.compile(r"^\$ (pixkin dupes .*(?:--trash|--move-to).*?)(?:\s+#.*)?$", re.MULTILINE)
RECIPES = _DELETES.findall(TEXT)


class HauntedLibrary:
    """A library in which files have several names, and its drives."""

    def __init__(self, home: Home, stack: ExitStack) -> None:
        self.home = home
        self.stack = stack
        self._numbers = 0
        self.root = home.photos
        self.moved = home.folder / "spare"
        self.moved.mkdir()

    def photo(self, name: str, number: int = -1) -> Path:
        """Write a photo, of a new picture unless a number is given."""
        self._numbers += number < 0
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(self._numbers if number < 0 else number))
        return path

    def pair(self, folder: str) -> tuple[Path, Path]:
        """Write two real copies."""
        one = self.photo(f"{folder}/a/one.jpg")
        (one.parent.parent / "b").mkdir()
        return one, Path(shutil.copyfile(one, one.parent.parent / "b/other.jpg"))

    def mount(self, name: str, *words: "str | Path", program: str = "mount") -> Path:
        """Mount something in the library."""
        point = self.root / name
        point.mkdir(parents=True, exist_ok=True)
        run(program, *words, point)
        self.stack.callback(unmount_all, point)
        return point

    def pictures(self) -> set[str]:
        """Return a digest of each picture that is in the library."""
        return {hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files()}

    def files(self) -> list[Path]:
        """Return all photos of the library by every name that they have, without those in a trash."""
        found = list[Path]()
        for folder, below, names in os.walk(self.root):
            below[:] = [name for name in below if not name.startswith(".")]
            found += [Path(folder, name) for name in names if name.endswith((".jpg", ".JPG"))]
        return found

    def words(self, recipe: str) -> list[str]:
        """Return the words of a recipe of the documents, for folders that are here."""
        places = {"~/Downloads": "real/b", "~/Pictures/Best": "real/a"}
        words = [str(self.root / places[word]) if word in places else word for word in shlex.split(recipe)]
        words = [str(self.home.folder / word) if word.endswith(".html") else word for word in words]
        return [str(self.moved) if word.startswith("/mnt/") else word for word in words[1:]]

    def follow(self, recipe: str, *more: str) -> "subprocess.CompletedProcess[bytes]":
        """Run a recipe without a question."""
        return self.home.pixkin(*self.words(recipe), "--yes", *more)

    def undo(self) -> None:
        """Bring everything back, if anything has gone."""
        done = self.home.pixkin("dupes", "--undo")
        assert done.returncode == 0 or b"nothing to bring back" in done.stderr, done.stderr.decode()
        self.home.sync()


def _hard_link(library: HauntedLibrary) -> None:
    os.link(library.photo("hard/a.jpg"), library.root / "hard/b.jpg")


def _bind_mount(library: HauntedLibrary) -> None:
    library.mount("bind/best", "--bind", library.photo("bind/2020/a.jpg").parent)


def _drive_twice(library: HauntedLibrary) -> None:
    image = make_ext4(library.home.folder / "drive.img")
    first = library.mount("twice/first", "-o", "loop", image)
    library.photo("twice/first/a.jpg")
    library.mount("twice/second", "--bind", first)


def _overlay(library: HauntedLibrary) -> None:
    below = library.photo("overlay/below/a.jpg").parent
    layers = library.mount("layers", "-t", "tmpfs", "-o", "size=1m", "none")
    for name in ("upper", "work"):
        (layers / name).mkdir()
    options = f"lowerdir={below},upperdir={layers}/upper,workdir={layers}/work"
    library.mount("overlay/merged", "-t", "overlay", "overlay", "-o", options)


def _mergerfs(library: HauntedLibrary) -> None:
    branch = library.photo("pool/disk1/a.jpg").parent
    library.mount("pool/all", branch, program="mergerfs")


def _case(library: HauntedLibrary) -> None:
    card = library.root / "card"
    card.mkdir()
    mount_exfat(library.stack, library.home.folder / "card.img", card)
    library.photo("card/IMG_0.JPG")


def _renamed_case(library: HauntedLibrary) -> None:
    (library.root / "card/IMG_0.JPG").rename(library.root / "card/img_0.jpg")


def _folder(library: HauntedLibrary) -> None:
    library.photo("linked/2020/a.jpg")


def _link_for_folder(library: HauntedLibrary) -> None:
    (library.root / "linked/2020").rename(library.root / "linked/elsewhere")
    (library.root / "linked/2020").symlink_to(library.root / "linked/elsewhere")


def _two_drives(library: HauntedLibrary) -> None:
    library.mount("backup", "-t", "tmpfs", "-o", "size=1m", "none")
    shutil.copyfile(library.photo("main/a.jpg"), library.root / "backup/a.jpg")


SITUATIONS: list[Callable[[HauntedLibrary], None]] = [
    *(_hard_link, _bind_mount, _drive_twice, _overlay, _mergerfs, _case, _folder, _two_drives)
]
CHANGES: list[Callable[[HauntedLibrary], None]] = [_renamed_case, _link_for_folder]


@pytest.fixture(scope="module")
def library() -> Iterator[HauntedLibrary]:
    """Yield a library with all situations, indexed, and changed a moment ago."""
    programs = ("mkfs.ext4", "mkfs.exfat", "mount.exfat-fuse", "mergerfs")
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with new_home() as home, ExitStack() as stack:
        made = HauntedLibrary(home, stack)
        for situation in SITUATIONS:
            situation(made)
        made.pair("real")
        home.start()
        home.sync()
        for change in CHANGES:
            change(made)
        yield made
        for daemon in home.daemons:
            daemon.stop()


def test_the_documents_have_such_recipes() -> None:
    """None of them uses `rm`, and no other program deletes."""
    assert len(RECIPES) >= 3
    assert not re.search(r"\brm\b|xargs|cp --backup", TEXT)


@pytest.mark.parametrize("synced", [False, True], ids=["at once", "after a sync"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_moves_real_copies_alone(library: HauntedLibrary, recipe: str, *, synced: bool) -> None:
    """Every picture stays in the library, and everything comes back."""
    if synced:
        library.home.sync()
    pictures, files = library.pictures(), sorted(library.files())
    done = library.follow(recipe)
    left, gone = library.pictures(), {*files} - {*library.files()}
    library.undo()

    assert left == pictures, done.stderr.decode()
    assert {path.name for path in gone} <= {"one.jpg", "other.jpg"}  # of pairs; other tests make some, too
    assert len([path for path in gone if path.parent.parent == library.root / "real"]) == 1, done.stderr.decode()
    assert sorted(library.files()) == files


def test_backup_on_another_drive_goes_only_if_that_is_said(library: HauntedLibrary) -> None:
    """`--drives` says it."""
    pictures = library.pictures()
    library.follow(RECIPES[0], "--drives")
    left = library.pictures()
    backup = [path for path in library.files() if path.name == "a.jpg" and path.parent.name in ("main", "backup")]
    library.undo()

    assert left == pictures
    assert len(backup) == 1


@pytest.mark.parametrize("hold", ["nothing", "indexing", "folder"])
@pytest.mark.parametrize("which", [0, 1], ids=["the one that stays", "the one that goes"])
def test_copy_that_is_overwritten_saves_the_other(library: HauntedLibrary, hold: str, which: int) -> None:
    """A camera's counter rolls over, or somebody edits it, at that moment or while the index is paused."""
    pair = library.pair(f"edited/{hold}{which}")
    library.home.sync()
    if hold != "nothing":
        assert library.home.pixkin("pause", *([library.root] if hold == "folder" else [])).returncode == 0
    stamp = pair[which].stat()
    pair[which].write_bytes(picture(900 + which))
    os.utime(pair[which], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    pictures = library.pictures()
    done = library.follow(RECIPES[0])
    left = library.pictures()
    library.home.pixkin("resume", *([library.root] if hold == "folder" else []))
    library.undo()

    assert left == pictures
    assert done.returncode == 75 or hold == "nothing"  # it may be indexed again by now
    assert all(path.exists() for path in pair)


def test_full_disk_leaves_every_photo_where_it_is(library: HauntedLibrary) -> None:
    """No copy is made, and nothing is half moved."""
    full = library.mount("../full", "-t", "tmpfs", "-o", "size=4k", "none")
    (full / "x").write_bytes(bytes(4096))
    files = sorted(library.files())
    done = library.home.pixkin("dupes", "--move-to", full, "--yes")
    left = sorted(library.files())

    assert left == files
    assert done.returncode == 1
    assert [path.name for path in full.rglob("*") if path.is_file()] == ["x"]


def test_changes_that_no_kernel_reports_are_seen(library: HauntedLibrary) -> None:
    """A copy in a pool, as on a server, becomes another photo behind the daemon's back."""
    branch = library.root.parent / "server"
    branch.mkdir()
    one = library.photo("served.jpg")
    share = library.mount("share", branch, program="mergerfs")
    shutil.copyfile(one, branch / "served.jpg")
    library.home.sync()
    (branch / "served.jpg").write_bytes(picture(950))
    done = library.follow(RECIPES[0], "--drives")
    left = one.exists(), (branch / "served.jpg").read_bytes()  # the pool itself may show for a while what it was
    library.undo()
    unmount_all(share)
    share.rmdir()
    library.home.sync()

    assert left == (True, picture(950)), done.stderr.decode()


def test_card_that_may_be_erased_is_in_the_library(library: HauntedLibrary) -> None:
    """The words of the page on cards: first something is missing, then it is copied, then every file is there. Only then is it 0."""
    ask, copy = (
        [str(card) if word == "/media/card" else word for word in shlex.split(recipe)[1:]]
        for card in [library.mount("../card", "-t", "tmpfs", "-o", "size=1m", "none")]
        for recipe in re.findall(r"^\$ (pixkin have /media/card(?: --copy-to \S+)?)\s+#", TEXT, re.MULTILINE)
    )
    target, card = library.root / "from card", Path(ask[-1])
    copy[-1] = str(target)
    shutil.copyfile(library.root / "main/a.jpg", card / "known.jpg")
    (card / "DCIM").mkdir()
    (card / "DCIM/new.jpg").write_bytes(picture(960))
    for name in ("film.mp4", ".hidden", "odd.xyz", "DCIM/new.xmp"):
        (card / name).write_bytes(name.encode())
    before = library.home.pixkin(*ask)
    copied = library.home.pixkin(*copy)
    library.home.sync()
    after = library.home.pixkin(*ask, "--also", target)

    assert (before.returncode, copied.returncode, after.returncode) == (1, 0, 0), after.stderr.decode()
    for name in ("DCIM/new.jpg", "film.mp4", ".hidden", "odd.xyz", "DCIM/new.xmp"):
        assert (target / name).read_bytes() == (card / name).read_bytes()


@pytest.mark.parametrize("lines", [1, 2, 3, 5, 8])
def test_kill_in_the_middle_loses_nothing(library: HauntedLibrary, lines: int) -> None:
    """SIGKILL comes at some line of the journal. `--undo` brings back what has gone until then."""
    for number in range(4):
        if not (library.root / f"killed/{number}").exists():
            library.pair(f"killed/{number}")
    library.home.sync()
    pictures, files = library.pictures(), sorted(library.files())
    journals = Path(library.home.env["XDG_DATA_HOME"], "pixkin/trash")
    before = {*journals.glob("*.jsonl")}
    words = [sys.executable, "-m", "pixkin", *library.words(RECIPES[0]), "--yes"]
    with subprocess.Popen(words, env=library.home.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def is_time() -> bool:
            new = {*journals.glob("*.jsonl")} - before
            written = sum(path.read_bytes().count(b"\n") for path in new)
            return written >= lines or process.poll() is not None

        while not is_time():  # a step takes less than the pauses of `wait_for`
            pass
        process.send_signal(signal.SIGKILL)
    everything = library.pictures() | {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in library.root.parent.rglob("*.jpg*")
        if path.is_file() and not path.is_symlink()
    }
    library.undo()

    assert everything >= pictures
    assert sorted(library.files()) == files
    assert library.pictures() == pictures
