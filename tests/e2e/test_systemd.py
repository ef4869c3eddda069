"""The service as a user has it: a real `systemd --user`, the unit that `pixkind service install` writes, real signals."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.desktop import desktop
from tests.e2e import sandbox
from tests.e2e.conftest import Home, has_ended, new_home, picture
from tests.waiting import wait_for
from tests.webserver import WebServer, free_port

from pixkind.ingest.first_runs import MANY

pytestmark = [pytest.mark.e2e]

_SYSTEMD = "/lib/systemd/systemd"
_RUNTIME = f"/run/user/{os.getuid()}"
# A manager of our own: its mounts, its /run and its control group are seen by nobody else.
# - The drives of tests that run at the same time must not stay busy for our sake.
# - `unit-root` and its neighbours are folders of the system's manager that the user's needs.
# - `rshared`, as on a real system: so the service sees drives that are mounted later.
# - Root without capabilities is a user like others, except that it must be able to map itself (SETFCAP).
#   For a privileged manager the sandbox would work without PrivateUsers, too.
_BOOT = f"""
echo $$ > "$GROUP/cgroup.procs"
exec unshare --mount --cgroup bash -ec '
    mount --make-rprivate /
    cut -d" " -f5 /proc/self/mountinfo | grep ^/tmp/ | tac | xargs --no-run-if-empty umount --lazy || true
    mount -t tmpfs -o mode=755 none /run
    mkdir -p /run/systemd/system /run/systemd/unit-root /run/systemd/propagate /run/systemd/inaccessible {_RUNTIME}
    umount --recursive --lazy /sys/fs/cgroup || true
    mount -t cgroup2 none /sys/fs/cgroup
    mount --make-rshared /
    exec setpriv --bounding-set=-all,+setfcap --inh-caps=-all {_SYSTEMD} --user'
"""
# What the tests change of the unit: nobody wants to wait, and somebody wants to read.
_WRITER = """
import os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
while True:
    os.pwrite(file, os.urandom(1 << 16), 0)
    os.fsync(file)
"""
_DROP_IN = """
[Service]
RestartSec=100ms
StandardOutput=append:{log}
StandardError=inherit
"""


class Session:
    """A home whose user has a service manager, in which pixkind is installed."""

    def __init__(self, home: Home, groups: Path) -> None:
        self.home = home
        self.log = home.folder / "log"
        self._since = 0  # what earlier services have logged
        self.group = groups / f"pixkin-test-{os.getpid()}"
        self.group.mkdir()
        self.port = free_port()  # of the page
        # As most people have it: no XDG variable but the runtime folder.
        home.env = {k: v for k, v in home.env.items() if not k.startswith("XDG_")} | {"XDG_RUNTIME_DIR": _RUNTIME}
        (home.folder / ".config").symlink_to("config_home")
        with (home.folder / "manager").open("wb") as log:
            self.manager = subprocess.Popen(
                ["bash", "-ec", _BOOT], env={**home.env, "GROUP": str(self.group)}, stdout=log, stderr=log
            )
        home.before = ("nsenter", "--target", str(self.manager.pid), "--mount")
        try:
            wait_for(lambda: self.manager.poll() is not None or self.try_ctl("is-system-running").returncode == 0)
        except TimeoutError:
            self.end()
            raise
        if self.manager.poll() is not None:
            self.end()
            pytest.skip(f"no `systemd --user` can run here: {(home.folder / 'manager').read_text()}")

    def end(self) -> None:
        """Kill everything that was started in it, and nothing else."""
        (self.group / "cgroup.kill").write_text("1")
        self.manager.wait()
        wait_for(lambda: "populated 0" in (self.group / "cgroup.events").read_text())
        for folder, _, _ in os.walk(self.group, topdown=False):
            os.rmdir(folder)

    def try_ctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `systemctl --user`."""
        return subprocess.run(
            [*self.home.before, "systemctl", "--user", *words],
            env=self.home.env,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def ctl(self, *words: str) -> str:
        """Run `systemctl --user`, which must succeed, and return what it prints."""
        done = self.try_ctl(*words)
        assert done.returncode == 0, done.stderr + self.log.read_text()
        return done.stdout

    def drop_in(self, name: str, text: str) -> None:
        """Change the unit; an empty text takes the change back."""
        file = self.home.folder / f".config/systemd/user/pixkind.service.d/{name}.conf"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        self.ctl("daemon-reload")

    def show(self, name: str) -> str:
        """Return a property of the service."""
        return self.ctl("show", "pixkind", "--value", "--property", name).strip()

    def pid(self) -> int:
        """Return the main process; 0: there is none."""
        return int(self.show("MainPID"))

    def processes(self) -> list[int]:
        """Return all processes of the service."""
        files = self.group.glob("background.slice/pixkind.service/cgroup.procs")
        return [int(pid) for file in files for pid in file.read_text().split()]

    def configure(self, *folders: Path) -> None:
        """Have it index the photos and these folders."""
        self.home.configure(index={"folders": [str(folder) for folder in (self.home.photos, *folders)]})

    def start(self, *folders: Path) -> int:
        """Start the service anew, as if nothing had happened before; return its main process."""
        self.configure(*folders)
        self.ctl("stop", "pixkind")
        self.try_ctl("reset-failed", "pixkind")  # it fails where there is nothing to forget
        self._since = self.log.stat().st_size if self.log.exists() else 0
        self.ctl("start", "pixkind")
        return self.pid()

    def reload(self) -> None:
        """Reload the service, and return when it answers by its new configuration: systemd does not wait for that."""

        def listens() -> int:
            return self.log.read_bytes()[self._since :].count(b"listens on")

        wait_for(lambda: listens() > 0)  # it says so after systemd has been told that it is ready
        before = listens()
        self.ctl("reload", "pixkind")
        wait_for(lambda: listens() > before)

    def is_up_again(self) -> bool:
        """Return whether systemd has restarted the service, and it is ready."""
        return int(self.show("NRestarts")) > 0 and self.show("ActiveState") == "active"

    def holds(self, photos: int) -> bool:
        """Return whether it answers, and has so many photos; while it reloads it does not answer."""
        told = self.home.pixkin("status", "--json")
        return told.returncode == 0 and json.loads(told.stdout)["photos"] == photos


@pytest.fixture(scope="module")
def groups() -> Iterator[Path]:
    """Yield a folder with the unified control groups, in which we may make some."""
    if os.getuid() or not os.path.exists(_SYSTEMD) or not shutil.which("unshare"):
        pytest.skip("a service manager of our own needs root, systemd and util-linux")
    with new_home() as home:
        mounted = subprocess.run(
            ["mount", "-t", "cgroup2", "none", home.photos], capture_output=True, text=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"no unified control groups here: {mounted.stderr}")
        try:
            yield home.photos
        finally:
            subprocess.run(["umount", "--lazy", home.photos], check=True)


@pytest.fixture(scope="module")
def session(groups: Path, photos: list[Path]) -> Iterator[Session]:
    """Yield a session with the service installed, and two photos."""
    with new_home() as home:
        made = Session(home, groups)
        try:
            for photo in photos[:2]:
                home.copy(photo)
            done = home.pixkind("service", "install")
            assert done.returncode == 0, done.stderr
            port = home.folder / ".config/systemd/user/pixkin-web.socket.d/test.conf"
            port.parent.mkdir()
            port.write_text(f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{made.port}\n")
            made.drop_in("test", _DROP_IN.format(log=made.log))
            yield made
        finally:
            made.end()


def test_the_commands_that_the_installation_names_start_it(session: Session) -> None:
    """They can be pasted; when they return, queries are answered, at the first try."""
    told = session.home.pixkind("service", "install").stdout
    command = next(line for line in told.splitlines() if "enable --now" in line)
    done = subprocess.run(
        [*session.home.before, "bash", "-c", command], env=session.home.env, capture_output=True, text=True, check=False
    )
    first = session.home.pixkin("status", "--json")

    assert done.returncode == 0, done.stderr
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["pid"] == session.pid()
    assert "active (running)" in session.home.pixkind("service", "status").stdout


def test_photos_are_indexed_in_the_sandbox(session: Session, photos: list[Path]) -> None:
    """The encoder process starts, confines itself, loads the network and encodes, with all that the unit forbids."""
    session.start()
    session.home.sync()
    found = session.home.like(photos[3])  # the worker encodes it, whatever is in the index already
    status = session.home.status()

    assert found
    assert (status["photos"], status["failed"]) == (2, 0)
    assert status["sandbox"]["missing"] == []


def test_the_page_starts_with_the_first_browser_in_a_sandbox(session: Session, photos: list[Path]) -> None:
    """Systemd listens. In its sandbox the page asks the daemon, keeps its key and what is pasted, and changes no photo."""
    session.start()
    session.ctl("start", "pixkin-web.socket")
    before = session.ctl("show", "pixkin-web", "--value", "--property", "MainPID").strip()
    told = session.home.pixkin("web", "--no-open", "--port", str(session.port))
    page = WebServer.of(session.port, told.stdout.decode())
    page.sign_in()
    status = page.ask("GET", "/api/v1/status")
    pasted = page.ask("POST", "/api/v1/queries", body=photos[4].read_bytes(), kind="image/png")
    main = session.ctl("show", "pixkin-web", "--value", "--property", "MainPID").strip()
    mounts = Path(f"/proc/{main}/mountinfo").read_text().splitlines()
    options = {line.split()[4]: line.split()[5].split(",") for line in mounts}
    session.ctl("stop", "pixkin-web.socket", "pixkin-web")

    assert (before, told.returncode) == ("0", 0)
    assert (status.status, pasted.status) == (200, 201)
    assert len(list((session.home.folder / ".cache/pixkin/queries").iterdir())) == 1
    assert "ro" in options["/"]


def test_the_desktop_is_told_from_within_the_sandbox(session: Session) -> None:
    """The unit forbids a network, but not the socket of the session bus."""
    many = session.home.folder / "many"
    many.mkdir()
    for number in range(MANY):
        (many / f"{number}.jpg").write_bytes(picture(number))
    with desktop(session.home.folder) as shown:
        session.drop_in("bus", f"[Service]\nEnvironment=DBUS_SESSION_BUS_ADDRESS={shown.address}\n")
        session.start(many)
        session.home.sync()
        wait_for(lambda: len(shown.notices) > 0)
        session.drop_in("bus", "")

    (notice,) = shown.notices
    assert notice.summary.endswith(" photos are indexed")  # alone, this test has the two photos of the session, too


def test_while_another_group_waits_for_the_disk_nothing_is_indexed(session: Session, photos: list[Path]) -> None:
    """The kernel's own figures of a neighbour hold it; by the service's own name it is told from them."""
    home, other = session.home, session.group / "other"
    session.start()
    home.sync()
    home.configure(limits={"pressure_percent": 1})
    session.reload()
    other.mkdir()
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, home.folder / "written"])
    try:
        (other / "cgroup.procs").write_text(str(writer.pid))
        try:
            wait_for(lambda: float((other / "io.pressure").read_text().split("full avg10=")[1].split()[0]) > 2)
        except TimeoutError:
            pytest.skip("to write here waits for no disk")
        new = home.copy(photos[2])
        held = home.pixkin("sync")
        doing = home.status()["doing"]
    finally:
        writer.kill()
        writer.wait()
    home.pixkin("boost")
    home.sync()
    new.unlink()

    assert held.returncode == 75
    assert "other programs wait for the disk" in held.stderr.decode()
    assert doing == "paused: other programs wait for the disk"


def test_a_start_returns_when_queries_are_answered(session: Session) -> None:
    """However often it is restarted, the first query after the command gets its answer."""
    session.start()
    statuses = []
    for _ in range(2):
        session.ctl("restart", "pixkind")
        statuses.append(session.home.pixkin("like", session.home.photos).returncode)

    assert statuses == [66] * 2  # "is a directory": the daemon's own words


def test_a_stop_while_it_indexes_is_quick_and_clean(session: Session, photos: list[Path]) -> None:
    """It ends before systemd kills it, with the status of success, and no process is left."""
    home, jpeg = session.home, next(photo for photo in photos if photo.suffix == ".jpg").read_bytes()
    session.start()
    for number in range(300):
        (home.photos / f"many{number}.jpg").write_bytes(jpeg + b"%d" % number)
    wait_for(lambda: home.encodes() > 0)
    running = session.processes()
    session.ctl("stop", "pixkind")
    for photo in home.photos.glob("many*"):
        photo.unlink()

    assert (session.show("Result"), session.show("ExecMainStatus")) == ("success", "0")
    assert len(running) == 2
    assert all(has_ended(pid) for pid in running)


def test_a_killed_daemon_is_started_again(session: Session) -> None:
    """After `kill -9`: another process answers, and of the first nothing is left, nor of its encoder process."""
    session.start()
    query = session.home.folder / "query.png"
    shutil.copyfile(next(session.home.photos.iterdir()), query)
    session.home.like(query)  # it starts the encoder process
    before = session.processes()
    session.ctl("kill", "--kill-whom=main", "--signal=KILL", "pixkind")
    wait_for(session.is_up_again)

    assert len(before) == 2
    assert session.home.status()["pid"] not in before
    assert all(has_ended(pid) for pid in before)


def test_a_daemon_that_hangs_is_started_again(session: Session) -> None:
    """The watchdog ends a daemon that stands still; here after 4 s instead of the unit's 120."""
    session.drop_in("watchdog", "[Service]\nWatchdogSec=4\n")
    stopped = session.start()
    session.ctl("kill", "--kill-whom=main", "--signal=STOP", "pixkind")
    try:
        wait_for(session.is_up_again)
    finally:
        session.drop_in("watchdog", "")

    assert session.home.status()["pid"] not in (0, stopped)


def test_a_wrong_configuration_is_not_tried_again(session: Session) -> None:
    """Status 78, and the sentence once in the log; when it is corrected, a start works."""
    session.start()
    session.ctl("stop", "pixkind")
    session.home.configure(index={"rest_s": 100})
    said = session.log.read_text().count("index.rest_s")
    done = session.try_ctl("start", "pixkind")
    shown = [session.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")]
    said = session.log.read_text().count("index.rest_s") - said
    session.start()

    assert done.returncode != 0
    assert shown == ["failed", "78", "0"]
    assert said == 1
    assert session.home.status()["pid"] == session.pid()


def test_a_reload_keeps_the_process(session: Session, photos: list[Path]) -> None:
    """`systemctl reload`: what the configuration says is in force, in the same process, and nothing was restarted."""
    home, more = session.home, session.home.folder / "more"
    more.mkdir()
    shutil.copyfile(photos[0], more / photos[0].name)
    pid = session.start()
    wait_for(lambda: session.holds(2))  # what an earlier test has deleted is gone
    session.configure(more)
    session.reload()
    wait_for(lambda: session.holds(3))
    shown = [session.show(name) for name in ("ActiveState", "NRestarts", "MainPID")]

    assert shown == ["active", "0", str(pid)]
    assert home.status()["pid"] == pid


def test_a_drive_that_is_mounted_later_is_seen_and_can_go(session: Session, photos: list[Path]) -> None:
    """The sandbox has mounts of its own: the drive appears in them, and they do not keep it busy."""
    home, drive = session.home, session.home.folder / "drive"
    drive.mkdir()
    session.start(drive)
    wait_for(lambda: session.holds(2))  # what an earlier test has deleted is gone

    def run(*words: "str | Path") -> int:
        return subprocess.run([*home.before, *words], capture_output=True, check=False).returncode

    assert run("mount", "-t", "tmpfs", "none", drive) == 0
    assert run("cp", photos[0], drive) == 0
    wait_for(lambda: session.holds(3))
    wait_for(lambda: run("umount", drive) == 0)
    wait_for(lambda: home.status()["offline"] == 1)

    assert str(drive) not in Path(f"/proc/{session.pid()}/mountinfo").read_text()


@pytest.fixture(scope="module")
def tried(session: Session) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    """Yield what became of the acts of `sandbox`, first in the service, then outside of it."""
    file, home = session.home.folder / ".local/state/pixkin/tried", session.home.folder
    command = [sys.executable, sandbox.__file__, str(home), str(next(session.home.photos.iterdir())), str(file)]
    session.drop_in("tried", f"[Service]\nExecStartPre={' '.join(command)}\n")
    session.start()
    session.drop_in("tried", "")
    inside = json.loads(file.read_text())
    subprocess.run([*session.home.before, *command], env=session.home.env, check=True)
    yield inside, json.loads(file.read_text())
    file.unlink()


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        ("read a photo", "ok"),
        ("write to the index", "ok"),
        ("write a decision", "ok"),
        ("write to the socket's folder", "ok"),
        ("write to the home", "EROFS"),
        ("write to the configuration", "EROFS"),
        ("write beside a photo", "EROFS"),
        ("touch a photo", "EROFS"),
        ("write to /tmp", "EROFS"),
        ("write to the runtime folder", "EROFS"),
        ("ask Landlock", "ok"),
        ("a local socket", "ok"),
        ("an IPv4 socket", "EAFNOSUPPORT"),
        ("an IPv6 socket", "EAFNOSUPPORT"),
        ("a netlink socket", "EAFNOSUPPORT"),
        ("see a network", "ENODEV"),
        ("another personality", "EPERM"),
        ("a namespace", "EPERM"),
        ("be traced", "EPERM"),
        ("read who waits for memory", "ok"),
        ("read the control groups", "ok"),
        ("read the batteries", "ok"),
    ],
)
def test_the_sandbox_allows_and_forbids(
    tried: tuple[dict[str, object], dict[str, object]], act: str, outcome: str
) -> None:
    """What pixkin does not need fails in the service, and only there: older systemds ignore lines without a word."""
    inside, outside = tried

    assert inside[act] == outcome
    assert outside[act] == "ok"


def test_the_service_gets_what_the_unit_says(tried: tuple[dict[str, object], dict[str, object]]) -> None:
    """Private files, no core dumps, many descriptors, UTF-8, no new privileges, a filter, one user."""
    told = {name: tried[0][name] for name in ("umask", "core", "files", "utf8", "no_new_privs", "seccomp", "users")}

    assert told == {
        "umask": "0077",
        "core": 0,
        "files": min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        "utf8": 1,
        "no_new_privs": "1",
        "seccomp": "2",
        "users": 1,
    }
