"""The clock, and the limits of the kernel and of the daemon."""

import os
from pathlib import Path

import pytest

from pixkin.doctor import machine
from pixkin.doctor.finding import OK, PROBLEM

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max processes             95988                95988                processes
Max open files            {soft}                 524288               files
"""


def proc(folder: Path, soft: str = "65536", watches: int = 10, most: int = 100) -> str:
    """Make a /proc with one process, 7."""
    (folder / "7/fdinfo").mkdir(parents=True)
    (folder / "7/limits").write_text(LIMITS.format(soft=soft))
    (folder / "7/fdinfo/3").write_text("pos:\t0\nflags:\t02\n")
    (folder / "7/fdinfo/4").write_text("pos:\t0\n" + "inotify wd:1 ino:2 sdev:3 mask:4\n" * watches)
    (folder / "sys/fs/inotify").mkdir(parents=True)
    (folder / "sys/fs/inotify/max_user_watches").write_text(f"{most}\n")
    return str(folder)


def test_limits_that_are_wide_enough_are_fine(tmp_path: Path) -> None:
    """Both are told, with their figures."""
    files, watches = machine.limits(7, proc(tmp_path))

    assert files == (OK, "limits", "pixkind may have 65536 files open", "")
    assert watches == (OK, "limits", "pixkind has 10 of the 100 watches that the kernel allows", "")


@pytest.mark.parametrize(("soft", "level"), [("1023", PROBLEM), ("1024", OK), ("unlimited", OK)])
def test_few_files_are_a_problem(tmp_path: Path, soft: str, level: str) -> None:
    """A photo on its way and a client each take one."""
    found = machine.limits(7, proc(tmp_path, soft=soft))[0]

    assert (found.level, bool(found.fix)) == (level, level == PROBLEM)


def test_watches_that_run_out_are_a_problem_before_they_do(tmp_path: Path) -> None:
    """The command allows twice as many, or plenty."""
    near = machine.limits(7, proc(tmp_path / "1", watches=91))[1]
    many = machine.limits(7, proc(tmp_path / "2", watches=500_001, most=500_001))[1]

    assert (near.level, near.fix) == (PROBLEM, "sudo sysctl fs.inotify.max_user_watches=524288")
    assert many.fix == "sudo sysctl fs.inotify.max_user_watches=1000002"


def test_a_process_of_which_nothing_can_be_read_has_no_findings(tmp_path: Path) -> None:
    """It may have ended, or be in another namespace."""
    assert machine.limits(8, proc(tmp_path)) == []


def test_our_own_process_has_limits() -> None:
    """The files of the real kernel are read."""
    assert [one.area for one in machine.limits(os.getpid())] == ["limits", "limits"]


def test_a_clock_that_is_behind_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the year in which pixkin was made, or behind the index."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    store = tmp_path / "pixkin/index.lmdb/data.mdb"
    store.parent.mkdir(parents=True)
    store.touch()
    os.utime(store, (2_000_000_000, 2_000_000_000))
    old, behind, right = (machine.clock(float(now)) for now in (86_400, 1_900_000_000, 2_000_000_001))

    assert (old.level, old.fix) == (PROBLEM, "sudo timedatectl set-ntp true")
    assert (behind.level, behind.what) == (
        PROBLEM,
        "the clock says 2030-03-17, but the index was written on 2033-05-18",
    )
    assert right.level == OK
