"""`pixkin export` of a real daemon: all that the store has, exactly, while it answers others and photos come and go."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from tests.e2e.conftest import BIN, Home, picture
from tests.waiting import wait_for

from pixkind.storage.record import unpack_vector
from pixkind.storage.recovery import open_store

pytestmark = [pytest.mark.e2e]

LATIN = os.fsdecode(b"caf\xe9.jpg")


def exported(home: Home, *words: "str | os.PathLike[str]") -> list[dict[str, Any]]:
    """Return the rows on standard output."""
    done = home.pixkin("export", "--jsonl", "-", *words)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_three_forms_have_the_same_vectors_as_the_store(home: Home, photos: list[Path]) -> None:
    """Bit by bit, with names that are not UTF-8, copies, a photo that failed and one that is gone."""
    home.copy(photos[0], "copy/a.jpg")
    home.copy(photos[1], LATIN)
    gone = home.copy(photos[2], "gone.jpg")
    (home.photos / "torn.jpg").write_bytes(photos[0].read_bytes()[:2000])
    daemon = home.index(*photos[:5])
    gone.unlink()
    (home.photos / photos[2].name).unlink()
    home.sync()
    array, table = home.folder / "all.npy", home.folder / "all.parquet"
    for form, file in (("--npy", array), ("--parquet", table)):
        assert home.pixkin("export", form, file).returncode == 0
    lines = exported(home)
    space = lines[0]["space"]
    under = exported(home, "--under", home.photos / "copy", "--no-vectors")
    daemon.stop()
    store = open_store(str(home.folder / "state_home/pixkin/index.lmdb"), space, map_gb=64)
    stored = [unpack_vector(store.vector(bytes.fromhex(row["content"])) or b"") for row in lines]
    store.close()
    paths = {file.get("path_b64", file["path"]): row["content"] for row in lines for file in row["files"]}

    assert [row["content"] for row in lines] == sorted({*paths.values()})
    assert len(paths) == 6
    assert paths[str(home.photos / "copy/a.jpg")] == paths[str(home.photos / photos[0].name)]
    assert sum("path_b64" in file for row in lines for file in row["files"]) == 1
    assert all(isinstance(one, np.ndarray) for one in stored)
    assert np.array_equal(np.load(array), np.stack([one for one in stored if one is not None]))
    assert [json.loads(line)["content"] for line in (home.folder / "all.npy.jsonl").read_text().splitlines()] == [
        row["content"] for row in lines
    ]
    assert np.array_equal([row["vector"] for row in lines], np.load(array).astype(float))
    assert pyarrow.parquet.read_table(table)["vector"].to_pylist() == [row["vector"] for row in lines]
    assert [[file["path"] for file in row["files"]] for row in under] == [[str(home.photos / "copy/a.jpg")]]


def test_what_is_there_the_whole_time_is_written_once(home: Home) -> None:
    """Photos are added, deleted and renamed as fast as a machine can, while the library is written again and again."""
    kept = {home.photos / f"{number}.jpg" for number in range(40)}
    for number, path in enumerate(sorted(kept)):
        path.write_bytes(picture(number))
    home.index()
    changing = subprocess.Popen(
        [
            "sh",
            "-c",
            'while :; do for n in 1 2 3 4 5 6 7 8; do cp "$0/$n.jpg" "$0/new$n.jpg"; done; rm "$0"/new*; done',
            home.photos,
        ]
    )
    try:
        rounds = [exported(home, "--no-vectors") for _ in range(5)]
    finally:
        changing.kill()
        changing.wait()

    for lines in rounds:
        contents = [row["content"] for row in lines]
        named = [file["path"] for row in lines for file in row["files"]]
        assert len(contents) == len(set(contents))
        assert {path: named.count(str(path)) for path in kept} == dict.fromkeys(kept, 1)


def test_a_killed_export_leaves_the_old_file_and_no_other(home: Home, photos: list[Path]) -> None:
    """Whatever kills it: the closing terminal, the end of the session, or the kernel when memory is short."""
    home.index(*photos[:2])
    file = home.folder / "export/all.npy"
    file.parent.mkdir()
    assert home.pixkin("export", "--npy", file).returncode == 0
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    home.daemons[-1].process.send_signal(signal.SIGSTOP)  # the export waits for its answer
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
        writing = subprocess.Popen([BIN / "pixkin", "export", "--npy", file, "--force"], env=home.env)
        wait_for(partial(_opens_both, writing.pid, file.parent))
        writing.send_signal(number)
        assert writing.wait() == -number
    home.daemons[-1].process.send_signal(signal.SIGCONT)

    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def _opens_both(pid: int, folder: Path) -> bool:
    """Return whether a process has two files in a folder open, with or without a name."""
    count = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += os.readlink(one).startswith(f"{folder}/")
    return count == 2
