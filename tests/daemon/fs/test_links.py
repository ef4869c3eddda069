"""Below a root no folder is reached through a symbolic link, and no snapshot is entered, whichever way a path is touched."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixkind.config import Config
from pixkind.fs.interface import ABSENT, FileSystem, OpenLimits, is_file, is_unchanged
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.open_photo import Vanished
from pixkind.fs.remote import RemoteFileSystem

_INDEXED, _QUERY = OpenLimits(limit_mb=1, quiet_ns=0), OpenLimits(limit_mb=1, quiet_ns=None)

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a photo in two nested folders."""
    (tmp_path / "root/2020/may").mkdir(parents=True)
    (tmp_path / "root/2020/may/a.jpg").write_bytes(b"1")
    return tmp_path / "root"


@pytest.fixture(params=["local", "remote"])
def file_system(request: pytest.FixtureRequest, root: Path) -> Iterator[FileSystem]:
    """Yield each kind of file system, with the root."""
    if request.param == "local":
        yield LocalFileSystem(Config().rules, roots=(str(root),))
        return
    remote = RemoteFileSystem(Config().rules, (str(root),))
    yield remote
    remote.close()


@pytest.mark.parametrize("moved", ["2020", "2020/may"])
def test_a_folder_that_became_a_link_has_nothing_below(file_system: FileSystem, root: Path, moved: str) -> None:
    """A photo and its folder count as absent if any folder above them is a symbolic link, even if its aim has them."""
    photo, folder = str(root / "2020/may/a.jpg"), str(root / "2020/may")
    opened = file_system.open(photo, _INDEXED)
    opened.close()
    assert is_unchanged(file_system, photo, opened.stamp)

    (root / moved).rename(root.parent / "elsewhere")
    (root / moved).symlink_to(root.parent / "elsewhere")

    assert os.path.exists(photo)
    assert not is_file(file_system, photo)
    assert not is_unchanged(file_system, photo, opened.stamp)
    for touch in (file_system.look, file_system.list):
        with pytest.raises(OSError) as error:  # noqa: PT011  # its number is compared
            touch(photo if touch == file_system.look else folder)
        assert error.value.errno in ABSENT
    for limits in (_INDEXED, _QUERY):
        with pytest.raises(Vanished):
            file_system.open(photo, limits)


def test_a_path_that_is_too_long_is_refused(file_system: FileSystem, root: Path) -> None:
    """The kernel takes at most 4,095 bytes, so nothing else could touch such a path."""
    for touch in (file_system.look, file_system.list):
        with pytest.raises(OSError, match="too long"):
            touch(f"{root}/{'d/' * 2048}a.jpg")


def test_a_root_and_what_lies_outside_may_be_reached_through_links(file_system: FileSystem, root: Path) -> None:
    """The way to a root may have links: its identity proves it. An image of a query may lie anywhere."""
    root.rename(root.parent / "moved")
    root.symlink_to("moved")
    outside = root.parent / "outside"
    outside.symlink_to("moved/2020")

    assert [path for path, _ in file_system.list(str(root / "2020/may")).photos] == [str(root / "2020/may/a.jpg")]
    for photo in (root / "2020/may/a.jpg", outside / "may/a.jpg"):
        assert is_file(file_system, str(photo))
        file_system.open(str(photo), _QUERY).close()


def test_read_only_subvolume_is_no_part_of_a_root(tmp_path: Path) -> None:
    """A snapshot of Btrfs counts as absent; a subvolume that can be written is an ordinary folder."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("no Btrfs here")
    image, root = tmp_path / "drive.img", tmp_path / "root"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
    if (done := subprocess.run(["mount", "-o", "loop", image, root], capture_output=True, check=False)).returncode:
        pytest.skip(f"no Btrfs can be mounted here: {done.stderr.decode()}")
    try:
        btrfs = ("btrfs", "subvolume")
        subprocess.run([*btrfs, "create", root / "live"], check=True, capture_output=True)
        (root / "live/sub").mkdir()
        (root / "live/sub/a.jpg").write_bytes(b"1")
        subprocess.run([*btrfs, "snapshot", "-r", root / "live", root / "kept"], check=True, capture_output=True)
        below, itself = (LocalFileSystem(Config().rules, roots=(str(one),)) for one in (root, root / "kept"))
        assert is_file(below, str(root / "live/sub/a.jpg"))
        assert not is_file(below, str(root / "kept/sub/a.jpg"))
        assert is_file(itself, str(root / "kept/sub/a.jpg"))  # a user may name it as a root
        for folder in ("kept", "kept/sub"):
            with pytest.raises(FileNotFoundError):
                below.list(str(root / folder))
    finally:
        subprocess.run(["umount", "-l", root], check=True)
