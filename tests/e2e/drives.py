"""A machine with drives for the tests of what happens to drives, and how they are mounted and unmounted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, children, new_home
from tests.waiting import wait_for

PHOTOS = 4  # in each root


def run(*words: "str | os.PathLike[str]") -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


def make_ext4(image: Path) -> Path:
    """Make a file an ext4 file system, of a size for what the tests put there."""
    with image.open("wb") as file:
        file.truncate(256 << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", image)
    return image


def mount_exfat(stack: ExitStack, image: Path, point: Path) -> None:
    """Mount a file as a card with exFAT, which ignores case, until the stack is closed; skip the test where that cannot be."""
    if shutil.which("mkfs.exfat") is None or shutil.which("mount.exfat-fuse") is None:
        pytest.skip("no exFAT here")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run("mkfs.exfat", image)
    done = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no loop devices here: {done.stderr}")
    device = done.stdout.strip()
    stack.callback(run, "losetup", "-d", device)
    run("mount.exfat-fuse", device, point)
    stack.callback(unmount_all, point)


def unmount(point: Path) -> None:
    """Unmount a drive as people do: while it is busy they try again."""
    words = ("umount", point)
    wait_for(lambda: not subprocess.run(words, capture_output=True, check=False).returncode)


def unmount_all(point: Path) -> None:
    while subprocess.run(["umount", "-l", point], capture_output=True, check=False).returncode == 0:
        pass  # there may be several, one over the other; ismount() does not see bind mounts


class Drives:
    """A home with three roots: a drive of its own, a bind mount of a folder, and a plain folder."""

    def __init__(self, home: Home, photos: list[Path]) -> None:
        self.home = home
        self.pictures = photos[:PHOTOS]
        self.strange = photos[PHOTOS]
        self.drive, self.bound, self.plain = (home.photos, home.folder / "bound", home.folder / "plain")
        self.image, self.source = make_ext4(home.folder / "drive.img"), home.folder / "source"
        self.source.mkdir()
        home.configure(index={"folders": [str(root) for root in (self.drive, self.bound, self.plain)]})

    @property
    def roots(self) -> tuple[Path, ...]:
        """All roots."""
        return self.drive, self.bound, self.plain

    def mount(self, root: Path) -> None:
        """Mount what belongs on a root."""
        if root == self.drive:
            run("mount", "-o", "loop", self.image, root)
        elif root == self.bound:
            run("mount", "--bind", self.source, root)

    def restore(self) -> None:
        """Make everything as it was before the first test: all roots there, with the same photos, all indexed."""
        for root in self.roots:
            if root != self.plain:
                unmount_all(root)
            root.mkdir(exist_ok=True)
            self.mount(root)
            for photo in root.iterdir():
                if photo.is_file() and photo.name not in {picture.name for picture in self.pictures}:
                    photo.unlink()
            for picture in self.pictures:
                if not (root / picture.name).exists():
                    shutil.copyfile(picture, root / picture.name)
        if not self.home.daemons or self.home.daemons[-1].process.poll() is not None:
            self.home.start()
        wait_for(lambda: all(self.state(root)[0] == "online" for root in self.roots))
        self.home.sync()
        wait_for(lambda: not self.home.status()["offline"])
        assert len(self.found()) == len(self.roots) * PHOTOS

    def state(self, root: Path) -> tuple[str, str]:
        """Return the state of a root and the reason."""
        told = next(one for one in self.home.status()["roots"] if one["path"] == str(root))
        return told["state"], told.get("reason", "")

    def is_offline(self, root: Path, why: str) -> bool:
        """Return whether a root is offline, for a reason that has `why` in it."""
        state, reason = self.state(root)
        return state == "offline" and why in reason

    def is_online(self, root: Path) -> bool:
        """Return whether a root is online and watched."""
        return self.state(root) == ("online", "")

    def found(self) -> dict[str, bool]:
        """Return every photo that an answer can name, and whether it is marked as offline."""
        matches = self.home.like(self.pictures[0], "--no-fold", "-n", "1000")
        return {match["path"]: match.get("offline", False) for match in matches}

    def spent(self) -> tuple[int, int]:
        """Return how many photos were encoded, and how many read."""
        counters = self.home.status()["counters"]
        return counters["encodes"], counters["inspects"]

    def expected(self, *offline: Path) -> dict[str, bool]:
        """Return what `found` must be when all photos are known and these roots are away."""
        return {str(root / photo.name): root in offline for root in self.roots for photo in self.pictures}

    def sees_new_photos(self, root: Path) -> bool:
        """Return whether a new photo is found without a scan."""
        new = root / f"new{self.strange.suffix}"
        before = self.home.status()["counters"]["rescans"]
        shutil.copyfile(self.strange, new)
        wait_for(lambda: str(new) in self.found())
        return bool(self.home.status()["counters"]["rescans"] == before)

    def held(self, root: Path) -> list[str]:
        """Return what the daemon and its worker have open under a root, their working directories too."""
        daemon = self.home.daemons[-1].process.pid
        links = [
            link
            for pid in (daemon, *children(daemon))
            for link in (f"/proc/{pid}/cwd", *(f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")))
        ]
        return [path for path in map(os.path.realpath, links) if f"{path}/".startswith(f"{root}/")]


@contextmanager
def machine_with_drives(photos: list[Path]) -> Iterator[Drives]:
    """Yield the drives and roots, which the tests of a module share; whatever is mounted at the end is unmounted."""
    with new_home() as home:
        made = Drives(home, photos)
        try:
            try:
                made.mount(made.drive)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no loop mounts here: {error.stderr}")
            yield made
        finally:
            for daemon in home.daemons:
                daemon.stop()
            for root in (made.drive, made.bound):
                unmount_all(root)
