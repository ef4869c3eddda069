"""Brings files back to where they were, as the journal has it, and never over another file."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from pixkin.trash.destinations import top_of, transfer
from pixkin.trash.files import Spot, Stays, move, reached, read, said
from pixkin.trash.journal import MovedFile, Run, TrashJournal


def bring_back(run: Run) -> Iterator[tuple[MovedFile, str]]:
    """Bring back the files of a run, the last one first; yield each with the reason why it is not back, or an empty text.

    It may be repeated, after any end. Where a file is, is found by its bytes.
    """
    journal = TrashJournal(run.file)
    try:
        for number, moved in reversed(run.moved.items()):
            journal.write("back", n=number)
            try:
                _bring_back(moved)
            except Stays as error:
                yield moved, str(error)
            except OSError as error:
                yield moved, said(error)
            else:
                journal.write("is back", n=number)
                yield moved, ""
    finally:
        journal.close()


def put_aside_ones_back(run: Run) -> Iterator[tuple[MovedFile, str]]:
    """Bring back, as `bring_back` does, only what a run that was cut off has left under a hidden name.

    After a power cut that may be a run that had ended.
    """
    aside = {number: moved for number, moved in run.moved.items() if os.path.lexists(moved.aside)}
    if aside:
        yield from bring_back(replace(run, moved=aside))


def is_lost(moved: MovedFile) -> bool:
    """Return whether a file that is not back is nowhere any more, although its drive is there: the trash was emptied."""
    places = (moved.path, moved.aside, moved.to)
    return top_of(moved.path) == moved.top and not any(path and os.path.lexists(path) for path in places)


def _bring_back(moved: MovedFile) -> None:
    if top_of(moved.path) != moved.top:
        raise Stays("its drive is not mounted")
    if not _holds(moved.path, moved):
        source = next((path for path in (moved.aside, moved.to) if _holds(path, moved)), "")
        if not source:
            raise Stays(f"it is not in {moved.to or moved.aside} any more")
        with reached(moved.path, make=True) as home:
            _clear(home, source, moved)
            _return(source, home, moved)
    # The file is in its place. What is left of it elsewhere was made by a run that was cut off: a second name or a copy.
    for path in (moved.aside, moved.copy, moved.to):
        if path:
            _drop(path, moved, only_whole=path == moved.to)
    if moved.info and not os.path.lexists(moved.to):
        _drop_info(moved)


def _holds(path: str, moved: MovedFile) -> bool:
    """Return whether the file is at a path."""
    if not path:
        return False
    try:
        with reached(path) as spot:
            return spot.stat().st_size == moved.size and read(spot).digest == moved.digest
    except (OSError, Stays):
        return False


def _clear(home: Spot, source: str, moved: MovedFile) -> None:
    """Return if the file's own name is free; a new, empty file is one that `move` had made for it."""
    if not home.exists():
        return
    if moved.size and stat.S_ISREG(home.stat().st_mode) and not home.stat().st_size:
        home.unlink()
        return
    raise Stays(f"its place is taken; it is {source}")


def _return(source: str, home: Spot, moved: MovedFile) -> None:
    with reached(source) as spot:
        try:
            move(spot, home)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            making = home.beside(os.path.basename(moved.aside))
            with suppress(FileNotFoundError):
                making.unlink()  # an earlier try was cut off; `source` is whole
            transfer(spot, making, home, moved.digest)


def _drop(path: str, moved: MovedFile, *, only_whole: bool) -> None:
    """Delete another name or copy of a file that is in its place, if the file stays there when this one is renamed."""
    if not os.path.isdir(os.path.dirname(path)):
        return
    with suppress(FileNotFoundError), reached(path) as spot:
        aside = spot.beside(f".pixkin-{moved.aside[-8:]}~")
        with suppress(FileNotFoundError):
            aside.unlink()  # an earlier try was cut off here
        if only_whole and not _holds(path, moved):
            return
        move(spot, aside)
        if not _holds(moved.path, moved):
            move(aside, spot)
            raise Stays(f"{path} and it are one file")
        aside.unlink()


def _drop_info(moved: MovedFile) -> None:
    """Delete the trash's note, if it is still that of this file."""
    with suppress(FileNotFoundError, Stays), reached(moved.info) as spot:
        named = quote(os.path.basename(os.fsencode(moved.path)))
        with open(os.open(spot.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=spot.folder), encoding="ascii") as file:
            is_ours = any(line.startswith("Path=") and line.rstrip().endswith(named) for line in file)
        if is_ours:
            spot.unlink()
