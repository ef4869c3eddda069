"""The search for duplicates, from a store to groups."""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from tests.daemon.search.duplicate_store import DIMS, DuplicateStore, base, content, like, rot

from pixkin.protocol.replies import Band, Group
from pixkind.fs.stamp import Stamp
from pixkind.search.duplicates import DuplicateSearch
from pixkind.storage.record import UNKNOWN, Facts
from pixkind.storage.write_batch import PhotoFailed, PhotoGone, WriteBatch


@pytest.fixture
def duplicate_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DuplicateStore]:
    """Yield a store with 300 pictures, or only the first few. Alike are 0 and 1, and 2, 3 and 4."""
    vectors = base(300)
    for number, other, noise in ((1, 0, 0.1), (3, 2, 0.3), (4, 2, 0.3)):
        vectors[number] = like(vectors, other, noise, number)
    made = DuplicateStore(tmp_path, vectors[: getattr(request, "param", 300)])
    yield made
    made.index.stop()
    made.store.close()


def _named(groups: list[Group]) -> list[list[str]]:
    return sorted(sorted(os.path.relpath(os.fsdecode(photo.path), "/p") for photo in group.photos) for group in groups)


@pytest.mark.parametrize("duplicate_store", [6, 300], indirect=True, ids=["without codes", "with codes"])
def test_photos_that_are_alike_are_a_group_with_the_lowest_score_of_a_pair(duplicate_store: DuplicateStore) -> None:
    """However few there are, the groups are exactly those that the formula gives."""
    groups, exact = duplicate_store.groups(), duplicate_store.exact()

    assert _named(groups) == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg", "4.jpg"]]
    for group in groups:
        numbers = [int(os.path.basename(photo.path)[:-4]) for photo in group.photos]
        assert group.score == pytest.approx(min(exact[pair] for pair in combinations(numbers, 2)), abs=1e-4)


def test_band_tells_how_alike_the_least_alike_pair_is(duplicate_store: DuplicateStore) -> None:
    """A photo saved again and an edit are one shot; a weaker likeness is only similar. No two contents are identical."""
    for number, noise in ((10, 0.0), (20, 0.45), (30, 0.75)):
        duplicate_store.vectors[number + 1] = like(duplicate_store.vectors.astype(np.float64), number, noise, number)
        duplicate_store.add((f"/p/{number + 1}.jpg", number + 1))
    groups = {group.photos[0].path: group for group in duplicate_store.groups(least=0.6)}
    found = [groups[b"/p/%d.jpg" % number] for number in (10, 20, 30)]

    assert [group.band for group in found] == [Band.SAME_SHOT, Band.SAME_SHOT, Band.SIMILAR]
    assert found[0].score == 0.999  # the vectors are the same, as those of a photo and its motion photo


def test_exact_copies_are_a_group_of_their_own_or_part_of_one(duplicate_store: DuplicateStore) -> None:
    """Two paths of one picture are identical, even where nothing else is like it."""
    duplicate_store.add(("/p/copy of 7.jpg", 7), ("/p/copy of 0.jpg", 0), mtime_s=5)
    groups = duplicate_store.groups()

    assert _named(groups) == [
        ["0.jpg", "1.jpg", "copy of 0.jpg"],
        ["2.jpg", "3.jpg", "4.jpg"],
        ["7.jpg", "copy of 7.jpg"],
    ]
    assert [(one.band, one.score) for one in groups if len(one.photos) == 2] == [(Band.IDENTICAL, 1.0)]


def test_score_of_one_means_exact_copies_alone(duplicate_store: DuplicateStore) -> None:
    """Then pictures that are merely alike are no group, and their vectors are not read at all."""
    duplicate_store.add(("/p/copy of 0.jpg", 0), mtime_s=5)
    duplicate_store.store.vectors = None  # type: ignore[assignment, method-assign]  # reading one would fail

    assert _named(duplicate_store.groups(least=1)) == [["0.jpg", "copy of 0.jpg"]]


def test_a_group_that_is_cut_says_how_many_it_leaves_out(duplicate_store: DuplicateStore) -> None:
    """A reply has room for 10,000 photos of a group, and counts the others."""
    duplicate_store.add(*((f"/p/copies/{number}.jpg", 0) for number in range(10_002)))
    (group,) = duplicate_store.groups(least=1)
    (first, *_) = duplicate_store.groups("/p/copies", least=1)

    assert (len(group.photos), group.more) == (10_000, 3)
    assert (len(first.photos), first.more) == (10_000, 2)


def test_copies_of_a_picture_that_joined_no_cluster_come_at_last(duplicate_store: DuplicateStore) -> None:
    """A picture that is like one of two, while these are more like each other, is still grouped with its copies."""
    vectors = duplicate_store.vectors.astype(np.float64)
    step = like(vectors, 50, 0.3, 50) - vectors[50]
    duplicate_store.vectors[51], duplicate_store.vectors[52] = vectors[50] + step, vectors[50] + 2.4 * step
    duplicate_store.add(("/p/51.jpg", 51), ("/p/52.jpg", 52), ("/p/copy of 52.jpg", 52))
    exact, least = duplicate_store.exact(), 0.85

    assert exact[50, 51] > exact[51, 52] > least > exact[50, 52]
    assert [
        group for group in _named(duplicate_store.groups(least=least)) if "50.jpg" in group or "52.jpg" in group
    ] == [
        ["50.jpg", "51.jpg"],
        ["52.jpg", "copy of 52.jpg"],
    ]


def test_photos_that_go_during_the_search_are_in_no_group(duplicate_store: DuplicateStore) -> None:
    """A photo that was deleted after it was compared is not reported."""
    gone = iter([PhotoGone("/p/0.jpg", 1), PhotoGone("/p/3.jpg", 1)])

    def beat() -> None:
        if search.pictures == 300 and (lost := next(gone, None)) is not None:
            duplicate_store.commit(WriteBatch(photos=[lost]))

    search = DuplicateSearch(duplicate_store.store, duplicate_store.index, duplicate_store.roots, "", 0.8, beat)

    assert _named(list(search.groups())) == [["2.jpg", "4.jpg"]]


def test_vector_that_has_rotted_is_reported_and_left_out(duplicate_store: DuplicateStore) -> None:
    """The search notices it when it reads it, and compares the rest."""
    rotten: list[bytes] = []
    duplicate_store.index.rotten = rotten.extend
    rot(duplicate_store.store, duplicate_store.vectors[3].tobytes())

    assert _named(duplicate_store.groups()) == [["0.jpg", "1.jpg"], ["2.jpg", "4.jpg"]]
    assert set(rotten) == {content(3)}


def test_group_is_given_before_the_rest_is_looked_for(duplicate_store: DuplicateStore) -> None:
    """Copies come while contents are gathered, other groups while they are compared: none waits for the end."""
    for number in range(5, 250):
        duplicate_store.add((f"/p/copy of {number}.jpg", number))
    search = DuplicateSearch(duplicate_store.store, duplicate_store.index, duplicate_store.roots, "", 1)
    next(search.groups())
    other = DuplicateSearch(duplicate_store.store, duplicate_store.index, duplicate_store.roots, "", 0.8)
    next(other.groups())

    assert search.compared < 100
    assert other.compared < 300


def test_best_photo_comes_first(duplicate_store: DuplicateStore) -> None:
    """Of a group, most pixels come first, then original names, then the oldest, then by name."""
    duplicate_store.add(("/p/old copy.jpg", 3), ("/p/z.jpg", 3), mtime_s=0)
    duplicate_store.commit(WriteBatch(contents={content(4): Facts(4000, 3000, 0, "")}))
    (group,) = [group for group in duplicate_store.groups() if len(group.photos) > 2]

    assert [photo.path for photo in group.photos] == [
        b"/p/4.jpg",
        b"/p/z.jpg",
        b"/p/2.jpg",
        b"/p/3.jpg",
        b"/p/old copy.jpg",
    ]
    assert (group.photos[0].width, group.photos[0].height, group.photos[0].size) == (4000, 3000, 1000)


def test_only_photos_in_the_folder_count(duplicate_store: DuplicateStore) -> None:
    """All photos of a group lie in the folder of the request, even if their pictures lie elsewhere as well."""
    duplicate_store.add(("/p/sub/1.jpg", 1), ("/p/sub/deep/5.jpg", 5), ("/p/sub/0.jpg", 0), ("/p/subway/5.jpg", 5))

    assert _named(duplicate_store.groups("/p/sub")) == [["sub/0.jpg", "sub/1.jpg"]]


def test_photos_that_are_gone_or_failed_are_in_no_group(duplicate_store: DuplicateStore) -> None:
    """A photo that cannot be found is no duplicate."""
    stamp = Stamp(2 * 10**9, 2, 3, 4)
    duplicate_store.commit(
        WriteBatch(photos=[PhotoGone("/p/0.jpg", 1), PhotoFailed("/p/3.jpg", stamp, UNKNOWN, "broken", 0)])
    )

    assert _named(duplicate_store.groups()) == [["2.jpg", "4.jpg"]]


def test_pictures_that_are_apart_are_in_no_group_together(duplicate_store: DuplicateStore) -> None:
    """A group splits so that no two of its pictures are apart, and comes back when they are together again."""
    before = _named(duplicate_store.groups())
    unknown = (content(0), b"\xff" * 16)
    after = _named(duplicate_store.groups(apart=[(content(4), content(2)), (content(0), content(1)), unknown]))

    assert len(after) == 1
    assert after[0] in (["2.jpg", "3.jpg"], ["3.jpg", "4.jpg"])
    assert _named(duplicate_store.groups()) == before


def test_photos_are_offline_where_their_root_is(duplicate_store: DuplicateStore) -> None:
    """The photos of a drive that is not there take part, and are marked."""
    duplicate_store.roots.check("/p")

    assert {photo.offline for group in duplicate_store.groups() for photo in group.photos} == {True}


def test_chain_of_a_thousand_photos_makes_no_large_group(tmp_path: Path) -> None:
    """Photos that turn slowly into each other are in groups, and within a group every pair is alike."""
    angles = np.linspace(0, 40, 1000)
    vectors = np.zeros((1000, DIMS))
    for turn in range(8):
        vectors[:, 2 * turn] = np.cos(angles * (turn + 1) / 4)
        vectors[:, 2 * turn + 1] = np.sin(angles * (turn + 1) / 4)
    made = DuplicateStore(tmp_path, vectors)
    groups, exact = made.groups(), made.exact()
    made.index.stop()
    made.store.close()
    members = [[int(os.path.basename(photo.path)[:-4]) for photo in group.photos] for group in groups]

    assert sum(map(len, members)) == len({row for rows in members for row in rows}) > 900
    assert all(exact[pair] >= 0.799 for rows in members for pair in combinations(rows, 2))


def test_whole_library_is_compared(duplicate_store: DuplicateStore) -> None:
    """At the end the progress says that all pictures were compared."""
    search = DuplicateSearch(duplicate_store.store, duplicate_store.index, duplicate_store.roots, "", 0.8)
    list(search.groups())

    assert (search.compared, search.pictures, search.is_thinned) == (300, 300, False)


def test_beat_can_end_the_work(duplicate_store: DuplicateStore) -> None:
    """An exception of `beat` is passed on."""

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(
            DuplicateSearch(duplicate_store.store, duplicate_store.index, duplicate_store.roots, "", 0.8, stop).groups()
        )


def test_empty_library_has_no_groups(tmp_path: Path) -> None:
    """An empty library is no error."""
    made = DuplicateStore(tmp_path, base(0))
    found = made.groups()
    made.index.stop()
    made.store.close()

    assert found == []
