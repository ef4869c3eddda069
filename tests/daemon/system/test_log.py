"""The log of a real process with a real standard error, as a terminal and as the journal get it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixkind.system import log

PROGRAM = """
import logging, warnings
from pixkind.system import log
log.set_up({level!r})
log.set_up({level!r})
logger = logging.getLogger("pixkind.test")
logger.debug("looking at %s", "/p/a.jpg")
logger.info("committed 32 photos")
logger.warning("odd name %s", "/p/a\\n<2>forged \\x1b[2J\\udcff.jpg")
warnings.warn("old thing")
try:
    raise ValueError("first\\nsecond\\x07")
except ValueError:
    logger.exception("stopped")
"""


def lines_of(stderr: Path, *, level: str = "INFO", journal: bool = False) -> list[str]:
    """Return what the program writes to standard error, which is the file `stderr`."""
    with stderr.open("wb") as stream:
        st = os.fstat(stream.fileno())
        env = {**os.environ, "PYTHONUTF8": "1", "JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}" if journal else "1:1"}
        subprocess.run([sys.executable, "-c", PROGRAM.format(level=level)], stderr=stream, env=env, check=True)
    return stderr.read_text().splitlines()


def test_terminal_gets_time_level_and_message(tmp_path: Path) -> None:
    """Without the journal every line begins with the time and the level."""
    lines = lines_of(tmp_path / "err")

    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    committed 32 photos", lines[0])
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+ +\S", line) for line in lines)


def test_journal_gets_priorities_and_no_time(tmp_path: Path) -> None:
    """Under the journal every line, those of tracebacks too, begins with its priority."""
    lines = lines_of(tmp_path / "err", journal=True, level="DEBUG")

    assert lines[:2] == ["<7>looking at /p/a.jpg", "<6>committed 32 photos"]
    assert lines[2].startswith("<4>odd name")
    assert "<3>stopped" in lines
    assert all(line.startswith("<3>    ") for line in lines[lines.index("<3>stopped") + 1 :])
    assert lines[-1] == "<3>    second\\x07"


def test_second_set_up_replaces_the_first(tmp_path: Path) -> None:
    """A message is written once, however often the log is set up."""
    assert sum("committed" in line for line in lines_of(tmp_path / "err")) == 1


def test_level_decides_what_is_written(tmp_path: Path) -> None:
    """Messages below the level are not written."""
    text = "\n".join(lines_of(tmp_path / "err", level="WARNING"))

    assert "committed" not in text
    assert "odd name" in text


def test_file_name_cannot_forge_a_line(tmp_path: Path) -> None:
    """A message is one line, and shows the control characters and stray bytes of a name instead of obeying them."""
    (line,) = [line for line in lines_of(tmp_path / "err", journal=True) if "odd name" in line]

    assert line == r"<4>odd name /p/a\x0a<2>forged \x1b[2J\xff.jpg"


@given(st.text())
def test_escaped_text_is_one_printable_line(text: str) -> None:
    """The result never has a line break, a control character or a surrogate; harmless characters stay."""
    escaped = log.escape(text)

    assert len(escaped.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", escaped)
    assert escaped.encode().decode() == escaped
    if text.isascii() and text.isprintable():
        assert escaped == text


def test_closed_standard_error_is_no_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process without standard error can set up its log too."""
    program = "import os, sys; sys.stderr = None; from pixkind.system import log; log.set_up(); log.logging.info('x')"
    done = subprocess.run([sys.executable, "-c", program], check=False)

    assert done.returncode == 0
