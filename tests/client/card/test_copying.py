"""Copies of a memory card that may be erased afterwards."""

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixkin import renaming
from pixkin.card import copying
from pixkin.card.copying import Copied, Copier, CopyFailed, TargetFull, numbered

_2019 = 1_555_555_555_123_456_789


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Return a card with a photo."""
    photo = tmp_path / "card/DCIM/100/a.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(os.urandom(2_500_000))
    os.utime(photo, ns=(_2019, _2019))
    return tmp_path / "card"


def _copy(card: Path, target: Path, name: str = "DCIM/100/a.jpg") -> Copied:
    return Copier(str(target)).copy(os.fsencode(card / name), os.fsencode(card))


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_a_copy_keeps_bytes_date_and_place(card: Path, tmp_path: Path) -> None:
    """Folders are made. Nothing else is left."""
    target = tmp_path / "new/target"
    copied = _copy(card, target)
    copy = target / "DCIM/100/a.jpg"

    assert copied == Copied(os.fsencode(copy), is_new=True)
    assert copy.read_bytes() == (card / "DCIM/100/a.jpg").read_bytes()
    assert copy.stat().st_mtime_ns == _2019
    assert _names(target) == {"DCIM/100/a.jpg"}


def test_the_second_run_copies_nothing(card: Path, tmp_path: Path) -> None:
    """The copy is compared; also one that got a number."""
    first = _copy(card, tmp_path / "target")
    (tmp_path / "target/DCIM/100/a.jpg").rename(tmp_path / "target/DCIM/100/a (2).jpg")
    (tmp_path / "target/DCIM/100/a.jpg").write_bytes(b"another")
    second = _copy(card, tmp_path / "target")

    assert second == Copied(first.path.replace(b"a.jpg", b"a (2).jpg"), is_new=False)
    assert _names(tmp_path / "target") == {"DCIM/100/a.jpg", "DCIM/100/a (2).jpg"}


def _version(path: Path) -> tuple[int, ...]:
    """Return what changes with a file, but not when it is only read: that may set its time of access."""
    st = os.lstat(path)
    return st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns


@pytest.mark.parametrize("taken", ["file", "same size", "link", "dangling link", "folder", "fifo"])
def test_nothing_is_replaced(card: Path, tmp_path: Path, taken: str) -> None:
    """A name that is taken gets a number, and stays a photo's name."""
    folder = tmp_path / "target/DCIM/100"
    folder.mkdir(parents=True)
    photo, name = card / "DCIM/100/a.jpg", folder / "a.jpg"
    takes: dict[str, Callable[[], object]] = {
        "file": lambda: name.write_bytes(b"mine"),
        "same size": lambda: name.write_bytes(photo.read_bytes()[:-1] + b"!"),
        "link": lambda: name.symlink_to(photo),
        "dangling link": lambda: name.symlink_to("nothing"),
        "folder": name.mkdir,
        "fifo": lambda: os.mkfifo(name),
    }
    takes[taken]()
    before = _version(name)
    copied = _copy(card, tmp_path / "target")

    assert copied == Copied(os.fsencode(folder / "a (2).jpg"), is_new=True)
    assert _version(name) == before
    assert (folder / "a (2).jpg").read_bytes() == photo.read_bytes()


def test_a_link_below_the_target_is_not_followed(card: Path, tmp_path: Path) -> None:
    """It may lead back to the card."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target/DCIM").symlink_to(card / "DCIM")

    with pytest.raises(CopyFailed, match="not a directory"):
        _copy(card, tmp_path / "target")


@pytest.mark.parametrize("way", ["rename", "link", "neither"])
def test_each_way_to_a_name_replaces_nothing(
    card: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every file system can rename without replacing, or has hard links. Somebody else may take the name first."""

    def cannot(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "invalid argument")

    if way != "rename":
        monkeypatch.setattr(renaming, "_renameat2", cannot)
    if way == "neither":
        monkeypatch.setattr(os, "link", cannot)
    fill: Callable[[int, int], None] = copying._fill

    def late(part: int, source: int) -> None:
        fill(part, source)
        (tmp_path / "target/DCIM/100/a.jpg").write_text("somebody else's")

    monkeypatch.setattr(copying, "_fill", late)
    copied = _copy(card, tmp_path / "target")

    assert copied == Copied(os.fsencode(tmp_path / "target/DCIM/100/a (2).jpg"), is_new=True)
    assert (tmp_path / "target/DCIM/100/a.jpg").read_text() == "somebody else's"
    assert (tmp_path / "target/DCIM/100/a (2).jpg").read_bytes() == (card / "DCIM/100/a.jpg").read_bytes()
    assert len(_names(tmp_path / "target")) == 2


def test_a_copy_with_other_bytes_gets_no_name(card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a drive that loses what it was given."""
    fsync = os.fsync

    def lossy(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part"):
            os.pwrite(descriptor, b"lost", 2_000_000)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", lossy)
    with pytest.raises(CopyFailed, match="other bytes"):
        _copy(card, tmp_path / "target")
    assert _names(tmp_path / "target") == set()


def test_a_file_that_changes_gets_no_copy(card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or ends early, when the card is pulled out."""
    chunks = copying._chunks

    def cut(descriptor: int) -> object:
        for chunk in chunks(descriptor):
            yield chunk
            os.truncate(card / "DCIM/100/a.jpg", 1_500_000)

    monkeypatch.setattr(copying, "_chunks", cut)
    with pytest.raises(CopyFailed, match="changed"):
        _copy(card, tmp_path / "target")
    (card / "DCIM/100/a.jpg").unlink()
    with pytest.raises(CopyFailed, match="no such file"):
        _copy(card, tmp_path / "target")
    assert _names(tmp_path / "target") == set()


def test_a_full_disk_ends_the_copying(card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told apart from a single file that fails."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(TargetFull, match="no space left"):
        _copy(card, tmp_path / "target")
    assert _names(tmp_path / "target") == set()


def test_what_a_killed_run_left_is_deleted(card: Path, tmp_path: Path) -> None:
    """What another run writes just now is not, nor anything of the user's."""
    folder = tmp_path / "target/DCIM/100"
    folder.mkdir(parents=True)
    names = [".pixkin-0123456789abcdef.part", ".pixkin-fedcba9876543210.part", ".pixkin-mine.part"]
    for name in names:
        (folder / name).touch()
    with (folder / names[1]).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        _copy(card, tmp_path / "target")

    assert _names(folder) == {"a.jpg", *names[1:]}


@pytest.mark.parametrize(
    ("name", "number", "result"),
    [
        (b"a.jpg", 1, b"a.jpg"),
        (b"a.jpg", 2, b"a (2).jpg"),
        (b"a.b.jpg", 12, b"a.b (12).jpg"),
        (b"noext", 2, b"noext (2)"),
        (b".hidden", 2, b".hidden (2)"),
        (b"caf\xe9.jpg", 2, b"caf\xe9 (2).jpg"),
        (b"x" * 251 + b".jpg", 2, b"x" * 247 + b" (2).jpg"),
        ("é".encode() * 125 + b".jpg", 3, "é".encode() * 123 + b" (3).jpg"),
    ],
)
def test_a_number_stands_before_the_suffix(name: bytes, number: int, result: bytes) -> None:
    """The name has at most 255 bytes, and stays UTF-8 if it was."""
    assert numbered(name, number) == result


@pytest.fixture
def pool(card: Path, tmp_path: Path) -> Iterator[Path]:
    """Yield a pool that shows the card under another device and other inodes."""
    point = tmp_path / "pool"
    point.mkdir()
    if shutil.which("mergerfs") is None or os.getuid() != 0:
        pytest.skip("no mergerfs here")
    if (done := subprocess.run(["mergerfs", card, point], capture_output=True, check=False)).returncode:
        pytest.skip(f"it cannot be mounted here: {done.stderr.decode()}")
    yield point
    subprocess.run(["umount", "-l", point], check=True)


def test_a_file_of_the_card_is_no_copy_of_itself(card: Path, pool: Path) -> None:
    """Not even if the target shows it under another device: it would be erased with the card."""
    copied = Copier(str(card)).copy(os.fsencode(pool / "DCIM/100/a.jpg"), os.fsencode(pool))

    assert copied == Copied(os.fsencode(card / "DCIM/100/a (2).jpg"), is_new=True)


def test_a_target_that_shows_on_the_card_is_told(card: Path, pool: Path, tmp_path: Path) -> None:
    """A new file of it would be erased with the card. Nothing is left of the trial."""
    (card / "new").mkdir()
    inside, outside = Copier(str(card / "new")), Copier(str(tmp_path / "target"))

    assert inside.is_shown_in([str(pool)])
    assert not outside.is_shown_in([str(pool)])
    assert _names(card) == {"DCIM/100/a.jpg"}


@pytest.mark.parametrize("order", [["a.jpg", "a.xmp", "a.dng"], ["a.dng", "a.xmp", "a.jpg"]])
def test_files_of_one_name_get_one_number(card: Path, tmp_path: Path, order: list[str]) -> None:
    """Else a sidecar would belong to another photo, and its edits with it."""
    for name in ("a.xmp", "a.dng"):
        (card / "DCIM/100" / name).write_bytes(name.encode())
    taken = tmp_path / "target/DCIM/100/a.jpg"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"another photo")
    copier = Copier(str(tmp_path / "target"))
    copied = [copier.copy(os.fsencode(card / "DCIM/100" / name), os.fsencode(card)).path for name in order]
    again = [copier.copy(os.fsencode(card / "DCIM/100" / name), os.fsencode(card)) for name in order]

    assert {os.path.basename(path) for path in copied} == {b"a (2).jpg", b"a (2).xmp", b"a (2).dng"}
    assert again == [Copied(path, is_new=False) for path in copied]
