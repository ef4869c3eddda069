"""Files are reached without links, and moved over nothing."""

import os
from pathlib import Path

import pytest

from pixkin import renaming
from pixkin.trash.files import Stays, copy, hidden, move, reached, read


def _unable(*_: object, **__: object) -> None:
    raise OSError(22, "Invalid argument")


@pytest.fixture(params=["rename", "link", "neither"])
def able(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a file system may lack: first the rename over nothing (NFS), then hard links (exfat-fuse)."""
    if request.param != "rename":
        monkeypatch.setattr(renaming, "_renameat2", _unable)
    if request.param == "neither":
        monkeypatch.setattr(os, "link", _unable)


@pytest.mark.usefixtures("able")
def test_a_move_is_over_nothing(tmp_path: Path) -> None:
    """What is there already stays as it is, and so does the file."""
    one, taken = tmp_path / "one", tmp_path / "taken"
    one.write_bytes(b"1")
    taken.write_bytes(b"2")
    with reached(str(one)) as spot:
        with pytest.raises(FileExistsError):
            move(spot, spot.beside("taken"))
        move(spot, spot.beside("free"))

    assert taken.read_bytes() == b"2"
    assert (tmp_path / "free").read_bytes() == b"1"
    assert not one.exists()


@pytest.mark.usefixtures("able")
def test_a_move_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    """No empty file is left where one was to be."""
    with reached(str(tmp_path / "gone")) as spot, pytest.raises(FileNotFoundError):
        move(spot, spot.beside("free"))

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["relative", "/a//b", "/a/./b", "/a/../b", "/a/"])
def test_only_a_plain_path_is_reached(path: str) -> None:
    """Others could mean another file than they seem to."""
    with pytest.raises(Stays), reached(path):
        pass


def test_no_link_is_followed(tmp_path: Path) -> None:
    """Neither as a folder nor as the file itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_bytes(b"1")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/b").symlink_to("a")
    with pytest.raises(Stays, match="the folder link above it is a link or a file"), reached(f"{tmp_path}/link/a"):
        pass
    with reached(f"{tmp_path}/real/b") as spot, pytest.raises(OSError, match="symbolic"):
        read(spot)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A FIFO does not hang."""
    os.mkfifo(tmp_path / "fifo")
    with reached(f"{tmp_path}/fifo") as spot, pytest.raises(Stays, match="not a regular file"):
        read(spot)


def test_a_copy_is_read_back_and_keeps_the_dates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that differs is deleted again."""
    one = tmp_path / "one"
    one.write_bytes(b"1" * 3_000_000)
    one.chmod(0o640)
    os.utime(one, ns=(10**18 + 1, 10**18 + 2))
    with reached(str(one)) as spot:
        digest = read(spot).digest
        copy(spot, spot.beside("two"), digest)
        with pytest.raises(Stays, match="its copy differs"):
            copy(spot, spot.beside("three"), "0" * 64)
    st = (tmp_path / "two").stat()

    assert (tmp_path / "two").read_bytes() == one.read_bytes()
    assert (st.st_mtime_ns, st.st_mode & 0o777) == (10**18 + 2, 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize("name", ["a.jpg", "x" * 255, "é" * 127])
def test_a_hidden_name_fits_and_tells_the_old_one(tmp_path: Path, name: str) -> None:
    """Unless that is too long."""
    (tmp_path / hidden(name)).touch()

    assert hidden(name).startswith(".")
    assert (name in hidden(name)) == (len(name) < 100)
