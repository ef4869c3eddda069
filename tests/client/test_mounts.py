"""What is mounted where, as the kernel tells it."""

from pathlib import Path

import pytest

from pixkin.mounts import Mount, mount_of, parse, read_mounts

ROOT = Mount(27, "254:0", "/", "/", "ext4", "/dev/vda")


def test_every_escape_of_mountinfo_is_undone() -> None:
    """Spaces, tabs, newlines, backslashes and bytes that are not UTF-8 in a mount point are decoded correctly."""
    line = (
        rb"36 27 8:1 /a\040b /m/\011\012\134040"
        b"\xff"
        rb" rw,noatime master:1 propagate_from:2 - ext4 /dev/sd\040a rw"
    )

    assert parse(line) == (Mount(36, "8:1", "/a b", "/m/\t\n\\040\udcff", "ext4", "/dev/sd a"),)


def test_a_line_without_optional_fields_is_read() -> None:
    """The dash may directly follow the mount's options, and a dash in an earlier field is no separator."""
    (mount,) = parse(b"22 27 0:21 / - rw - proc - rw\n")

    assert mount == Mount(22, "0:21", "/", "-", "proc", "-")


def test_the_kernels_own_mountinfo_is_read() -> None:
    """Every line of the real file can be parsed, and /proc lies in the proc file system."""
    mounts = read_mounts()

    assert len(mounts) == len(Path("/proc/self/mountinfo").read_bytes().splitlines())
    assert mount_of("/proc/self", mounts).fstype == "proc"


def test_the_deepest_mount_holds_a_path() -> None:
    """A path lies in the mount with the longest mount point above it, compared by whole names, in any order."""
    drive = Mount(40, "8:1", "/", "/mnt/drive", "vfat", "/dev/sda1")
    mounts = (drive, ROOT)

    assert mount_of("/mnt/drive", mounts) is drive
    assert mount_of("/mnt/drive/a/b", mounts) is drive
    assert mount_of("/mnt/drive2", mounts) is ROOT
    assert mount_of("/", mounts) is ROOT


def test_the_latest_of_two_mounts_on_one_point_holds_its_paths() -> None:
    """A mount hides the one it is mounted over."""
    under = Mount(40, "8:1", "/", "/mnt", "vfat", "/dev/sda1")
    over = Mount(41, "8:2", "/", "/mnt", "ext4", "/dev/sda2")

    assert mount_of("/mnt/a", (ROOT, under, over)) is over


def test_a_path_in_no_mount_is_refused() -> None:
    """A path that lies on no mount is an error."""
    with pytest.raises(ValueError, match="empty"):
        mount_of("/a", ())
