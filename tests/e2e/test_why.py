"""`pixkin why` of a real daemon: a dozen photos, each with a fate of its own."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Home, new_home

pytestmark = [pytest.mark.e2e]


def why(home: Home, *words: "str | Path") -> dict[str, Any]:
    """Ask about one photo, and return the answer with the exit status."""
    done = home.pixkin("why", *map(str, words), "--json")
    assert not done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return {**told, "status": done.returncode}


def test_twelve_photos_say_what_has_become_of_them(photos: list[Path]) -> None:
    """Found, with its score; waiting; failed; left out by three rules; link, other file, folder; gone; elsewhere; paused."""
    with new_home() as home:
        kept = home.photos / "kept.jpg"
        home.configure(index={"exclude": ["drafts/"]})
        for name in ("kept.jpg", "drafts/a.jpg", "mine/a.jpg", ".hidden/a.jpg", "gone.jpg"):
            (home.photos / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(photos[0], home.photos / name)
        for number, photo in enumerate(photos[1:4]):
            shutil.copyfile(photo, home.photos / f"{number}{photo.suffix}")
        (home.photos / "mine/.pixkinignore").write_text("a.*\n")
        (home.photos / "torn.jpg").write_bytes(photos[0].read_bytes()[:2000])
        (home.photos / "notes.txt").write_text("notes")
        (home.photos / "link.jpg").symlink_to(kept)
        home.index()
        (home.photos / "gone.jpg").unlink()
        home.sync()
        fates = {
            name: why(home, home.photos / name)
            for name in (
                *("torn.jpg", "drafts/a.jpg", "mine/a.jpg", ".hidden/a.jpg", "notes.txt", "link.jpg", "mine"),
                *("gone.jpg", "/etc/hostname"),
            )
        }
        found = why(home, kept, "--like", photos[1])
        cut = why(home, kept, "--like", photos[1], "-n", "1", "--under", home.photos / "mine")
        home.pixkin("pause", "1h")
        shutil.copyfile(photos[4], home.photos / "new.jpg")
        home.pixkin("sync")
        waiting = why(home, home.photos / "new.jpg")
        home.pixkin("resume")
        home.pixkin("pause", str(home.photos))
        paused = why(home, home.photos / "never.jpg")
        text = home.pixkin("why", str(kept)).stdout.decode()

    assert [fates[name]["fate"] for name in fates] == [
        *("failed", "left_out", "left_out", "left_out", "no_photo", "no_photo", "no_photo", "missing", "unwatched")
    ]
    assert {one["status"] for one in fates.values()} == {1}
    assert fates["torn.jpg"]["what"]
    assert fates["drafts/a.jpg"]["what"] == "left out by drafts/ (index.exclude)"
    assert fates["mine/a.jpg"]["exclusion"]["line"] == 1
    assert (found["fate"], found["network"], found["status"]) == ("found", "efficientnet_lite0", 0)
    assert 1 <= found["like"]["place"] <= 4
    assert (cut["like"]["short_of"], cut["status"]) == (["under"], 1)
    assert (waiting["fate"], waiting["ahead"], waiting["status"]) == ("waiting", 0, 1)
    assert waiting["what"].startswith("it waits to be read: paused by pixkin pause")
    assert (paused["fate"], paused["hint"]) == (
        "unknown",
        f"when it may be read again: pixkin resume {home.photos}",
    )
    assert text.startswith(f"{kept}: indexed: queries find it; nobody can open it now")
    assert os.path.dirname(found["path"]) == str(home.photos)
