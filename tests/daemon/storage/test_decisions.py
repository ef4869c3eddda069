"""Decisions of users outlive every store, every crash and every merge."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.daemon.conftest import mount

from pixkind.fs.stamp import Stamp
from pixkind.storage.decisions import Decisions
from pixkind.storage.environment import StoreFull
from pixkind.storage.record import Record
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

_OLD = Path(__file__).parents[2] / "e2e/data/store-8df8444.tar.xz"
_ONE, _OTHER, _THIRD = (bytes([number]) * 16 for number in (1, 5, 9))
_STAMP = Stamp(1, 2, 3, 4)
# Notes one pair, and dies as soon as it is on the disk: before a client could be told.
_DIES = """
import os, signal, sys
from pixkind.fs.stamp import Stamp
from pixkind.storage.decisions import Decisions
from pixkind.storage.record import Record
fsync = os.fsync
def then_die(descriptor):
    fsync(descriptor)
    os.kill(os.getpid(), signal.SIGKILL)
os.fsync = then_die
one, other = (Record(f"/p/{name}.jpg", Stamp(1, 2, 3, 4), bytes([name]) * 16) for name in (1, 5))
Decisions(sys.argv[1]).note("apart", one, other)
"""


def _photo(content: bytes, path: str = "", stamp: Stamp = _STAMP) -> Record:
    return Record(path or f"/p/{content[0]}.jpg", stamp, content)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "index"), "space", map_gb=1)
    yield made
    made.close()


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    return Decisions(str(tmp_path / "home/pixkin"))


def _lines(decisions: Decisions) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(decisions.path).read_bytes().splitlines()]


def _note_often(decisions: Decisions) -> None:
    for _ in range(20):
        decisions.note("apart", _photo(_ONE), _photo(_THIRD))


@contextmanager
def _room(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size`, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_said_last_counts_whichever_photo_is_named_first(decisions: Decisions, store: Store) -> None:
    """A pair has no order, and only this pair is undone."""
    before = decisions.apart(store)
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    decisions.note("apart", _photo(_THIRD), _photo(_ONE))
    both = decisions.apart(store)
    decisions.note("together", _photo(_OTHER), _photo(_ONE))
    one = decisions.apart(store)
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))

    assert before == set()
    assert both == decisions.apart(store) == {(_ONE, _OTHER), (_ONE, _THIRD)}
    assert one == {(_ONE, _THIRD)}


def test_a_line_can_be_read_without_pixkin(decisions: Decisions) -> None:
    """It says what was said, of which pictures, when, and of which files; no one else can read it."""
    latin = os.fsdecode(b"/p/caf\xe9\n.jpg")
    decisions.note("apart", _photo(_ONE, latin), _photo(_OTHER))
    line = _lines(decisions)[0]
    time = line.pop("time")
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (decisions.path, os.path.dirname(decisions.path))]

    assert line == {
        "format": 1,
        "kind": "apart",
        "photos": [
            {"content": _ONE.hex(), "path": latin, "size": 2, "mtime_ns": 1},
            {"content": _OTHER.hex(), "path": "/p/5.jpg", "size": 2, "mtime_ns": 1},
        ],
    }
    assert time.endswith("+00:00")
    assert modes == [0o600, 0o700]


def test_a_file_that_others_could_read_is_closed_to_them(decisions: Decisions) -> None:
    """A copy or a merge may have been made under another umask."""
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    os.chmod(decisions.path, 0o644)
    decisions.note("apart", _photo(_ONE), _photo(_THIRD))

    assert stat.S_IMODE(os.stat(decisions.path).st_mode) == 0o600


def test_nothing_is_lost_by_a_kill_before_the_reply(decisions: Decisions, store: Store) -> None:
    """The line is on the disk before anybody is told."""
    child = subprocess.run([sys.executable, "-c", _DIES, os.path.dirname(decisions.path)], check=False)

    assert child.returncode == -signal.SIGKILL
    assert decisions.apart(store) == {(_ONE, _OTHER)}


def test_a_line_that_was_cut_off_is_skipped_and_costs_no_other_line(decisions: Decisions, store: Store) -> None:
    """Wherever the crash came: the lines before it count, and so does the next one."""
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    whole = Path(decisions.path).read_bytes()
    decisions.note("apart", _photo(_ONE), _photo(_THIRD))
    both = Path(decisions.path).read_bytes()
    for end in range(len(whole) + 1, len(both) - 1):
        Path(decisions.path).write_bytes(both[:end])
        assert decisions.apart(store) == {(_ONE, _OTHER)}
    decisions.note("apart", _photo(_OTHER), _photo(_THIRD))

    assert decisions.apart(store) == {(_ONE, _OTHER), (_OTHER, _THIRD)}
    assert Path(decisions.path).read_bytes().startswith(both[:end] + b"\n")


@pytest.mark.parametrize("torn", [0, 1, 30], ids=["whole", "without its end of line", "cut off"])
def test_two_files_are_merged_by_concatenation_in_any_order(tmp_path: Path, store: Store, torn: int) -> None:
    """Each has what the other has not; of contradictions the later one counts, however often a line is there."""
    here, there, merged = (Decisions(str(tmp_path / name)) for name in ("here", "there", "merged"))
    here.note("apart", _photo(_ONE), _photo(_OTHER))
    there.note("apart", _photo(_ONE), _photo(_THIRD))
    there.note("together", _photo(_ONE), _photo(_OTHER))
    here.note("apart", _photo(_OTHER), _photo(_THIRD))
    one, other = Path(here.path).read_bytes(), Path(there.path).read_bytes()
    (tmp_path / "merged").mkdir()
    for data in (one + other + one, other + one, (other + one)[: -torn or None] + other + one):
        Path(merged.path).write_bytes(data)
        assert merged.apart(store) == {(_ONE, _THIRD), (_OTHER, _THIRD)}


def test_a_statement_is_later_than_all_before_it_whatever_the_clock_says(decisions: Decisions, store: Store) -> None:
    """A line from a machine whose clock is ahead must not undo what is said afterwards."""
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    ends = ("2999-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999+14:00")
    for ahead in (*ends, "9999-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59.999999-14:00"):
        line = {**_lines(decisions)[0], "time": ahead}
        with open(decisions.path, "a", encoding="ascii") as file:
            file.write(json.dumps(line) + "\n")
        decisions.note("together", _photo(_ONE), _photo(_OTHER))
        if ahead in ends:
            assert decisions.apart(store) == set()


def test_unknown_lines_are_kept_and_ignored(decisions: Decisions, store: Store) -> None:
    """A later pixkin may say more: a pixkin that does not know it changes none of it."""
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    known = _lines(decisions)[0]
    others = [{**known, "kind": "never"}, {**known, "format": 2, "photos": 7}, {**known, "note": "mine"}, 5, [], None]
    with open(decisions.path, "a", encoding="ascii") as file:
        file.writelines(json.dumps(other) + "\n" for other in others)
    before = Path(decisions.path).read_bytes()
    decisions.note("apart", _photo(_ONE), _photo(_THIRD))

    assert decisions.apart(store) == {(_ONE, _OTHER), (_ONE, _THIRD)}
    assert Path(decisions.path).read_bytes().startswith(before)


def test_a_name_that_no_file_can_have_costs_no_other_line(decisions: Decisions, store: Store) -> None:
    """A file of decisions is merged by hand, and other programs may escape a name in other ways."""
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    line = _lines(decisions)[0]
    line["photos"][0]["path"] = "\ud800"
    with open(decisions.path, "a", encoding="ascii") as file:
        file.write(json.dumps(line) + "\n")
    decisions.note("apart", _photo(_ONE), _photo(_THIRD))

    assert decisions.apart(store) == {(_ONE, _OTHER), (_ONE, _THIRD)}


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(b"[" * 100_000), st.just(b'{"format": 1, "kind": "apart"}'))))
def test_no_line_breaks_anything(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """Whatever stands in the file, what can be understood counts."""
    folder = tmp_path_factory.mktemp("any")
    store, decisions = Store(str(folder / "index"), "space", map_gb=1), Decisions(str(folder))
    Path(decisions.path).write_bytes(b"\n".join(lines))
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    told = decisions.apart(store)
    store.close()

    assert told == {(_ONE, _OTHER)}


def test_on_a_full_disk_nothing_is_noted_and_nothing_is_lost(decisions: Decisions, store: Store) -> None:
    """A part of a line that found room is taken back; the next line is whole."""
    with pytest.raises(StoreFull, match=r"decisions\.jsonl cannot be written"), _room(0):
        decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    before = Path(decisions.path).read_bytes()
    with pytest.raises(StoreFull), _room(len(before) + 10):
        decisions.note("apart", _photo(_ONE), _photo(_THIRD))
    after = Path(decisions.path).read_bytes()

    assert after == before
    assert decisions.apart(store) == {(_ONE, _OTHER)}


def test_a_full_file_system_is_no_other(point: Path, store: Store) -> None:
    """The same on a real one."""
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", point)
    decisions = Decisions(str(point / "pixkin"))
    decisions.note("apart", _photo(_ONE), _photo(_OTHER))
    filler = point / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(1000)):
            pass
    with pytest.raises(StoreFull, match="No space left"):
        _note_often(decisions)  # the last page of the file has room for some lines
    filler.unlink()
    decisions.note("together", _photo(_ONE), _photo(_THIRD))

    assert decisions.apart(store) == {(_ONE, _OTHER)}


def test_the_unit_of_an_older_pixkind_is_named(point: Path) -> None:
    """It lets the service write to the index alone."""
    mount("-t", "tmpfs", "-o", "ro", "tmpfs", point)

    with pytest.raises(StoreFull, match=r"Read-only file system\); if .* `pixkind service install` again"):
        Decisions(str(point / "pixkin")).note("apart", _photo(_ONE), _photo(_OTHER))


def test_a_file_that_cannot_be_read_is_an_error_and_never_empty(decisions: Decisions, store: Store) -> None:
    """Else photos would be called duplicates that are none."""
    os.makedirs(decisions.path)

    with pytest.raises(IsADirectoryError):
        decisions.apart(store)
    with pytest.raises(StoreFull):
        decisions.note("apart", _photo(_ONE), _photo(_OTHER))


def test_a_picture_with_another_content_id_is_found_by_its_unchanged_file(decisions: Decisions, store: Store) -> None:
    """A later pixkin may make other ids: what was said holds for the file, and can be undone by it."""
    stamp = Stamp(77, 10, 3, 4)
    decisions.note("apart", _photo(_ONE, "/p/a.jpg", stamp), _photo(_OTHER, "/p/b.jpg", stamp))
    store.commit(WriteBatch(photos=[PhotoFound(f"/p/{name}.jpg", stamp, _THIRD) for name in "ac"]))
    now = decisions.apart(store)
    decisions.note("together", _photo(_THIRD, "/p/a.jpg", stamp), _photo(_OTHER, "/p/b.jpg", stamp))
    undone = decisions.apart(store)
    store.commit(WriteBatch(photos=[PhotoFound("/p/a.jpg", Stamp(78, 10, 3, 4), _THIRD)]))

    assert now == {(_OTHER, _THIRD)}
    assert undone == set()
    assert decisions.apart(store) == {(_ONE, _OTHER)}  # another file stands there


def test_the_pairs_of_an_old_store_are_taken_over_once(tmp_path: Path, decisions: Decisions) -> None:
    """They hold before, too, if the file cannot be written. What is said later is not undone by the next start."""
    with tarfile.open(_OLD) as archive:
        archive.extractall(tmp_path, filter="data")
    store = Store(str(tmp_path / "index.lmdb"), "space", map_gb=1)
    (pair,) = store.apart.pairs()
    with _room(0):
        decisions.take_over(store)
    unwritten = decisions.apart(store)
    decisions.take_over(store)
    decisions.take_over(store)
    lines = _lines(decisions)
    photos = [store.photos_of(content)[0] for content in pair]
    decisions.note("together", *photos)
    decisions.take_over(store)
    store.close()
    new = Store(str(tmp_path / "new"), "space", map_gb=1)
    undone = decisions.apart(new)
    decisions.note("apart", *photos)
    kept = decisions.apart(new)
    new.close()

    assert unwritten == {pair}
    assert [[photo["content"] for photo in line["photos"]] for line in lines] == [[one.hex() for one in pair]]
    assert [photo["path"] for photo in lines[0]["photos"]] == [photo.path for photo in photos]
    assert undone == set()
    assert kept == {pair}
