"""Makes the store in `data/`, which stands for every store that an older pixkind has written.

The code of commit 8df8444 makes it. That code is installed, since the worker process ignores PYTHONPATH:

    git worktree add /tmp/old 8df8444
    python -m venv /tmp/old/.venv
    /tmp/old/.venv/bin/pip install -e '/tmp/old[daemon,demo]'
    /tmp/old/.venv/bin/python tests/e2e/old_store.py tests/e2e/data

That writes the store, `store-8df8444.tar.xz`, and its answers, `store-8df8444.json`. The store holds the paths of the photos
and no photo, so all photos lie in one fixed folder. Most photos are copies of a few with a number at their end. Each copy
has a vector of its own, and equal vectors compress well. Fewer than 200 pictures have no codes: codes do not compress.
`tests/daemon/index/old_snapshot.py` makes codes and a snapshot of short vectors.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

NAME: Final = "store-8df8444"
FOLDER: Final = Path("/tmp/pixkin-8df8444")  # what a test and this script put there they remove
PHOTOS: Final = FOLDER / "photos"
STATE: Final = FOLDER / "state_home/pixkin"
SAMPLES: Final = ("chelsea.png", "coffee.png", "coins.png", "moon.png", "motorcycle_left.png", "rocket.jpg")
GONE: Final = PHOTOS / "gone.png"
_SMALL: Final = ("moon.png", "clock_motion.png", "coins.png")
_COUNT: Final = 60  # of small ones: 50 pictures suffice to tell what chance scores

Ask = Callable[..., list[dict[str, Any]]]  # runs `pixkin`, and returns what it prints with --json


@contextmanager
def emptied() -> Iterator[None]:
    """Have the folder for oneself, empty, and remove it."""
    lock = os.open(FOLDER.parent, os.O_RDONLY)  # every user can lock this folder, and no lock file is left in it
    try:
        flock(lock, LOCK_EX)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(mode=0o700)
        try:
            yield
        finally:
            shutil.rmtree(FOLDER)
    finally:
        os.close(lock)


def place(samples: Path) -> None:
    """Put the photos where the store has them; `samples`: where scikit-image has its own."""
    for name in SAMPLES:
        _put(samples / name, PHOTOS / "samples" / name)
    for name in ("chelsea", "coffee"):
        for number in (1, 2):
            _put(samples / f"{name}.png", PHOTOS / f"pairs/{name} {number}.png", b"%d" % number)
    for number in range(_COUNT):
        source = _SMALL[number % len(_SMALL)]
        _put(samples / source, PHOTOS / f"many/{number:03} {source}", b"%03d" % number)
    (PHOTOS / "broken.jpg").write_bytes(b"no image")


def place_copy(samples: Path) -> None:
    """Put an exact copy of one of them there, too."""
    _put(samples / "rocket.jpg", PHOTOS / "again/rocket.jpg")


def place_gone(samples: Path) -> None:
    """Put the photo there that the store has as gone."""
    _put(samples / "gravel.png", GONE, b"gone")


def stamps() -> dict[str, str]:
    """Return mtime, size, ctime and inode of each photo."""
    paths = sorted(path for path in PHOTOS.rglob("*") if path.is_file())
    stats = [path.stat() for path in paths]
    told = [f"{st.st_mtime_ns} {st.st_size} {st.st_ctime_ns} {st.st_ino}" for st in stats]
    return dict(zip(map(str, paths), told, strict=True))


def answers(ask: Ask) -> dict[str, Any]:
    """Return what the daemon says of this store."""
    chelsea, moon, rocket = (str(PHOTOS / "samples" / name) for name in ("chelsea.png", "moon.png", "rocket.jpg"))
    status = ask("status", "--json", "--failed")[0]
    return {
        "like": ask("like", "--json", "-n", "20", chelsea),
        "like each": ask("like", "--json", "-n", "100", "--no-fold", "--self", moon),
        "like several": ask("like", "--json", "-n", "20", chelsea, f"0.5:{rocket}", "--minus", moon),
        "like under": ask("like", "--json", "--under", str(PHOTOS / "pairs"), rocket),
        "dupes": ask("dupes", "--json", "--min-score", "0.75", str(PHOTOS / "pairs")),
        "copies": ask("dupes", "--json", "--min-score", "1"),
        "spaces": [{**space, "bytes": 0} for space in ask("space", "list", "--json")],  # they depend on free pages
        "status": {name: status[name] for name in ("photos", "failed", "space", "encoder", "filling", "chance")},
        "failures": [(one["path"], one["reason"]) for one in status["failures"]],
    }


def _put(source: Path, target: Path, end: bytes = b"") -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes() + end)


def _configure(encoder: str) -> None:
    file = FOLDER / "config_home/pixkin/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'[index]\nfolders = ["{PHOTOS}"]\nrest_s = 0.05\n[limits]\nbattery_percent = 0\npressure_percent = 0\n{encoder}'
    )


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words], env=_environment(), capture_output=True, text=True, check=False
    )


def _environment() -> dict[str, str]:
    names = ("CONFIG_HOME", "STATE_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR")
    for name in names:
        (FOLDER / name.lower()).mkdir(mode=0o700, exist_ok=True)
    return {**os.environ, **{f"XDG_{name}": str(FOLDER / name.lower()) for name in names}, "HOME": str(FOLDER)}


def _ask(*words: str) -> list[dict[str, Any]]:
    done = _run("pixkin", *words)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{words}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def _daemon(encoder: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """Run the daemon with this encoder; all photos have their outcome when this is entered."""
    _configure(encoder)
    with subprocess.Popen([sys.executable, "-m", "pixkind"], env=_environment()) as daemon:
        while _run("pixkin", "status").returncode:
            threading.Event().wait(0.1)
        _ask("sync", "--json")
        yield daemon
        daemon.terminate()


def _untrained() -> str:
    """Write random weights, and return the configuration of an encoder with these."""
    import torch
    from torchvision.models import regnet_y_400mf

    torch.manual_seed(0)
    torch.save(regnet_y_400mf(weights=None).state_dict(), FOLDER / "random.pth")
    return f'[encoder]\nmodel = "regnet_y_400mf"\nweights = "{FOLDER}/random.pth"\n'


def main(goal: Path) -> None:
    """Make the store and its answers in the folder `goal`."""
    spec = find_spec("skimage")
    samples = Path(spec.origin if spec and spec.origin else "").parent / "data"
    with emptied():
        place(samples)
        place_gone(samples)
        with _daemon(_untrained()):  # another encoder was tried, and given up
            pass
        with _daemon() as daemon:
            _ask("dupes", "--apart", *(str(PHOTOS / f"pairs/coffee {number}.png") for number in (1, 2)))
            GONE.unlink()
            place_copy(samples)
            _ask("sync", "--json")
            said = answers(_ask)
            daemon.kill()
        import lmdb

        said["stamps"] = stamps()
        (goal / f"{NAME}.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
        kept = FOLDER / "kept/index.lmdb"
        kept.mkdir(parents=True)
        with lmdb.open(str(STATE / "index.lmdb"), readonly=True, max_dbs=64) as env:
            env.copy(str(kept), compact=True)
        with tarfile.open(goal / f"{NAME}.tar.xz", "w:xz", preset=9) as archive:
            archive.add(kept, "index.lmdb")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
