"""Reads the parameters of a request into a `Struct`, which has their bounds. Unknown ones are refused."""

import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar, get_origin, get_type_hints

import msgspec
from starlette.requests import Request

from pixkin.web import ids
from pixkin.web.problems import Problem

_Kind = TypeVar("_Kind", bound=msgspec.Struct)
_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$")
MAX_JSON: Final = 1 << 16  # bytes of a body in JSON; 500 ids need 15,000


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


def query(request: Request, kind: type[_Kind]) -> _Kind:
    """Return the parameters of the URL; a field that is a list takes a parameter that comes several times.

    Raises:
        Problem: 422: one is unknown, comes twice, or is not in its bounds.
    """
    return converted(request.query_params.multi_items(), kind)


def converted(pairs: Iterable[tuple[str, str]], kind: type[_Kind]) -> _Kind:
    """Return names with values as `query` does.

    Raises:
        Problem: as `query`.
    """
    hints = get_type_hints(kind)
    names = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in names:
            raise Problem(422, f"there is no parameter {name!r} here; it takes {', '.join(names) or 'none'}")
        if get_origin(hints[names[name]]) is list:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Problem(422, f"the parameter {name!r} comes twice")
        else:
            found[name] = value
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _problem(error) from error


async def body(request: Request, kind: type[_Kind]) -> _Kind:
    """Return what a body in JSON says.

    Raises:
        Problem: 413: it is too large; 422: it is not JSON, or a value is not in its bounds.
    """
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_JSON:
            raise Problem(413, f"the body is larger than {MAX_JSON >> 10} KiB")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _problem(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(422, f"the body is not JSON: {error}") from error


def content(text: str) -> bytes:
    """Return the content of an id.

    Raises:
        Problem: 422: it is none.
    """
    try:
        return ids.decoded(text)
    except ValueError as error:
        raise Problem(422, str(error)) from error


def _problem(error: msgspec.ValidationError) -> Problem:
    text = str(error)
    match = _PLACE.search(text)
    where = f"{match[1]}: " if match and match[1] else ""
    return Problem(422, where + _PLACE.sub("", text))
