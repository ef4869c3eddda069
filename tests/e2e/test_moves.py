"""Whatever is done to files and folders, a picture that is known is never encoded again, and one that changed always is."""

import itertools
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, new_home
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]

_NAMES = (f"case {number}" for number in itertools.count())


class Library:
    """A home with two roots, a running daemon, and photos that no test touches: one of them is asked about."""

    def __init__(self, home: Home, photos: list[Path]) -> None:
        self.home = home
        self.pictures = photos[:4]
        self.other = home.folder / "other"
        self.other.mkdir()
        self.outside = home.folder / "outside"
        self.outside.mkdir()
        home.configure(index={"folders": [str(home.photos), str(self.other)]})
        for photo in self.pictures:
            home.copy(photo)
        self.jpeg = home.copy(next(photo for photo in photos if photo.suffix == ".jpg")).read_bytes()
        home.start()
        home.sync()

    def album(self, count: int) -> Path:
        """Return a new folder of `count` photos, all of them indexed."""
        album = self.home.photos / next(_NAMES)
        album.mkdir()
        for number in range(count):
            picture = self.pictures[number % len(self.pictures)]
            shutil.copyfile(picture, album / f"{number}{picture.suffix}")
        self.home.sync()
        return album

    def indexed(self) -> list[str]:
        """Return the paths of all photos that an answer can name, sorted."""
        with self.home.client() as client:
            reply = client.like(self.home.photos / self.pictures[0].name, n=1000, itself=True, fold=False)
        return sorted(os.fsdecode(match.path) for match in reply.matches)

    def on_disk(self) -> list[str]:
        """Return the paths of all photos in the roots, sorted."""
        roots = (self.home.photos, self.other)
        return sorted(str(path) for root in roots for path in root.rglob("*") if path.is_file())

    def spent(self) -> tuple[int, int]:
        """Return how many photos were encoded, and how many folders scanned because an event or a timer asked for it."""
        counters = self.home.status()["counters"]
        return counters["encodes"], counters["rescans"]


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Library]:
    """Yield the library that all tests of this module share; each works in folders of its own."""
    with new_home() as home:
        yield Library(home, photos)


def _rename(album: Path, _library: Library) -> None:
    (album / "below").mkdir()
    (album / "0.png").rename(album / "below/renamed.png")


def _between_roots(album: Path, library: Library) -> None:
    shutil.move(album / "0.png", library.other / f"{album.name}.png")


def _folder(album: Path, library: Library) -> None:
    album.rename(library.other / album.name)


def _folder_and_link(album: Path, library: Library) -> None:
    _folder(album, library)
    album.symlink_to(library.other / album.name)


def _out_and_back(album: Path, library: Library) -> None:
    album.rename(library.outside / album.name)
    wait_for(lambda: _is_right(library))
    (library.outside / album.name).rename(library.home.photos / f"{album.name} again")


def _out_and_back_at_once(album: Path, library: Library) -> None:
    album.rename(library.outside / album.name)
    (library.outside / album.name).rename(library.home.photos / f"{album.name} again")


def _is_right(library: Library) -> bool:
    return library.indexed() == library.on_disk()


_MOVES = [_rename, _between_roots, _folder, _folder_and_link, _out_and_back_at_once]


@pytest.mark.parametrize("move", [*_MOVES, _out_and_back])
def test_a_move_is_followed_by_events_alone(library: Library, move: Callable[[Path, Library], None]) -> None:
    """With the daemon running the index equals the disk soon, with no encode and no rescan."""
    album = library.album(300 if move is _folder else 5)
    before = library.spent()
    move(album, library)
    wait_for(lambda: _is_right(library))

    assert library.spent() == before


@pytest.mark.parametrize("move", _MOVES)
def test_a_move_while_the_daemon_is_stopped_costs_no_encode(
    library: Library, move: Callable[[Path, Library], None]
) -> None:
    """The first scan finds it."""
    album = library.album(300 if move is _folder else 5)
    library.home.daemons[-1].stop()
    move(album, library)
    library.home.start()
    library.home.sync()

    assert library.indexed() == library.on_disk()
    assert library.home.encodes() == 0


def _hard_link(album: Path) -> None:
    (album / "linked.png").hardlink_to(album / "0.png")


def _copy(album: Path) -> None:
    shutil.copyfile(album / "0.png", album / "copy.png")
    shutil.copytree(album, album.with_name(f"{album.name} copied"))


def _touch(album: Path) -> None:
    os.utime(album / "0.png")


def _shift_an_hour(album: Path) -> None:
    for photo in album.iterdir():
        st = photo.stat()
        os.utime(photo, ns=(st.st_atime_ns, st.st_mtime_ns + 3_600_000_000_000))


@pytest.mark.parametrize("change", [_hard_link, _copy, _touch, _shift_an_hour])
def test_the_same_pictures_cost_no_encode(library: Library, change: Callable[[Path], None]) -> None:
    """Links, copies and new times are looked at once, never encoded."""
    album = library.album(5)
    before = library.home.encodes()
    change(album)
    library.home.sync()
    inspects = library.home.status()["counters"]["inspects"]
    library.home.sync()

    assert library.indexed() == library.on_disk()
    assert library.home.encodes() == before
    assert library.home.status()["counters"]["inspects"] == inspects


def _with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """Return the JPEG with one more segment, behind its JFIF segment."""
    at = 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == b"\xff\xe0" else 2
    return jpeg[:at] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[at:]


def _exif(*entries: tuple[int, int, int, int], below: bytes = b"") -> bytes:
    """Return the body of an APP1 segment: one directory of (tag, type, count, value), and what it points to."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4) + below


_GPS = struct.pack("<HHHIIHHIII", 2, 0, 1, 4, 0x0302, 1, 2, 2, 0x4E, 0)  # version 2.3, north; no further directory
_XMP = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
_METADATA = {
    "comment": (0xFE, b"a comment"),
    "rating": (0xE1, _exif((0x4746, 3, 1, 5))),
    "GPS": (0xE1, _exif((0x8825, 4, 1, 26), below=_GPS)),
    "XMP": (0xE1, _XMP),
}


@pytest.mark.parametrize("kind", _METADATA)
def test_an_edit_of_a_jpegs_metadata_costs_no_encode(library: Library, kind: str) -> None:
    """The file is another, the picture is the same: one look, and the same vector."""
    photo = library.album(0) / "edited.jpg"
    photo.write_bytes(library.jpeg)
    library.home.sync()
    before = library.home.status()["counters"]
    photo.write_bytes(_with_segment(library.jpeg, *_METADATA[kind]))
    library.home.sync()
    after = library.home.status()["counters"]

    assert library.indexed() == library.on_disk()
    assert after["encodes"] == before["encodes"]
    assert after["inspects"] > before["inspects"]


def test_an_edit_that_keeps_size_and_mtime_is_noticed(library: Library) -> None:
    """Other pixels are encoded, though the editor put the old mtime back."""
    photo = library.album(0) / "edited.jpg"
    edited = bytearray(library.jpeg)
    table = edited.index(b"\xff\xdb") + 5  # the first quantisation table
    edited[table : table + 8] = bytes(min(255, 4 * value) for value in edited[table : table + 8])
    photo.write_bytes(library.jpeg)
    library.home.sync()
    before, st = library.home.encodes(), photo.stat()
    photo.write_bytes(edited)
    os.utime(photo, ns=(st.st_atime_ns, st.st_mtime_ns))
    wait_for(lambda: library.home.encodes() == before + 1)
    library.home.sync()
    now = {match["path"]: match["distance"] for match in library.home.like(photo, "--self", "--no-fold", "-n", "1000")}

    assert (photo.stat().st_mtime_ns, photo.stat().st_size) == (st.st_mtime_ns, st.st_size)
    assert now[str(photo)] == 0
    assert all(distance > 0.1 for path, distance in now.items() if path != str(photo))


@pytest.mark.parametrize(
    ("marker", "body"),
    [(0xEE, b"Adobe\0\x64\0\0\0\0\0"), (0xE2, b"ICC_PROFILE\0\1\1" + bytes(128))],
    ids=["APP14", "ICC"],
)
def test_what_changes_the_colours_makes_another_picture(library: Library, marker: int, body: bytes) -> None:
    """Two JPEGs that differ in nothing but such a segment are two contents, each with a vector of its own."""
    album = library.album(0)
    (album / "plain.jpg").write_bytes(library.jpeg)
    library.home.sync()
    before = library.home.encodes()
    (album / "other.jpg").write_bytes(_with_segment(library.jpeg, marker, body))
    library.home.sync()
    found = library.home.like(album / "plain.jpg", "--self", "-n", "1000")
    same = next({match["path"], *match["copies"]} for match in found if str(album / "plain.jpg") in str(match))

    assert library.home.encodes() == before + 1
    assert library.indexed() == library.on_disk()
    assert str(album / "other.jpg") not in same
