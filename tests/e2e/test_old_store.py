"""A store that an older pixkind wrote: it opens, answers the same, and nothing in it is encoded again."""

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import old_store
from tests.e2e.conftest import Home

from pixkind.fs.stamp import Stamp
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

pytestmark = [pytest.mark.e2e]

_DATA = Path(__file__).parent / "data"


@pytest.fixture
def home() -> Iterator[Home]:
    """Yield a home with the old store, where its paths say that it was."""
    with old_store.emptied():
        home = Home(old_store.FOLDER)
        try:
            old_store.STATE.mkdir(parents=True, mode=0o700)
            with tarfile.open(_DATA / f"{old_store.NAME}.tar.xz") as archive:
                archive.extractall(old_store.STATE, filter="data")
            yield home
        finally:
            for daemon in home.daemons:
                daemon.process.kill()
                daemon.process.wait()


def _ask(home: Home, *words: str) -> list[Any]:
    done = home.pixkin(*words)
    assert done.returncode in (0, 1), done.stderr.decode() + home.daemons[-1].log.read_text()
    return [json.loads(line) for line in done.stdout.splitlines()]


def _leaves(value: object) -> Iterator[object]:
    """Yield all values in nested lists and objects, in order: pytest.approx compares no nested ones."""
    if isinstance(value, dict | list | tuple):
        for one in sorted(value.items()) if isinstance(value, dict) else value:
            yield from _leaves(one)
    else:
        yield value


def _groups(groups: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return groups without what is said otherwise since 8df8444, which called pictures identical that are no copies.

    Groups are in another order, so are the photos of a group, and a photo says more.
    """
    found = []
    for group in groups:
        photos = sorted((photo["path"], photo["content"], photo["size"], photo["offline"]) for photo in group["photos"])
        is_copy = len({photo["content"] for photo in group["photos"]}) == 1
        found.append(
            (
                photos,
                "identical" if is_copy else group["band"].replace("identical", "same shot"),
                min(group["score"], 1 if is_copy else 0.999),
            )
        )
    return sorted(found)


def _without_bounds(value: object) -> object:
    """Return nested lists and objects without what says which scores mean something: 8df8444 had other bounds."""
    if isinstance(value, dict):
        return {name: _without_bounds(one) for name, one in value.items() if name not in ("related", "band", "chance")}
    return [_without_bounds(one) for one in value] if isinstance(value, list) else value


def _expected() -> dict[str, Any]:
    """Return the answers, and what else was noted when the store was made."""
    made: dict[str, Any] = json.loads((_DATA / f"{old_store.NAME}.json").read_text())
    return made


def test_the_records_in_an_old_store_are_those_of_its_photos(home: Home) -> None:
    """Else an upgrade would read every photo again, and never forget a gone one."""
    expected = _expected()
    store = Store(str(old_store.STATE / "index.lmdb"), expected["status"]["space"], map_gb=1)
    found = {
        record.path: f"{stamp.mtime_ns} {stamp.size} {stamp.ctime_ns} {stamp.inode}"
        for record in store.records()
        if record.live
        for stamp in [record.stamp]
    }
    gone = [record.path for block in store.gone() for record in block]
    store.close()

    assert found == expected["stamps"]
    assert gone == [str(old_store.GONE)]


def test_an_old_store_opens_answers_the_same_and_encodes_nothing(home: Home, photos: list[Path]) -> None:
    """Its records and vectors are read as they are. Each photo is read once: here it is a new file, and it has no details."""
    expected = _expected()
    samples = photos[0].parent
    old_store.place(samples)
    old_store.place_copy(samples)
    home.start()
    at_once = _ask(home, "like", "--json", "-n", "20", str(old_store.PHOTOS / "samples/chelsea.png"))
    said = [json.loads(line) for line in (home.folder / "data_home/pixkin/decisions.jsonl").read_text().splitlines()]
    home.sync(str(old_store.PHOTOS), "--accept-drive")  # on another machine it is another drive
    answers, counters = old_store.answers(lambda *words: _ask(home, *words)), home.status()["counters"]
    old_store.place_gone(samples)
    home.sync()
    encodes, status = home.encodes(), home.status()
    home.daemons[-1].stop()
    undetailed = _without_details(expected["status"]["space"])

    assert [(one["path"], one["score"]) for one in at_once] == [
        (one["path"], pytest.approx(one["score"], abs=1e-5)) for one in expected["like"]
    ]
    del expected["stamps"]
    for name in ("dupes", "copies"):
        answers[name], expected[name] = map(_groups, (answers[name], expected[name]))
    for match in (match for name, value in expected.items() if name.startswith("like") for match in value):
        match |= {"burst": [], "frames": 0, "damaged": False}  # are new
    for name in ("like", "like several", "like under"):
        # 8df8444 read no date in a PNG's XMP. These two are of one second, and numbered.
        first, second = (one for one in expected[name] if "/chelsea " in one["path"])
        first |= {"burst": [second["path"]], "frames": 1}
        expected[name].remove(second)
        del answers[name][len(expected[name]) :]
    several, _ = answers.pop("like several"), expected.pop("like several")  # 8df8444 combined images in another way
    assert len(several) <= 20
    assert list(_leaves(_without_bounds(answers))) == pytest.approx(list(_leaves(_without_bounds(expected))), abs=1e-5)
    assert counters["encodes"] == 0
    assert counters["inspects"] > 0
    assert encodes == 0
    assert status["photos"] == expected["status"]["photos"] + 1
    assert undetailed == []
    assert [(one["kind"], sorted(photo["path"] for photo in one["photos"])) for one in said] == [
        ("apart", [str(old_store.PHOTOS / f"pairs/coffee {number}.png") for number in (1, 2)])
    ]


def test_the_photos_of_an_old_store_are_read_once_and_never_encoded(home: Home, photos: list[Path]) -> None:
    """Its stamps are those of the files, but its records have no details: they are read in the background, once."""
    space = _expected()["status"]["space"]
    old_store.place(photos[0].parent)
    _forge_stamps(space)
    home.start()
    at_once = _ask(home, "like", "--json", "-n", "20", str(old_store.PHOTOS / "samples/chelsea.png"))
    home.sync(str(old_store.PHOTOS), "--accept-drive")
    first = home.status()["counters"]
    home.daemons[-1].stop()
    undetailed = _without_details(space)
    home.start()
    home.sync()
    again = home.status()["counters"]

    assert [one["path"] for one in at_once] == [one["path"] for one in _expected()["like"]]
    assert (first["encodes"], first["inspects"] > 60, undetailed) == (0, True, [])
    assert (again["encodes"], again["inspects"]) == (0, 0)


def _without_details(space: str) -> list[str]:
    """Return the paths of the live photos that were never read by this pixkind, and did not fail."""
    store = Store(str(old_store.STATE / "index.lmdb"), space, map_gb=1)
    found = [one.path for one in store.records() if one.live and not one.failed and one.details is None]
    store.close()
    return found


def _forge_stamps(space: str) -> None:
    """Let the store have the stamps of the files, as if it had been made of them."""
    store = Store(str(old_store.STATE / "index.lmdb"), space, map_gb=1)
    found = [
        PhotoFound(one.path, Stamp.of(os.lstat(one.path)), one.content)
        for one in store.records()
        if one.live and not one.failed and os.path.exists(one.path)
    ]
    store.commit(WriteBatch(photos=[*found]))
    store.close()
