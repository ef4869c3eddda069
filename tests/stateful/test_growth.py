"""The judge of the soak can fail: growth is noticed, and neither noise nor a warm-up is taken for growth."""

import math
import os
import random
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.conftest import has_ended
from tests.stateful.growth import BOUNDS, SHOWN, Process, Sample, faults, plot, processes, table, write_csv
from tests.waiting import wait_for

_COUNT = 200


def steady(number: int, chance: random.Random) -> Sample:
    """Return a sample of a daemon that does not grow, on a machine that is not quiet."""
    noise = chance.random()
    return Sample(
        time_s=3.0 * number,
        steps=number,
        photos=150 + chance.randrange(10),
        kept=300 + number,
        folders=15,
        daemon_mb=60 + 2 * noise,
        daemon_files=30 + chance.randrange(3),
        daemon_threads=14,
        watches=15,
        worker_mb=math.nan if number % 25 == 3 else 430 + 30 * noise,
        worker_files=math.nan if number % 25 == 3 else 8,
        worker_threads=math.nan if number % 25 == 3 else 9,
        store_kb=500 + 4.6 * (300 + number),
        snapshot_kb=40 + 0.2 * (300 + number),
        path_ms=2 + 20 * noise**8,
        path_worst_ms=100 * noise,
        image_ms=math.nan if number % 7 == 0 else 30 + 200 * noise**8,
        image_worst_ms=math.nan if number % 7 == 0 else 3000 * noise,
    )


@pytest.fixture
def samples() -> list[Sample]:
    """Return the samples of such a daemon."""
    chance = random.Random(1)
    return [steady(number, chance) for number in range(_COUNT)]


def test_a_steady_daemon_passes(samples: list[Sample]) -> None:
    """Noise, gaps and pictures that are kept are no growth; nor is what happens in the first quarter."""
    warm = [
        replace(one, daemon_mb=min(one.daemon_mb, 30 + one.steps), daemon_files=min(one.daemon_files, 10 + one.steps))
        for one in samples
    ]

    assert faults(samples) == []
    assert faults(warm) == []


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("daemon_mb", 0.15),
        ("daemon_files", 0.05),
        ("daemon_threads", 0.04),
        ("watches", 0.04),
        ("worker_mb", 1.0),
        ("worker_files", 0.06),
        ("worker_threads", 0.04),
        ("store_kb", 15.0),
        ("snapshot_kb", 3.0),
        ("path_ms", 0.06),
        ("image_ms", 0.4),
    ],
)
def test_a_leak_is_noticed(samples: list[Sample], name: str, by: float) -> None:
    """What grows a little with each sample is told, and nothing else is."""
    leaking = [replace(one, **{name: getattr(one, name) + round(by * one.steps, 2)}) for one in samples]
    (told,) = faults(leaking)

    assert "at most" in told
    assert "GROWS" in table(leaking)
    assert "#c00" in plot(leaking)


def test_what_was_measured_can_be_looked_at(samples: list[Sample], tmp_path: Path) -> None:
    """Every bound has its line and its panel, and every sample is in the CSV."""
    write_csv(samples, tmp_path / "soak.csv")
    texts = [node.text or "" for node in ET.fromstring(plot(samples)).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314  # its own

    assert len((tmp_path / "soak.csv").read_text().splitlines()) == _COUNT + 1
    assert all(text.startswith(f"{one.name}, ") for text, one in zip(texts, SHOWN, strict=True))
    assert all(one.name in table(samples) and one.why for one in BOUNDS)


def test_a_process_is_measured(tmp_path: Path) -> None:
    """An open file is one descriptor more."""
    before = Process.of(os.getpid())
    with (tmp_path / "open").open("w"):
        after = Process.of(os.getpid())

    assert after.files == before.files + 1
    assert after.anonymous_mb > 1
    assert after.threads >= 1


def test_a_process_that_has_ended_is_left_out() -> None:
    """Not even a process that nobody has reaped yet counts: it has no memory."""
    with subprocess.Popen(["true"]) as ended:
        wait_for(lambda: has_ended(ended.pid))
        measured = processes([ended.pid, os.getpid()])

    assert len(measured) == 1
