"""Compares the file system with the store and yields what must happen. The start, events, timers and sync all call it.

It runs in the ingest thread. It knows neither LMDB nor the worker: the store is a protocol here, and time is an
argument.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from pixkind.fs.exclusions import Exclusions, Markers, looked_at
from pixkind.fs.interface import ABSENT, FileSystem, Listing
from pixkind.fs.rules import PhotoRules
from pixkind.fs.spelling import Spelling
from pixkind.fs.stamp import Stamp


@dataclass(frozen=True, slots=True)
class Changed:
    """The photo at `path` is new or has changed, and has been left alone for long enough: open it."""

    path: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Moved:
    """The photo at `path` is new there, but its stamp is that of a photo elsewhere: its picture has this content."""

    path: str
    stamp: Stamp
    content: bytes


@dataclass(frozen=True, slots=True)
class TooYoung:
    """The photo at `path` has just changed: look again in `rest_ns`."""

    path: str
    rest_ns: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The store has a live photo at `path`, but there is no such file."""

    path: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """`path` cannot be read; the store keeps what it has of `path` and everything below."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class FolderDone:
    """One folder, or one photo, is done; it had `photos` photos, and `links` that are not followed. The caller may pause."""

    path: str
    photos: int
    links: int = 0


MISSING: Final = "no such file or folder"

Step = Changed | Moved | TooYoung | Gone | Unreadable | FolderDone


class Known(Protocol):
    """The part of the store that a scan reads. Each call is one short read transaction."""

    def changed(self, photos: Iterable[tuple[str, Stamp]], now_s: int) -> list[tuple[str, Stamp]]:
        """Return the photos that have no settled record with exactly this stamp."""

    def has_exactly(self, folder: str, photos: Iterable[tuple[str, Stamp]]) -> bool:
        """Return whether these are exactly the live photos in `folder` itself, all settled for good with these stamps."""

    def content_of(self, stamp: Stamp, path: str) -> bytes | None:
        """Return the content of a photo that has or had exactly this stamp and has a vector; None: there is none.

        `path` is where the photo is now. If it is recorded there already, it lacks its details, or its vector in this space,
        so it is to be read: None.
        """

    def folders(self, folder: str) -> set[str]:
        """Return the names of the folders directly in `folder` that have live photos below them."""

    def children(self, folder: str) -> tuple[set[str], set[str]]:
        """Return the names of the live photos directly in `folder`, and of the folders that have live photos below them."""

    def is_live(self, path: str) -> bool:
        """Return whether the store has a live photo at exactly `path`."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Compares a part of the file system with the store.

    The path may be a photo, a folder, or gone; all three are handled alike.
    """

    known: Known
    rules: PhotoRules
    file_system: Callable[[str], FileSystem]  # returns the file system to touch a path through
    clock_ns: Callable[[], int]  # ns since the epoch; read once per folder, since a scan may take minutes
    rest_ns: int
    root_of: Callable[[str], str | None]
    is_second_name: Callable[[str], bool] = lambda _path: False  # folders that are not entered; they count as gone
    exclusions: Exclusions = field(default_factory=lambda: Exclusions(()))

    def steps(self, top: str) -> Iterator[Step]:
        """Yield what must happen so that the store agrees with the file system about `top`, the newest folders first."""
        top = looked_at(top)
        try:
            mode, stamp = self.file_system(top).look(top)
            is_exact = Spelling(self.file_system).is_exact(top, self.root_of(top) or top)
        except OSError as error:
            if error.errno in ABSENT:
                yield from self._gone(top)
            else:
                yield Unreadable(top, error.strerror or str(error))
            return
        self._note_above(top, is_folder=stat.S_ISDIR(mode))
        is_out = self.exclusions.rule_of(top, is_folder=stat.S_ISDIR(mode)) is not None
        if is_out or not is_exact:  # it has been renamed to another spelling, which is looked at by itself
            yield from self._gone(top)
        elif stat.S_ISDIR(mode):
            if self.known.is_live(top):  # a folder is now where a photo was
                yield Gone(top)
            yield from self._walk(top)
        elif stat.S_ISREG(mode) and self.rules.is_photo(os.path.basename(top)):
            yield from self._below(top)  # a photo is now where a folder was
            yield from self._compare([(top, stamp)])
            yield FolderDone(top, 1)
        else:
            yield from self._gone(top)

    def nothing_at(self, top: str) -> str:
        """Return why there is nothing to scan at a path, for people; empty: there is, or `steps` tells why it cannot be read.

        Any thread may call.
        """
        try:
            mode, _ = self.file_system(top).look(top)
            is_exact = Spelling(self.file_system).is_exact(top, self.root_of(top) or top)
        except OSError as error:
            return MISSING if error.errno in ABSENT else ""
        if not is_exact:
            return MISSING
        if stat.S_ISLNK(mode):
            return "a symbolic link, which pixkin does not follow"
        if stat.S_ISREG(mode):
            if why := self.rules.why_not(os.path.basename(top)):
                return why
        elif not stat.S_ISDIR(mode):
            return "neither a photo nor a folder"
        rule = self.exclusions.rule_of(top, is_folder=stat.S_ISDIR(mode))
        return "" if rule is None else f"left out by {rule}"

    def _note_above(self, top: str, *, is_folder: bool) -> None:
        """Note what a folder and those above a path say: the path may have come before they were listed."""
        if (root := self.root_of(top)) is None:
            return
        folders = [root]
        for name in filter(None, top[len(root) :].split("/")):
            folders.append(_join(folders[-1], name))
        if not is_folder:
            folders.pop()
        for folder in folders:
            with suppress(OSError):
                self.exclusions.note(folder, self.file_system(folder).markers(folder))

    def _listed(self, folder: str) -> Listing:
        """Return the photos and folders directly in a folder, without those that are left out. Raises as `FileSystem.list`."""
        file_system = self.file_system(folder)
        listing = file_system.list(folder)
        self.exclusions.note(folder, file_system.markers(folder) if listing.is_marked else Markers())
        self.exclusions.keep(folder, {path for _, path in listing.folders})
        chain = self.exclusions.within(folder)
        listing.folders = [
            one for one in listing.folders if not (chain.rule_of(one[1], is_folder=True) or self.is_second_name(one[1]))
        ]
        if chain.hits_files or chain.closed:
            listing.photos = [one for one in listing.photos if chain.rule_of(one[0], is_folder=False) is None]
        return listing

    def _walk(self, top: str) -> Iterator[Step]:
        # Folders that the store does not know go first, because the others may hold a million photos.
        new, known = [top], list[str]()
        while new or known:
            folder = (new or known).pop()
            try:
                listing = self._listed(folder)
            except OSError as error:
                if error.errno in ABSENT:
                    yield from self._gone(folder)
                else:
                    yield Unreadable(folder, error.strerror or str(error))
                continue
            yield from (Unreadable(path, reason) for path, reason in listing.unreadable)
            unseen = {os.path.basename(path) for path, _ in listing.unreadable}
            known_folders = self.known.folders(folder)
            for name in sorted(known_folders.difference(unseen, _names(path for _, path in listing.folders))):
                yield from self._below(_join(folder, name))
            if not self.known.has_exactly(folder, listing.photos):
                known_photos, _ = self.known.children(folder)
                for name in sorted(known_photos.difference(unseen, _names(path for path, _ in listing.photos))):
                    yield Gone(_join(folder, name))
                yield from self._compare(listing.photos)
            yield FolderDone(folder, len(listing.photos), listing.links)
            for _, path in sorted(listing.folders):  # the newest is popped first
                (known if os.path.basename(path) in known_folders else new).append(path)

    def _compare(self, photos: list[tuple[str, Stamp]]) -> Iterator[Step]:
        now_ns = self.clock_ns()
        for path, stamp in self.known.changed(photos, now_ns // 1_000_000_000):
            # ctime comes from the kernel, not from the camera.
            # abs(): a server whose clock is ahead must not delay photos for ever.
            age_ns = abs(now_ns - stamp.ctime_ns)
            if age_ns < self.rest_ns:
                yield TooYoung(path, self.rest_ns - age_ns)
            elif (content := self.known.content_of(stamp, path)) is not None:
                yield Moved(path, stamp, content)
            else:
                yield Changed(path, stamp)

    def _gone(self, top: str) -> Iterator[Step]:
        if self.known.is_live(top):
            yield Gone(top)
        yield from self._below(top)

    def _below(self, top: str) -> Iterator[Step]:
        folders = [top]
        while folders:
            folder = folders.pop()
            photos, below = self.known.children(folder)
            for name in sorted(photos):
                yield Gone(_join(folder, name))
            folders.extend(_join(folder, name) for name in below)
            yield FolderDone(folder, 0)


def may_exist(spelling: Spelling, rules: PhotoRules, exclusions: Exclusions, root: str, path: str) -> bool:
    """Return whether a missing photo may exist: it is there after all, or cannot be read. Its drive may have been away.

    A file that can be looked at under this name, but is listed under another spelling of it, is another photo.
    """
    folder, name = os.path.split(path)
    try:
        mode, _ = spelling.file_system(path).look(path)
        is_there = stat.S_ISREG(mode) and spelling.is_exact(path, root)
    except OSError as error:
        return error.errno not in ABSENT
    is_meant = rules.is_photo(name) and exclusions.rule_of(path, is_folder=False) is None
    return is_there and is_meant and rules.reaches(root, folder)


def _names(paths: Iterable[str]) -> Iterator[str]:
    return map(os.path.basename, paths)


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
