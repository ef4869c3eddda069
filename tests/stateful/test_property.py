"""Anything may happen to photos, drives and the daemon, in any order: the index equals a fresh scan afterwards."""

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest
from tests.e2e.conftest import new_home
from tests.stateful.model import World
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")]

MINUTES = float(os.environ.get("PIXKIN_MINUTES", "20"))
SEED = int(os.environ.get("PIXKIN_SEED", random.SystemRandom().randrange(1 << 32)))
_SOON_S = 40.0  # in which the index must be right again by events alone; a worker needs seconds to start


def _check(world: World) -> None:
    """Wait until the daemon has seen everything, by events alone or by `sync`, and compare."""
    world.settle()
    by_events = not world.needs_scan and world.chance.random() < 0.5
    world.tell("check", "by events" if by_events else "by sync")
    if by_events:
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not world.faults(), _SOON_S)
    else:
        with world.home.client() as client:
            client.sync(timeout_s=120)
    assert world.faults() == []
    wait_for(world.is_at_ease, 35.0)  # a file that was open when it was met is looked for once more after 30 s
    world.ask_by_bytes()


def test_whatever_happens_the_index_equals_a_fresh_scan() -> None:
    """Random operations: nothing is missed, nothing haunts the answers, no photo fails that decodes, few are encoded twice."""
    checks, end = 0, time.monotonic() + 60 * MINUTES
    with new_home() as home:
        world = World(home, SEED)
        try:
            while time.monotonic() < end:
                for _ in range(world.chance.randrange(5, 35)):
                    world.step()
                _check(world)
                checks += 1
        except BaseException as error:
            told = "\n".join(world.told)
            log = (home.folder / "log").read_text()[-20_000:]
            error.add_note(f"PIXKIN_SEED={SEED}, after {checks} checks\n{told}\nthe log:\n{log}")
            raise
        finally:
            world.kill_daemon()
            subprocess.run(["umount", "-l", world.drive], capture_output=True, check=False)
    doings = Counter(line for line in world.told if not line.startswith(" "))
    sys.stdout.write(f"PIXKIN_SEED={SEED} {checks} checks {world.paid} encodes of {world.pictures} pictures {doings}\n")
