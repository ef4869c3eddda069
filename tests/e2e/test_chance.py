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


def test_the_original_is_better_than_chance_and_the_others_are_not(library: Home, edited: Path) -> None:
    """`--min-score auto` leaves what is not marked; and 1 is the status when that is nothing."""
    marked = library.like("-n", "60", edited)
    alone = library.like("--min-score", "auto", edited)
    nothing = library.pixkin("like", "--min-score", "auto", "--max-distance", "0", edited)
    chance = library.status()["chance"]

    assert Path(marked[0]["path"]).name == "7.jpg"
    assert [match["related"] for match in marked] == [match["score"] >= chance["best"] for match in marked]
    assert alone == [match for match in marked if match["related"]]
    assert 1 <= len(alone) <= 6
    assert (nothing.returncode, nothing.stdout) == (1, b"")
    assert chance["median"] < chance["one_in_20"] < chance["best"] < chance["one_in_1000"] < 1


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
