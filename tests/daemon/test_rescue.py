import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pixkind.batch import Batch, Found
from pixkind.photo import Stamp
from pixkind.rescue import close_store, open_store
from pixkind.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A store with photos in it, closed cleanly."""
    path = str(tmp_path / "index.lmdb")
    store = open_store(path, "space", map_gb=1)
    for number in range(300):
        content = os.urandom(16)
        store.commit(
            Batch(photos=[Found(f"/p/{number}.jpg", Stamp(1, 2, 3, 4), content)], vectors={content: bytes(2560)})
        )
    close_store(store)
    return path


def _photos(path: str) -> int:
    store = open_store(path, "space", map_gb=1)
    count = sum(1 for _ in store.records())
    close_store(store)
    return count


def _aside(path: str) -> list[str]:
    return [name for name in os.listdir(os.path.dirname(path)) if ".damaged-" in name]


def test_a_store_that_was_closed_is_opened_without_being_verified(
    folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A clean stop costs the next start nothing."""
    with caplog.at_level("INFO"):
        photos = _photos(folder)

    assert photos == 300
    assert "verifying" not in caplog.text


def test_a_sound_store_is_verified_after_an_unclean_end_and_kept(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without the note of a clean stop every page is checked, and nothing is lost."""
    Store(folder, "space", map_gb=1).close()
    os.unlink(f"{folder}/clean")
    with caplog.at_level("INFO"):
        photos = _photos(folder)

    assert photos == 300
    assert "verifying" in caplog.text
    assert _aside(folder) == []


def _truncate(data: Path) -> None:
    os.truncate(data, data.stat().st_size // 2)


def _scribble(data: Path) -> None:
    with data.open("r+b") as file:
        file.seek(100 * 4096)
        file.write(b"X" * 32)


def _replace(data: Path) -> None:
    data.write_bytes(b"no database at all" * 1000)


@pytest.mark.parametrize("damage", [_truncate, _scribble, _replace])
def test_a_damaged_store_is_moved_aside_and_begun_anew(
    folder: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It is never deleted, never opened, and it is said."""
    os.truncate(f"{folder}/clean", 0)
    damage(Path(folder) / "data.mdb")
    damaged = (Path(folder) / "data.mdb").read_bytes()
    photos = _photos(folder)
    kept = Path(folder).with_name(_aside(folder)[0]) / "data.mdb"

    assert photos == 0
    assert kept.read_bytes() == damaged
    assert "damaged" in caplog.text


def test_only_the_last_damaged_store_is_kept(folder: str) -> None:
    """Each may be gigabytes."""
    for _ in range(2):
        _truncate(Path(folder) / "data.mdb")
        _photos(folder)

    assert len(_aside(folder)) == 1


def test_a_truncated_store_is_noticed_even_after_a_clean_stop(folder: str) -> None:
    """Somebody's cleaner must not become our SIGBUS."""
    _truncate(Path(folder) / "data.mdb")

    assert _photos(folder) == 0
    assert len(_aside(folder)) == 1
