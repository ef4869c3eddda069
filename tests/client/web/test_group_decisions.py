"""Decisions about duplicates outlive everything but their file."""

import os
from pathlib import Path

import pytest

from pixkin.errors import InputUnreadable
from pixkin.web.group_decisions import GroupDecision, GroupDecisions


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data/web-decisions.jsonl"


def test_the_last_decision_counts_and_an_empty_one_undoes_it(file: Path) -> None:
    """Also for another process, and for paths that are no UTF-8."""
    one, other = GroupDecisions(str(file)), GroupDecisions(str(file))
    kept = GroupDecision("a", 1, keep=("/p/\udcff.jpg",), aside=("/p/b.jpg",))
    one.write(kept)
    seen = other.of("a")
    one.write(GroupDecision("b", 2, later=True))
    one.write(GroupDecision("a", 3))

    assert seen == kept
    assert other.all().keys() == {"b"}
    assert (file.stat().st_mode & 0o777, len(file.read_bytes().splitlines())) == (0o600, 3)


def test_a_line_that_was_cut_off_costs_no_other(file: Path) -> None:
    """A power cut may leave a part of the last line."""
    decisions = GroupDecisions(str(file))
    decisions.write(GroupDecision("a", 1, later=True))
    with file.open("ab") as stream:
        stream.write(b'{"group": "b", "at": 2, "la')
    decisions.write(GroupDecision("c", 3, later=True))

    assert GroupDecisions(str(file)).all().keys() == {"a", "c"}


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With its path."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(InputUnreadable, match=r"web-decisions\.jsonl: "):
        GroupDecisions(str(tmp_path / "data/web-decisions.jsonl")).write(GroupDecision("a", 1, later=True))


def test_a_full_disk_is_said_and_costs_no_other(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line was written: that is no decision, and the next one begins on a line of its own."""
    decisions, real = GroupDecisions(str(file)), os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: (len(data) + 1) // 2]))
        with pytest.raises(InputUnreadable, match="no space left"):
            decisions.write(GroupDecision("a", 1, later=True))
    decisions.write(GroupDecision("b", 2, later=True))

    assert GroupDecisions(str(file)).all().keys() == {"b"}
