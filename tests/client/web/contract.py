"""Compares values with `openapi.json`: the part of JSON Schema that it uses."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

OPENAPI: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "client/pixkin/web/openapi.json").read_text(encoding="utf-8")
)
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def complaints(path: str, method: str, status: int, value: object) -> list[str]:
    """Return what is not as the description of an answer in JSON says."""
    responses = OPENAPI["paths"][path][method]["responses"]
    said = resolved(responses.get(str(status), responses.get("default")))
    kind = "application/json" if str(status) in responses else "application/problem+json"
    return list(_differences(said["content"][kind]["schema"], value, path))


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference names."""
    while "$ref" in schema:
        found: Any = OPENAPI
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _differences(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:  # noqa: ANN401
    schema = resolved(schema)
    kinds = schema.get("type", [])
    names = [kinds] if isinstance(kinds, str) else kinds
    is_bool = isinstance(value, bool)
    if names and not any(isinstance(value, _TYPES[name]) and (not is_bool or name == "boolean") for name in names):
        yield f"{where}: {value!r} is no {names}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{where}: {value!r} is not as {schema['pattern']}"
    if isinstance(value, list):
        for at, one in enumerate(value):
            yield from _differences(schema.get("items", {}), one, f"{where}[{at}]")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (f"{where}: {name} is missing" for name in schema.get("required", ()) if name not in value)
        if known and not isinstance(schema.get("additionalProperties"), dict):
            yield from (f"{where}: {name} is not described" for name in value if name not in known)
        for name, one in value.items():
            yield from _differences(known.get(name, {}), one, f"{where}.{name}")
