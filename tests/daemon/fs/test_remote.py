import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import descriptors
from tests.e2e.conftest import children
from tests.waiting import wait_for

from pixkind.config import Config
from pixkind.errors import PhotoError
from pixkind.fs.interface import Listing, NoAnswer, OpenLimits
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.open_photo import StillOpen, Vanished
from pixkind.fs.remote import LOOK_S, RemoteFileSystem
from pixkind.fs.remote_helper import PIECE

_LIMITS = OpenLimits(limit_mb=1, quiet_ns=0)


@pytest.fixture
def remote() -> Iterator[RemoteFileSystem]:
    """Yield a `RemoteFileSystem`, and end its processes."""
    before = set(children(os.getpid()))
    made = RemoteFileSystem(Config().rules)
    yield made
    made.close()
    wait_for(lambda: set(children(os.getpid())) <= before)


def _helper() -> int:
    """Return the newest child process."""
    return max(children(os.getpid()))


def test_what_is_remote_looks_the_same(remote: RemoteFileSystem, tmp_path: Path) -> None:
    """The helper process sees photos, folders, links, odd names and missing paths as the daemon would."""
    local = LocalFileSystem(Config().rules)
    (tmp_path / "folder").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"1")
    (tmp_path / "note.txt").write_bytes(b"1")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    Path(odd).write_bytes(b"2")

    def ordered(listing: Listing) -> Listing:
        return Listing(sorted(listing.photos), sorted(listing.folders), sorted(listing.unreadable))

    assert ordered(remote.list(str(tmp_path))) == ordered(local.list(str(tmp_path)))
    assert {path for path, _ in remote.list(str(tmp_path)).photos} == {str(tmp_path / "a.jpg"), odd}
    assert [remote.look(path) for path in (odd, str(tmp_path))] == [local.look(path) for path in (odd, str(tmp_path))]
    assert remote.resolve(str(tmp_path / "link.jpg")) == str(tmp_path / "a.jpg")
    assert remote.assess(str(tmp_path), None, has_photos=True) == local.assess(str(tmp_path), None, has_photos=True)


@pytest.mark.parametrize("name", ["missing", "a.jpg/below"])
def test_an_error_keeps_its_number(remote: RemoteFileSystem, tmp_path: Path, name: str) -> None:
    """Errors such as ENOENT arrive with the same number and text as from a local file system."""
    (tmp_path / "a.jpg").write_bytes(b"1")
    local = LocalFileSystem(Config().rules)
    found = []
    for file_system in (local, remote):
        for touch in (file_system.look, file_system.list):
            with pytest.raises(OSError) as error:  # noqa: PT011  # which one is compared
                touch(str(tmp_path / name))
            found.append((type(error.value), error.value.errno, error.value.strerror))

    assert found[:2] == found[2:]
    assert found[0][1] in (errno.ENOENT, errno.ENOTDIR)


def test_a_large_folder_comes_whole(remote: RemoteFileSystem, tmp_path: Path) -> None:
    """A listing that does not fit into one message arrives complete."""
    names = {f"{number:0251}.jpg" for number in range(3 * PIECE // 2)}
    for name in names:
        (tmp_path / name).touch()

    assert {os.path.basename(path) for path, _ in remote.list(str(tmp_path)).photos} == names


def test_a_photo_comes_as_a_copy(remote: RemoteFileSystem, tmp_path: Path) -> None:
    """The copy has the bytes and the stamp of the file, and no process has the file open."""
    photo = tmp_path / "a.jpg"
    photo.write_bytes(os.urandom(1_000_000))
    photo_copy = remote.open(str(photo), _LIMITS)
    copied = os.pread(photo_copy.descriptor, 1 << 20, 0)
    link = os.readlink(f"/proc/self/fd/{photo_copy.descriptor}")
    photo_copy.close()

    assert copied == photo.read_bytes()
    assert photo_copy.stamp == LocalFileSystem(Config().rules).look(str(photo))[1]
    assert photo_copy.is_copy
    assert "memfd" in link


@pytest.mark.parametrize("limits", [_LIMITS, OpenLimits(limit_mb=1, quiet_ns=None)])
def test_what_cannot_be_copied_says_why(remote: RemoteFileSystem, tmp_path: Path, limits: OpenLimits) -> None:
    """A missing, special, too large or open file raises the same error as locally, and no descriptor is left behind."""
    (tmp_path / "large.jpg").write_bytes(bytes((1 << 20) + 1))
    os.mkfifo(tmp_path / "pipe.jpg")
    remote.list(str(tmp_path))
    before = descriptors()
    for name, error in (("none.jpg", Vanished), ("pipe.jpg", Vanished), ("large.jpg", PhotoError)):
        with pytest.raises(error):
            remote.open(str(tmp_path / name), limits)
    after = descriptors()
    with (tmp_path / "busy.jpg").open("wb"), pytest.raises(StillOpen):
        remote.open(str(tmp_path / "busy.jpg"), _LIMITS)

    assert after <= before + 1  # the socket of the process that reads


def test_silence_is_told_in_time_and_ends_when_it_answers(remote: RemoteFileSystem, tmp_path: Path) -> None:
    """The first request waits for its deadline and all later ones fail at once; a process that answers again is used again."""
    remote.look(str(tmp_path))
    helper = _helper()
    os.kill(helper, signal.SIGSTOP)
    waited = []
    for _ in range(20):
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            remote.look(str(tmp_path))
        waited.append(time.monotonic() - began)
    was_hung = remote._looks.is_hung()
    os.kill(helper, signal.SIGCONT)
    wait_for(lambda: not remote._looks.is_hung())

    assert waited[0] >= LOOK_S
    assert sum(waited[1:]) < 19 * LOOK_S / 2  # had each waited for its deadline, it would be twice that
    assert was_hung
    assert remote.look(str(tmp_path)) == LocalFileSystem(Config().rules).look(str(tmp_path))
    assert _helper() == helper


def test_a_process_that_dies_is_replaced(remote: RemoteFileSystem, tmp_path: Path) -> None:
    """If the helper process dies, the request gets NoAnswer, and the next request starts a new process."""
    remote.look(str(tmp_path))
    os.kill(_helper(), signal.SIGKILL)
    with pytest.raises(NoAnswer):
        remote.look(str(tmp_path))

    assert remote.look(str(tmp_path)) == LocalFileSystem(Config().rules).look(str(tmp_path))
    assert not remote._looks.is_hung()


def test_closing_waits_for_nobody(remote: RemoteFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing ends a waiting request with NoAnswer at once; later requests get NoAnswer too."""
    monkeypatch.setattr("pixkind.fs.remote.READ_S", 600)  # whoever waited for it would meet the test's own limit
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"1")
    remote.open(str(photo), _LIMITS).close()
    os.kill(_helper(), signal.SIGSTOP)
    asked = remote.open_later(str(photo), _LIMITS)
    wait_for(remote._reads._lock.locked)
    remote.close()

    assert isinstance(asked.exception(), NoAnswer)
    with pytest.raises(NoAnswer):
        remote.look(str(tmp_path))


def test_a_machine_that_starts_no_process_is_no_answer(
    remote: RemoteFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no process can be started, requests get NoAnswer, and nothing else happens."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(NoAnswer):
            remote.look(str(tmp_path))
        with pytest.raises(NoAnswer):
            remote.open(str(tmp_path / "a.jpg"), _LIMITS)

    assert remote.look(str(tmp_path)) == LocalFileSystem(Config().rules).look(str(tmp_path))
