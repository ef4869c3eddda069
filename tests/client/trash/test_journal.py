"""The journal: what a run that ended in any way has left in it."""

import json
import os
from pathlib import Path

import pytest
from tests.client.trash.library import Library, group

from pixkin.errors import AlreadyMoving, InputUnreadable
from pixkin.trash.destinations import TargetFolder
from pixkin.trash.journal import TrashJournal, locked, runs


def test_each_run_has_a_file_of_lines_that_only_its_user_reads(library: Library) -> None:
    """In the order of the steps; names that are not UTF-8 come back as they were."""
    odd = os.fsdecode(b"caf\xe9.jpg")
    library.move(group(library.photo("a.jpg"), library.photo(odd)))
    (run,) = runs(library.journal)
    lines = [json.loads(line) for line in Path(run.file).read_bytes().splitlines()]

    assert [line["step"] for line in lines] == ["begin", "aside", "move", "moved", "end"]
    assert run.moved[1].path == str(library.photos / odd)
    assert Path(run.file).stat().st_mode & 0o777 == 0o600
    assert Path(library.journal).stat().st_mode & 0o777 == 0o700


def test_a_line_that_was_cut_off_spoils_no_other(library: Library) -> None:
    """Whoever goes on begins a new line."""
    kept = library.photo("a.jpg")
    library.move(group(kept, library.photo("b.jpg")))
    (run,) = runs(library.journal)
    with Path(run.file).open("ab") as file:
        file.write(b'{"step": "aside", "n": 2, "pa')
    undone = library.undo()
    (after,) = runs(library.journal)

    assert undone == []
    assert after.moved == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"path": ', b'"p": '),
        (b'"path": "/', b'"path": "'),
        (b'"path": "', b'"path": "\\u0000'),
        (b'"path": "/', b'"path": "/\\ud800'),
        (b'"size": ', b'"size": -0.'),
        (b'"n": 1', b'"n": 9'),
        (b'"aside": "', b'"aside": "/other'),
        (b'"step": "aside"', b'"step": ' + b"[" * 100_000),
    ],
)
def test_a_damaged_line_spoils_no_other(library: Library, old: bytes, new: bytes) -> None:
    """What the whole lines name is brought back; the others are counted."""
    kept, first, second = library.photo("a.jpg"), library.photo("b.jpg"), library.photo("c.jpg")
    library.move(group(kept, first, second))
    (run,) = runs(library.journal)
    Path(run.file).write_bytes(Path(run.file).read_bytes().replace(old, new, 1))
    pictures = library.pictures()
    (damaged,) = runs(library.journal)
    library.undo()

    assert damaged.unread > 0
    assert second.exists()
    assert not first.exists()
    assert library.pictures() == pictures


def test_undo_deletes_nothing_that_a_damaged_line_names(library: Library) -> None:
    """A hidden name is deleted without a look at its bytes, so it must be one of ours."""
    kept, copy, other = library.photo("a.jpg"), library.photo("b.jpg"), library.photo("c.jpg", 1)
    library.move(group(kept, copy))
    (run,) = runs(library.journal)
    damaged = Path(run.file).read_bytes().replace(Path(run.moved[1].aside).name.encode(), b"c.jpg")
    Path(run.file).write_bytes(damaged)
    library.undo()

    assert other.exists()


def test_the_newest_run_comes_first(library: Library) -> None:
    """By the clock, also within a second."""
    for number in range(3):
        with locked(library.journal):
            TrashJournal.begin(library.journal, str(number)).close()

    assert [json.loads(Path(run.file).read_bytes())["to"] for run in runs(library.journal)] == ["2", "1", "0"]


def test_one_at_a_time(library: Library) -> None:
    """Whoever comes second is told."""
    with locked(library.journal), pytest.raises(AlreadyMoving), locked(library.journal):
        pass
    with locked(library.journal):
        pass


def test_a_full_disk_stops_before_the_step(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line was written; the photo has its name."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    names, real = library.names(), os.write

    def write(descriptor: int, data: bytes) -> int:
        if b'"move"' in data:
            return real(descriptor, data[: len(data) // 2])
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(InputUnreadable, match="no space left"):
        library.move(group(kept, copy))

    assert library.names() == names
    assert library.undo() == []


def test_undo_says_what_is_gone_or_whose_place_is_taken(library: Library) -> None:
    """And brings back the rest; folders that were deleted are made again."""
    kept = library.photo("a.jpg")
    gone, taken, back = (library.photo(name) for name in ("gone.jpg", "taken.jpg", "folder/back.jpg"))
    target = library.folder / "moved"
    library.move(group(kept, gone, taken, back), TargetFolder(str(target)))
    back.parent.rmdir()
    Path(f"{target}{gone}").unlink()
    taken.write_bytes(b"new")
    reasons = library.undo()
    again = library.undo()

    assert reasons == [
        f"its place is taken; it is {target}{taken}",
        f"it is not in {target}{gone} any more",
    ]
    assert again == reasons
    assert back.read_bytes() == kept.read_bytes()
    assert taken.read_bytes() == b"new"
