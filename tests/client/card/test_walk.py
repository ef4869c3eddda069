"""Which files are on a memory card: each of them has a kind, so that none is forgotten when the card is erased."""

import os
import socket
from pathlib import Path

import pytest

from pixkin.card.walk import CardFile, Kind, Walk
from pixkin.protocol.replies import Welcome

RULES = Welcome(
    version="9", pid=1, suffixes=("jpg", "dng"), skipped=("@eadir", "lost+found", "system volume information")
)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


def _kinds(top: Path) -> dict[str, Kind]:
    return {os.path.relpath(os.fsdecode(file.path), top): file.kind for file in Walk(RULES).files([str(top)])}


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("DCIM/IMG_1.JPG", b"", Kind.PHOTO),
        ("DCIM/MVI_1.MP4", b"", Kind.VIDEO),
        ("PRIVATE/AVCHD/BDMV/STREAM/00001.MTS", b"", Kind.VIDEO),
        ("DCIM/MVI_1.THM", b"", Kind.SIDECAR),
        ("DCIM/IMG_1.xmp", b"", Kind.SIDECAR),
        ("DCIM/IMG_1.CR3", b"", Kind.UNREAD),
        ("DCIM/download.jfif", b"", Kind.UNREAD),
        ("DCIM/IMG_1.JPG_original", JPEG, Kind.UNREAD),
        ("DCIM/IMG_1.jpg.part", JPEG, Kind.UNREAD),
        ("DCIM/noext", JPEG, Kind.UNREAD),
        ("DCIM/IMG_2.0", b"\0\0\0\x18ftypheic", Kind.UNREAD),
        ("DCIM/web", b"RIFF\0\0\0\0WEBPVP8 ", Kind.UNREAD),
        ("DCIM/noext", b"text", Kind.OTHER),
        ("DCIM/IMG_1.JPG.", b"", Kind.OTHER),
        ("notes.txt", b"", Kind.OTHER),
        ("DCIM/.IMG_1.JPG", JPEG, Kind.HIDDEN),
        (".hidden/DCIM/IMG_1.JPG", JPEG, Kind.HIDDEN),
        (".Trashes/501/IMG_1.JPG", JPEG, Kind.HIDDEN),
        ("@eaDir/IMG_1.JPG", JPEG, Kind.HIDDEN),
        ("lost+found/#1", JPEG, Kind.HIDDEN),
        ("System Volume Information/tracking.log", b"", Kind.HIDDEN),
        (".Spotlight-V100/IMG_1.JPG", JPEG, Kind.HIDDEN),
        ("DCIM/._IMG_1.JPG", b"", Kind.HIDDEN),
    ],
)
def test_each_file_has_a_kind(tmp_path: Path, name: str, data: bytes, kind: Kind) -> None:
    """By its name and place; if these say nothing, by its first bytes."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(data)

    assert _kinds(tmp_path) == {name: kind}


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "DCIM/Thumbs.db",
        "DCIM/CANONMSC/M0100.CTG",
        "AUTORUN.INF",
        "System Volume Information/WPSettings.dat",
        ".Spotlight-V100/Store-V2/0.indexHead",
        ".fseventsd/0000000000000001",
    ],
)
def test_bookkeeping_is_passed_over(tmp_path: Path, name: str) -> None:
    """Cameras and systems write it on each card, and nobody misses it."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()

    assert _kinds(tmp_path) == {}


def test_what_is_no_regular_file_is_counted(tmp_path: Path) -> None:
    """A link is not followed, even to a folder."""
    (tmp_path / "card").mkdir()
    (tmp_path / "away").mkdir()
    (tmp_path / "away/a.jpg").touch()
    (tmp_path / "card/a.jpg").symlink_to(tmp_path / "away/a.jpg")
    (tmp_path / "card/away").symlink_to(tmp_path / "away")
    (tmp_path / "card/dangling.jpg").symlink_to("nothing")
    os.mkfifo(tmp_path / "card/fifo.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "card/socket"))

    links = dict.fromkeys(("a.jpg", "away", "dangling.jpg"), Kind.LINK)
    assert _kinds(tmp_path / "card") == {**links, "fifo.jpg": Kind.OTHER, "socket": Kind.OTHER}


def test_files_come_in_order_and_know_what_was_named(tmp_path: Path) -> None:
    """Those of a folder come before those below it. A file that is named is a photo, unless its name says something else."""
    for name in ("b/2.jpg", "b/a/1.jpg", "a/9.jpg", "z.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    top = os.fsencode(tmp_path)
    walk = Walk(RULES)
    files = [*walk.files([str(tmp_path), str(tmp_path / "b/a"), str(tmp_path / "gone.bin"), "/x/v.mp4"])]

    assert [os.path.relpath(os.fsdecode(file.path), tmp_path) for file in files[:5]] == [
        "z.jpg",
        "a/9.jpg",
        "b/2.jpg",
        "b/a/1.jpg",
        "b/a/1.jpg",
    ]
    assert [file.top for file in files] == [*([top] * 4), top + b"/b/a", top, b"/x"]
    assert files[5:] == [
        CardFile(top + b"/gone.bin", Kind.PHOTO, top),
        CardFile(b"/x/v.mp4", Kind.VIDEO, b"/x"),
    ]
    assert walk.unreadable == []
