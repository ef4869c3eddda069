"""`pixkin help` prints what `--help` does, and the pages about topics, which are those of the documentation."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.terminal import on_terminal

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
TOPICS = sorted((Path(__file__).parents[4] / "docs/topics").glob("*.md"))


def test_it_lists_all_verbs_and_topics(pixkin: Run) -> None:
    """Each topic with its title."""
    told, whole = pixkin("help").stdout, pixkin("--help").stdout
    titles = [f"  {path.stem:<16} {path.read_text().splitlines()[0].removeprefix('# ')}\n" for path in TOPICS]

    assert titles
    assert told == whole + b"\ntopics, for `pixkin help TOPIC`:\n" + "".join(titles).encode()


@pytest.mark.parametrize("verb", ["like", "help", "status"])
def test_the_help_of_a_verb_is_that_of_its_option(pixkin: Run, verb: str) -> None:
    assert pixkin("help", verb).stdout == pixkin(verb, "--help").stdout


def test_a_topic_is_printed_as_it_is(pixkin: Run) -> None:
    """In a terminal by the user's pager, without the marks of code."""
    page = TOPICS[0].read_text()
    done = pixkin("help", TOPICS[0].stem)
    env = {"PATH": "/usr/bin:/bin", "PAGER": "sed s/^/paged:/", "TERM": "xterm"}
    status, told, _ = on_terminal([sys.executable, "-m", "pixkin", "help", TOPICS[0].stem], env)

    assert (done.returncode, done.stdout.decode()) == (0, page)
    assert (status, told.startswith(b"paged:# "), b"paged:```\r\n" in told) == (0, True, False)


@pytest.mark.parametrize("page", TOPICS, ids=lambda page: page.stem)
def test_every_topic_is_reached(pixkin: Run, page: Path) -> None:
    """Also one that is a verb, too: its page comes behind the help."""
    assert pixkin("help", page.stem).stdout.decode().endswith(page.read_text())


def test_a_word_that_is_no_topic_is_wrong_usage(pixkin: Run) -> None:
    done = pixkin("help", "nonsense")

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"there is no topic nonsense" in done.stderr
