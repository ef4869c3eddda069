"""JPEG XL for Pillow, by pylibjxl, whose own plugin reads no metadata before the pixels, and copies the pixels twice more.

A file is a codestream, or a container of boxes. The boxes have the codestream, in one piece or several, and metadata. libjxl
gets only the codestream: metadata may be compressed with Brotli, and 800 bytes of such metadata took 1 GB.
Runs in the worker's decode threads, which share the codec.
"""

import os
from typing import IO, TYPE_CHECKING, Final, cast

import pylibjxl
from PIL import Image, ImageFile

from pixkind.encoder.worker.isobmff import Box, boxes, read
from pixkind.encoder.worker.sniff import BITS, JXL_BOX, PAGES

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess  # exists for type checkers only


HEAD_BYTES: Final = 1 << 16  # the codestream begins in these, unless a lot of metadata come first
MOST_EXIF: Final = 1 << 16  # bytes; a JPEG's segment has no room for more
MOST_XMP: Final = 1 << 18  # bytes
# One thread: the calling thread, with its core and nice value. A pool of 100: more than there are threads.
CODEC: Final = pylibjxl.JXL(threads=1, pool_size=100)
PIXEL: Final = bytes.fromhex(  # a codestream of one, by libjxl 0.11.2
    "ff0a0010100900401400a800b59f200000152aa38c1bbc9cebf9f24387c5b48deb0c6db56d610963b3bd3048482825d606430c2a4900"
)


class JxlFile(ImageFile.ImageFile):
    """A photo whose header is read when it is opened. Its pixels are decoded when it is loaded, upright."""

    format = "JXL"
    format_description = "JPEG XL"

    def _open(self) -> None:
        file = cast("IO[bytes]", self.fp)  # None only after `load`
        head = file.read(HEAD_BYTES)
        try:
            about = pylibjxl.probe(head)
        except RuntimeError:
            about = pylibjxl.probe(_codestream(file))
        self._has_frames = bool(about["have_animation"])
        self._size = (about["width"], about["height"])
        self._mode = "L" if about["channels"] == 1 else "RGB"  # until `load`, which knows more
        self.info[PAGES] = 2 if self._has_frames else 1  # libjxl counts them only by decoding
        self.info[BITS] = int(about.get("bits_per_sample", 8))
        if exif := _exif(file):
            self.info["exif"] = exif
        for box in _boxes(file):
            if box.name == b"xml " and box.size <= MOST_XMP:
                self.info["xmp"] = read(file, box.at, box.size)

    def load(self) -> "PixelAccess | None":
        """Decode the pixels, once: the first frame, in 8 bits a channel."""
        if self.fp is not None:
            data, said = _codestream(self.fp), dict[str, bytes]()
            self.fp = None
            if self._has_frames:
                pixels = CODEC.decode(data)  # of the first frame; with metadata it would be the last
            else:
                pixels, said = CODEC.decode(data, metadata=True)
            whole = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
            self.im, self._mode, self._size = whole.im, whole.mode, whole.size
            if "icc" in said:
                self.info["icc_profile"] = said["icc"]
        return super().load()


def _codestream(file: IO[bytes]) -> bytes:
    parts = [(box.at, box.size) for box in _boxes(file) if box.name == b"jxlc"]
    parts = parts or [(box.at + 4, box.size - 4) for box in _boxes(file) if box.name == b"jxlp"]  # each has its number
    return b"".join(read(file, at, size) for at, size in parts or [(0, file.seek(0, os.SEEK_END))])


def _exif(file: IO[bytes]) -> bytes:
    """Return the EXIF in the container; empty: none."""
    for box in _boxes(file):
        if box.name not in (b"Exif", b"brob") or box.size > MOST_EXIF:
            continue
        body = read(file, box.at, box.size)
        if box.name == b"Exif":
            return body[4 + int.from_bytes(body[:4], "big") :]  # it begins at an offset that comes first
        if body.startswith(b"Exif") and _is_small(body[4:8]):
            # Only libjxl can decompress Brotli here.
            one = JXL_BOX + _box(b"ftyp", b"jxl \0\0\0\0jxl ") + _box(b"jxlc", PIXEL) + _box(box.name, body)
            _, said = CODEC.decode(one, metadata=True)
            return said.get("exif", b"")
    return b""


def _is_small(compressed: bytes) -> bool:
    """Return whether a Brotli stream is a single piece that decompresses to at most 64 KiB.

    Source: RFC 7932, section 9: the window's size in 1, 4 or 7 bits, ISLAST, ISLASTEMPTY, MNIBBLES.
    """
    bits = int.from_bytes(compressed, "little")
    bits >>= 1 if not bits & 1 else 4 if bits & 0b1110 else 7
    return bits & 0b1111 == 0b0001


def _boxes(file: IO[bytes]) -> list[Box]:
    """Return the boxes of a container; a bare codestream has none."""
    return list(boxes(file)) if read(file, 0, len(JXL_BOX)) == JXL_BOX else []


def _box(name: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + name + body


Image.register_open(JxlFile.format, JxlFile)
