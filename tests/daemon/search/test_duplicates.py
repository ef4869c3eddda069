"""From a store to groups, with vectors that say who is like whom."""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from tests.daemon.search.duplicate_store import DIMS, Shelf, base, content, like, rot

from pixkin.protocol.replies import Band, Group
from pixkind.fs.stamp import Stamp
from pixkind.search.duplicates import DuplicateSearch
from pixkind.storage.record import UNKNOWN, Facts
from pixkind.storage.write_batch import PhotoFailed, PhotoGone, WriteBatch


@pytest.fixture
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """Yield a shelf with 300 pictures, of which 0 and 1 are alike, and 2, 3 and 4; and perhaps only the first few."""
    vectors = base(300)
    for number, other, noise in ((1, 0, 0.1), (3, 2, 0.3), (4, 2, 0.3)):
        vectors[number] = like(vectors, other, noise, number)
    made = Shelf(tmp_path, vectors[: getattr(request, "param", 300)])
    yield made
    made.index.stop()
    made.store.close()


def _named(groups: list[Group]) -> list[list[str]]:
    return sorted(sorted(os.path.relpath(os.fsdecode(photo.path), "/p") for photo in group.photos) for group in groups)


@pytest.mark.parametrize("shelf", [6, 300], indirect=True, ids=["without codes", "with codes"])
def test_photos_that_are_alike_are_a_group_with_the_lowest_score_of_a_pair(shelf: Shelf) -> None:
    """However few there are, what is found is what the formula says, and nothing else."""
    groups, exact = shelf.hunt(), shelf.exact()

    assert _named(groups) == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg", "4.jpg"]]
    for group in groups:
        numbers = [int(os.path.basename(photo.path)[:-4]) for photo in group.photos]
        assert group.score == pytest.approx(min(exact[pair] for pair in combinations(numbers, 2)), abs=1e-4)


def test_band_says_how_alike_the_two_are_that_are_least_alike(shelf: Shelf) -> None:
    """The same photo saved again, the same shot, and what is only similar are told apart."""
    for number, noise in ((10, 0.05), (20, 0.45), (30, 0.75)):
        shelf.vectors[number + 1] = like(shelf.vectors.astype(np.float64), number, noise, number)
        shelf.add((f"/p/{number + 1}.jpg", number + 1))
    bands = {group.photos[0].path: group.band for group in shelf.hunt(least=0.6)}
    by_number = {number: bands.get(b"/p/%d.jpg" % number) for number in (10, 20, 30)}

    assert by_number == {10: Band.IDENTICAL, 20: Band.SAME_SHOT, 30: Band.SIMILAR}


def test_exact_copies_are_a_group_of_their_own_or_part_of_one(shelf: Shelf) -> None:
    """Two paths of one picture are identical, even where nothing else is like it."""
    shelf.add(("/p/copy of 7.jpg", 7), ("/p/copy of 0.jpg", 0), mtime_s=5)
    groups = shelf.hunt()

    assert _named(groups) == [
        ["0.jpg", "1.jpg", "copy of 0.jpg"],
        ["2.jpg", "3.jpg", "4.jpg"],
        ["7.jpg", "copy of 7.jpg"],
    ]
    assert [(one.band, one.score) for one in groups if len(one.photos) == 2] == [(Band.IDENTICAL, 1.0)]


def test_score_of_one_means_exact_copies_alone(shelf: Shelf) -> None:
    """Then pictures that are merely alike are none, and their vectors are not read at all."""
    shelf.add(("/p/copy of 0.jpg", 0), mtime_s=5)
    shelf.store.vectors = None  # type: ignore[assignment, method-assign]  # whoever read one would fail

    assert _named(shelf.hunt(least=1)) == [["0.jpg", "copy of 0.jpg"]]


def test_copies_that_a_cluster_left_alone_are_told_at_last(shelf: Shelf) -> None:
    """A picture that is like one of two, which are more like each other, still has its copies."""
    vectors = shelf.vectors.astype(np.float64)
    step = like(vectors, 50, 0.3, 50) - vectors[50]
    shelf.vectors[51], shelf.vectors[52] = vectors[50] + step, vectors[50] + 2.4 * step
    shelf.add(("/p/51.jpg", 51), ("/p/52.jpg", 52), ("/p/copy of 52.jpg", 52))
    exact, least = shelf.exact(), 0.85

    assert exact[50, 51] > exact[51, 52] > least > exact[50, 52]
    assert [group for group in _named(shelf.hunt(least=least)) if "50.jpg" in group or "52.jpg" in group] == [
        ["50.jpg", "51.jpg"],
        ["52.jpg", "copy of 52.jpg"],
    ]


def test_photos_that_go_while_it_hunts_are_in_no_group(shelf: Shelf) -> None:
    """What was deleted between the comparing and the telling is not told."""
    gone = iter([PhotoGone("/p/0.jpg", 1), PhotoGone("/p/3.jpg", 1)])

    def beat() -> None:
        if hunt.pictures == 300 and (lost := next(gone, None)) is not None:
            shelf.commit(WriteBatch(photos=[lost]))

    hunt = DuplicateSearch(shelf.store, shelf.index, shelf.roots, "", 0.8, beat)

    assert _named(list(hunt.groups())) == [["2.jpg", "4.jpg"]]


def test_vector_that_has_rotted_is_told_of_and_left_out(shelf: Shelf) -> None:
    """Whoever reads it notices; the rest is compared as ever."""
    rotten: list[bytes] = []
    shelf.index.rotten = rotten.extend
    rot(shelf.store, shelf.vectors[3].tobytes())

    assert _named(shelf.hunt()) == [["0.jpg", "1.jpg"], ["2.jpg", "4.jpg"]]
    assert set(rotten) == {content(3)}


def test_group_is_given_before_the_rest_is_looked_for(shelf: Shelf) -> None:
    """Copies are told while contents are gathered, others while they are compared: nothing waits for the end."""
    for number in range(5, 250):
        shelf.add((f"/p/copy of {number}.jpg", number))
    hunt = DuplicateSearch(shelf.store, shelf.index, shelf.roots, "", 1)
    next(hunt.groups())
    other = DuplicateSearch(shelf.store, shelf.index, shelf.roots, "", 0.8)
    next(other.groups())

    assert hunt.compared < 100
    assert other.compared < 300


def test_best_photo_comes_first(shelf: Shelf) -> None:
    """Of a group, most pixels come first, then the oldest, then by name."""
    shelf.add(("/p/old copy.jpg", 3), ("/p/z.jpg", 3), mtime_s=0)
    shelf.commit(WriteBatch(contents={content(4): Facts(4000, 3000, 0, "")}))
    (group,) = [group for group in shelf.hunt() if len(group.photos) > 2]

    assert [photo.path for photo in group.photos] == [
        b"/p/4.jpg",
        b"/p/old copy.jpg",
        b"/p/z.jpg",
        b"/p/2.jpg",
        b"/p/3.jpg",
    ]
    assert (group.photos[0].width, group.photos[0].height, group.photos[0].size) == (4000, 3000, 1000)


def test_only_photos_in_the_folder_count(shelf: Shelf) -> None:
    """All of a group lie in the folder that was asked about, also those of a picture that lies elsewhere too."""
    shelf.add(("/p/sub/1.jpg", 1), ("/p/sub/deep/5.jpg", 5), ("/p/sub/0.jpg", 0), ("/p/subway/5.jpg", 5))

    assert _named(shelf.hunt("/p/sub")) == [["sub/0.jpg", "sub/1.jpg"]]


def test_photos_that_are_gone_or_failed_are_in_no_group(shelf: Shelf) -> None:
    """What cannot be found is no duplicate."""
    stamp = Stamp(2 * 10**9, 2, 3, 4)
    shelf.commit(WriteBatch(photos=[PhotoGone("/p/0.jpg", 1), PhotoFailed("/p/3.jpg", stamp, UNKNOWN, "broken", 0)]))

    assert _named(shelf.hunt()) == [["2.jpg", "4.jpg"]]


def test_pictures_that_are_apart_are_in_no_group_together(shelf: Shelf) -> None:
    """A group falls into those of which no two are apart, and comes back when they are together again."""
    before = _named(shelf.hunt())
    shelf.store.apart.put(content(4), content(2))
    shelf.store.apart.put(content(0), content(1))
    shelf.store.apart.put(content(0), b"\xff" * 16)  # of which nothing is known
    after = _named(shelf.hunt())
    shelf.store.apart.delete(content(2), content(4))
    shelf.store.apart.delete(content(1), content(0))

    assert len(after) == 1
    assert after[0] in (["2.jpg", "3.jpg"], ["3.jpg", "4.jpg"])
    assert _named(shelf.hunt()) == before


def test_photos_are_offline_where_their_root_is(shelf: Shelf) -> None:
    """A drive that is not there takes part, and is marked."""
    shelf.roots.check("/p")

    assert {photo.offline for group in shelf.hunt() for photo in group.photos} == {True}


def test_chain_of_a_thousand_photos_makes_no_large_group(tmp_path: Path) -> None:
    """Photos that turn slowly into each other are in groups of which every pair is alike."""
    angles = np.linspace(0, 40, 1000)
    vectors = np.zeros((1000, DIMS))
    for turn in range(8):
        vectors[:, 2 * turn] = np.cos(angles * (turn + 1) / 4)
        vectors[:, 2 * turn + 1] = np.sin(angles * (turn + 1) / 4)
    made = Shelf(tmp_path, vectors)
    groups, exact = made.hunt(), made.exact()
    made.index.stop()
    made.store.close()
    members = [[int(os.path.basename(photo.path)[:-4]) for photo in group.photos] for group in groups]

    assert sum(map(len, members)) == len({row for rows in members for row in rows}) > 900
    assert all(exact[pair] >= 0.799 for rows in members for pair in combinations(rows, 2))


def test_whole_library_is_compared(shelf: Shelf) -> None:
    """At the end the progress says that all were."""
    hunt = DuplicateSearch(shelf.store, shelf.index, shelf.roots, "", 0.8)
    list(hunt.groups())

    assert (hunt.compared, hunt.pictures, hunt.is_thinned) == (300, 300, False)


def test_beat_can_end_the_work(shelf: Shelf) -> None:
    """What `beat` raises comes out."""

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(DuplicateSearch(shelf.store, shelf.index, shelf.roots, "", 0.8, stop).groups())


def test_empty_library_has_no_groups(tmp_path: Path) -> None:
    """Nothing is asked of what is not there."""
    made = Shelf(tmp_path, base(0))
    found = made.hunt()
    made.index.stop()
    made.store.close()

    assert found == []
