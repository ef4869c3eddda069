"""`pixkin dupes --trash`, `--move-to` and `--undo` as people meet them: a scripted daemon, real files, real processes."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.client.trash.library import Library, group

from pixkin.protocol import framing, replies, requests
from pixkin.protocol.replies import Group, Groups
from pixkin.trash.journal import locked, runs

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
Answer = Callable[[list[bytes]], list[list[bytes]]]


def finding(reply: Groups, *, root: bytes = b"", log: list[requests.Request] | None = None) -> Answer:
    """Return what answers as a daemon that finds these groups and watches this folder."""
    report = replies.Report(roots=(replies.Root(root, replies.RootState.ONLINE),) if root else ())

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        if log is not None:
            log.append(msgspec.structs.replace(request, id=0, until_ms=0))
        told = report if isinstance(request, requests.Status) else reply
        return [framing.pack(msgspec.structs.replace(told, id=request.id))]

    return answer


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Return a library whose trash lies in its data folder."""
    return Library(tmp_path)


@pytest.fixture
def dupes(pixkin: Run, serve: Serve, library: Library) -> Run:
    """Run `pixkin dupes` of that user, with a daemon that finds these groups."""

    def run(
        groups: tuple[Group, ...], *words: "str | Path", log: list[requests.Request] | None = None, **reply: object
    ) -> "subprocess.CompletedProcess[bytes]":
        told = Groups(search=5, groups=groups, done=True, **reply)  # type: ignore[arg-type] # as the test says
        path = serve(finding(told, root=os.fsencode(library.photos), log=log))
        return pixkin("dupes", *map(str, words), "--socket", path, env={"XDG_DATA_HOME": str(library.data)})

    return run


def test_trash_moves_undo_brings_back_and_both_say_what(dupes: Run, library: Library) -> None:
    """The larger saving first; each run can be undone, the last one first."""
    small = [library.photo(name, 1) for name in ("a.jpg", "x/a.jpg")]
    large = [library.photo(name, 2, b"." * 5000) for name in ("b.jpg", "y/b.jpg", "y/c.jpg")]
    names = library.names()
    log: list[requests.Request] = []
    first = dupes((group(*small), group(*large)), "--trash", "--yes", log=log)
    again = library.photo("d.jpg", 2, b"." * 5000)
    second = dupes((group(large[0], again),), "--trash", "--yes")
    undone = [dupes((), "--undo") for _ in range(3)]

    assert log[0] == requests.Dupes(min_score=1.0)
    assert first.stdout.decode().splitlines() == [
        f"2 photos (12.0 kB)  {library.photos}/y",
        f"1 photo (1.0 kB)  {library.photos}/x",
        "3 photos (13.0 kB) in all",
        "moved 3 photos (13.0 kB) to the trash; `pixkin dupes --undo` brings back all",
    ]
    assert [(one.returncode, one.stderr) for one in (first, second)] == [(0, b"")] * 2
    assert [one.returncode for one in undone] == [0, 0, 1]
    assert undone[0].stdout.startswith(b"brought back 1 file of the run of 20")
    assert undone[1].stdout.startswith(b"brought back 3 files of the run of 20")
    assert undone[2].stderr == b"pixkin: there is nothing to bring back\n"
    assert library.names() == {**names, str(again): again.read_bytes()}


def test_dry_run_lists_and_moves_nothing(dupes: Run, library: Library) -> None:
    """With the photo that stays; and it needs no terminal."""
    kept, copy = library.photo("a.jpg"), library.photo("new\nline.jpg")
    (library.photos / "new\nline.jpg.xmp").write_bytes(b"same")
    (library.photos / "a.jpg.xmp").write_bytes(b"same")
    names = library.names()
    done = dupes((group(kept, copy),), "--move-to", library.folder / "moved", "--dry-run")

    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        f"    1.0 kB  {library.photos}/new\\nline.jpg  (stays: {kept})",
        f"1 photo and 1 sidecar (1.0 kB)  {library.photos}",
        "1 photo and 1 sidecar (1.0 kB) in all",
    ]
    assert library.names() == names


@pytest.mark.parametrize(
    "words",
    [
        ["--trash"],  # there is no terminal
        ["--yes"],
        ["--dry-run"],
        ["--keep", "/"],
        ["--trash", "--yes", "--json"],
        ["--trash", "--yes", "--but-best"],
        ["--trash", "--yes", "--move-to", "/p"],
        ["--undo", "--trash", "--yes"],
        ["--undo", "/p"],
        ["--undo", "--keep", "/"],
    ],
)
def test_what_does_not_go_together_does_nothing(dupes: Run, library: Library, words: list[str]) -> None:
    """Wrong usage ends with 2 and a sentence, before the daemon is asked."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    log: list[requests.Request] = []
    done = dupes((group(kept, copy),), *words, log=log)

    assert (done.returncode, done.stdout, log) == (2, b"", [])
    assert done.stderr.startswith(b"pixkin: error: ")
    assert copy.exists()


@pytest.mark.parametrize(
    ("answer", "status", "is_there"), [("y", 0, False), ("", 1, True), ("n", 1, True), ("x", 1, True)]
)
def test_a_terminal_is_asked(serve: Serve, library: Library, answer: str, status: int, *, is_there: bool) -> None:
    """Anything but yes means no."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    path = serve(finding(Groups(groups=(group(kept, copy),), done=True)))
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "pixkin", "--socket", path, "dupes", "--trash"]
    env = {"HOME": "/nonexistent", "XDG_DATA_HOME": str(library.data)}
    with subprocess.Popen(words, stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=env) as process:
        os.close(slave)
        shown = b""
        while b"[y/N]" not in shown:
            assert select.select([master], [], [], 240)[0]
            shown += os.read(master, 1000)
        os.write(master, answer.encode() + b"\n")
        process.communicate(timeout=240)
    os.close(master)

    assert b"Move 1 photo (1.0 kB) to the trash? [y/N]" in shown
    assert (process.returncode, copy.exists()) == (status, is_there)


def test_what_stays_is_counted_by_reason_and_the_status_tells(dupes: Run, library: Library) -> None:
    """0 if all went that was to go; a photo that the daemon left out is one that was to go."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    hard = library.photos / "c.jpg"
    os.link(kept, hard)
    away = replies.Photo(b"/away/d.jpg", bytes(16), offline=True, spare=True)
    given = group(kept, copy, hard)
    richer = replies.Photo(os.fsencode(library.photo("e.jpg")), bytes(16), notes=("has a video",))
    given = Group(given.band, given.score, (*given.photos, away, richer))
    left = (replies.Failed(b"/p/e.jpg", "it has changed"),)
    done = dupes((given,), "--trash", "--yes")
    rest = dupes((group(kept, library.photo("b.jpg")),), "--trash", "--yes", left_out=left)

    assert done.returncode == 1
    assert sorted(done.stderr.decode().splitlines(), key=len) == [
        "pixkin: 1 photo stays: on drives that are not connected",
        "pixkin: 1 photo stays: not sure to be in the copy that stays (pixkin dupes says what differs)",
        f"pixkin: {hard}: it is the same file as {kept}, under another name",
    ]
    assert not copy.exists()
    assert rest.returncode == 75
    assert b"/p/e.jpg: it has changed\npixkin: 1 photo was left out" in rest.stderr


def test_a_folder_that_is_not_there_protects_nothing_and_is_refused(dupes: Run, library: Library) -> None:
    """A typing error in `--keep` must not be one that costs photos."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    done = dupes((group(kept, copy),), "--trash", "--yes", "--keep", library.photos / "typo")

    assert (done.returncode, done.stdout) == (66, b"")
    assert copy.exists()


def test_a_folder_that_is_watched_takes_nothing(dupes: Run, library: Library) -> None:
    """There it would be the copy that stays the next time, and be deleted as one that was not needed."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    (library.folder / "link").symlink_to(library.photos)
    inside = dupes((group(kept, copy),), "--move-to", library.folder / "link/spare", "--yes")
    beside = dupes((group(kept, copy),), "--move-to", f"{library.photos} spare", "--yes")

    assert (inside.returncode, inside.stdout) == (2, b"")
    assert b"lies in the watched folder" in inside.stderr
    assert not (library.photos / "spare").exists()
    assert beside.returncode == 0
    assert not copy.exists()


def test_two_at_once_are_one_after_the_other(dupes: Run, library: Library) -> None:
    """The second one ends with 75, and so does `--undo`."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    with locked(library.journal):
        trash, undo = dupes((group(kept, copy),), "--trash", "--yes"), dupes((), "--undo")

    assert (trash.returncode, undo.returncode) == (75, 75)
    assert copy.exists()


def test_a_journal_that_cannot_be_written_moves_nothing(dupes: Run, library: Library) -> None:
    """The error names it."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    library.data.write_bytes(b"no folder")
    done = dupes((group(kept, copy),), "--trash", "--yes")

    assert done.returncode == 66
    assert f"the journal {library.journal} cannot be written".encode() in done.stderr
    assert copy.exists()


def test_a_folder_that_may_not_be_written_keeps_its_photos(serve: Serve, library: Library) -> None:
    """A photo in another folder goes; the status tells."""
    kept, copy, other = library.photo("a.jpg"), library.photo("mine/b.jpg"), library.photo("c.jpg")
    copy.parent.chmod(0o555)
    path = serve(finding(Groups(groups=(group(kept, copy, other),), done=True)))
    words = [sys.executable, "-m", "pixkin", "dupes", "--trash", "--yes", "--socket", path]
    if os.getuid() == 0:  # who may write everywhere
        if shutil.which("setpriv") is None:
            pytest.skip("root can write everywhere, and setpriv is not there")
        words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
    env = {"PATH": os.environ["PATH"], "XDG_DATA_HOME": str(library.data)}
    done = subprocess.run(words, env=env, capture_output=True, check=False, timeout=240)
    copy.parent.chmod(0o755)
    (run,) = runs(library.journal)

    assert [moved.path for moved in run.moved.values()] == [str(other)]
    assert (done.returncode, done.stderr.decode()) == (1, f"pixkin: {copy}: permission denied\n")
    assert (copy.exists(), other.exists()) == (True, False)


KILLED = """if True:
    import os, sys
    from pixkin.trash import removal
    real = removal.move
    def move(source, target):
        real(source, target)
        os.kill(os.getpid(), {signal})
    removal.move = move
    from pixkin.cli.main import main
    sys.exit(main())
"""


def _ended(serve: Serve, library: Library, given: Group, how: signal.Signals) -> "subprocess.CompletedProcess[bytes]":
    words = ["--socket", serve(finding(Groups(groups=(given,), done=True))), "dupes", "--trash", "--yes"]
    return subprocess.run(
        [sys.executable, "-c", KILLED.format(signal=int(how)), *words],
        env={"HOME": "/nonexistent", "XDG_DATA_HOME": str(library.data)},
        capture_output=True,
        check=False,
        timeout=240,
    )


def test_the_next_run_puts_back_what_a_killed_one_had_renamed(dupes: Run, serve: Serve, library: Library) -> None:
    """It says so, and then moves the photo like any other."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    names = library.names()
    killed = _ended(serve, library, given := group(kept, copy), signal.SIGKILL)
    hidden = [path.name for path in library.photos.iterdir() if path != kept]
    done = dupes((given,), "--trash", "--yes")
    undone = dupes((), "--undo")

    assert killed.returncode == -signal.SIGKILL
    assert hidden != ["b.jpg"]
    assert done.returncode == 0
    assert f"{copy}, which a run that was cut off had renamed: it is back".encode() in done.stderr
    assert undone.returncode == 0
    assert library.names() == names


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_waits_until_a_photo_is_in_its_place(serve: Serve, library: Library, how: signal.Signals) -> None:
    """No photo is left under a hidden name."""
    kept, copy, third = library.photo("a.jpg"), library.photo("b.jpg"), library.photo("c.jpg")
    done = _ended(serve, library, group(kept, copy, third), how)

    assert done.returncode == (130 if how is signal.SIGINT else -how)
    assert sorted(library.photos.iterdir()) == [kept, third]
    assert library.undo() == []
    assert sorted(library.photos.iterdir()) == [kept, copy, third]


def test_of_two_that_keep_each_others_copy_one_at_most_moves_it(
    pixkin: Run, serve: Serve, library: Library, tmp_path: Path
) -> None:
    """The lock is that of one user, so two users may run at once; then a renamed photo keeps the other in its place."""
    one, other = library.photo("a.jpg"), library.photo("b.jpg")

    def run(kept: Path, copy: Path, data: Path) -> None:
        path = serve(finding(Groups(groups=(group(kept, copy),), done=True)))
        words = ("dupes", "--socket", path, "--move-to", str(tmp_path / "moved"), "--yes")
        pixkin(*words, env={"XDG_DATA_HOME": str(data)})

    for _ in range(3):
        threads = [
            threading.Thread(target=run, args=(one, other, tmp_path / "1")),
            threading.Thread(target=run, args=(other, one, tmp_path / "2")),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert one.exists() or other.exists()
        assert library.pictures().total() == 2
        library.photo("a.jpg")
        library.photo("b.jpg")
        subprocess.run(["rm", "-r", tmp_path / "moved"], check=False)


def test_undo_does_not_forget_what_it_could_not_bring_back(dupes: Run, library: Library) -> None:
    """Its place is taken: it stays in the trash, and the next `--undo` tries the same run again."""
    kept, gone = library.photo("a.jpg"), library.photo("b.jpg")
    dupes((group(kept, gone),), "--trash", "--yes")
    gone.write_bytes(b"another file")
    first = dupes((), "--undo")
    gone.unlink()
    second = dupes((), "--undo")

    assert (first.returncode, second.returncode) == (1, 0)
    assert gone.read_bytes() == kept.read_bytes()


@pytest.mark.parametrize("copies", [1, 2])
def test_undo_says_that_a_line_of_the_journal_is_damaged(dupes: Run, library: Library, copies: int) -> None:
    """The file that only this line names is still in the trash; it is said once if nothing else is to be brought back."""
    kept, *gone = (library.photo(name) for name in ("a.jpg", "b.jpg", "c.jpg")[: 1 + copies])
    dupes((group(kept, *gone),), "--trash", "--yes")
    (run,) = runs(library.journal)
    Path(run.file).write_bytes(Path(run.file).read_bytes().replace(b'"aside"', b'"\xff"', 1))
    first, second = dupes((), "--undo"), dupes((), "--undo")

    assert (first.returncode, second.returncode) == (1, 1)
    assert f"brought back {copies - 1} file".encode() in first.stdout
    assert b"of " + os.fsencode(run.file) + b" cannot be read: a file may be missing" in first.stderr
    assert b"there is nothing to bring back" in second.stderr
    assert [path.exists() for path in gone] == [False, True][:copies]
