"""Makes the store with a snapshot in `data/`, which stands for every snapshot that an older pixkind has written.

The code of commit 8df8444 makes it, in an environment with the extra `daemon`:

    git worktree add /tmp/old 8df8444
    PYTHONPATH=/tmp/old/client:/tmp/old/daemon python tests/daemon/index/old_snapshot.py tests/daemon/index/data

That writes the store, `snapshot-8df8444.tar.xz`, and its answers, `snapshot-8df8444.json`. The vectors are short, since the
snapshot holds a square matrix with a side as long as a vector, and its random numbers do not compress.
"""

import json
import sys
import tarfile
import tempfile
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NAME: Final = "snapshot-8df8444"
SPACE: Final = "space"
FILTERS: Final[dict[str, dict[str, Any]]] = {
    "all": {},
    "under": {"under": "/p/3"},
    "dated": {"since_s": 100_200, "before_s": 100_310},
    "camera": {"camera": "two"},
}
COUNT: Final = 320  # contents, by their numbers
_BASE: Final = range(280)  # those in the base of the codes
_TAIL: Final = range(280, 300)  # those in the tail of the codes
LATE: Final = range(300, COUNT)  # only the journal names these, and the two next ones
GONE: Final = 5
_MOVED: Final = 7
_DIMS: Final = 64


def content(number: int) -> bytes:
    """Return the id of a content."""
    return (number + 1).to_bytes(16, "big")


def queries() -> NDArray[np.float32]:
    """Return what is searched for, (1, dims): it is like no stored vector."""
    return _vectors(1, seed=1).astype(np.float32)


def answers(index: Any, filter_class: Any) -> dict[str, list[list[float]]]:  # noqa: ANN401 - classes of either commit
    """Return the number, score and distance of all matches, by the name of the filter."""
    return {
        name: [
            [int.from_bytes(found, "big") - 1, round(score, 7), round(distance, 7)]
            for found, score, distance in index.rank(queries(), filter_class(**wanted))
        ]
        for name, wanted in FILTERS.items()
    }


def _vectors(count: int, seed: int) -> NDArray[np.float16]:
    """Return made-up vectors, (count, dims), around a few middles, as those of photos lie."""
    middles = np.random.default_rng(999).random((10, _DIMS)) ** 3 + 0.3
    random = np.random.default_rng(seed)
    noise = random.lognormal(0, 0.4, (count, _DIMS))
    whole = np.round(middles[random.integers(0, 10, count)] * noise * 64)  # short numbers compress better
    return np.asarray(whole / 64).astype(np.float16)


def main(goal: Path) -> None:
    """Make the store and its answers in the folder `goal`."""
    import faiss
    import lmdb

    batch, catalog, index, photo, record, store = (
        import_module(f"pixkind.{name}") for name in ("batch", "catalog", "index", "photo", "record", "store")
    )
    vectors = _vectors(COUNT, seed=0)

    def found(number: int, folder: str) -> Any:  # noqa: ANN401 - a class of the other commit
        return batch.Found(f"{folder}/{number}.jpg", photo.Stamp(1, 2, 3, 4), content(number))

    def added(numbers: range) -> Any:  # noqa: ANN401 - a class of the other commit
        return batch.Batch(
            photos=[found(number, f"/p/{number % 7}") for number in numbers],
            contents={
                content(number): record.Facts(4, 3, 100_000 + number, ("Maker One", "Maker Two")[number % 2])
                for number in numbers
            },
            vectors={content(number): vectors[number].tobytes() for number in numbers},
        )

    with tempfile.TemporaryDirectory() as folder:
        opened = store.Store(f"{folder}/written", SPACE, map_gb=1)
        opened.commit(added(_BASE))
        made = index.Index(opened)
        while made.is_making:
            threading.Event().wait(0.01)
        made.apply(opened.commit(added(_TAIL)))
        made.stop()
        opened.commit(added(LATE))
        opened.commit(batch.Batch(photos=[batch.Lost(f"/p/{GONE % 7}/{GONE}.jpg", 1)]))
        opened.commit(batch.Batch(photos=[batch.Lost(f"/p/{_MOVED % 7}/{_MOVED}.jpg", 1), found(_MOVED, "/p/3")]))
        said = answers(index.Index(opened), catalog.Filter)
        opened.close()
        kept = Path(folder, "kept")
        kept.mkdir()
        with lmdb.open(f"{folder}/written", readonly=True, max_dbs=64) as env:
            env.copy(str(kept), compact=True)
        Path(folder, "written/codes").rename(kept / "codes")
        (goal / f"{NAME}.json").write_text(json.dumps({"faiss": faiss.__version__, "answers": said}) + "\n")
        with tarfile.open(goal / f"{NAME}.tar.xz", "w:xz", preset=9) as archive:
            archive.add(kept, "index")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
