"""A daemon that is used in every way, as fast as it answers, does not grow. `make soak` runs this, and plots what it measured."""

import os
import random
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.conftest import new_home, photos_below
from tests.stateful.growth import NOTHING, Process, Sample, below, faults, plot, processes, table, write_csv
from tests.stateful.library import Library

pytestmark = [pytest.mark.e2e]

MINUTES = float(os.environ.get("PIXKIN_SOAK_MINUTES", "10"))
SEED = int(os.environ.get("PIXKIN_SEED", random.SystemRandom().randrange(1 << 32)))
FOLDER = Path(__file__).parents[2] / "soak"
_SAMPLE_S = 3.0
_TOLD = 10  # samples between two lines of progress
# Of the worker: two a quarter, so that the workers of all quarters have the same ages. A run of a minute is only a trial.
_KILLS = min(8, int(MINUTES))


def _sample(library: Library, time_s: float, steps: int) -> Sample:
    """Look at the daemon, its worker and its store; begin new lists of what queries took."""
    daemon, worker = Process.of(library.pid), processes(below(library.pid))
    state = Path(library.home.env["XDG_STATE_HOME"])
    sizes = {path: path.stat().st_size / 1024 for path in state.rglob("*") if path.is_file()}
    store_kb = sum(size for path, size in sizes.items() if path.name == "data.mdb")
    path_ms, image_ms = library.path_ms or [NOTHING], library.image_ms or [NOTHING]
    library.path_ms, library.image_ms = [], []
    return Sample(
        time_s=time_s,
        steps=steps,
        photos=library.client.status().photos,
        kept=library.kept,
        folders=len(library.folders()) + len(library.roots),
        daemon_mb=daemon.anonymous_mb,
        daemon_files=daemon.files,
        daemon_threads=daemon.threads,
        watches=daemon.watches,
        worker_mb=sum(one.anonymous_mb for one in worker) or NOTHING,
        worker_files=sum(one.files for one in worker) or NOTHING,
        worker_threads=sum(one.threads for one in worker) or NOTHING,
        store_kb=store_kb,
        snapshot_kb=sum(sizes.values()) - store_kb,
        path_ms=statistics.median(path_ms),
        path_worst_ms=max(path_ms),
        image_ms=statistics.median(image_ms),
        image_worst_ms=max(image_ms),
    )


def _use(library: Library, samples: list[Sample], done: Counter[str]) -> None:
    """Use the library for MINUTES: the next step begins when the last one is done."""
    began, kills = time.monotonic(), 0
    for step in library.steps():
        done[step] += 1
        time_s = time.monotonic() - began
        if time_s * _KILLS > (kills + 0.5) * MINUTES * 60:
            kills += 1
            library.kill_worker()
        if not samples or time_s > samples[-1].time_s + _SAMPLE_S:
            samples.append(now := _sample(library, time_s, done.total()))
            if len(samples) % _TOLD == 0:
                sys.stdout.write(
                    f"{time_s / 60:6.1f} min {now.steps:7} steps {now.photos:4} photos, daemon {now.daemon_mb:.1f} MB, "
                    f"worker {now.worker_mb:.0f} MB, store {now.store_kb:.0f} KB, query {now.path_ms:.1f} ms\n"
                )
                sys.stdout.flush()
        if time_s > MINUTES * 60:
            return


def test_nothing_grows(photos: list[Path]) -> None:
    """In the last quarter everything is as it was in the second one; and the index equals a fresh scan."""
    samples: list[Sample] = []
    done: Counter[str] = Counter()
    FOLDER.mkdir(exist_ok=True)
    with new_home() as home:
        library = Library(home, photos, SEED)
        try:
            library.start()
            _use(library, samples, done)
            library.sync()
            found, there = home.found(library.photos()[0]), photos_below(*library.roots)
        except BaseException as error:
            error.add_note(f"PIXKIN_SEED={SEED}\n{(home.folder / 'log').read_text()[-20_000:]}")
            raise
        finally:
            write_csv(samples, FOLDER / "soak.csv")
            library.stop()
    (FOLDER / "soak.svg").write_text(plot(samples))
    sys.stdout.write(f"PIXKIN_SEED={SEED} {dict(done)}\n{table(samples)}\n{FOLDER}/soak.csv\n{FOLDER}/soak.svg\n")

    assert found == there
    assert samples[-1].photos > 0.7 * samples[0].photos  # a library that has shrunk proves nothing
    assert faults(samples) == []
