"""The folders of the daemon are its own, and it leaves no core dump."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixkin.errors import PixkinError
from pixkin.private import NotPrivate, check_private, make_private
from pixkind.system.process import locked


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_a_folder_that_others_can_change_is_refused(short_tmp: Path, mode: int) -> None:
    """Another user could replace the store, or the socket: the sentence names the folder and the command that helps."""
    folder = short_tmp / "a b"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(NotPrivate, match="can be changed by other users") as caught, locked(str(folder)):
        pass

    assert str(folder) in caught.value.what
    assert caught.value.hint == f"chmod go-w '{folder}'"
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_a_folder_of_another_user_is_refused(short_tmp: Path, mode: int) -> None:
    """Whoever made the folder before us could make another one in its place."""
    folder = short_tmp / "pixkin"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    folder.chmod(mode)
    with pytest.raises(NotPrivate, match=r"belongs to another user \(number 12345\)") as caught, locked(str(folder)):
        pass

    assert caught.value.status == 78
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize(
    ("user", "group", "mode"),
    [
        (0, 0, 0o755),
        (0, 0, 0o1777),  # as /tmp
        (0, 0, 0o775),  # umask 002, and a group of one user
        (0, 12345, 0o1775),
        (65534, 65534, 0o755),  # root's, within the user namespace of the unit
    ],
)
def test_a_folder_may_lie_where_nobody_else_can_replace_it(short_tmp: Path, user: int, group: int, mode: int) -> None:
    """Those above may be open if they are sticky, or the group is the user's own."""
    above = short_tmp / "above"
    above.mkdir()
    os.chown(above, user, group)
    above.chmod(mode)
    with locked(f"{above}/pixkin/run"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize(
    ("user", "group", "mode"),
    [
        (0, 0, 0o777),
        (0, 12345, 0o775),
        (12345, 12345, 0o755),
        (12345, 12345, 0o1777),  # its owner may rename everything there
    ],
)
def test_nobody_else_can_put_another_folder_in_its_place(short_tmp: Path, user: int, group: int, mode: int) -> None:
    """The folders above are checked too, however far above; the sentence names the one that is open."""
    above = short_tmp / "a b"
    above.mkdir()
    os.chown(above, user, group)
    above.chmod(mode)
    with (
        pytest.raises(NotPrivate, match="other users can replace the folder") as caught,
        locked(f"{above}/pixkin/run"),
    ):
        pass

    assert caught.value.what.endswith(f"they can change {above}")
    assert caught.value.hint.startswith("set XDG_" if user else f"chmod go-w '{above}', or set XDG_")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize(("group", "mode"), [(0, 0o777), (12345, 0o775)])
def test_a_data_folder_of_an_earlier_version_is_taken(short_tmp: Path, group: int, mode: int) -> None:
    """Under umask 002 it was made for the user's own group, in which nobody else is."""
    short_tmp.chmod(0o775)
    check_private(str(short_tmp), by_own_group=True)
    os.chown(short_tmp, 0, group)
    short_tmp.chmod(mode)
    with pytest.raises(NotPrivate, match="can be changed by other users"):
        check_private(str(short_tmp), by_own_group=True)


def test_the_folders_above_are_private_too_whatever_the_umask(short_tmp: Path) -> None:
    """`pixkin open` may make them before pixkind does."""
    umask = os.umask(0o002)
    try:
        make_private(str(short_tmp / "a/b/c"))
        make_private(str(short_tmp / "a/b/c"))
    finally:
        os.umask(umask)

    assert [(short_tmp / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_a_folder_that_is_not_there_is_nobody_elses(short_tmp: Path) -> None:
    """The data folder is made when it is needed; one that cannot be looked at is a sentence."""
    check_private(str(short_tmp / "none/pixkin"))
    with pytest.raises(PixkinError, match="the folder /dev/null/pixkin cannot be used: "):
        check_private("/dev/null/pixkin")


def test_a_folder_that_is_readable_or_behind_a_link_is_taken(short_tmp: Path) -> None:
    """Users may look at their own folder, and may keep the state on another disk."""
    folder = short_tmp / "disk"
    folder.mkdir(mode=0o755)
    (short_tmp / "link").symlink_to(folder)
    with locked(str(short_tmp / "link")):
        pass

    assert (folder / "pixkind.lock").exists()


@pytest.mark.parametrize("folder", ["/proc/pixkin", "/dev/null/pixkin"])
def test_a_folder_that_cannot_be_made_is_a_sentence(folder: str) -> None:
    """A read-only file system, or a file in the way."""
    with pytest.raises(PixkinError, match=f"the folder {folder} cannot be used: ") as caught, locked(folder):
        pass

    assert caught.value.status == 70
    assert "XDG_STATE_HOME" in caught.value.hint


def test_a_folder_whose_path_is_not_utf8_is_refused(short_tmp: Path) -> None:
    """LMDB cannot open a store there."""
    with pytest.raises(NotPrivate, match="not named in UTF-8"), locked(str(short_tmp / "caf\udce9")):
        pass


@pytest.mark.parametrize(
    "before",
    [
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)",
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.geteuid() or os.setuid(65534)",  # only root may raise a limit
    ],
    ids=["as much as is allowed", "no core dumps"],
)
def test_a_process_that_crashes_leaves_no_core_dump(short_tmp: Path, before: str) -> None:
    """Its memory holds names and vectors. Its children leave none either, whatever the limit was."""
    code = (
        f"import os, resource; from pixkind.system.process import prepare_process; {before}; "
        "prepare_process(); print('ready', flush=True); os.system('kill -ABRT $$'); os.abort()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=short_tmp, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as out:
        said = out.read()
    _, status = os.waitpid(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)

    assert said
    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)
    assert list(short_tmp.iterdir()) == []


def test_core_dumps_are_off_where_a_program_would_take_them(short_tmp: Path) -> None:
    """A limit of 0 would not stop a pipe. The owner still sees what the process has open."""
    code = (
        "from pixkind.system.process import prepare_process; prepare_process(); "
        "import subprocess; print(*open('/proc/self/limits'), *open('/proc/self/coredump_filter'), end=''); "
        "subprocess.run(['cat', '/proc/self/coredump_filter'], check=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(19)]
        is_open = os.path.exists(f"/proc/{child.pid}/fd/0")
        owner = os.stat(f"/proc/{child.pid}/environ").st_uid
        child.communicate("\n")

    (limit,) = [line.split() for line in lines if "Max core file size" in line]
    assert limit[4:6] == ["1", "1"]
    assert [line.strip() for line in lines[-2:]] == ["00000000", "00000000"]
    assert (is_open, owner) == (True, os.geteuid())


_GREEDY = """
import os, sys, threading
from pixkind.system.process import give_large_blocks_back
if sys.argv[1:]:
    give_large_blocks_back()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def work():
    for _ in range(3):
        blocks = [bytes(b"x" * (7 << 20)) for _ in range(2)]
        del blocks
    freed.wait(), done.wait()
freed, done = threading.Barrier(5), threading.Barrier(5)
before = resident()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
freed.wait()
print((resident() - before) >> 20)
done.wait()
"""


def test_memory_that_large_requests_took_is_given_back() -> None:
    """Threads that live on keep none of their large blocks. Where the C library does so by itself, nothing is needed."""
    kept = [
        int(subprocess.run([sys.executable, "-c", _GREEDY, *words], capture_output=True, check=True).stdout)
        for words in ((), ("give",))
    ]

    assert kept[1] <= min(4, kept[0])
