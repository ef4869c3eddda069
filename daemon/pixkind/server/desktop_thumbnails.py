"""Finds thumbnails that the desktop has made of a photo. They are read, and never written.

Source: the Thumbnail Managing Standard of freedesktop.org. A thumbnail is a PNG named after the MD5 of the photo's URI. Its
texts have that URI and the photo's mtime, in seconds. Only the worker reads them, since only the worker interprets bytes.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from pixkin import locations
from pixkind.encoder.messages import ThumbnailOf
from pixkind.errors import PhotoError
from pixkind.fs.open_photo import OpenPhoto, Vanished, open_regular
from pixkind.storage.record import Record

SIZES: Final = ("x-large", "xx-large", "large")  # of 512, 1,024 and 256 pixels on the longer side
UNESCAPED: Final = "/!$&'()*+,:=@~"  # by g_filename_to_uri, besides letters, digits and -._


def made_by_desktop(photo: Record) -> Iterator[tuple[OpenPhoto, ThumbnailOf]]:
    """Yield files that are named like thumbnails of a photo, open, and what they must say."""
    uri = "file://" + quote(os.fsencode(photo.path), safe=UNESCAPED)
    name = hashlib.md5(uri.encode(), usedforsecurity=False).hexdigest() + ".png"
    folder = os.path.join(os.path.dirname(locations.cache_folder()), "thumbnails")
    for size in SIZES:
        with suppress(Vanished, PhotoError, OSError):
            yield open_regular(os.path.join(folder, size, name)), ThumbnailOf(uri, photo.stamp.mtime_ns // 10**9)
