from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixkind.catalog import Catalog

_FOLDERS = ["/p", "/p/a", "/p/a/b", "/p/ab", "/q", "/"]
_places = st.lists(st.sampled_from(_FOLDERS), max_size=3)
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


def _below(folders: list[str], under: str) -> bool:
    return any(_is_shown(one) and f"{one}/".startswith(under.rstrip("/") + "/") for one in folders)


def _found(catalog: Catalog, under: str) -> set[bytes]:
    bits, count = catalog.passing(under)
    rows = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
    contents = catalog.contents(rows)
    assert count == len(rows) == len(set(contents))
    return set(contents)


@given(_steps)
def test_the_catalog_says_what_a_dictionary_does(steps: list[tuple[str, object]]) -> None:
    """After any changes, and restarts between them, each folder has the contents of which a photo is there and shown."""
    catalog = Catalog(_is_shown)
    model: dict[bytes, list[str]] = {}
    for what, value in steps:
        match what, value:
            case "append", list():
                new = [_content(number) for number in range(21) if _content(number) not in model]
                added = dict(zip(new, value, strict=False))
                catalog.append(list(added), added)
                model |= added
            case "remove", list():
                catalog.remove(map(_content, value))
                for number in value:
                    model.pop(_content(number), None)
            case "move", dict():
                catalog.move((_content(number), folders) for number, folders in value.items())
                model |= {_content(number): one for number, one in value.items() if _content(number) in model}
            case "skip", int():
                catalog.skip(catalog.rows + value)
            case _:
                catalog = Catalog.restored(catalog.state(), _is_shown)

    assert len(catalog) == len(model)
    assert catalog.rows_of(map(_content, range(30))).keys() == model.keys()
    assert _found(catalog, "") == {content for content, folders in model.items() if any(map(_is_shown, folders))}
    for under in [*_FOLDERS, "/p/", "/no"]:
        assert _found(catalog, under) == {one for one, folders in model.items() if _below(folders, under)}


def test_rows_are_given_in_order_and_never_twice() -> None:
    """A content that comes back has a new row; its old one is dead."""
    catalog = Catalog()
    catalog.append([_content(1), _content(2)], {})
    catalog.skip(8)
    catalog.append([_content(3)], {})
    catalog.remove([_content(1), _content(9)])
    catalog.append([_content(1)], {})

    assert catalog.rows_of(map(_content, range(9))) == {_content(2): 1, _content(3): 8, _content(1): 9}
    assert (catalog.rows, catalog.dead, len(catalog)) == (10, 7, 3)


def test_a_photo_that_moves_a_thousand_times_takes_no_more_room() -> None:
    """The places where photos were are forgotten in time."""
    catalog = Catalog()
    contents = [_content(number) for number in range(100)]
    catalog.append(contents, {content: ["/p"] for content in contents})
    for number in range(1000):
        catalog.move((content, [f"/p/{number % 7}"]) for content in contents)
    photos = catalog.state()["photos"]

    assert len(photos) < 10_000
    assert _found(catalog, "/p/5") == set(contents)


def test_memory_is_24_bytes_a_photo() -> None:
    """Ids, bits and places of 100,000 photos, with what is kept free for more, take 27 bytes each."""
    catalog = Catalog()
    contents = [_content(number) for number in range(100_000)]
    for at in range(0, len(contents), 2048):
        block = contents[at : at + 2048]
        catalog.append(block, {content: [f"/p/{at}"] for content in block})
    arrays = [value for value in vars(catalog).values() if isinstance(value, np.ndarray)]

    assert sum(array.nbytes for array in chain(arrays)) <= 27 * 100_000
