"""What a score means, and what ranks."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Home, new_home, picture

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def library() -> Iterator[Home]:
    """Yield a home with 60 pictures that have nothing to do with each other, indexed."""
    with new_home() as home:
        for number in range(60):
            (home.photos / f"{number}.jpg").write_bytes(picture(number))
        home.start()
        home.sync()
        yield home


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """Return a copy of one of the pictures that was made smaller and compressed once more."""
    with Image.open(io.BytesIO(picture(7))) as image:
        image.resize((48, 36)).save(tmp_path / "edited.jpg", quality=60)
    return tmp_path / "edited.jpg"


def test_the_original_is_the_same_shot_and_most_others_have_no_relation(library: Home, edited: Path) -> None:
    """`--related` hides what has no relation, and the exit status is 1 if nothing is left. `--min-score` takes a band."""
    every = library.like("-n", "60", edited)
    related = library.like("--related", edited, "-n", "60")
    shots = library.like("--min-score", "same-shot", "-n", "60", edited)
    nothing = library.pixkin("like", "--min-score", "auto", "--max-distance", "0", edited)
    chance = library.status()["chance"]

    assert Path(every[0]["path"]).name == "7.jpg"
    assert every[0]["band"] in ("same photo", "same shot")
    assert [match["related"] for match in every] == [match["band"] != "no relation" for match in every]
    assert related == [match for match in every if match["related"]]
    assert shots == [match for match in every if match["band"] in ("same photo", "same shot")]
    assert 1 <= len(related) <= 20
    assert (nothing.returncode, nothing.stdout) == (1, b"")
    assert chance["median"] < chance["one_in_20"] < chance["one_in_1000"] < 1
    assert -1 < chance["best"] <= 0.85


def test_another_metric_ranks_by_the_distance_and_encodes_nothing(library: Home, edited: Path) -> None:
    """After a reload the nearest are first; all else that was known is known."""
    before = library.like("-n", "60", edited)
    library.configure(index={"metric": "l2"})
    library.daemons[-1].reload()
    library.sync()
    after = library.like("-n", "60", edited)
    distances = [match["distance"] for match in after]

    assert library.encodes() == 0
    assert distances == sorted(distances)
    assert [match["path"] for match in after] != [match["path"] for match in before]
    assert sorted(match["score"] for match in after) == pytest.approx(
        sorted(match["score"] for match in before), abs=2e-3
    )
