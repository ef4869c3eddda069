import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import descriptors, wait_for
from tests.e2e.conftest import children

from pixkind.config import Config
from pixkind.errors import PhotoError
from pixkind.fs.interface import Listing, NoAnswer, OpenLimits
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.open_photo import StillOpen, Vanished
from pixkind.fs.remote import LOOK_S, RemoteFileSystem
from pixkind.fs.remote_helper import PIECE

_LIMITS = OpenLimits(limit_mb=1, quiet_ns=0)

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def far() -> Iterator[RemoteFileSystem]:
    """Yield what touches any file system through a process, and end it."""
    before = set(children(os.getpid()))
    made = RemoteFileSystem(Config())
    yield made
    made.close()
    wait_for(lambda: set(children(os.getpid())) <= before)


def _probe() -> int:
    """Return the youngest process that this one has started."""
    return max(children(os.getpid()))


def test_what_is_far_looks_the_same(far: RemoteFileSystem, tmp_path: Path) -> None:
    """Photos, folders, links, odd names and what is missing: a process sees what the daemon would."""
    near = LocalFileSystem(Config())
    (tmp_path / "folder").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"1")
    (tmp_path / "note.txt").write_bytes(b"1")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    Path(odd).write_bytes(b"2")

    def ordered(listing: Listing) -> Listing:
        return Listing(sorted(listing.photos), sorted(listing.folders), sorted(listing.blind))

    assert ordered(far.list(str(tmp_path))) == ordered(near.list(str(tmp_path)))
    assert {path for path, _ in far.list(str(tmp_path)).photos} == {str(tmp_path / "a.jpg"), odd}
    assert [far.look(path) for path in (odd, str(tmp_path))] == [near.look(path) for path in (odd, str(tmp_path))]
    assert far.resolve(str(tmp_path / "link.jpg")) == str(tmp_path / "a.jpg")
    assert far.assess(str(tmp_path), None, holds=True) == near.assess(str(tmp_path), None, holds=True)


@pytest.mark.parametrize("name", ["missing", "a.jpg/below"])
def test_an_error_keeps_its_number(far: RemoteFileSystem, tmp_path: Path, name: str) -> None:
    """ENOENT and the like mean what they mean nearby: nothing stands there."""
    (tmp_path / "a.jpg").write_bytes(b"1")
    near = LocalFileSystem(Config())
    found = []
    for file_system in (near, far):
        for touch in (file_system.look, file_system.list):
            with pytest.raises(OSError) as error:  # noqa: PT011  # which one is compared
                touch(str(tmp_path / name))
            found.append((type(error.value), error.value.errno, error.value.strerror))

    assert found[:2] == found[2:]
    assert found[0][1] in (errno.ENOENT, errno.ENOTDIR)


def test_a_large_folder_comes_whole(far: RemoteFileSystem, tmp_path: Path) -> None:
    """Names of full length, more than one message holds."""
    names = {f"{number:0251}.jpg" for number in range(3 * PIECE // 2)}
    for name in names:
        (tmp_path / name).touch()

    assert {os.path.basename(path) for path, _ in far.list(str(tmp_path)).photos} == names


def test_a_photo_comes_as_a_copy(far: RemoteFileSystem, tmp_path: Path) -> None:
    """Its bytes and its stamp are those of the file, which nobody has open."""
    photo = tmp_path / "a.jpg"
    photo.write_bytes(os.urandom(1_000_000))
    handle = far.open(str(photo), _LIMITS)
    copied = os.pread(handle.descriptor, 1 << 20, 0)
    link = os.readlink(f"/proc/self/fd/{handle.descriptor}")
    handle.close()

    assert copied == photo.read_bytes()
    assert handle.stamp == LocalFileSystem(Config()).look(str(photo))[1]
    assert handle.is_copy
    assert "memfd" in link


@pytest.mark.parametrize("limits", [_LIMITS, OpenLimits(limit_mb=1, quiet_ns=None)])
def test_what_cannot_be_copied_says_why(far: RemoteFileSystem, tmp_path: Path, limits: OpenLimits) -> None:
    """Nothing there, no regular file, too large, open for writing: as nearby, and no descriptor is left behind."""
    (tmp_path / "large.jpg").write_bytes(bytes((1 << 20) + 1))
    os.mkfifo(tmp_path / "pipe.jpg")
    far.list(str(tmp_path))
    before = descriptors()
    for name, error in (("none.jpg", Vanished), ("pipe.jpg", Vanished), ("large.jpg", PhotoError)):
        with pytest.raises(error):
            far.open(str(tmp_path / name), limits)
    after = descriptors()
    with (tmp_path / "busy.jpg").open("wb"), pytest.raises(StillOpen):
        far.open(str(tmp_path / "busy.jpg"), _LIMITS)

    assert after <= before + 1  # the socket of the process that reads


def test_silence_is_told_in_time_and_ends_when_it_answers(far: RemoteFileSystem, tmp_path: Path) -> None:
    """The first question waits for its deadline, all others fail at once; what answers again is used again."""
    far.look(str(tmp_path))
    probe = _probe()
    os.kill(probe, signal.SIGSTOP)
    waited = []
    for _ in range(20):
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            far.look(str(tmp_path))
        waited.append(time.monotonic() - began)
    was_hung = far._looks.is_hung()
    os.kill(probe, signal.SIGCONT)
    wait_for(lambda: not far._looks.is_hung())

    assert waited[0] >= LOOK_S
    assert sum(waited[1:]) < 19 * LOOK_S / 2  # had each waited for its deadline, it would be twice that
    assert was_hung
    assert far.look(str(tmp_path)) == LocalFileSystem(Config()).look(str(tmp_path))
    assert _probe() == probe


def test_a_process_that_dies_is_replaced(far: RemoteFileSystem, tmp_path: Path) -> None:
    """Its death says nothing of what stands there; the next question has a new one."""
    far.look(str(tmp_path))
    os.kill(_probe(), signal.SIGKILL)
    with pytest.raises(NoAnswer):
        far.look(str(tmp_path))

    assert far.look(str(tmp_path)) == LocalFileSystem(Config()).look(str(tmp_path))
    assert not far._looks.is_hung()


def test_closing_waits_for_nobody(far: RemoteFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stands in a question gets no answer at once, and so does whoever asks later."""
    monkeypatch.setattr("pixkind.fs.remote.READ_S", 600)  # whoever waited for it would meet the test's own limit
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"1")
    far.open(str(photo), _LIMITS).close()
    os.kill(_probe(), signal.SIGSTOP)
    asked = far.open_later(str(photo), _LIMITS)
    wait_for(far._reads._lock.locked)
    far.close()

    assert isinstance(asked.exception(), NoAnswer)
    with pytest.raises(NoAnswer):
        far.look(str(tmp_path))


def test_a_machine_that_starts_no_process_is_no_answer(
    far: RemoteFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many processes say nothing of the photos, and end nothing."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(NoAnswer):
            far.look(str(tmp_path))
        with pytest.raises(NoAnswer):
            far.open(str(tmp_path / "a.jpg"), _LIMITS)

    assert far.look(str(tmp_path)) == LocalFileSystem(Config()).look(str(tmp_path))
