"""The machine stays usable: indexing waits when it should, takes no more than it may, and gives way to others."""

import signal
from pathlib import Path

import pytest
from tests.e2e.conftest import Daemon, Home, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def _said(home: Home, *words: str) -> str:
    done = home.pixkin(*words)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def _doing(home: Home) -> str:
    return str(home.status()["doing"])


def _reload(daemon: Daemon) -> None:
    """Have it read its configuration again, and return when it has."""
    wait_for(lambda: "listens on" in daemon.log.read_text())  # it is said after READY=1
    before = daemon.log.read_text().count("listens on")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.log.read_text().count("listens on") > before)


def test_while_indexing_is_paused_everything_else_goes_on(home: Home, photos: list[Path]) -> None:
    """What goes is hidden, any image can be asked about, a sync says what waits; a reload keeps it, a boost ends it."""
    first, gone, *_ = [home.copy(photo) for photo in photos[:3]]
    daemon = home.start()
    home.sync()
    told = _said(home, "pause", "2h")
    gone.unlink()
    new = home.copy(photos[3])
    synced = home.pixkin("sync")
    found, foreign = home.found(first), home.like(photos[3])
    _reload(daemon)
    wait_for(lambda: home.status()["pending"] == 1)
    reloaded, still = _doing(home), home.found(first)
    boosted = _said(home, "boost", "20min")
    home.sync()
    after, end = home.found(first), _said(home, "resume")

    assert told == "paused by pixkin pause for 2 h"
    assert synced.returncode == 75
    assert "1 photo waits: paused by pixkin pause for 2 h" in synced.stderr.decode()
    assert "pixkin boost" in synced.stderr.decode()
    assert found == still == {str(first), str(home.photos / photos[2].name)}
    assert foreign
    assert reloaded.startswith("paused by pixkin pause for ")
    assert boosted.endswith("boosted for 20 min")
    assert after == {*found, str(new)}
    assert end == "idle"


def test_a_pause_without_an_end_ends_with_the_daemon(home: Home, photos: list[Path]) -> None:
    """Nobody wonders months later why nothing is indexed."""
    home.copy(photos[0])
    daemon = home.start()
    home.sync()
    told = _said(home, "pause")
    new = home.copy(photos[1])
    daemon.stop()
    home.start()
    home.sync()

    assert told == "paused by pixkin pause, until pixkin resume"
    assert str(new) in home.found(new)
