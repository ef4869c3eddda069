import os
import subprocess
import threading
from pathlib import Path

import pytest
from tests.daemon.conftest import mount

from pixkind.fs.mounts import Mount, MountWatch, mount_of, parse, read_mounts

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


def test_a_mount_and_an_unmount_are_called_back(point: Path) -> None:
    """The callback comes after each change, when mountinfo already shows the change."""
    changes = threading.Semaphore(0)
    watch = MountWatch(changes.release)
    watch.start()
    try:
        mount("-t", "tmpfs", "pixkin-test", point)
        was_told = changes.acquire(timeout=240)
        seen = mount_of(str(point), read_mounts())
        while changes.acquire(blocking=False):  # one mount may be several changes
            pass
        subprocess.run(["umount", point], check=True)
        was_told_again = changes.acquire(timeout=240)
    finally:
        watch.stop()

    assert was_told
    assert (seen.fstype, seen.source, seen.point) == ("tmpfs", "pixkin-test", str(point))
    assert was_told_again
    assert watch.failure() is None


def test_a_lazy_unmount_with_an_open_file_is_called_back(point: Path) -> None:
    """`umount -l` is reported at once; inotify would report it only when the last file is closed."""
    mount("-t", "tmpfs", "pixkin-test", point)
    changes = threading.Semaphore(0)
    watch = MountWatch(changes.release)
    with open(point / "open", "wb"):
        watch.start()
        subprocess.run(["umount", "-l", point], check=True)
        was_told = changes.acquire(timeout=240)
        watch.stop()

    assert was_told


def test_the_thread_answers_until_it_is_stopped() -> None:
    """`beat` grows while the thread runs, and stopping leaves neither a thread nor a descriptor."""
    descriptors = len(os.listdir("/proc/self/fd"))
    watch = MountWatch(lambda: None)
    watch.start()
    first = watch.beat()
    while watch.beat() == first:  # the limit is the test's own
        pass
    watch.stop()

    assert "mounts" not in {thread.name for thread in threading.enumerate()}
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_callback_that_raises_is_the_failure(point: Path) -> None:
    """`failure` returns the error that ended the thread."""

    def changed() -> None:
        died.set()
        raise LookupError("on purpose")

    died = threading.Event()
    watch = MountWatch(changed)
    watch.start()
    mount("-t", "tmpfs", "pixkin-test", point)
    was_told = died.wait(40)
    watch.stop()

    assert was_told
    assert isinstance(watch.failure(), LookupError)
