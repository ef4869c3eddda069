"""`rm` and `pixkin forget`, with real processes: nothing of the photos is left in any file of pixkin."""

import os
import shutil
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, picture

from pixkind.storage.record import UNKNOWN
from pixkind.storage.recovery import open_store

pytestmark = [pytest.mark.e2e]


def left(home: Home, *wanted: bytes) -> set[str]:
    """Return the names of the files, outside the photo folder, in which one of these is found."""
    files = [file for file in home.folder.rglob("*") if file.is_file() and home.photos not in file.parents]
    return {file.name for file in files for one in wanted if one in os.fsencode(file.name) + file.read_bytes()}


def vectors(home: Home, space: str, folder: Path) -> list[bytes]:
    """Return content ids and vectors of the photos in a folder, from a store that nobody has open."""
    store = open_store(str(home.folder / "state_home/pixkin/index.lmdb"), space, map_gb=64)
    ids = [record.content for record in store.records() if record.path.startswith(f"{folder}/")]
    ids = [content for content in ids if content != UNKNOWN]  # of the one that is no image
    values = [value[:64] for content in ids if (value := store.vector(content)) is not None]
    store.close()
    # The name of a thumbnail is its content id, less the first byte, which is its folder.
    return [*ids, *values, *(content.hex()[2:].encode() for content in ids)]


def test_nothing_is_left_of_photos_that_were_deleted_and_forgotten(home: Home) -> None:
    """Not a name, a hash or a vector, in the store, the data folder, the log, or anywhere below the home; the rest is there."""
    secret = home.photos / "zq_secret"
    secret.mkdir()
    for number in range(30):
        (home.photos / f"{number}.jpg").write_bytes(picture(number))
    for number in range(5):
        (secret / f"zq_secret_{number}.jpg").write_bytes(picture(100 + number))
    (secret / "zq_secret_broken.jpg").write_bytes(b"no")
    home.start()
    home.sync()
    space = home.status()["space"]
    for number in range(5):  # not every one is made in passing
        home.client().thumbnail(secret / f"zq_secret_{number}.jpg")
    home.daemons[-1].stop()
    traces = [b"zq_secret", *vectors(home, space, secret)]
    before = left(home, *traces)
    home.start()
    home.sync()
    refused = home.pixkin("forget", "--yes", secret)
    shutil.rmtree(secret)
    done = home.pixkin("forget", "--yes", secret)
    after = left(home, *traces)
    found = home.found(home.photos / "0.jpg")
    home.daemons[-1].stop()

    assert before >= {"data.mdb", *(f"{os.fsdecode(name)}.S.jpg" for name in traces[-5:])}
    assert all(name == "data.mdb" or name.endswith(".S.jpg") for name in before)
    assert len(traces) == 1 + 3 * 5
    assert (refused.returncode, refused.stdout) == (1, b"0 photos to forget\n")
    # If the daemon notices first that they are gone, it forgets the one that is no image by itself.
    assert done.stdout in {b"forgot 5 photos\n", b"forgot 6 photos\n"}
    assert (done.returncode, done.stderr) == (0, b"")
    assert after == set()
    assert left(home, *traces) == set()
    assert found == {os.path.join(home.photos, f"{number}.jpg") for number in range(30)}
