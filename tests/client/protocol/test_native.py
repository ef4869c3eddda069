"""What replies hold as bytes and integers is also there as Python has it."""

import os
import pydoc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from pixkin.protocol import explanations, native, news, pictures, replies

NO_PATHS = {"content", "next", "data", "vectors"}  # other keys of bytes
SPANS = {"eta_s", "uptime_s"}  # keys of seconds that are no time
NAMES = st.binary(min_size=1).filter(lambda name: not {0, ord("/")} & {*name} and name not in {b".", b".."})
SECOND = 1795857160
WHEN = datetime(2026, 11, 28, 9, 12, 40, tzinfo=UTC)


def below(kind: inspect.Type) -> Iterator[inspect.StructType]:
    """Yield a struct, and all structs in it."""
    match kind:
        case inspect.StructType(fields=fields):
            yield kind
            for field in fields:
                yield from below(field.type)
        case inspect.VarTupleType(item_type=item):
            yield from below(item)
        case inspect.UnionType(types=types):
            for one in types:
                yield from below(one)
        case _:
            pass


STRUCTS = {info.cls: info for info in below(inspect.type_info(replies.Reply))}


def properties(struct: type[msgspec.Struct]) -> set[str]:
    """Return the names of the properties."""
    return {name for name, one in vars(struct).items() if isinstance(one, native.Native)}


def has_paths(field: inspect.Field) -> bool:
    """Return whether the values of a key are one path, or several."""
    kind = field.type.item_type if isinstance(field.type, inspect.VarTupleType) else field.type
    return isinstance(kind, inspect.BytesType) and field.name not in NO_PATHS


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_path_and_time_of_a_reply_has_its_property(struct: type[msgspec.Struct]) -> None:
    """A key that a reply gets tomorrow is not forgotten: `fs_path`, `fs_copies`; `taken` beside `taken_s`."""
    fields = STRUCTS[struct].fields
    times = {field.name for field in fields if field.name.endswith(("_s", "_ns", "_at"))} - SPANS

    assert properties(struct) == {
        *(f"fs_{field.name}" for field in fields if has_paths(field)),
        *(name.rpartition("_")[0] for name in times),
    }


@given(NAMES)
def test_a_path_has_the_bytes_of_the_file_again(name: bytes) -> None:
    """Whatever its bytes are: `os.fsencode` gives them back, from the path and from its text."""
    match = replies.Match(path=b"/p/" + name, score=1, distance=0, copies=(b"/" + name,) * 2)

    assert os.fsencode(str(match.fs_path)) == os.fsencode(match.fs_path) == match.path
    assert tuple(map(os.fsencode, match.fs_copies)) == match.copies


def test_a_path_that_is_none_is_none() -> None:
    """`Path("")` would be the working folder."""
    failure = replies.Failure(code=replies.Code.BUSY, what="busy")

    assert failure.fs_path is None
    assert msgspec.structs.replace(failure, path=b"/a").fs_path == Path("/a")


@pytest.mark.parametrize(
    ("taken_s", "shown"),
    [(0, None), (SECOND, WHEN.replace(tzinfo=None)), (-1, datetime(1969, 12, 31, 23, 59, 59))],  # noqa: DTZ001
)
def test_a_date_of_a_camera_is_what_the_camera_showed(taken_s: int, shown: datetime | None) -> None:
    """It has no time zone, because most cameras tell none."""
    assert pictures.Picture(b"", taken_s=taken_s).taken == shown


def test_other_times_are_in_utc() -> None:
    """They are moments, and so have a time zone; 0 is none."""
    assert news.WatchState(1, began_s=SECOND).began == WHEN
    assert explanations.Explanation(fate=explanations.Fate.FOUND, read_s=SECOND).read == WHEN
    assert replies.Failed(b"/a", "no").retry is None
    assert pictures.File(b"/a", mtime_ns=SECOND * 10**9 + 1999).mtime == WHEN.replace(microsecond=1)


def test_a_time_behind_the_calendar_is_none() -> None:
    """A photo may say that it was taken in the year 300000."""
    assert pictures.Picture(b"", taken_s=1 << 62).taken is None


def test_help_says_what_a_property_is() -> None:
    """It stands with the keys, and has a docstring."""
    assert "`path` as a pathlib.Path." in pydoc.plain(pydoc.render_doc(replies.Match)).partition("Data descriptors")[2]
    assert pictures.File.mtime.__doc__ == "`mtime_ns` as a datetime in UTC; None if it is 0."


def test_a_property_cannot_be_set() -> None:
    """As little as a key."""
    with pytest.raises(AttributeError):
        replies.Failed(b"/a", "no").fs_path = Path("/b")
