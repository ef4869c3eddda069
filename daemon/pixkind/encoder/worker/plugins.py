"""The decoders that need not be installed: which there are, and what is to be said where one is not.

They are imported with this module, at the worker's start: later would be inside a hostile photo.
"""

import io
from collections.abc import Callable
from typing import Final

from pixkind.encoder.formats import HEIF, JXL, RAW, PhotoFormat
from pixkind.encoder.worker.sniff import extra_format


def _heif() -> None:
    import pillow_heif

    # One thread: the caller itself, whose core and nice value these are. A thumbnail would hide that a photo is truncated.
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


def _jxl() -> None:
    import pixkind.encoder.worker.jxl  # noqa: F401  registers itself with Pillow


def _raw() -> None:
    import pixkind.encoder.worker.raw  # noqa: F401  `inspect` uses it


def _why_not(one: PhotoFormat, load: Callable[[], None]) -> str:
    """Import the decoder of a format; return why it cannot be used, for people; empty: it can."""
    if not one.version():
        return f"{one.name} needs {one.package}, which is not installed: {one.install}"
    try:
        load()
    # Whatever is wrong with a package that somebody installed, the other formats go on.
    except (ImportError, AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
        return f"{one.name} needs {one.package}, which cannot be loaded: {error}"
    return ""


UNAVAILABLE: Final = {
    one: why for one, load in ((HEIF, _heif), (JXL, _jxl), (RAW, _raw)) if (why := _why_not(one, load))
}


def is_hopeless(head: bytes | bytearray) -> bool:
    """Tell whether a photo that begins so cannot be read for want of its decoder. What follows `head` is not looked at."""
    return bool(UNAVAILABLE) and extra_format(io.BytesIO(head)) in UNAVAILABLE
