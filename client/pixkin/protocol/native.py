"""The paths and times of replies as Python has them, beside the bytes and integers of the message. They are not on the wire.

`fs_` before the name of a key gives its path as a `pathlib.Path`: `os.fsencode` of it, or of its text, has the bytes again,
even of a name that is not UTF-8. The name of a key without its unit gives its time as a `datetime`.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from pathlib import Path  # takes 5 ms to import, and the command needs none

_Value = TypeVar("_Value")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Native(Generic[_Value]):
    """A property of a struct, which reads one of its keys. On the class it is itself."""

    def __init__(self, key: str, read: Callable[[Any], _Value], what: str) -> None:
        """Keep the key, how its value is read, and what that gives."""
        self._key = key
        self._read = read
        self.__doc__ = f"`{key}` as {what}."

    @overload
    def __get__(self, struct: None, owner: type) -> Self: ...
    @overload
    def __get__(self, struct: object, owner: type) -> _Value: ...
    def __get__(self, struct: object, owner: type) -> Self | _Value:
        return self if struct is None else self._read(getattr(struct, self._key))

    # Never called, as a struct is frozen. With it, help() lists the property among the keys.
    def __set__(self, struct: object, value: object) -> None: ...


def path(key: str) -> "Native[Path]":
    """Return the property for a path that is never empty."""
    return Native(key, _path, "a pathlib.Path")


def path_or_none(key: str) -> "Native[Path | None]":
    """Return the property for a path that may be empty: `Path("")` would be the working folder."""
    return Native(key, lambda one: _path(one) if one else None, "a pathlib.Path; None if it is empty")


def paths(key: str) -> "Native[tuple[Path, ...]]":
    """Return the property for several paths."""
    return Native(key, lambda some: tuple(map(_path, some)), "a tuple of pathlib.Path")


def camera_time(key: str) -> Native[datetime | None]:
    """Return the property for what the clock of a camera showed, in s since the epoch as if it were UTC."""
    return Native(key, _camera_time, "a datetime without a time zone, as the camera showed it; None if it is unknown")


def moment(key: str, per_s: int = 1) -> Native[datetime | None]:
    """Return the property for a time since the epoch; `per_s`: the units of the key in a second."""
    return Native(key, lambda number: _moment(number, per_s), "a datetime in UTC; None if it is 0")


def _path(name: bytes) -> "Path":
    from pathlib import Path

    return Path(os.fsdecode(name))


def _camera_time(taken_s: int) -> datetime | None:
    when = _moment(taken_s, 1)
    return None if when is None else when.replace(tzinfo=None)


def _moment(number: int, per_s: int) -> datetime | None:
    """Return the time; None: it is 0, or not within the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=number * 1_000_000 // per_s) if number else None
    except OverflowError:
        return None
