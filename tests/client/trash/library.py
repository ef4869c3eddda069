"""A folder of pictures that are counted before and after, and what a daemon would say of them."""

import hashlib
import os
import time
from collections import Counter
from pathlib import Path

from pixkin.protocol.replies import Band, Group, Photo
from pixkin.trash.destinations import Destination, Trash
from pixkin.trash.files import Stays
from pixkin.trash.journal import TrashJournal, locked, runs
from pixkin.trash.offers import Wishes
from pixkin.trash.removal import remove
from pixkin.trash.undo import bring_back

PIXELS = 1000  # bytes of a file that are its picture; metadata follow


class Library:
    """Files below one folder, a trash and a journal."""

    def __init__(self, folder: Path) -> None:
        """Make the folders."""
        self.folder = folder
        self.photos = folder / "photos"
        self.photos.mkdir()
        self.data = folder / "data"
        self.trash = self.data / "Trash"
        self.journal = str(self.data / "pixkin/trash")
        self.old_ns = time.time_ns() + 10**10  # the daemon is asked long after all of this was written

    def photo(self, name: str, number: int = 0, metadata: bytes = b"") -> Path:
        """Write a picture."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(hashlib.sha256(b"%d" % number).digest().ljust(PIXELS, b".") + metadata)
        return path

    def pictures(self, *more: Path) -> Counter[bytes]:
        """Count all pictures by what they show, wherever they are."""
        files = (
            path
            for base in (self.folder, *more)
            for path in base.rglob("*")
            if path.is_file() and path.suffix != ".jsonl"
        )
        return Counter(data[:PIXELS] for data in (file.read_bytes() for file in files) if len(data) >= PIXELS)

    def names(self, base: Path | None = None) -> dict[str, bytes]:
        """Return the path and the bytes of each file of the photo folder."""
        base = base or self.photos
        return {str(path): path.read_bytes() for path in sorted(base.rglob("*")) if path.is_file()}

    def move(self, group: Group, to: Destination | None = None, wishes: Wishes | None = None) -> list[str]:
        """Move what can go of a group in a run of its own, and return why photos stay."""
        reasons = []
        to = to or Trash(str(self.trash))
        with locked(self.journal):
            journal = TrashJournal.begin(self.journal, to.name)
            for offer in (wishes or Wishes()).offers(group):
                try:
                    reasons += remove(offer, to, journal, self.old_ns)
                except Stays as error:
                    reasons.append(str(error))
            journal.write("end")
            journal.close()
        return reasons

    def undo(self) -> list[str]:
        """Bring back the newest run, and return why files do not come."""
        return [reason for run in runs(self.journal)[:1] for _, reason in bring_back(run) if reason]


def group(*paths: "Path | bytes", spare: bool = True) -> Group:
    """Return exact copies, the best first."""
    photos = []
    for number, path in enumerate(map(os.fsencode, paths)):
        data = Path(os.fsdecode(path)).read_bytes() if os.path.exists(path) else b""
        content = hashlib.md5(data[:PIXELS], usedforsecurity=False).digest()
        photos.append(Photo(path, content, 40, 30, len(data), spare=spare and number > 0))
    return Group(Band.IDENTICAL, 1.0, tuple(photos))
