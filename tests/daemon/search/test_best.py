"""Which photo of a group is the best, and which of the others may be deleted."""

import pytest

from pixkind.encoder.messages import Details, Extra
from pixkind.fs.stamp import Stamp
from pixkind.search.best import Member, is_in_cache, is_spare, notes, ranked
from pixkind.storage.record import Facts, Record

_HUGE, _SMALL = Facts(6000, 4000, 0, ""), Facts(3000, 2000, 0, "")
_PLAIN = Details()
_RAW = Details(extras=Extra.RAW)
_FILM = Details(extras=Extra.VIDEO)
_TAGGED = Details(100, "Acme One", Extra.GPS, metadata_bytes=5000, blocks=(1, 2))


def _one(
    path: str = "/p/b.jpg",
    details: Details | None = _PLAIN,
    facts: Facts = _HUGE,
    mtime_s: int = 50,
    content: bytes = b"c" * 16,
    **more: bool,
) -> Member:
    return Member(Record(path, Stamp(mtime_s * 10**9, 1000, 3, 4), content, details=details), facts, **more)


@pytest.mark.parametrize(
    ("best", "other"),
    [
        (_one("/p/z.jpg"), _one("/p/a.jpg", offline=True)),
        (_one("/p/z.jpg"), _one("/p/a.jpg", is_read_only=True)),
        (_one("/p/z.jpg"), _one("/p/a.jpg", is_passing=True)),
        (_one("/p/z.jpg"), _one("/p/a.jpg", mtime_s=1, is_passing=True)),
        (_one("/p/z.jpg", facts=_SMALL), _one("/p/a.dng", Details(extras=Extra.RAW, damaged=True))),
        (_one("/p/z.dng", _RAW, _SMALL), _one("/p/a.jpg")),
        (_one("/p/z.jpg"), _one("/p/a.jpg", facts=_SMALL)),
        (_one("/p/z.tif", Details(pages=12)), _one("/p/a.jpg")),
        (_one("/p/z.png", Details(bits=16)), _one("/p/a.jpg")),
        (_one("/p/z.jpg", Details(extras=Extra.VIDEO)), _one("/p/a.jpg", _TAGGED)),
        (_one("/p/z.jpg", _TAGGED), _one("/p/a.jpg", mtime_s=1)),
        (_one("/p/z.jpg", has_sidecar=True), _one("/p/a.jpg", Details(metadata_bytes=9))),
        (_one("/p/z.jpg", Details(metadata_bytes=9)), _one("/p/a.jpg", mtime_s=1)),
        *((_one("/p/X.jpg"), _one(f"/a/{name}.jpg", mtime_s=1)) for name in (
            "X (1)", "X(2)", "X - Copy", "X - Copy (3)", "X copy 2", "X (copy)", "X (another copy)", "X - Kopie", "X~2",
            "IMG-20240131-WA0001", "FB_IMG_1700000000000", "received_123456", "signal-2024-01-31-120000",
            "photo_2024-01-31_12-00-00",
        )),
        (_one("/p/z.jpg", mtime_s=1), _one("/p/a.jpg")),
        (_one("/p/a.jpg"), _one("/p/z.jpg")),
    ],
)  # fmt: skip
def test_first_rule_that_tells_two_photos_apart_decides(best: Member, other: Member) -> None:
    """Each pair differs by a rule, and every later rule would say the opposite or nothing."""
    assert ranked([other, best]) == ranked([best, other]) == [best, other]


def test_the_only_date_is_not_spare() -> None:
    """It may stand in a name alone: then the photo stays, and it is said why."""
    plain, dated = _one("/p/X.jpg"), _one("/p/IMG-20240131-WA0001.jpg")
    taken = _one("/p/Y.jpg", Details(taken_s=100))

    assert (is_spare(dated, plain), is_spare(plain, dated), is_spare(dated, taken)) == (False, True, True)
    assert notes([plain, dated]) == [(), ("date in its name",)]


@pytest.mark.parametrize("name", ["Copyright", "IMG_2024", "Xcopy", "DSC_0001", "photo_1", "2024-01-31", "X 2"])
def test_ordinary_names_are_those_of_originals(name: str) -> None:
    """A name that only resembles that of a copy loses nothing by it."""
    assert ranked([_one("/q/a (1).jpg", mtime_s=1), _one(f"/p/{name}.jpg")])[0].record.path == f"/p/{name}.jpg"


@pytest.mark.parametrize(
    ("one", "best", "spare"),
    [
        (_one(), _one("/p/a.jpg"), True),
        (_one(), _one("/p/a.jpg", _TAGGED), True),
        (_one(details=_TAGGED), _one("/p/a.jpg"), False),
        (_one(details=None), _one("/p/a.jpg"), False),
        (_one(), _one("/p/a.jpg", None), False),
        (_one(offline=True), _one("/p/a.jpg"), False),
        (_one(), _one("/p/a.jpg", offline=True), False),
        (_one(), _one("/p/a.jpg", is_read_only=True), False),
        (_one(has_sidecar=True), _one("/p/a.jpg"), False),
        (_one(has_sidecar=True), _one("/p/a.jpg", has_sidecar=True), True),
        (_one(content=b"d" * 16, facts=_SMALL), _one("/p/a.jpg"), False),
        (_one(content=b"d" * 16), _one("/p/a.jpg", facts=_SMALL), False),
        (_one(), _one("/p/a.jpg", is_passing=True), False),
        (_one(details=_RAW), _one("/p/a.dng", _RAW), True),
        (_one(details=_FILM), _one("/p/a.jpg", _FILM), True),
        (_one(content=b"d" * 16), _one("/p/a.jpg"), False),
        (_one(content=b"d" * 16, facts=_SMALL), _one("/p/a.jpg", _TAGGED), False),
    ],
)
def test_photo_is_spare_only_if_it_is_a_copy_and_the_best_has_all_that_it_has(
    one: Member, best: Member, *, spare: bool
) -> None:
    """What was not read, is away, or has anything of its own, stays."""
    assert is_spare(one, best) == spare


@pytest.mark.parametrize(
    ("path", "is_passing"),
    [
        ("/tmp/p/.app/Cache/a.jpg", True),
        ("/tmp/p/thumbs/a.jpg", True),
        ("/tmp/p/a.jpg", False),
        ("/tmp/p/cache.jpg", False),
    ],
)
def test_cache_is_a_folder_below_the_root(path: str, *, is_passing: bool) -> None:
    """What the root is called, and the folders above it, say nothing: the user has named it."""
    assert is_in_cache(path, "/tmp/p") == is_passing


def test_table_says_what_only_some_photos_have() -> None:
    """What all have is not said; of metadata it is said if only one has them."""
    film = _one("/p/a.jpg", Details(extras=Extra.VIDEO | Extra.GPS, pages=12))
    plain = _one("/p/b.jpg", Details(extras=Extra.GPS, bits=16), has_sidecar=True)
    place = _one("/p/c.jpg", Details(extras=Extra.CAPTION, blocks=(3,)))
    other = _one("/p/d.jpg", Details(blocks=(4,)))

    assert notes([film, plain, place]) == [
        ("has a video", "has GPS", "12 pages"),
        ("has GPS", "16 bits", "has a sidecar"),
        ("caption only here",),
    ]
    assert notes([other, _one("/p/e.jpg")]) == [("other metadata",), ()]
    assert notes([plain, plain]) == [("sidecar not compared",)] * 2
