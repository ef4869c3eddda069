"""The optional decoders: imports those that are installed, and has the reason for each that is not available.

They are imported with this module when the worker starts: later a hostile photo might already be in it.
"""

import io
from collections.abc import Callable
from typing import Final

from pixkind.encoder.formats import HEIF, JXL, RAW, PhotoFormat
from pixkind.encoder.worker.sniff import extra_format


def _heif() -> None:
    import pillow_heif

    # One thread: the calling thread, with its core and nice value. A thumbnail would hide that a photo is truncated.
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


def _jxl() -> None:
    import pixkind.encoder.worker.jxl  # noqa: F401  registers itself with Pillow


def _raw() -> None:
    import pixkind.encoder.worker.raw  # noqa: F401  header.py uses it


def _why_not(one: PhotoFormat, load: Callable[[], None]) -> str:
    """Import the decoder of a format; return why it cannot be used, as a sentence for users; empty if it can."""
    if not one.version():
        return f"{one.name} needs {one.package}, which is not installed: {one.install}"
    try:
        load()
    # Whatever is wrong with one installed package, the other formats must work.
    except (ImportError, AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
        return f"{one.name} needs {one.package}, which cannot be loaded: {error}"
    return ""


UNAVAILABLE: Final = {
    one: why for one, load in ((HEIF, _heif), (JXL, _jxl), (RAW, _raw)) if (why := _why_not(one, load))
}


def is_hopeless(head: bytes | bytearray) -> bool:
    """Return whether a photo that begins with `head` cannot be read because its decoder is not available."""
    return bool(UNAVAILABLE) and extra_format(io.BytesIO(head)) in UNAVAILABLE
