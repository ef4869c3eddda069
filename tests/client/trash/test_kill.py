"""A run, or its undoing, that is killed before any step: every picture is still there, and `--undo` brings back all."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.trash.library import Library, group

from pixkin import renaming
from pixkin.trash.destinations import Destination, TargetFolder, Trash

_STEPS = ("write", "fsync", "rename", "link", "unlink", "mkdir", "utime", "open")


def _killed_before(step: int, act: Callable[[], object]) -> bool:
    """Run something in a process that kills itself before its `step`th change of a file; return whether it did."""
    pid = os.fork()
    if pid == 0:
        left = iter(range(step - 1, -1, -1))

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 # whatever the system takes
                if (real is not os_open or args[1] & os.O_CREAT) and next(left) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        os_open = os.open
        for name in _STEPS:
            setattr(os, name, counted(getattr(os, name)))
        renaming._renameat2 = counted(renaming._renameat2)
        try:
            act()
        except BaseException:  # noqa: BLE001 # the process must end here
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status != 0


@pytest.fixture(autouse=True)
def _no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the drive: what a kill leaves does not depend on fsync."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def other_drive() -> Iterator[Path]:
    """Yield a folder on another file system than pytest's."""
    folder = Path(f"/dev/shm/pixkin-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no second file system")
    yield folder
    shutil.rmtree(folder)


def _unable(*_: object) -> None:
    raise OSError(22, "Invalid argument")


def _unable_to_link(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def _made(base: Path, step: int) -> Library:
    folder = base / str(step)
    folder.mkdir()
    library = Library(folder)
    for name in ("x/a.jpg", "y/b.jpg"):
        path = library.photo(name)
        (path.parent / f"{path.stem}.xmp").write_bytes(b"edits")
    return library


def _take_away(monkeypatch: pytest.MonkeyPatch, able: str) -> None:
    """Take away what a file system may lack: the rename over nothing (NFS), and hard links too (exfat-fuse)."""
    if able != "rename":
        monkeypatch.setattr(renaming, "_renameat2", _unable)
    if able == "neither":
        monkeypatch.setattr(os, "link", _unable_to_link)


def _place(library: Library, to: str, elsewhere: Path) -> Destination:
    """Return where photos go: the trash, a folder on their drive, or one on another drive."""
    target = library.folder / "moved" if to == "folder" else elsewhere
    return Trash(str(library.trash)) if to == "trash" else TargetFolder(str(target))


def _move(library: Library, to: Destination) -> None:
    assert library.move(group(*(library.photos / name for name in ("x/a.jpg", "y/b.jpg"))), to) == []


@pytest.mark.parametrize("to", ["trash", "folder", "another drive"])
@pytest.mark.parametrize("able", ["rename", "link", "neither"])
def test_a_kill_at_any_step_loses_nothing(
    tmp_path: Path, other_drive: Path, monkeypatch: pytest.MonkeyPatch, to: str, able: str
) -> None:
    """Also on file systems that cannot rename over nothing (NFS), and can make no hard link either (exfat-fuse)."""
    _take_away(monkeypatch, able)
    killed, step = True, 0
    while killed:
        step += 1
        library = _made(tmp_path, step)
        names, pictures = library.names(), library.pictures()
        place = _place(library, to, other_drive / str(step))
        killed = _killed_before(step, lambda library=library, place=place: _move(library, place))  # type: ignore[misc]
        there = library.pictures(other_drive / str(step))
        reasons = library.undo()

        assert all(there[picture] >= count for picture, count in pictures.items()), step
        assert reasons == [], step
        assert library.names() == names, step
        assert library.pictures(other_drive / str(step)) == pictures, step
    assert step > 12


@pytest.mark.parametrize("able", ["rename", "link", "neither"])
def test_a_kill_while_a_photo_is_put_back_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: str
) -> None:
    """It was renamed, and then there was no room in the trash."""
    _take_away(monkeypatch, able)
    monkeypatch.setattr(Trash, "take", _unable)
    killed, step = True, 0
    while killed:
        step += 1
        library = _made(tmp_path, step)
        names = library.names()
        killed = _killed_before(step, lambda library=library: _refused(library))  # type: ignore[misc]

        assert library.undo() == [], step
        assert library.names() == names, step
    assert step > 5


def _refused(library: Library) -> None:
    given = group(*(library.photos / name for name in ("x/a.jpg", "y/b.jpg")))
    assert library.move(given) == ["invalid argument"]


@pytest.mark.parametrize("to", ["trash", "folder", "another drive"])
@pytest.mark.parametrize("able", ["rename", "link", "neither"])
def test_a_kill_at_any_step_of_undo_loses_nothing(
    tmp_path: Path, other_drive: Path, monkeypatch: pytest.MonkeyPatch, to: str, able: str
) -> None:
    """The next one goes on."""
    _take_away(monkeypatch, able)
    killed, step = True, 0
    while killed:
        step += 1
        library = _made(tmp_path, step)
        names, pictures = library.names(), library.pictures()
        _move(library, _place(library, to, other_drive / str(step)))
        killed = _killed_before(step, library.undo)
        there = library.pictures(other_drive / str(step))

        assert all(there[picture] >= count for picture, count in pictures.items()), step
        assert library.undo() == [], step
        assert library.names() == names, step
        assert library.pictures(other_drive / str(step)) == pictures, step
    assert step > 5
