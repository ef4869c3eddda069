"""The parts of replies that tell of pictures and their files."""

from msgspec import Struct

from pixkin.protocol import native


class Picture(Struct, frozen=True, omit_defaults=True):
    """One picture of the library: all exact copies are one."""

    content: bytes  # its content id, 16 bytes
    width: int = 0  # in pixels, as it is shown; 0: unknown
    height: int = 0
    colour: int = -1  # its mean, 0xRRGGBB; -1: unknown
    taken_s: int = 0  # s since the epoch, the camera's clock as if it were UTC: the earliest of its photos; 0: unknown
    by_name: bool = False  # no photo of it has a date: `taken_s` stands in the name of a file
    taken = native.camera_time("taken_s")


class File(Struct, frozen=True, omit_defaults=True):
    """One file of a picture."""

    path: bytes
    size: int = 0  # bytes
    mtime_ns: int = 0
    offline: bool = False  # its root is offline
    taken_s: int = 0  # as its camera wrote it; the copies of one picture may differ
    camera: str = ""  # make and model
    pages: int = 1  # pages, frames or layers
    damaged: bool = False  # it lacks the last rows of the picture
    fs_path = native.path("path")
    mtime = native.moment("mtime_ns", per_s=1_000_000_000)
    taken = native.camera_time("taken_s")


class Description(Struct, frozen=True, omit_defaults=True):
    """What is known of one picture."""

    picture: Picture
    files: tuple[File, ...] = ()  # those on connected drives first, at most 100; none: it is gone, or was never there
    camera: str = ""  # of the first file that names one
    pages: int = 1  # of the first file
    more: int = 0  # files that are not in `files`
    why: str = ""  # why the picture cannot be found, a sentence for people; empty: it can


class Month(Struct, frozen=True, omit_defaults=True):
    """One month, in UTC."""

    year: int
    month: int  # 1 to 12
    photos: int = 0  # pictures
