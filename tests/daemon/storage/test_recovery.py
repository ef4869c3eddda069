import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.waiting import wait_for

from pixkind.fs.stamp import Stamp
from pixkind.storage import verification
from pixkind.storage.recovery import close_store, open_store
from pixkind.storage.store import Store
from pixkind.storage.verification import Verifier
from pixkind.storage.write_batch import PhotoFound, WriteBatch


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A store with photos in it, closed cleanly."""
    path = str(tmp_path / "index.lmdb")
    store = open_store(path, "space", map_gb=1)
    for number in range(300):
        content = os.urandom(16)
        store.commit(
            WriteBatch(
                photos=[PhotoFound(f"/p/{number}.jpg", Stamp(1, 2, 3, 4), content)], vectors={content: bytes(2560)}
            )
        )
    close_store(store)
    return path


def _photos(path: str, *, waits: bool = True) -> int:
    store = open_store(path, "space", map_gb=1, waits=waits)
    count = sum(1 for _ in store.records())
    close_store(store)
    return count


def _aside(path: str) -> list[str]:
    return [name for name in os.listdir(os.path.dirname(path)) if ".damaged-" in name]


def test_a_store_that_was_closed_is_opened_without_being_verified(
    folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A clean stop costs the next start nothing."""
    with caplog.at_level("INFO"):
        photos = _photos(folder)

    assert photos == 300
    assert "verifying" not in caplog.text


def test_a_sound_store_is_verified_after_an_unclean_end_and_kept(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without the note of a clean stop every page is checked, and nothing is lost."""
    Store(folder, "space", map_gb=1).close()
    os.unlink(f"{folder}/clean")
    with caplog.at_level("INFO"):
        photos = _photos(folder)

    assert photos == 300
    assert "verifying" in caplog.text
    assert _aside(folder) == []


def _truncate(data: Path) -> None:
    os.truncate(data, data.stat().st_size // 2)


def _scribble(data: Path) -> None:
    with data.open("r+b") as file:
        file.seek(100 * 4096)
        file.write(b"X" * 32)


def _replace(data: Path) -> None:
    data.write_bytes(b"no database at all" * 1000)


@pytest.mark.parametrize("damage", [_truncate, _scribble, _replace])
def test_a_damaged_store_is_moved_aside_and_replaced(
    folder: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It is never deleted, never opened, and it is said."""
    os.truncate(f"{folder}/clean", 0)
    damage(Path(folder) / "data.mdb")
    damaged = (Path(folder) / "data.mdb").read_bytes()
    photos = _photos(folder)
    kept = Path(folder).with_name(_aside(folder)[0]) / "data.mdb"

    assert photos == 0
    assert kept.read_bytes() == damaged
    assert "damaged" in caplog.text


def test_only_the_last_damaged_store_is_kept(folder: str) -> None:
    """Each may be gigabytes."""
    for _ in range(2):
        _truncate(Path(folder) / "data.mdb")
        _photos(folder)

    assert len(_aside(folder)) == 1


def test_a_truncated_store_is_noticed_even_after_a_clean_stop(folder: str) -> None:
    """Somebody's cleaner must not become our SIGBUS."""
    _truncate(Path(folder) / "data.mdb")

    assert _photos(folder) == 0
    assert len(_aside(folder)) == 1


# Verifying while queries are answered.


def _kill(path: str) -> None:
    """Leave the store as a daemon leaves it that is killed."""
    os.unlink(f"{path}/clean")


def _misnumber(path: str) -> None:
    """Damage a page so that only a verifier notices: a reader takes the vector in it, and not the page's own number."""
    with open(f"{path}/data.mdb", "r+b") as file:
        data = file.read()
        overflow, vector = 4, bytes(2560)
        pages = range(2 * 4096, len(data), 4096)
        one = next(
            at for at in pages if data[at + 10] == overflow and data[at + 16 : at + 2576] == vector and at // 4096 > 20
        )
        file.seek(one)
        file.write(struct.pack("<Q", 1 << 40))


class _Running:
    """A store that is opened without waiting, and its verifier."""

    def __init__(self, path: str) -> None:
        self.store = open_store(path, "space", map_gb=1, waits=False)
        self.told = threading.Event()
        self.verifier = Verifier(self.store, self.told.set)

    def stop(self, *, is_clean: bool = True) -> None:
        """Stop the verifier, and close the store as after a clean end, or as after an error."""
        self.verifier.stop()
        if is_clean:
            close_store(self.store, self.verifier)
        else:
            self.store.close()


def test_after_a_kill_the_store_is_open_at_once_and_verified_meanwhile(
    folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing waits for it. Once it has finished, a clean stop counts again."""
    _kill(folder)
    with caplog.at_level("INFO"):
        running = _Running(folder)
        was_sound = running.verifier.is_sound
        running.verifier.start()
        wait_for(lambda: running.verifier.is_sound)
        running.stop()

    assert not was_sound
    assert not running.told.is_set()
    assert "verifying" not in caplog.text
    assert sorted(os.listdir(folder)) == ["clean", "data.mdb", "lock.mdb"]


def test_a_sound_store_is_sound_however_much_is_written_while_it_is_verified(folder: str) -> None:
    """The pages that the verifier reads are not written again before it is through."""
    store = open_store(folder, "space", map_gb=1)
    for number in range(0, 6000, 64):
        contents = [os.urandom(16) for _ in range(64)]
        found = [PhotoFound(f"/p/{number + at}.jpg", Stamp(1, 2, 3, 4), content) for at, content in enumerate(contents)]
        store.commit(WriteBatch(photos=list(found), vectors=dict.fromkeys(contents, bytes(2560))))
    close_store(store)
    _kill(folder)
    running = _Running(folder)
    running.verifier.start()
    wait_for(lambda: running.verifier._child is not None)
    child, commits = running.verifier._child, 0
    assert child is not None
    while not running.verifier.is_sound and not running.told.is_set():
        commits += 1
        child.send_signal(signal.SIGSTOP)  # else it could be through before this test gets the processor again
        contents = [os.urandom(16) for _ in range(8)]
        found = [PhotoFound(f"/p/{at}.jpg", Stamp(commits, 2, 3, 4), content) for at, content in enumerate(contents)]
        running.store.commit(WriteBatch(photos=list(found), vectors=dict.fromkeys(contents, bytes(2560))))
        running.store.drop_vectors(contents)  # their pages may be taken again, unless they are pinned
        child.send_signal(signal.SIGCONT)
        threading.Event().wait(0.005)
    running.stop()

    assert running.verifier.is_sound
    assert _aside(folder) == []


def test_what_is_found_during_answers_is_verified_by_the_next_start(
    folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The file may have changed while it was read; only what is found before it is opened moves it aside."""
    _kill(folder)
    _misnumber(folder)
    running = _Running(folder)
    running.verifier.start()
    told = running.told.wait(40)
    running.stop()
    photos = _photos(folder, waits=False)

    assert told
    assert "may be damaged" in caplog.text
    assert photos == 0
    assert len(_aside(folder)) == 1


def test_an_end_before_it_is_verified_makes_the_next_start_wait(folder: str) -> None:
    """A damaged page may have ended the process; after a clean stop nothing waits."""
    _kill(folder)
    _misnumber(folder)
    _Running(folder).stop()
    after_a_stop = _Running(folder)
    opened = after_a_stop.store.count("/p")
    after_a_stop.stop(is_clean=False)

    assert opened == (300, 0)
    assert _photos(folder, waits=False) == 0


@pytest.mark.parametrize("damage", [_truncate, _replace])
def test_what_cannot_be_mapped_is_not_opened_even_by_who_does_not_wait(
    folder: str, damage: Callable[[Path], None]
) -> None:
    """A file that lacks pages would end the process with SIGBUS."""
    _kill(folder)
    damage(Path(folder) / "data.mdb")

    assert _photos(folder, waits=False) == 0
    assert len(_aside(folder)) == 1


# A verifier that learns nothing.


_SICK = ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "raise MemoryError", "import nowhere")


def _cripple(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr("pixkind.storage.verification._VERIFY", program)


@pytest.mark.parametrize("program", _SICK)
def test_a_verifier_that_is_killed_or_fails_proves_nothing(
    folder: str, program: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The store stays unproven over a clean stop, and the next start finds the damage before it opens it."""
    _kill(folder)
    _misnumber(folder)
    with monkeypatch.context() as sick:
        _cripple(sick, program)
        running = _Running(folder)
        running.verifier.start()
        wait_for(lambda: running.verifier.is_through)
        running.stop()
    left = sorted(os.listdir(folder))

    assert not running.verifier.is_sound
    assert not running.told.is_set()
    assert "could not be verified" in caplog.text
    assert left == ["data.mdb", "lock.mdb", "unverified"]
    assert _photos(folder, waits=False) == 0
    assert len(_aside(folder)) == 1


def test_a_store_that_can_never_be_verified_is_used(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every start opens the store and does not restart for it, until a verifier has finished once."""
    _kill(folder)
    with monkeypatch.context() as sick:
        _cripple(sick, _SICK[0])
        running = _Running(folder)
        running.verifier.start()
        wait_for(lambda: running.verifier.is_through)
        running.stop()
        for is_clean in (True, False, True):
            running = _Running(folder)
            assert running.store.count("/p") == (300, 0)
            running.verifier.start()
            assert running.verifier.is_through  # it does not try what the start has tried
            assert not running.verifier.is_sound
            running.stop(is_clean=is_clean)
            assert sorted(os.listdir(folder)) == ["data.mdb", "lock.mdb", "unverified"]
    running = _Running(folder)
    running.stop()

    assert running.verifier.is_sound
    assert sorted(os.listdir(folder)) == ["clean", "data.mdb", "lock.mdb"]
    assert _aside(folder) == []


def test_what_lacks_pages_is_not_opened_even_if_no_verifier_works(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To serve it would end the process with SIGBUS, start after start."""
    _kill(folder)
    _truncate(Path(folder) / "data.mdb")
    _cripple(monkeypatch, _SICK[0])

    assert _photos(folder, waits=False) == 0
    assert len(_aside(folder)) == 1


def test_metadata_that_the_disk_cannot_give_are_damaged(folder: str) -> None:
    """The first read of this file ends with EIO; that ends no start."""
    _kill(folder)
    os.unlink(f"{folder}/data.mdb")
    os.symlink("/proc/self/mem", f"{folder}/data.mdb")

    assert _photos(folder, waits=False) == 0
    assert len(_aside(folder)) == 1


_EIO = """
import lmdb.verify, errno, os
def verify(*_, **__):
    raise OSError(errno.EIO, os.strerror(errno.EIO))
lmdb.verify.verify = verify
"""


def test_a_page_that_the_disk_cannot_give_is_damaged(
    folder: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """EIO is a suspicion while queries are answered, and a fault before that."""
    _kill(folder)
    _cripple(monkeypatch, _EIO + verification._VERIFY)
    running = _Running(folder)
    running.verifier.start()
    told = running.told.wait(40)
    running.stop()

    assert told
    assert _photos(folder, waits=False) == 0
    assert caplog.text.count("(Input/output error)") == 2
    assert len(_aside(folder)) == 1


# Verifying before the answers, for long.


_SLOW = "import time; time.sleep({})\n"
# `pixkind` with another verifier. As in cli.py, signals are blocked before anything imports numpy.
_DAEMON = """
import sys
from pixkind.system.process import block_signals
block_signals()
from pixkind import cli
from pixkind.storage import verification
verification._VERIFY = sys.argv[1]
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.fixture
def manager(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Yield the socket on which a service manager would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(short_tmp / "notify"))
        sock.settimeout(240)
        monkeypatch.setenv("NOTIFY_SOCKET", str(short_tmp / "notify"))
        yield sock


def _wait_for_signs(manager: socket.socket, count: int) -> None:
    """Wait for so many signs of life."""
    while count:
        said = manager.recv(4096).split(b"\n")
        count -= b"WATCHDOG=1" in said and any(word.startswith(b"EXTEND_TIMEOUT_USEC=") for word in said)


def test_a_start_that_verifies_for_long_gives_signs_of_life(
    folder: str, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service manager that ends what is silent does not end it, neither by the time for a start nor by the watchdog."""
    _kill(folder)
    monkeypatch.setattr("pixkind.storage.verification.LOOK_S", 0.1)
    _cripple(monkeypatch, _SLOW.format(1.5) + verification._VERIFY)
    photos = _photos(folder)
    _wait_for_signs(manager, 4)

    assert photos == 300


@pytest.mark.parametrize(("words", "status"), [([], 0), (["--once"], 1)])
def test_a_signal_ends_a_start_that_verifies(
    short_tmp: Path, manager: socket.socket, words: list[str], status: int
) -> None:
    """It does not wait for the verifier, opens nothing, and the store stays unproven."""
    names = ("CONFIG_HOME", "STATE_HOME", "DATA_HOME", "RUNTIME_DIR")
    places = {f"XDG_{name}": str(short_tmp / name) for name in names}
    folder = short_tmp / "STATE_HOME/pixkin/index.lmdb"
    folder.parent.mkdir(parents=True)
    Store(str(folder), "space", map_gb=1).close()
    (folder / "unverified").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, _SLOW.format(600), *words, "--", str(short_tmp)],
        env={**os.environ, **places},
    )
    try:
        _wait_for_signs(manager, 2)
        process.send_signal(signal.SIGTERM)
        ended = process.wait(20)
    finally:
        process.kill()
        process.wait()

    assert ended == status
    assert manager.recv(4096) == b"STOPPING=1"
    assert sorted(os.listdir(folder)) == ["data.mdb", "lock.mdb", "unverified"]


_RACING = """
import lmdb.verify
left = ["freeDB DB: reachable page 8047 is beyond EOF or truncated"]
def verify(folder):
    if {grows}:
        with open(folder + "/data.mdb", "ab") as file:
            file.write(bytes(4096))
    return [left.pop()] if left else []
lmdb.verify.verify = verify
"""


@pytest.mark.parametrize(("grows", "status"), [(True, 0), (False, 3)])
def test_a_commit_that_makes_the_file_larger_is_no_damage(tmp_path: Path, grows: bool, status: int) -> None:  # noqa: FBT001
    """The verifier may learn of it after it has learned how large the file is, and looks again. Other faults count at once."""
    (tmp_path / "data.mdb").write_bytes(bytes(4096))
    script = _RACING.format(grows=grows) + verification._VERIFY
    done = subprocess.run([sys.executable, "-I", "-c", script, "0", tmp_path], check=False)

    assert done.returncode == status
