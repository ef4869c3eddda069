"""What an export says of one picture, in every form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixkin.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixkin.protocol.pictures import File
    from pixkin.protocol.replies import Exported


def rows(page: Exported) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield the fields of each picture, and its vector, (dims,) little-endian float16; empty if none was asked for."""
    space = {"space": page.space} if page.vectors else {}
    size = len(page.vectors) // max(1, len(page.pictures))
    for at, one in enumerate(page.pictures):
        picture = one.picture
        fields = {
            "content": picture.content.hex(),
            "width": picture.width or None,
            "height": picture.height or None,
            "taken_s": picture.taken_s or None,
            "by_name": picture.by_name,
            "camera": one.camera or None,
            "pages": one.pages,
            "files": [*map(_file, one.files)],
            "more": one.more,
            **space,
        }
        yield fields, page.vectors[at * size : (at + 1) * size]


def _file(file: File) -> dict[str, Any]:
    return {
        **output.path_fields("path", file.path),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "offline": file.offline,
        "taken_s": file.taken_s or None,
        "camera": file.camera or None,
        "pages": file.pages,
        "damaged": file.damaged,
    }
