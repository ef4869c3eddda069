"""What is proposed for a group of duplicates, and why."""

from pixkin.protocol.pictures import File
from pixkin.protocol.replies import Band, Photo
from pixkin.web.duplicate_search import file_id
from pixkin.web.proposals import Seen, differing, proposal


def photo(name: str, side: int = 100, *, spare: bool = False, notes: tuple[str, ...] = ()) -> Photo:
    """Return a photo of a group."""
    return Photo(f"/p/{name}".encode(), name.encode().ljust(16), side, side, side, spare=spare, notes=notes)


def names(ids: tuple[str, ...], *photos: Photo) -> list[str]:
    """Return the names that ids stand for."""
    known = {file_id(one.path): one.path.decode().removeprefix("/p/") for one in photos}
    return [known[one] for one in ids]


def test_copies_and_smaller_versions_may_go() -> None:
    """The first photo stays; what only another one has, stays with it."""
    group = [photo("a"), photo("b", spare=True), photo("c", 50), photo("d", 50, notes=("has GPS",)), photo("e", 200)]
    found = proposal(Band.SAME_SHOT, group, "")

    assert names(found.keep, *group) == ["a"]
    assert names(found.aside, *group) == ["b", "c"]
    assert found.read
    assert found.reason == (
        "Keep a: 1 other is an exact copy, and it has all that they have; "
        "1 other is the same shot with no more pixels; 2 others stay, because of what only they have."
    )


def test_nothing_is_proposed_in_doubt() -> None:
    """If the photo that would stay cannot be read, if shots differ, or if each has something of its own."""
    group = [photo("a\n"), photo("b", spare=True)]
    unread = proposal(Band.IDENTICAL, group, "permission denied")
    different = proposal(Band.SIMILAR, group, "")
    own = proposal(Band.SAME_SHOT, [photo("a"), photo("b", notes=("12 pages",))], "")

    assert not any((*one.keep, *one.aside) for one in (unread, different, own))
    assert unread.reason == r"Nothing is proposed, because a\n cannot be read now: permission denied."
    assert (unread.read, different.read, own.read) == (False, True, True)


def test_only_facts_that_differ_are_told_and_the_better_one_is_marked() -> None:
    """A fact that cannot be better than another is only told."""
    one = Seen(photo("a.jpg"), File(b"/p/a.jpg", taken_s=1, camera="X"))
    other = Seen(photo("b.png", 50), File(b"/p/b.png", camera="X"))
    found = {fact["fact"]: (fact["values"], fact["best"]) for fact in differing([one, other])}

    assert found == {
        "pixels": ([[100, 100], [50, 50]], [0]),
        "format": (["JPG", "PNG"], []),
        "size": ([100, 50], []),
        "taken": ([1, 0], [0]),
    }
