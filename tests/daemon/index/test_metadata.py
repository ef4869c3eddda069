import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixkind.index.filter import Filter
from pixkind.index.metadata import RowMetadata
from pixkind.storage.record import Place

_FOLDERS = ["/p", "/p/a", "/p/a/b", "/p/ab", "/q", "/"]
_TIMES = [0, -5, 10, 20]
_CAMERAS = ["", "Canon EOS 5D", "CANON EOS 6D", "Straßenkamera"]
_place = st.builds(
    Place,
    st.sampled_from(_FOLDERS),
    st.sampled_from(_TIMES),
    st.sampled_from(_CAMERAS),
    st.sampled_from([-3, 0, 12, 9 * 10**9]),
    st.sampled_from([0, 0, -7, 10, 10**10]),
)
_places = st.lists(_place, max_size=3)
_filters = st.builds(
    Filter,
    st.sampled_from(["", *_FOLDERS, "/p/", "/no"]),
    st.sampled_from([(), ("/p/a",), ("/p", "/q")]),
    st.sampled_from([None, -5, 0, 15]),
    st.sampled_from([None, 0, 10, 11]),
    st.sampled_from(["", "", "canon", "eos 5", "strassen", "x"]),
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(_places, max_size=5)),
        st.tuples(st.just("remove"), st.lists(st.integers(0, 20), max_size=4)),
        st.tuples(st.just("move"), st.dictionaries(st.integers(0, 20), _places, max_size=4)),
        st.tuples(st.just("skip"), st.integers(0, 9)),
        st.tuples(st.just("restore"), st.none()),
    ),
    max_size=12,
)


def _content(number: int) -> bytes:
    return (number + 1).to_bytes(16, "big")


def _is_shown(folder: str) -> bool:
    return folder != "/q"


def _passes(place: Place, wanted: Filter) -> bool:
    """Return what a reader of the rules would say of one photo."""
    since, before = wanted.since_s, wanted.before_s
    is_dated = since is not None or before is not None
    date = place.taken_s or place.named_s
    in_time = (since is None or date >= since) and (before is None or date < before)
    unders = tuple(f"{one.rstrip('/')}/" for one in wanted.under)
    is_under = not unders or f"{place.folder}/".startswith(unders)
    is_kept = not any(f"{place.folder}/".startswith(away + "/") for away in wanted.without)
    is_by = wanted.camera in place.camera.casefold()
    return is_under and is_kept and in_time and not (is_dated and not date) and is_by


def _dates(metadata: RowMetadata, wanted: Filter) -> dict[bytes, int]:
    """Return the date of each content that passes."""
    return {content: date for date, content in metadata.dated(wanted).newest(99)[0]}


def _date(places: list[Place]) -> int:
    """Return what a reader of the rules would say of the photos of a picture."""
    by_camera = [one.taken_s for one in places if one.taken_s]
    by_name = [one.named_s for one in places if one.named_s]
    return min(by_camera or by_name or [one.mtime_s for one in places])


def _found(metadata: RowMetadata, wanted: Filter) -> set[bytes]:
    bits, count = metadata.passing(wanted)
    rows = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
    contents = metadata.contents(rows)
    assert count == len(rows) == len(set(contents))
    return set(contents)


@given(_steps, st.lists(_filters, max_size=5), st.integers(0, 21), st.integers(1, 5))
def test_the_catalog_says_what_a_dictionary_does(
    steps: list[tuple[str, object]], filters: list[Filter], after: int, most: int
) -> None:
    """After any changes, and restarts between them, a filter passes the contents of which a photo is as it says."""
    metadata = RowMetadata(_is_shown)
    model: dict[bytes, list[Place]] = {}
    for what, value in steps:
        match what, value:
            case "append", list():
                new = [_content(number) for number in range(21) if _content(number) not in model]
                added = dict(zip(new, value, strict=False))
                metadata.append(list(added), added)
                model |= added
            case "remove", list():
                metadata.remove(map(_content, value))
                for number in value:
                    model.pop(_content(number), None)
            case "move", dict():
                metadata.move({_content(number): place for number, place in value.items()})
                model |= {_content(number): one for number, one in value.items() if _content(number) in model}
            case "skip", int():
                metadata.skip(metadata.rows + value)
            case _:
                metadata = RowMetadata.restored(metadata.state(), _is_shown)

    assert len(metadata) == len(model)
    assert metadata.rows_of(map(_content, range(30))).keys() == model.keys()
    for wanted in [Filter(), *filters]:
        assert _found(metadata, wanted) == {
            content
            for content, places in model.items()
            if any(_is_shown(place.folder) and _passes(place, wanted) for place in places)
        }
        behind = sorted(content for content in _found(metadata, wanted) if content > _content(after))
        assert metadata.following(_content(after), wanted, most) == behind[:most]
        assert _dates(metadata, wanted) == {
            content: _date(meant)
            for content, places in model.items()
            if (meant := [one for one in places if _is_shown(one.folder) and _passes(one, wanted)])
        }


@given(_place, _filters)
def test_one_photo_passes_as_it_does_among_many(place: Place, wanted: Filter) -> None:
    """What is asked of a photo where there are no rows is what is asked of rows."""
    assert wanted.passes(place) is _passes(place, wanted)


def test_a_filter_holds_for_one_file() -> None:
    """One copy with the date and another one with the camera do not make a picture pass."""
    metadata = RowMetadata()
    metadata.append([_content(1)], {_content(1): [Place("/p/a", 10, "Canon"), Place("/p/b", 20, "Nikon")]})

    assert _found(metadata, Filter(since_s=20, camera="nikon"))
    assert _found(metadata, Filter(("/p/b",), since_s=15))
    assert not _found(metadata, Filter(since_s=20, camera="canon"))
    assert not _found(metadata, Filter(("/p/a",), since_s=15))


def test_pages_of_contents_are_the_whole() -> None:
    """Of ids whose first bytes differ, and whose last ones are zeros, as of all others."""
    contents = [bytes([number * 37 % 256]) * 9 + bytes(7) for number in range(1, 256)]
    metadata = RowMetadata()
    metadata.append(contents, {one: [Place("/p")] for one in contents})
    pages = [metadata.following(b"", Filter(("/p",)), 100)]
    while pages[-1]:
        pages.append(metadata.following(pages[-1][-1], Filter(("/p",)), 100))

    assert [len(page) for page in pages] == [100, 100, 55, 0]
    assert [content for page in pages for content in page] == sorted(contents)


def test_rows_are_given_in_order_and_never_twice() -> None:
    """A content that comes back has a new row; its old one is dead."""
    metadata = RowMetadata()
    metadata.append([_content(1), _content(2)], {})
    metadata.skip(8)
    metadata.append([_content(3)], {})
    metadata.remove([_content(1), _content(9)])
    metadata.append([_content(1)], {})

    assert metadata.rows_of(map(_content, range(9))) == {_content(2): 1, _content(3): 8, _content(1): 9}
    assert (metadata.rows, metadata.dead, len(metadata)) == (10, 7, 3)


def test_a_photo_that_moves_a_thousand_times_takes_no_more_room() -> None:
    """The places where photos were are forgotten in time."""
    metadata = RowMetadata()
    contents = [_content(number) for number in range(100)]
    metadata.append(contents, {content: [Place("/p")] for content in contents})
    for number in range(1000):
        metadata.move({content: [Place(f"/p/{number % 7}")] for content in contents})
    photos = metadata.state()["photos"]

    assert len(photos) < 10_000
    assert _found(metadata, Filter(("/p/5",))) == set(contents)


def test_memory_is_36_bytes_a_photo() -> None:
    """Ids, bits and places of 100,000 photos, with what is kept free for more, take 39 bytes each."""
    metadata = RowMetadata()
    contents = [_content(number) for number in range(100_000)]
    for at in range(0, len(contents), 2048):
        block = contents[at : at + 2048]
        metadata.append(block, {content: [Place(f"/p/{at}")] for content in block})
    arrays = [value for value in vars(metadata).values() if isinstance(value, np.ndarray) and value.base is None]

    assert sum(array.nbytes for array in arrays) <= 39 * 100_000
