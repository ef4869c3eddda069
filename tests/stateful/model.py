"""A user's photos on three roots, one of them a drive, and everything that may happen to them and to the daemon."""

import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from tests.e2e.conftest import Daemon, Home, children, photos_below, picture, untrained
from tests.waiting import wait_for

from pixkin.errors import PixkinError
from pixkin.protocol.replies import RootState
from pixkind.config import Config

_CHAFF = 6_000  # files that come and go: three events each, and the kernel keeps 16,384


def _pixels(file: str | io.BytesIO) -> str:
    """Return what tells a picture from all others; empty if it is none."""
    try:
        with Image.open(file) as image:
            return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
    except OSError:  # UnidentifiedImageError is one
        return ""


def _stamp(path: str) -> tuple[int, ...]:
    st = os.stat(path)
    return st.st_dev, st.st_ino, st.st_ctime_ns, st.st_size


def _with_comment(jpeg: bytes, text: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


class World:
    """The folders, what is done to them, and what was done."""

    def __init__(self, home: Home, seed: int) -> None:
        """Make the roots, with one photo that nothing ever happens to, and start the daemon."""
        self.home = home
        self.chance = random.Random(seed)
        self.drive, self.other, self.outside = (home.folder / name for name in ("drive", "other", "outside"))
        self.roots = (home.photos, self.other, self.drive)
        self.away = home.folder / "other is away"
        self.most = self.chance.choice([15, 60, 150])  # photos: from then on more are removed than made
        self.is_calm = False  # for now no process ends
        self.told: list[str] = []  # what was done
        self.pictures = 0  # ever made
        self.fresh = 1  # made since the last check; the anchor
        self.kills = 0  # of the daemon or its worker, since the last check
        self.spent = 0  # encodes of the daemons that have ended, as far as they were seen
        self.paid = 0  # encodes, up to the last check
        self.owed = 0  # pictures that were made before the last check, and may not have been encoded yet
        self.unseen: set[str] = set()  # pictures that no check has found in the index
        self.needs_scan = False  # something was done of which no event tells
        self.is_frozen = False
        self.expected_offline: dict[Path, set[str]] = {}  # photos of an absent root that must be kept
        self.indexed: dict[str, tuple[int, ...]] = {}  # what could be found at the last check, and its stamp then
        self._open: list[tuple[BinaryIO, bytes]] = []
        self._pictures: dict[tuple[int, ...], str] = {}
        self._disk = home.folder / "drive.img"
        for folder in (self.drive, self.other, self.outside):
            folder.mkdir()
        home.configure(index={"folders": [str(root) for root in self.roots]})
        self._disk.write_bytes(b"")
        os.truncate(self._disk, 64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self._disk], check=True)
        self.anchor = home.photos / "anchor.jpg"
        self.anchor.write_bytes(picture(0))
        (home.photos / "keep.txt").touch()
        (self.other / "keep.txt").touch()
        self.mount_drive()
        (self.drive / "keep.txt").touch()  # a root without any file counts as a drive that is not there
        has_changed = self.chance.random() < 0.3
        if has_changed:
            self._change_model()
        self.daemon: Daemon | None = home.start()
        if has_changed:
            assert home.pixkin("space", "use", "efficientnet_lite0").returncode == 0

    def _change_model(self) -> None:
        """Have everything encoded for two spaces: another is filled than the one that answers."""
        self.tell("change_model")
        assert self.home.pixkind("--once").returncode == 0
        self.home.configure(index={"folders": [str(root) for root in self.roots]}, encoder=untrained(self.home.folder))

    # What is there.

    @property
    def is_mounted(self) -> bool:
        """Whether the drive is there."""
        return (self.drive / "keep.txt").exists()

    def is_there(self, root: Path) -> bool:
        """Return whether a root is where it belongs."""
        return (root / "keep.txt").exists()

    def folders(self) -> list[Path]:
        """Return every folder in which photos may stand, the hidden ones and those outside too."""
        tops = [*filter(self.is_there, self.roots), self.outside]
        return [Path(folder) for top in tops for folder, _, _ in os.walk(top) if "lost+found" not in folder]

    def files(self) -> list[Path]:
        """Return every regular file with a photo's name, but for the anchor."""
        rules = Config().rules
        return [
            Path(entry.path)
            for folder in self.folders()
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
            if entry.is_file(follow_symlinks=False) and rules.is_photo(entry.name) and entry.path != str(self.anchor)
        ]

    def picture_of(self, path: str) -> str:
        """Return what tells a picture from all others, by its pixels; empty if it is none."""
        at = _stamp(path)
        if at not in self._pictures:
            self._pictures[at] = _pixels(path)
        return self._pictures[at]

    # What is done.

    def step(self) -> None:
        """Do one thing at random, and wait a moment at random."""
        actions = [one for one in _ACTIONS if not (self.is_calm and one[0] in _ENDINGS)]
        if len(self.files()) >= self.most:
            actions += [(World.remove, 15), (World.prune, 3)]
        (action,) = self.chance.choices([one for one, _ in actions], [weight for _, weight in actions])
        self.tell(action.__name__)
        action(self)
        threading.Event().wait(self.chance.choice([0, 0, 0, 0.01, 0.05, 0.2]))
        if self.daemon is not None and self.daemon.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.daemon.process.returncode}")

    def tell(self, *words: object) -> None:
        """Note what is done."""
        self.told.append(" ".join(str(word).replace(f"{self.home.folder}/", "") for word in words))

    def some_file(self) -> Path | None:
        """Return a photo at random, if there is one."""
        files = self.files()
        return self.chance.choice(files) if files else None

    def some_folder(self) -> Path:
        """Return a folder at random, mostly one that is indexed."""
        folders = self.folders()
        inside = [folder for folder in folders if self.outside not in (folder, *folder.parents)]
        return self.chance.choice(inside if self.chance.random() < 0.85 else folders)

    def some_below(self) -> Path | None:
        """Return a folder at random that is not a top one."""
        tops = {*self.roots, self.outside}
        folders = [folder for folder in self.folders() if folder not in tops]
        return self.chance.choice(folders) if folders else None

    def some_name(self, suffix: str = ".jpg") -> Path:
        """Return a path for a photo, free or taken by a file; its folder exists."""
        while True:
            name = self.chance.choice(["ä", "b", "C D", "e\nf", "g.h", os.fsdecode(b"\xff")])
            path = self.some_folder() / f"{name}{self.chance.randrange(20)}{suffix}"
            if path.is_symlink() and not path.exists():
                path.unlink()  # nothing can be written through it
            if not path.is_dir() and path != self.anchor:
                return path

    def _new(self, kind: str = "") -> tuple[bytes, str]:
        self.pictures += 1
        self.fresh += 1
        kind = kind or self.chance.choice(["JPEG", "JPEG", "PNG"])
        content = picture(self.pictures, kind)
        self.unseen.add(_pixels(io.BytesIO(content)))
        return content, ".jpg" if kind == "JPEG" else ".png"

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file in one of the ways in which programs do."""
        way = self.chance.choice(["at once", "beside", "hidden", "slowly"])
        is_linked = path.exists() and path.stat().st_nlink > 1
        self.tell("  write", path, way)
        if way == "at once":
            self.needs_scan |= is_linked
            path.write_bytes(content)
            self.fresh += 1  # a worker that reads meanwhile may see a picture that is neither
        elif way == "slowly":
            self.needs_scan |= is_linked
            file = path.open("wb", buffering=0)
            file.write(content[:300])
            self._open.append((file, content[300:]))
        else:
            beside = path.with_name(f"{path.name}.tmp" if way == "beside" else f".{path.name}")
            beside.write_bytes(content)
            beside.rename(path)

    def create(self) -> None:
        """Make a new photo."""
        content, suffix = self._new()
        self._write(self.some_name(suffix), content)

    def edit(self) -> None:
        """Give a photo other pixels; sometimes its old mtime."""
        if (path := self.some_file()) is None:
            return
        content, _ = self._new("PNG" if path.suffix == ".png" else "JPEG")
        st = path.stat()
        self._write(path, content)
        if self.chance.random() < 0.3:
            self.tell("  old mtime")
            os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))

    def tag(self) -> None:
        """Write a comment into a JPEG."""
        path = self.some_file()
        if path is None or path.suffix != ".jpg" or not self.picture_of(str(path)):
            return
        self._write(path, _with_comment(path.read_bytes(), b"%d" % self.chance.randrange(1000)))

    def spoil(self) -> None:
        """Put something that is no image under a photo's name."""
        path = self.some_file() or self.some_name()
        self._write(path, self.chance.choice([b"", b"x" * 900]))

    def touch(self) -> None:
        """Give a photo another time."""
        if (path := self.some_file()) is not None:
            self.tell("  touch", path)
            os.utime(path, (self.chance.randrange(2_000_000_000), self.chance.randrange(2_000_000_000)))

    def copy(self) -> None:
        """Copy a photo, maybe over another."""
        if (path := self.some_file()) is not None:
            target = self.some_name(path.suffix)
            self.tell("  copy", path, target)
            if path.resolve() != target and not (target.exists() and target.samefile(path)):
                self.needs_scan |= target.exists() and target.stat().st_nlink > 1
                shutil.copyfile(path, target)
                self.fresh += 1  # as in `_write`

    def copy_folder(self) -> None:
        """Copy a folder with all that is in it."""
        if (path := self.some_below()) is not None and len(self.files()) < self.most:
            target = self.some_folder() / f"copy {self.chance.randrange(10)}"
            self.tell("  copy", path, target)
            if not target.exists() and path not in target.parents:
                shutil.copytree(path, target, symlinks=True)

    def link(self) -> None:
        """Give a photo a second name."""
        path, target = self.some_file(), self.some_name()
        if path is not None and not target.exists() and path.stat().st_dev == target.parent.stat().st_dev:
            self.tell("  link", path, target)
            target.with_suffix(path.suffix).unlink(missing_ok=True)
            target.with_suffix(path.suffix).hardlink_to(path)

    def symlink(self) -> None:
        """Put a symbolic link to a photo or a folder where a photo could be."""
        target = self.some_name()
        if not target.exists():
            path = self.chance.choice([self.some_file() or self.outside, self.some_folder()])
            self.tell("  symlink", path, target)
            target.unlink(missing_ok=True)
            target.symlink_to(path)

    def move(self) -> None:
        """Move a photo, maybe over another."""
        if (path := self.some_file()) is not None:
            target = self.some_name(path.suffix)
            self.tell("  move", path, target)
            shutil.move(path, target)

    def swap(self) -> None:
        """Exchange the names of two photos of one folder."""
        if (path := self.some_file()) is not None:
            others = [one for one in self.files() if one.parent == path.parent and one.suffix == path.suffix]
            other = self.chance.choice(others)
            self.tell("  swap", path, other)
            between = path.with_name("between")
            for old, new in ((path, between), (other, path), (between, other)):
                if old.exists():
                    old.rename(new)

    def move_folder(self) -> None:
        """Move a folder, maybe out of the roots, back, or under a name that is not indexed."""
        if (path := self.some_below()) is not None:
            name = self.chance.choice(["d0", "d1", "d2.jpg", ".hidden", "@eaDir", path.name])
            target = self.some_folder() / name
            self.tell("  move", path, target)
            if not os.path.lexists(target) and path not in target.parents:
                shutil.move(path, target)

    def make_folder(self) -> None:
        """Make folders, one in the other, with a photo at the bottom, as fast as can be."""
        names = [f"d{self.chance.randrange(5)}" for _ in range(self.chance.randrange(1, 4))]
        folder = self.some_folder().joinpath(*names)
        if any(parent.is_file() for parent in (folder, *folder.parents)):
            return
        content, suffix = self._new()
        self.tell("  make", folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"new{suffix}").write_bytes(content)

    def turn_into_folder(self) -> None:
        """Replace a photo by a folder of its name that holds it; or such a folder by a photo."""
        if (path := self.some_file()) is None:
            return
        self.tell("  turn", path)
        if self.chance.random() < 0.5 and path.parent.suffix in (".jpg", ".png"):
            between = path.parent.with_suffix(".between")
            path.parent.rename(between)
            (between / path.name).rename(path.parent)
            shutil.rmtree(between)
        else:
            between = path.with_suffix(".between")
            path.rename(between)
            path.mkdir()
            between.rename(path / f"inner{path.suffix}")

    def remove(self) -> None:
        """Delete a photo."""
        if (path := self.some_file()) is not None:
            self.tell("  remove", path)
            path.unlink()

    def prune(self) -> None:
        """Delete a folder with all that is in it."""
        if (path := self.some_below()) is not None:
            self.tell("  prune", path)
            shutil.rmtree(path)

    # What is done to the daemon and its drives.

    def finish_writing(self) -> None:
        """Write the rest of what was begun, and close it."""
        for file, rest in self._open:
            with file:
                file.write(rest)
        self._open = []

    def kill_daemon(self) -> None:
        """End the daemon as a power cut would, but for the disk."""
        if self.daemon is not None:
            self.kills += 1
            self._note_encodes()
            self.daemon.process.kill()
            self.daemon.process.wait()
            self.daemon, self.is_frozen = None, False

    def stop_daemon(self) -> None:
        """End the daemon in order."""
        if self.daemon is not None and not self.is_frozen:
            self._note_encodes()
            status = self.daemon.stop()
            self.daemon = None
            assert status == 0

    def start_daemon(self) -> None:
        """Start the daemon if it does not run."""
        if self.daemon is None:
            self.daemon = self.home.start()

    def kill_worker(self) -> None:
        """Kill the worker, if there is one: as the kernel does when memory is short."""
        if self.daemon is not None and self.kills < 3:  # after five such deaths a photo has to wait
            for worker in children(self.daemon.process.pid):
                self.kills += 1
                os.kill(worker, signal.SIGKILL)

    def _note_encodes(self) -> None:
        """Keep the count of a daemon that is about to end; of one that is frozen it is lost."""
        if not self.is_frozen:
            with self.home.client() as client:
                self.spent += client.status().counters["encodes"]

    def freeze(self) -> None:
        """Stop the daemon's clock, as a sleeping machine does: events pile up."""
        if self.daemon is not None:
            self.is_frozen = True
            self.daemon.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the daemon go on."""
        if self.daemon is not None and self.is_frozen:
            self.is_frozen = False
            self.daemon.process.send_signal(signal.SIGCONT)

    def flood(self) -> None:
        """Make and remove so many files that the kernel's queue runs over, if the daemon is frozen."""
        if not self.is_frozen and self.chance.random() < 0.7:
            self.freeze()
        folder = self.some_folder()
        for number in range(_CHAFF):
            path = folder / f"chaff{number}"
            path.touch()
            path.unlink()

    def mount_drive(self) -> None:
        """Plug the drive in."""
        if not self.is_mounted:
            subprocess.run(["mount", "-o", "loop", self._disk, self.drive], check=True)
            self.expected_offline.pop(self.drive, None)

    def unmount_drive(self) -> None:
        """Unplug the drive, as people do or by force."""
        if self.is_mounted and not self.is_frozen:
            self.finish_writing()
            self._note_absence(self.drive)
            words = ["umount", *self.chance.choice([[], ["-l"]]), str(self.drive)]
            self.tell("  ", *words)
            wait_for(lambda: not subprocess.run(words, capture_output=True, check=False).returncode, timeout_s=10)

    def rename_root(self) -> None:
        """Give a root another name."""
        if self.is_there(self.other):
            self.finish_writing()
            self._note_absence(self.other)
            self.other.rename(self.away)

    def rename_root_back(self) -> None:
        """Give it its own name again."""
        if not self.other.exists():
            self.away.rename(self.other)
            self.expected_offline.pop(self.other, None)

    def _note_absence(self, root: Path) -> None:
        """Note which photos of a root must be kept: those that were known at the last check and are still the same."""
        below = photos_below(root)
        self.expected_offline[root] = {
            path for path, at in self.indexed.items() if path in below and _stamp(path) == at
        }

    def ask(self) -> None:
        """Ask for photos like one: whatever happens, the answer is one, or a reason."""
        if self.daemon is None or self.is_frozen or (path := self.some_file()) is None:
            return
        done = self.home.pixkin("like", "--json", path)
        said = done.stderr.decode(errors="replace")
        assert done.returncode in (0, 1, 66, 70, 75), said
        assert "Traceback" not in said, said
        assert done.returncode != 70 or not self.picture_of(str(path)) or "internal" not in said, said

    def ask_by_bytes(self) -> None:
        """Ask with the bytes of an indexed photo: what is encoded now is what was encoded when it was found."""
        path = self.chance.choice(sorted(path for path in self.indexed if os.path.exists(path)))
        with self.home.client() as client:
            best, *_ = client.like(Path(path).read_bytes(), n=1, itself=True).matches
        assert os.fsencode(path) in (best.path, *best.copies), (path, best)
        assert best.distance < 0.05, (path, best)

    def sync_now(self) -> None:
        """Have the daemon look at everything, in the midst of it."""
        if self.daemon is not None and not self.is_frozen and not self._open:
            self.home.client().sync(timeout_s=60)

    # What must be true.

    def settle(self) -> None:
        """Have the daemon run, and every write ended."""
        self.finish_writing()
        self.thaw()
        self.start_daemon()

    def faults(self) -> list[str]:
        """Return how the index differs from what a fresh scan of the roots that are there would find."""
        faults: list[str] = []
        try:
            with self.home.client() as client:
                answer = client.like(self.anchor, n=1000, itself=True)
                report = client.status(failed=True)
        except PixkinError as error:
            return [f"no answer: {error}"]
        groups = [{os.fsdecode(path) for path in (match.path, *match.copies)} for match in answer.matches]
        found = set[str]().union(*groups)
        failed = {os.fsdecode(one.path): one.reason for one in report.failures}
        states = {os.fsdecode(root.path): root.state for root in report.roots}
        for root in self.roots:
            here = {path for path in found if path.startswith(f"{root}/")}
            if self.is_there(root) or states[str(root)] is not RootState.OFFLINE:
                faults += self._compare(root, here, {path for path in failed if path.startswith(f"{root}/")})
                if states[str(root)] is RootState.OFFLINE:
                    faults.append(f"{root} is offline")
            else:
                faults += [f"forgotten while offline: {path}" for path in self.expected_offline.get(root, set()) - here]
        for group in groups:
            pictures = {self.picture_of(path) for path in group if os.path.exists(path)}
            if len(pictures) > 1:
                faults.append(f"different pictures count as copies: {sorted(group)}")
        return faults or self._begin_anew(found, self.spent + report.counters["encodes"])

    def is_at_ease(self) -> bool:
        """Return whether nothing waits, and every root that is there is watched."""
        report = self.home.status()
        states = {root["path"]: root["state"] for root in report["roots"]}
        return not report.get("pending") and all(
            states[str(root)] == RootState.ONLINE for root in self.roots if self.is_there(root)
        )

    def _begin_anew(self, found: set[str], encodes: int) -> list[str]:
        """Note what is right now, if it did not cost too much: what was made, and again what was lost by each kill."""
        owed, cost = self.owed + self.fresh, encodes - self.paid
        if cost > owed * (1 + self.kills):
            return [f"{cost} encodes for at most {owed} new pictures, with {self.kills} kills"]
        self.indexed, self.paid = {path: _stamp(path) for path in found if os.path.exists(path)}, encodes
        self.unseen -= {self.picture_of(path) for path in found if os.path.exists(path)}
        self.owed = min(owed if self.kills else owed - cost, len(self.unseen))
        self.fresh = self.kills = 0
        self.is_calm = self.chance.random() < 0.7
        self.needs_scan = False
        return []

    def _compare(self, root: Path, found: set[str], failed: set[str]) -> list[str]:
        on_disk = photos_below(root)
        good = {path for path in on_disk if self.picture_of(path)}
        sets = {
            "not found": good - found,
            "found, but gone": found - on_disk,
            "found, but no image": (found & on_disk) - good,
            "failed, but decodes": failed & good,
            "failed, but gone": failed - on_disk,
            "no image, but not said": (on_disk - good) - failed,
        }
        return [f"{what}: {path!r}" for what, paths in sets.items() for path in sorted(paths)]


_ACTIONS: list[tuple[Callable[[World], None], float]] = [
    (World.create, 12),
    (World.edit, 8),
    (World.tag, 4),
    (World.spoil, 2),
    (World.touch, 3),
    (World.copy, 8),
    (World.copy_folder, 2),
    (World.link, 4),
    (World.symlink, 1),
    (World.move, 10),
    (World.swap, 4),
    (World.move_folder, 8),
    (World.make_folder, 8),
    (World.turn_into_folder, 2),
    (World.remove, 6),
    (World.prune, 2),
    (World.finish_writing, 6),
    (World.kill_daemon, 0.7),
    (World.stop_daemon, 0.5),
    (World.start_daemon, 3),
    (World.kill_worker, 1.5),
    (World.freeze, 2),
    (World.thaw, 3),
    (World.flood, 1),
    (World.unmount_drive, 2),
    (World.mount_drive, 4),
    (World.rename_root, 1.5),
    (World.rename_root_back, 4),
    (World.ask, 2),
    (World.sync_now, 2),
]
_ENDINGS = (World.kill_daemon, World.stop_daemon, World.kill_worker)  # each costs seconds: a worker loads its network
