import os
import subprocess
import threading
from pathlib import Path

from tests.daemon.conftest import mount

from pixkin.mounts import mount_of, read_mounts
from pixkind.fs.mounts import MountWatch


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
