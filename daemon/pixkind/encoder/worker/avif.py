"""AVIF for Pillow, whose own plugin refuses a file with broken EXIF, and shows what lies outside of the clean aperture.

Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import struct
from contextlib import suppress
from typing import IO, cast

from PIL import AvifImagePlugin, Image

from pixkind.encoder.worker.heif import OPTIONAL, items, property_of
from pixkind.encoder.worker.sniff import BROKEN, CODED


class AvifFile(AvifImagePlugin.AvifImageFile):
    """An AVIF whose metadata may be broken, and which is cut to its clean aperture."""

    _aperture: tuple[int, int, int, int] | None = None

    def _open(self) -> None:
        file = cast("IO[bytes]", self.fp)  # None only after `load`
        try:
            super()._open()
        # Whatever is wrong with the metadata: without them there is a picture, or another error.
        except BROKEN:
            file.seek(0)
            data = bytearray(file.read())
            view = io.BytesIO(data)
            found = items(view)
            for item, kind in found.kinds.items():
                if kind in OPTIONAL:
                    data[found.places[item] : found.places[item] + 4] = b"skip"
            if bytes(data) == view.getvalue():
                raise
            self.fp = io.BytesIO(data)
            try:
                super()._open()
            finally:
                self.fp = file
        with suppress(*BROKEN):
            self._aperture = _aperture(property_of(file, items(file), b"clap"), self.size)
        if self._aperture:
            left, top, right, bottom = self._aperture
            self.info[CODED], self._size = self._size, (right - left, bottom - top)

    def load(self):  # type: ignore[no-untyped-def]  # noqa: ANN201  Pillow's type is private
        """Decode the pixels, once."""
        if self.tile and self._aperture:
            self._size = self.info[CODED]
            self.tile = [tile._replace(extents=(0, 0, *self._size)) for tile in self.tile]
            super().load()
            self.im = self.im.crop(self._aperture)
            self._size, self._aperture = self.im.size, None
        return super().load()


def _aperture(clap: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of the clean aperture; None if it is all, or makes no sense.

    Source: ISO/IEC 14496-12, section 12.1.4: width, height, and how far their middle is from that of the picture.
    """
    if len(clap) < 32:
        return None
    (wide, wide_of, high, high_of, right, right_of, down, down_of) = struct.unpack(">IIIIiIiI", clap[:32])
    width, height = round(wide / wide_of), round(high / high_of)
    left = round((size[0] - width) / 2 + right / right_of)
    top = round((size[1] - height) / 2 + down / down_of)
    inside = 0 <= left < left + width <= size[0] and 0 <= top < top + height <= size[1]
    return (left, top, left + width, top + height) if inside and (width, height) != size else None


Image.register_open(AvifFile.format, AvifFile, Image.OPEN[AvifFile.format][1])
