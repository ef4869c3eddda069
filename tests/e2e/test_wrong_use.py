"""Commands that cannot do what was asked, and daemons that are ended: a sentence, a status, and nothing lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from tests.e2e.conftest import BIN, Daemon, Home, children, has_ended, new_home
from tests.processes import has_torch
from tests.waiting import wait_for

from pixkin.protocol.framing import pack, unpack_reply
from pixkin.protocol.replies import Code, Failure, Welcome
from pixkin.protocol.requests import Hello, Image, Like, Sync

pytestmark = [pytest.mark.e2e]

_STOP_S = 25.0  # from the signal to the end: less than the unit's TimeoutStopSec


@pytest.fixture(scope="module")
def running(photos: list[Path]) -> Iterator[Home]:
    """Yield a home whose daemon has indexed two photos."""
    with new_home() as home:
        home.index(*photos[:2])
        yield home


# Without a daemon


def test_without_a_daemon_the_client_says_how_to_start_one(home: Home) -> None:
    """No daemon: status 69, a sentence, and a command that starts it."""
    done = home.pixkin("like", "a.jpg")

    assert done.returncode == 69
    assert b"no daemon listens on" in done.stderr
    assert b"hint: start it with `systemctl --user start pixkind`" in done.stderr


# Asking a daemon


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("like", "/no/such.jpg"), 66, "/no/such.jpg: no such file"),
        (("like", "PHOTOS"), 66, "PHOTOS: is a directory"),
        (("like", "PHOTO", __file__), 66, f"{__file__}: not an image"),
        (("like", "--under", "/no/such/folder", "PHOTO"), 66, "/no/such/folder: not in a watched folder"),
        (("like", "--under", "PHOTOS/none", "PHOTO"), 66, "PHOTOS/none: no such folder"),
        (("sync", "/no/such/folder"), 66, "/no/such/folder: not in a watched folder"),
        (("sync", "PHOTOS/none.jpg"), 66, "PHOTOS/none.jpg: no such file or folder"),
        (("sync", "PHOTOS/.hidden/a.jpg"), 66, "PHOTOS/.hidden/a.jpg: not indexed"),
        (("sync", __file__, "/no/such/folder", "PHOTOS/none"), 66, "PHOTOS/none: no such file or folder"),
        (("like", "-"), 66, "standard input is empty"),
        (("like", "-n", "0", "PHOTO"), 2, "0 is not between 1 and 1000"),
    ],
)
def test_a_wrong_question_gets_a_sentence_and_its_status(
    running: Home, words: tuple[str, ...], status: int, said: str
) -> None:
    """What cannot be answered ends with its documented status and a sentence that names the very file or folder."""
    photo, folder = str(next(running.photos.iterdir())), str(running.photos)
    done = running.pixkin(
        *(folder + word[6:] if word.startswith("PHOTOS") else photo if word == "PHOTO" else word for word in words)
    )

    assert done.returncode == status
    assert said.replace("PHOTOS", folder) in done.stderr.decode()
    assert done.stdout == b""


def test_a_daemon_that_hangs_is_busy(running: Home) -> None:
    """A daemon that is there and does not answer in time: status 75."""
    daemon = running.daemons[0].process
    daemon.send_signal(signal.SIGSTOP)
    done = running.pixkin("like", "--timeout", "1", next(running.photos.iterdir()))
    daemon.send_signal(signal.SIGCONT)

    assert done.returncode == 75
    assert b"did not answer in time" in done.stderr
    assert running.status()["photos"] == 2


@pytest.mark.parametrize("words", [(), ("--once",), ("--once", "/tmp")])
def test_a_second_daemon_leaves_the_first_undisturbed(running: Home, words: tuple[str, ...]) -> None:
    """Only one may run: the second ends with 75, and the first answers on, from the same process."""
    second = running.pixkind(*words)

    assert second.returncode == 75
    assert "another pixkind is already running" in second.stderr
    assert running.status()["pid"] == running.daemons[0].process.pid


# Starting a daemon


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[index]\nrest_s = 100", ("index.rest_s", "100", "0.01 to 60 seconds")),
        ('[decode]\nlimit_mp = "many"', ("decode.limit_mp", "many", "1 to 1000 megapixels")),
        ("[index]\nfoldres = []", ("index.foldres", "did you mean index.folders")),
        ('[index]\nfolders = ["photos"]', ("index.folders", "photos", "absolute path")),
        ("[index", ("not TOML",)),
    ],
)
def test_a_bad_configuration_is_refused(home: Home, line: str, said: tuple[str, ...]) -> None:
    """`--check` ends with 78, and a sentence that names the file, the key, the value, and what is allowed."""
    file = home.configure()
    file.write_text(line + "\n")
    done = home.pixkind("--check")

    assert done.returncode == 78
    assert [part for part in (str(file), *said) if part not in done.stderr] == []


@pytest.mark.parametrize("words", [(), ("--once",)])
def test_a_daemon_does_not_start_on_a_bad_configuration(home: Home, words: tuple[str, ...]) -> None:
    """It ends with 78, which systemd does not restart, and leaves nothing behind."""
    home.configure(index={"rest_s": 100})
    done = home.pixkind(*words)

    assert done.returncode == 78
    assert "index.rest_s" in done.stderr
    assert os.listdir(home.folder / "state_home") == []


def test_what_systemd_does_not_start_again_says_so(home: Home) -> None:
    """A service that ended with 78 stays down until somebody starts it; in a terminal that needs no word."""
    home.configure(index={"folders": [str(home.photos), f"{home.photos}/below"]})
    terminal = home.pixkind()
    home.env["NOTIFY_SOCKET"] = "/nowhere"
    service = home.pixkind()

    assert (terminal.returncode, service.returncode) == (78, 78)
    assert "systemctl" not in terminal.stderr
    assert service.stderr.endswith("by itself: systemctl --user restart pixkind\n")


def test_a_folder_that_never_existed_is_said_at_once(home: Home) -> None:
    """A typo in the configuration is named by `--check`, at the start, and by `pixkin status`."""
    typo = f"{home.folder}/Pictuers"
    home.configure(index={"folders": [str(home.photos), typo]})
    check, daemon = home.pixkind("--check"), home.start()
    wait_for(lambda: "never seen" in daemon.log.read_text())
    (root,) = (one for one in home.status()["roots"] if one["path"] == typo)

    assert check.returncode == 0
    assert check.stdout.endswith(f"there is no folder {typo} now: connect its drive, or check how it is spelled\n")
    said = f"root {typo} is offline: missing, and pixkin has never seen it; check how it is spelled"
    assert daemon.log.read_text().count(said) == 1
    assert root["reason"] == "missing, and pixkin has never seen it"
    assert root["hint"].endswith(f"correct index.folders in {home.folder}/config_home/pixkin/config.toml")


def test_a_daemon_without_standard_streams_indexes(home: Home, photos: list[Path]) -> None:
    """No socket of its own takes the number of a closed stream, which a child process would overwrite."""
    home.copy(photos[0])
    line = f"exec {BIN / 'pixkind'} --once <&- >&- 2>&-"
    closed = subprocess.run(["sh", "-c", line], env=home.env, capture_output=True, check=False)
    again = home.pixkind("--once")

    assert closed.returncode == 0
    assert "1 can be found, 0 failed, 0 encoded now" in again.stdout


def test_what_a_configuration_says_reaches_no_terminal(home: Home) -> None:
    """A key is shown with its control characters escaped."""
    home.configure().write_text('[index]\n"a\\u001b[31m\\n" = 1\n')
    done = home.pixkind("--check")

    assert done.returncode == 78
    assert "unknown key index.a\\x1b[31m\\x0a;" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("words", [("--check",), ("--once",), ()])
@pytest.mark.parametrize(
    ("weights", "said"), [("/etc/passwd", "does not hold weights"), ("/dev/zero", "are not a file")]
)
def test_weights_that_are_none_are_refused_at_once(home: Home, weights: str, said: str, words: tuple[str, ...]) -> None:
    """A file that torch cannot load, or that never ends, is a sentence and status 78."""
    home.configure(encoder={"model": "resnet18", "weights": weights})
    done = home.pixkind(*words)

    assert done.returncode == 78
    assert weights in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "status", "said"),
    [
        ("XDG_STATE_HOME", "/proc", 70, "the folder /proc/pixkin cannot be used: /proc/pixkin: "),
        ("XDG_RUNTIME_DIR", "/proc", 70, "the folder /proc/pixkin cannot be used: /proc/pixkin: "),
        ("XDG_STATE_HOME", "HOME/caf\udce9", 78, "is not named in UTF-8"),
        ("XDG_RUNTIME_DIR", "HOME/photos", 78, "/photos/pixkin can be changed by other users"),
        ("XDG_DATA_HOME", "HOME/photos", 78, "/photos/pixkin can be changed by other users"),
    ],
)
def test_a_folder_that_pixkind_cannot_have_is_a_sentence(
    home: Home, variable: str, value: str, status: int, said: str
) -> None:
    """Neither a read-only folder nor one of others ends in a traceback."""
    (home.photos / "pixkin").mkdir()
    (home.photos / "pixkin").chmod(0o777)
    home.env[variable] = value.replace("HOME", str(home.folder))
    done = home.pixkind()

    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (status, True, False), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("variable", ["XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"])
def test_a_folder_that_another_user_has_made_before_is_refused(home: Home, variable: str) -> None:
    """In a folder for all, such as /tmp, anybody may have been faster."""
    home.folder.chmod(0o755)
    (home.folder / "all").mkdir()
    (home.folder / "all").chmod(0o1777)
    home.env[variable] = str(home.folder / "all")
    code = "import os, sys; os.setuid(12345); os.umask(0); os.mkdir(sys.argv[1])"
    subprocess.run([sys.executable, "-I", "-c", code, f"{home.folder}/all/pixkin"], check=True)
    done = home.pixkind()

    assert done.returncode == 78
    assert f"the folder {home.folder}/all/pixkin belongs to another user (number 12345)" in done.stderr


@pytest.mark.skipif(os.path.exists(f"/run/user/{os.getuid()}"), reason="the socket would lie there")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_without_a_runtime_folder_the_cache_is_checked_as_well(home: Home) -> None:
    """The socket lies two folders below it then, and whoever owns the first can replace the second."""
    del home.env["XDG_RUNTIME_DIR"]
    between = home.folder / "cache_home/pixkin"
    between.mkdir()
    os.chown(between, 12345, 12345)
    done = home.pixkind()

    assert done.returncode == 78
    assert f"other users can replace the folder {between}/run, because they can change {between}" in done.stderr


@pytest.mark.parametrize(
    ("words", "to", "status"), [("--check", ">/dev/full", 74), ("--help", ">/dev/full", 74), ("--check", ">&-", 0)]
)
def test_pixkind_says_that_its_output_is_lost(home: Home, words: str, to: str, status: int) -> None:
    """A full disk is a sentence and a status; a closed standard output is meant."""
    done = subprocess.run(
        ["sh", "-c", f"exec {BIN / 'pixkind'} {words} {to}"], env=home.env, capture_output=True, check=False
    )

    assert done.returncode == status
    assert (b"pixkind: error: standard output cannot be written: No space" in done.stderr) == (status == 74)
    assert b"Traceback" not in done.stderr


def test_a_good_configuration_is_said_to_be_good(home: Home) -> None:
    """`--check` ends with 0 and starts nothing."""
    done = home.pixkind("--check")

    assert done.returncode == 0
    assert str(home.photos) in done.stdout
    assert os.listdir(home.folder / "state_home") == []


@pytest.mark.parametrize("words", [(), ("--check",)])
def test_missing_weights_are_refused_with_the_command_that_gets_them(home: Home, words: tuple[str, ...]) -> None:
    """Nothing is downloaded at run time: status 78, and `pixkind fetch`."""
    home.configure(encoder={"model": "mobilenet_v2"})
    done = home.pixkind(*words)

    assert done.returncode == 78
    assert "hint: pixkind fetch mobilenet_v2" in done.stderr


# Changing its configuration


def test_a_reload_puts_the_new_configuration_in_force(home: Home, photos: list[Path]) -> None:
    """SIGHUP: the same process goes on with the folders that are configured now."""
    daemon = home.start()
    more = home.folder / "more"
    more.mkdir()
    home.configure(index={"folders": [str(home.photos), str(more)]})
    daemon.reload()
    report = home.client().status()

    assert [os.fsdecode(root.path) for root in report.roots] == [str(home.photos), str(more)]
    assert report.pid == daemon.process.pid


def test_a_reload_of_a_bad_configuration_changes_nothing(home: Home) -> None:
    """SIGHUP with a configuration that cannot be used: the daemon says so and goes on with the old one."""
    daemon = home.start()
    home.configure(index={"rest_s": 100})
    daemon.reload()

    assert "index.rest_s" in daemon.log.read_text()
    assert home.client().hello().pid == daemon.process.pid


# Ending a daemon


def _is_loading(home: Home, daemon: Daemon) -> bool:
    """Return whether the worker is importing torch."""
    return any(map(has_torch, children(daemon.process.pid)))


def _is_indexing(home: Home, daemon: Daemon) -> bool:
    report = home.client().status()
    return report.photos > 0 and report.pending > 0


def _is_idle(home: Home, daemon: Daemon) -> bool:
    return home.client().status().doing == "idle"


def _many_photos(home: Home, photos: list[Path], count: int) -> None:
    """Copy photos in, each time as another picture's content."""
    for number in range(count):
        source = photos[number % len(photos)]
        with home.copy(source, f"{number}{source.suffix}").open("ab") as file:
            file.write(b"%d" % number)


def _end(daemon: Daemon, how: signal.Signals) -> int:
    """Send a signal as a terminal or systemd would, and once more, as people do; return the exit status."""
    for _ in range(2):
        if how is signal.SIGINT:
            os.killpg(daemon.process.pid, how)  # Ctrl-C reaches the worker too
        else:
            daemon.process.send_signal(how)
    return daemon.process.wait(_STOP_S)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("moment", "count"), [(_is_idle, 0), (_is_loading, 2), (_is_indexing, 100)])
def test_a_signal_ends_the_daemon_at_any_moment(
    home: Home, photos: list[Path], how: signal.Signals, moment: Callable[[Home, Daemon], bool], count: int
) -> None:
    """SIGTERM and Ctrl-C end daemon and worker with status 0, before systemd would kill them, whatever they are at."""
    _many_photos(home, photos[:2] + photos[-2:], count)
    home.configure(encoder={"runtime": "torch" if moment is _is_loading else "auto"})
    daemon = home.start()
    wait_for(lambda: moment(home, daemon))
    workers = children(daemon.process.pid)
    status = _end(daemon, how)

    assert status == 0, daemon.log.read_text()
    assert "Traceback" not in daemon.log.read_text()
    assert all(map(has_ended, workers))
    assert not Path(home.socket).exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("words", "status"), [((), 0), (("--once",), 1)])
def test_a_signal_ends_a_daemon_that_is_still_starting(
    home: Home, photos: list[Path], how: signal.Signals, words: tuple[str, ...], status: int
) -> None:
    """From its first sign of life on it ends in order: with 0, or with 1 where `--once` was to finish something."""
    _many_photos(home, photos[:2], 10)
    with home.launch(*words) as starting:
        wait_for((home.folder / "state_home/pixkin").is_dir)
        starting.send_signal(how)
        _, said = starting.communicate(timeout=240)

    assert starting.returncode == status, said
    assert "Traceback" not in said


def test_clients_that_wait_are_told_that_the_daemon_stops(home: Home, photos: list[Path]) -> None:
    """A sync and a query that are under way when SIGTERM comes are answered with `stopping`."""
    _many_photos(home, photos[:2], 4)
    daemon = home.start()
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger, dealer.rcvtimeo = 0, 60_000
        dealer.connect(f"ipc://{home.socket}")
        dealer.send_multipart(pack(Sync(id=1)))
        dealer.send_multipart(pack(Like(id=2, images=(Image(os.fsencode(photos[3])),))))
        dealer.send_multipart(pack(Hello(id=3)))  # once it is answered, the others have been taken
        hello = unpack_reply(dealer.recv_multipart())
        status = _end(daemon, signal.SIGTERM)
        replies = [unpack_reply(dealer.recv_multipart()) for _ in range(2)]

    assert isinstance(hello, Welcome)
    assert status == 0
    assert {reply.id for reply in replies} == {1, 2}
    assert [reply.code for reply in replies if isinstance(reply, Failure)] == [Code.STOPPING] * 2


def test_a_killed_daemon_leaves_no_worker_and_loses_nothing(home: Home, photos: list[Path]) -> None:
    """After `kill -9` in mid-batch the worker ends by itself, and the next daemon goes on from the last commit."""
    _many_photos(home, photos, 40)
    daemon = home.start()
    wait_for(lambda: home.client().status().photos >= 1)
    worker = children(daemon.process.pid)[0]
    committed = home.client().status().photos
    daemon.stop(signal.SIGKILL)
    wait_for(lambda: has_ended(worker))
    home.start()
    at_once = home.client().status().photos
    home.sync()
    report = home.client().status(failed=True)

    assert at_once >= committed
    assert report.photos == 40
    assert report.failures == ()
    assert report.counters["encodes"] <= 40 - committed


def test_a_command_line_without_photos_or_daemon_stays_light(home: Home) -> None:
    """`--help` and `--version` work before anything is set up."""
    words = [("--version",), ("--help",), ("like", "--help"), ("status", "--help"), ("sync", "--help")]
    pixkin = [home.pixkin(*one).returncode for one in words]
    pixkind = [home.pixkind(*one).returncode for one in [*words[:2], ("service", "--help"), ("fetch", "--help")]]

    assert set(pixkin + pixkind) == {0}
