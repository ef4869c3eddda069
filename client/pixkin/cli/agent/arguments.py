"""What each tool takes. The descriptions are for the model, and the bounds are checked before anything is asked."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

_PATH_LENGTH = 4096
_Photo = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=_PATH_LENGTH,
        description="The absolute path of a photo in a watched folder, or the `content` of a photo in an earlier answer.",
    ),
]
_Path = Annotated[
    str,
    Meta(min_length=1, max_length=_PATH_LENGTH, description="The absolute path of a photo in a watched folder."),
]
_Folder = Annotated[
    str,
    Meta(
        max_length=_PATH_LENGTH,
        description="Only photos in this folder or below: an absolute path in a watched folder. Empty: all photos.",
    ),
]


class Arguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Of a tool that takes none."""


class LikeArguments(Arguments, frozen=True, forbid_unknown_fields=True):
    """Of `like`."""

    photo: _Photo
    n: Annotated[int, Meta(ge=1, le=50, description="The most photos.")] = 10
    under: _Folder = ""
    taken: Annotated[
        str,
        Meta(
            max_length=100,
            description="Only photos taken then: 2019, 2019-06, 2019-06-30, july 2019, summer 2019, last week. Empty: whenever.",
        ),
    ] = ""


class DupesArguments(Arguments, frozen=True, forbid_unknown_fields=True):
    """Of `dupes`."""

    folder: _Folder = ""
    n: Annotated[int, Meta(ge=1, le=50, description="The most groups.")] = 10
    min_score: Annotated[
        float,
        Meta(ge=0.5, le=1, description="How alike any two photos of a group are at least. 1: only exact copies."),
    ] = 0.85


class HaveArguments(Arguments, frozen=True, forbid_unknown_fields=True):
    """Of `have`."""

    photos: Annotated[tuple[_Path, ...], Meta(min_length=1, max_length=8, description="One to eight photos.")]


class WhyArguments(Arguments, frozen=True, forbid_unknown_fields=True):
    """Of `why`."""

    path: _Path


class ThumbnailArguments(Arguments, frozen=True, forbid_unknown_fields=True):
    """Of `thumbnail`."""

    photo: _Photo
    size: Annotated[
        Literal["S", "M", "L"],
        Meta(description="S: 256 pixels high. M: 512 pixels high. L: 2,048 pixels on the longer side."),
    ] = "S"
