"""A mutated snapshot of an index, and a mutated journal behind it: the answers are right, or the index is made again."""

import os
import shutil
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from tests.fuzz.mutation import generator, keep, mutated
from tests.waiting import wait_for

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.environment import Environment
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, PhotoGone, WriteBatch

_CASES = int(os.environ.get("PIXKIN_SNAPSHOTS", "16"))  # 5,000 before a release
_SPACE: Final = "space"
_DIMS: Final = 64
_BASE, _TAIL, _COUNT = 260, 280, 300  # contents in the base of the codes, in their tail, and all
_VECTORS = np.random.default_rng(1).random((_COUNT, _DIMS)).astype(np.float16)
_QUERY = np.random.default_rng(2).random((1, _DIMS)).astype(np.float32)

Answer = dict[bytes, tuple[float, float]]


def _added(start: int, end: int) -> WriteBatch:
    contents = {number: (number + 1).to_bytes(16) for number in range(start, end)}
    return WriteBatch(
        photos=[PhotoFound(f"/p/{number}.jpg", Stamp(1, 2, 3, 4), one, Details()) for number, one in contents.items()],
        vectors={one: _VECTORS[number].tobytes() for number, one in contents.items()},
    )


def _answer(folder: Path) -> Answer:
    """Return score and distance of all contents, as a daemon finds them that starts with this store."""
    store = Store(str(folder), _SPACE, map_gb=1)
    try:
        index = VectorIndex(store)
        wait_for(lambda: not index.is_making)
        answer = {content: (score, distance) for content, score, distance in index.rank(_QUERY)}
        failure = index.failure()
        index.stop()
    finally:
        store.close()
    if failure is not None:
        raise failure
    return answer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store with a snapshot, and with commits after it that only the journal names."""
    folder = tmp_path_factory.mktemp("whole")
    store = Store(str(folder), _SPACE, map_gb=1)
    store.commit(_added(0, _BASE))
    index = VectorIndex(store)
    wait_for(lambda: not index.is_making)
    index.apply(store.commit(_added(_BASE, _TAIL)))
    index.stop()
    for number in range(_TAIL, _COUNT):
        store.commit(_added(number, number + 1))
    store.commit(WriteBatch(photos=[PhotoGone("/p/5.jpg", 1)]))
    store.close()
    return folder


def _damage(folder: Path, number: int) -> bytes:
    """Mutate one file of the snapshot, or one value of the journal; return what it is now."""
    chance = generator("index", number)
    files = sorted((folder / "codes" / _SPACE).iterdir())
    if chance.random() < 0.4:
        file = chance.choice(files)
        data = mutated(file.read_bytes(), chance, [one.read_bytes() for one in files])
        if chance.random() < 0.1:
            file.unlink()
        else:
            file.write_bytes(data)
        return data
    env = Environment(str(folder), 1)
    entries, meta = env.database("journal"), env.database("meta")
    with env.writing() as txn:
        with txn.cursor(db=entries) as cursor:
            noted = dict(cursor.iternext())
        db, key = chance.choice([(meta, b"generation"), (meta, b"journal from"), *((entries, one) for one in noted)])
        data = mutated(txn.get(key, b"0", db=db), chance, [b"1", b"999", *noted.values()])
        if chance.random() < 0.2:
            txn.delete(key, db=db)
        else:
            txn.put(key, data, db=db)
    env.close()
    return key + data


def test_a_mutated_snapshot_or_journal_answers_rightly(whole: Path, tmp_path: Path) -> None:
    """Every content that is there is found, with its score and its distance, and no other."""
    expected = _answer(Path(shutil.copytree(whole, tmp_path / "expected")))
    wrong = []
    for number in range(_CASES):
        folder = Path(shutil.copytree(whole, tmp_path / "damaged"))
        damage = _damage(folder, number)
        try:
            answer = _answer(folder)
        except Exception as error:  # noqa: BLE001  any exception is what is looked for
            wrong.append(f"{error!r}: {keep(tmp_path, f'{number}.bin', damage)}")
        else:
            if not _are_same(answer, expected):
                wrong.append(f"{len(answer)} answers: {keep(tmp_path, f'{number}.bin', damage)}")
        shutil.rmtree(folder)

    assert len(expected) == _COUNT - 1
    assert wrong == []


def _are_same(one: Answer, other: Answer) -> bool:
    return one.keys() == other.keys() and np.allclose([one[key] for key in other], list(other.values()), atol=1e-5)
