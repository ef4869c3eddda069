"""Mutated lines of the files that hold what users have decided: a damaged line costs no photo, and no other line."""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from tests.client.trash.library import Library, group
from tests.fuzz.mutation import generator, keep, mutated_line

from pixkin.trash.journal import Run, runs
from pixkind.fs.stamp import Stamp
from pixkind.storage.decisions import Decisions
from pixkind.storage.record import Record
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

_LINES = int(os.environ.get("PIXKIN_LINES", "200"))  # 20,000 before a release
_FEW = max(10, _LINES // 20)  # cases that move files

_CONTENTS = [bytes([number]) * 16 for number in range(1, 7)]
_RECORDS = [Record(f"/p/{content[0]}.jpg", Stamp(1, 2, 3, 4), content) for content in _CONTENTS]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield a store with some of the photos that the decisions name."""
    made = Store(str(tmp_path / "index"), "space", map_gb=1)
    made.commit(WriteBatch(photos=[PhotoFound(one.path, one.stamp, one.content) for one in _RECORDS[:3]]))
    yield made
    made.close()


def test_a_mutated_decision_costs_no_other(tmp_path: Path, store: Store) -> None:
    """All other pairs are kept apart, and the next decision is noted."""
    decisions = Decisions(str(tmp_path))
    pairs = list(combinations(_RECORDS, 2))[:-1]
    for one, other in pairs:
        decisions.note("apart", one, other)
    lines = Path(decisions.path).read_bytes().splitlines()
    wrong = []
    for number in range(_LINES):
        chance = generator("decision", number)
        at = chance.randrange(len(lines))
        damaged = b"\n".join([*lines[:at], mutated_line(lines[at], chance, lines), *lines[at + 1 :]]) + b"\n"
        Path(decisions.path).write_bytes(damaged)
        expected = {(one.content, other.content) for one, other in (*pairs[:at], *pairs[at + 1 :], _RECORDS[-2:])}
        try:
            decisions.note("apart", *_RECORDS[-2:])
            said = decisions.apart(store)
        except Exception as error:  # noqa: BLE001  any exception is what is looked for
            wrong.append(f"{error!r}: {keep(tmp_path, f'{number}.jsonl', damaged)}")
        else:
            if not expected <= said:
                wrong.append(f"a pair is lost: {keep(tmp_path, f'{number}.jsonl', damaged)}")

    assert wrong == []


@pytest.fixture
def moved(library: Library) -> Run:
    """Return a run that has moved four copies of two pictures to the trash."""
    for number in range(2):
        library.move(group(*(library.photo(f"{number}{copy}.jpg", number) for copy in "abc")))
    return runs(library.journal)[0]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Return a folder of pictures."""
    return Library(tmp_path)


def _damaged(run: Path, case: int) -> bytes:
    """Return a journal with one mutated line, which depends on its number and the seed alone."""
    chance, lines = generator("trash", case), run.read_bytes().splitlines()
    at = chance.randrange(len(lines))
    return b"\n".join([*lines[:at], mutated_line(lines[at], chance, lines), *lines[at + 1 :]]) + b"\n"


def test_a_mutated_journal_of_the_trash_can_be_read(tmp_path: Path, library: Library, moved: Run) -> None:
    """At most one of the files is not known any more, and no line names a place that `--undo` may not touch."""
    journal, wrong = Path(moved.file), []
    whole = journal.read_bytes()
    for number in range(_LINES):
        damaged = _damaged(journal, number)
        journal.write_bytes(damaged)
        try:
            run = runs(library.journal)[0]
        except Exception as error:  # noqa: BLE001  any exception is what is looked for
            wrong.append(f"{error!r}: {keep(tmp_path, f'{number}.journal', damaged)}")
        else:
            if len(run.moved) < len(moved.moved) - 1:
                wrong.append(f"{len(run.moved)} files: {keep(tmp_path, f'{number}.journal', damaged)}")
        journal.write_bytes(whole)

    assert wrong == []


def test_undo_by_a_mutated_journal_loses_no_picture(tmp_path: Path) -> None:
    """Whatever a line says, as many files have each picture as before."""
    wrong = []
    for number in range(_FEW):
        folder = tmp_path / str(number)
        folder.mkdir()
        library = Library(folder)
        library.photo("other.jpg", 7)
        library.move(group(*(library.photo(f"{copy}.jpg") for copy in "abc")))
        (run,) = runs(library.journal)
        damaged = _damaged(Path(run.file), number)
        Path(run.file).write_bytes(damaged)
        before = library.pictures()
        known = runs(library.journal)[0].moved.values()
        if not all(path.startswith(f"{folder}/") for one in known for path in (one.path, one.to) if path):
            continue  # it would make folders elsewhere on this machine
        try:
            library.undo()
        except Exception as error:  # noqa: BLE001  any exception is what is looked for
            wrong.append(f"{error!r}: {keep(tmp_path, f'{number}.journal', damaged)}")
        if library.pictures() != before:
            wrong.append(f"pictures: {keep(tmp_path, f'{number}.journal', damaged)}")

    assert wrong == []
