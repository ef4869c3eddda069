import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.daemon.conftest import descriptors

from pixkind.config import Config
from pixkind.errors import PhotoError
from pixkind.fs.interface import is_unchanged
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.open_photo import OpenPhoto, StillOpen, Vanished, open_photo, open_regular


def _open(path: Path | str, *, limit_mb: int = 1, quiet_ns: int = 0) -> OpenPhoto:
    return open_photo(str(path), limit_mb=limit_mb, quiet_ns=quiet_ns, now_ns=time.time_ns())


@contextmanager
def _as_another_user() -> Iterator[str]:
    """Yield the path of a readable file of another user, on which the kernel grants us no lease."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield os.path.realpath("/etc/passwd")
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"picture")
    return path


def _nothing(path: Path) -> None:
    path.unlink()


def _below_a_file(path: Path) -> None:
    path.unlink()
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.write_text("a file where the folder was")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_name("b.jpg"))
    path.symlink_to("b.jpg")


def _socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(path))  # its own path may be too long


@pytest.mark.parametrize("becomes", [_nothing, _below_a_file, _folder, _fifo, _link, _socket])
def test_what_is_no_regular_file_has_vanished(
    photo: Path, becomes: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If something else has the photo's name, it is neither followed nor waited for, and no descriptor stays open."""
    monkeypatch.chdir(photo.parents[1])
    becomes(photo)
    before = descriptors()

    with pytest.raises(Vanished):
        _open(photo)
    assert descriptors() == before


def test_a_file_over_the_limit_fails_with_both_sizes(photo: Path) -> None:
    """A file that is too large is refused before a byte is read, and the reason names the setting to raise."""
    os.truncate(photo, (1 << 20) + 1)
    before = descriptors()

    with pytest.raises(PhotoError, match=r"1 MiB is over the limit of 1 MiB \(decode.limit_mb\)"):
        _open(photo)
    assert descriptors() == before
    os.truncate(photo, 1 << 20)
    _open(photo).close()


def test_a_file_that_is_open_for_writing_is_not_read(photo: Path) -> None:
    """A file that is open for writing may still be being copied; once it is closed it can be opened. Readers do not matter."""
    before = descriptors()
    with photo.open("ab"), pytest.raises(StillOpen):
        _open(photo)

    assert descriptors() == before
    with photo.open("rb"):
        _open(photo).close()


def test_where_nobody_can_tell_a_writer_only_age_counts() -> None:
    """Without leases a file that has just changed is not opened; a file that was left alone is."""
    before = descriptors()
    with _as_another_user() as path:
        with pytest.raises(StillOpen):
            _open(path, quiet_ns=1 << 62)
        _open(path).close()

    assert descriptors() == before


def test_an_unreadable_file_fails_with_the_reason(photo: Path) -> None:
    """The reason contains the system's error message."""
    photo.chmod(0)
    photo.parent.chmod(0o755)
    with _as_another_user(), pytest.raises(PhotoError, match="cannot be opened: Permission denied"):
        open_regular(str(photo) if os.access(photo.parent, os.X_OK) else "/etc/shadow")


def test_no_descriptor_left_is_nobodys_fault(photo: Path) -> None:
    """If we have no descriptor left, the photo is not to blame and does not fail."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            open_regular(str(photo))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _edit(path: Path) -> None:
    path.write_bytes(b"another")


def _edit_and_put_the_time_back(path: Path) -> None:
    st = path.stat()
    path.write_bytes(b"another")
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def _replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    new.rename(path)


def _rename(path: Path) -> None:
    path.rename(path.with_name("elsewhere.jpg"))


@pytest.mark.parametrize(
    "change", [_edit, _edit_and_put_the_time_back, _replace, _rename, _nothing, _folder, _fifo, _link]
)
def test_a_change_is_seen_through_the_open_file(photo: Path, change: Callable[[Path], None]) -> None:
    """A photo is unchanged only while the same version of the same file is at its path."""
    photo_opened = _open(photo)
    before = is_unchanged(LocalFileSystem(Config().rules), photo_opened.path, photo_opened.stamp)
    change(photo)
    after = is_unchanged(LocalFileSystem(Config().rules), photo_opened.path, photo_opened.stamp)
    photo_opened.close()

    assert before
    assert not after
