from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts
from tests.waiting import wait_for

from pixkind.ingest.first_runs import FirstRuns


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonParts]:
    """Yield a library with two folders, in which three photos are many."""
    monkeypatch.setattr("pixkind.ingest.first_runs.MANY", 3)
    made = DaemonParts(tmp_path, "one", "two")
    yield made
    made.stop()


def watched(library: DaemonParts, told: list[str]) -> FirstRuns:
    """Return the first runs of a library; what they tell is appended."""
    return FirstRuns(
        library.store, library.roots, library.counts, library.inbox, tell=lambda summary, _: told.append(summary)
    )


def fill(folder: Path, photos: int) -> None:
    """Write photos."""
    for number in range(photos):
        (folder / f"{number}.jpg").write_text(f"{folder} {number}")


def test_folders_that_are_ready_together_are_told_of_together(two: DaemonParts) -> None:
    """By the number of their photos that can be found."""
    told: list[str] = []
    for folder in two.folders:
        fill(folder, 2)
    two.write("torn.jpg", "torn", "inspect refuse it is torn")
    first_runs = watched(two, told)
    two.start().sync()
    first_runs.look()
    first_runs.look()

    assert told == ["4 photos are indexed"]


def test_a_folder_whose_drive_is_away_waits_for_it(two: DaemonParts) -> None:
    """Whether it was there before, or went away while it was indexed: then only a part of its photos is known."""
    told: list[str] = []
    drive = two.folders[1]
    fill(drive, 2)
    first_runs = watched(two, told)
    two.start().sync()
    drive.rename(two.folder / "away")
    two.sync()
    first_runs.look()
    early = list(told)
    (two.folder / "away").rename(drive)
    fill(drive, 5)
    two.sync()
    first_runs.look()

    assert early == []
    assert told == ["5 photos are indexed"]


def test_an_empty_folder_waits_for_its_first_photos(two: DaemonParts) -> None:
    """They are told of if they are many, and never again."""
    told: list[str] = []
    first_runs = watched(two, told)
    two.start().sync()
    first_runs.look()
    fill(two.folders[0], 3)
    two.sync()
    first_runs.look()
    fill(two.folders[0], 9)
    two.sync()
    first_runs.look()

    assert told == ["3 photos are indexed"]


def test_an_index_of_before_and_a_first_run_that_has_ended_are_not_told_of(two: DaemonParts) -> None:
    """An older pixkind has left no mark; and the next start does not see one that was ended."""
    told: list[str] = []
    fill(two.folders[0], 4)
    two.start().sync()
    watched(two, told).look()
    fill(two.folders[1], 2)
    first_runs = watched(two, told)  # as if pixkind had been started again
    two.sync()
    first_runs.look()
    wait_for(lambda: not two.store.roots.is_first_run(str(two.folders[1])))
    fill(two.folders[1], 4)
    two.sync()
    watched(two, told).look()

    assert told == []


def test_what_is_remembered_of_a_first_run_is_forgotten_with_its_root(two: DaemonParts) -> None:
    """A folder that was named once, and never came."""
    root = str(two.folders[0])
    watched(two, [])
    before = two.store.roots.is_first_run(root)
    two.store.roots.forget(root)

    assert before
    assert not two.store.roots.is_first_run(root)
