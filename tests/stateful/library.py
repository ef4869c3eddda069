"""A library in use for hours: photos come, change and go, drives too, and questions are asked. Its size stays the same.

Its names are a closed set, and all of them are used once before anything is measured. For weeks the daemon keeps a record for
each name whose photo is gone; with ever new names the store would grow, as it should.
"""

import io
import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from PIL import Image
from tests.e2e.conftest import Home, picture
from tests.e2e.drives import make_ext4, run, unmount, unmount_all
from tests.stateful.growth import below
from tests.waiting import wait_for

from pixkin import Client
from pixkin.protocol.replies import RootState

_FOLDERS = 4  # of each root
_NAMES = [f"{number:02}{'.jpg' if number % 3 else '.png'}" for number in range(25)]  # in each folder
_BEFORE, _AFTER = (
    "before",
    "after",
)  # what the name of a folder begins with: it is renamed from one to the other and back
_MADE = 60  # small pictures, besides the photographs
_NEW = 0.03  # of all pictures that are written: they were never there before, and their vectors are kept for weeks
_WAIT_S = 240.0  # for an answer: a busy machine takes ten times as long as a quiet one


class Library:
    """Three roots of a running daemon: two folders, and a drive if the user is root."""

    def __init__(self, home: Home, photographs: list[Path], seed: int) -> None:
        """Draw the pictures; nothing runs yet."""
        self.home = home
        self.client = Client(home.socket, reply_s=_WAIT_S)
        self.drive = home.folder / "drive"
        self.roots = (home.photos, home.folder / "other", self.drive)
        self.path_ms: list[float] = []  # what queries by a photo took, and by a new image; who measures empties them
        self.image_ms: list[float] = []
        self._chance = random.Random(seed)
        self._photographs = [path.read_bytes() for path in photographs]
        self._contents = {
            suffix: [picture(number, kind) for number in range(_MADE) if number % 2 == (kind == "PNG")]
            + [path.read_bytes() for path in photographs if path.suffix == suffix]
            for suffix, kind in ((".jpg", "JPEG"), (".png", "PNG"))
        }
        self._numbers = itertools.count(_MADE)  # of pictures that were never there
        self.kept = sum(map(len, self._contents.values()))  # pictures whose vectors are in the store

    def start(self) -> None:
        """Start the daemon, use every name and every picture once, and delete half of the photos."""
        for root in self.roots[1:]:
            root.mkdir()
        if os.getuid() == 0:
            run("mount", "-o", "loop", make_ext4(self.home.folder / "drive.img"), self.drive)
        self.home.configure(index={"folders": [str(root) for root in self.roots]})
        self.home.start()
        contents = {suffix: itertools.cycle(pictures) for suffix, pictures in self._contents.items()}
        for folder in [root / f"{_BEFORE}{number}" for root in self.roots for number in range(_FOLDERS)]:
            folder.mkdir()
            for name in _NAMES:
                (folder / name).write_bytes(next(contents[Path(name).suffix]))
        self.sync()
        for folder in self.folders():
            self._rename(folder)
        self.sync()
        for path in self.photos():
            if self._chance.random() < 0.5:
                path.unlink()
        self.sync()

    def stop(self) -> None:
        """Stop the daemon and unplug the drive."""
        for daemon in self.home.daemons:
            daemon.stop()
        unmount_all(self.drive)

    @property
    def pid(self) -> int:
        """Return the process of the daemon."""
        return self.home.daemons[-1].process.pid

    def folders(self) -> list[Path]:
        """Return all folders with photos."""
        return sorted(path for root in self.roots for path in root.iterdir() if path.name.startswith((_BEFORE, _AFTER)))

    def photos(self) -> list[Path]:
        """Return all photos."""
        return sorted(path for folder in self.folders() for path in folder.iterdir())

    # What is done.

    def steps(self) -> Iterator[str]:
        """Do one thing after the other, for ever. Yield the name of each when it is done and answered."""
        while True:
            for _ in range(self._chance.randrange(3, 12)):
                yield self._do(_CHANGES)
            yield self._do(_WAITS)
            for _ in range(self._chance.randrange(3, 8)):
                yield self._do(_QUESTIONS)

    def _do(self, actions: "dict[Callable[[Library], None], float]") -> str:
        (action,) = self._chance.choices(list(actions), list(actions.values()))
        action(self)
        assert self.home.daemons[-1].process.poll() is None, "the daemon has ended"
        return action.__name__

    def sync(self) -> None:
        """Have the daemon look at everything."""
        self.client.sync(timeout_s=_WAIT_S)

    def notice(self) -> None:
        """Wait until the daemon has noticed by itself how many photos there are."""
        there = len(self.photos())
        wait_for(lambda: (report := self.client.status()).photos == there and not report.pending)

    def come_or_go(self) -> None:
        """Delete a photo, or write one where there is none: so about half of the names are taken, always."""
        path = self._some_name()
        if path.exists():
            path.unlink()
        else:
            self._write(path)

    def edit(self) -> None:
        """Give a photo another picture."""
        self._write(self._some_photo())

    def tag(self) -> None:
        """Give a photo another date."""
        os.utime(self._some_photo(), (day := self._chance.randrange(2_000_000_000), day))

    def move(self) -> None:
        """Give a photo a name that is free."""
        path, target = self._some_photo(), self._some_name()
        if path.suffix == target.suffix and path.stat().st_dev == target.parent.stat().st_dev and not target.exists():
            path.rename(target)

    def move_folder(self) -> None:
        """Rename a folder."""
        self._rename(self._chance.choice(self.folders()))

    def ask_by_path(self) -> None:
        """Ask for photos like an indexed one."""
        path, began = self._some_photo(), time.perf_counter()
        self.client.like(path)
        self.path_ms.append(1e3 * (time.perf_counter() - began))

    def ask_by_image(self) -> None:
        """Ask for photos like an image that the daemon has never seen."""
        image = picture(next(self._numbers)) if self._chance.random() < 0.5 else self._detail()
        began = time.perf_counter()
        self.client.like(image)
        self.image_ms.append(1e3 * (time.perf_counter() - began))

    def ask_by_command(self) -> None:
        """Ask as people do, by a process."""
        for words in (["like", "--rotate", self._some_photo()], ["status", "--failed"]):
            done = self.home.pixkin(*words)
            # 75: it waits for 30 s at most, and on a busy machine a worker that was killed takes longer to start.
            assert done.returncode in (0, 1, 75), done.stderr.decode()

    def ask_for_duplicates(self) -> None:
        """Ask for all near-duplicates."""
        for _ in self.client.dupes():
            pass

    def ask_for_a_card(self) -> None:
        """Ask whether the library has some photos, old ones and new ones."""
        self.client.have(*(self._some_photo().read_bytes() for _ in range(3)), self._detail())

    def pause(self) -> None:
        """Stop indexing, change something, and go on."""
        self.client.pause()
        self.come_or_go()
        self.ask_by_path()
        self.client.resume()

    def pause_root(self) -> None:
        """Have everything of a root closed, and go on."""
        root = self._chance.choice(self.roots)
        self.client.pause(root, timeout_s=_WAIT_S)
        self.ask_by_path()
        self.client.resume(root)

    def leave(self) -> None:
        """Unplug the drive, or rename a root; ask, and bring it back."""
        root = self._chance.choice(self.roots[1:])
        away = root.with_name("away")
        is_drive = os.path.ismount(root)
        if is_drive:
            unmount(root)
        else:
            root.rename(away)
        wait_for(lambda: self._state(root) is RootState.OFFLINE)
        self.client.like(self._detail())
        if is_drive:
            run("mount", "-o", "loop", self.home.folder / "drive.img", root)
        else:
            away.rename(root)
        wait_for(lambda: self._state(root) is RootState.ONLINE)

    def kill_worker(self) -> None:
        """Kill the worker, as the kernel does when memory is short, and wait until the daemon has noticed."""
        killed = set()
        for pid in below(self.pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"encoder.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
        # A query that reaches a dying worker is answered by "ask again".
        wait_for(lambda: killed.isdisjoint(below(self.pid)))

    def _state(self, root: Path) -> RootState:
        return next(one.state for one in self.client.status().roots if one.path == os.fsencode(root))

    def _some_photo(self) -> Path:
        return self._chance.choice(self.photos())

    def _some_name(self) -> Path:
        return self._chance.choice(self.folders()) / self._chance.choice(_NAMES)

    def _write(self, path: Path) -> None:
        """Write a picture in one of the ways in which programs do."""
        content = self._chance.choice(self._contents[path.suffix])
        if self._chance.random() < _NEW:
            content = picture(next(self._numbers), "JPEG" if path.suffix == ".jpg" else "PNG")
            self.kept += 1
        beside = path.with_suffix(".part") if self._chance.random() < 0.5 else path
        beside.write_bytes(content)
        beside.rename(path)

    def _rename(self, folder: Path) -> None:
        old, new = (_BEFORE, _AFTER) if folder.name.startswith(_BEFORE) else (_AFTER, _BEFORE)
        folder.rename(folder.with_name(folder.name.replace(old, new)))

    def _detail(self) -> bytes:
        """Return a part of a photograph, which is no other image's."""
        file = io.BytesIO()
        with Image.open(io.BytesIO(self._chance.choice(self._photographs))) as image:
            left, top = (self._chance.randrange(side // 2) for side in image.size)
            part = (left, top, left + image.width // 2, top + image.height // 2)
            image.convert("RGB").crop(part).save(file, "JPEG")
        return file.getvalue()


_CHANGES: dict[Callable[[Library], None], float] = {
    Library.come_or_go: 8,
    Library.edit: 4,
    Library.tag: 2,
    Library.move: 4,
    Library.move_folder: 0.5,
}
_WAITS: dict[Callable[[Library], None], float] = {Library.sync: 6, Library.notice: 4}
_QUESTIONS: dict[Callable[[Library], None], float] = {
    Library.ask_by_path: 8,
    Library.ask_by_image: 5,
    Library.ask_by_command: 0.5,
    Library.ask_for_duplicates: 0.5,
    Library.ask_for_a_card: 0.5,
    Library.pause: 0.3,
    Library.pause_root: 0.3,
    Library.leave: 0.3,
}
