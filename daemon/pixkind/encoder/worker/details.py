"""Collects the details of a photo: what its file says and holds besides its picture, without decoding a pixel.

Runs in the worker's decode threads; no state is shared between calls.
"""

from contextlib import suppress
from typing import IO, Final

from PIL import Image

from pixkind.encoder.jpeg_segments import APP0, COM, blocks
from pixkind.encoder.messages import Details, Extra
from pixkind.encoder.worker import heif, jpeg, png, tiff
from pixkind.encoder.worker.isobmff import boxes, read
from pixkind.encoder.worker.metadata import MAX_XMP, Metadata, iptc_of
from pixkind.encoder.worker.sniff import BITS, BROKEN, PAGES, SAID, WHOLE

MOST_PAGES: Final = (1 << 16) - 1
MOST_BYTES: Final = (1 << 32) - 1
MOST_BLOCKS: Final = 1 << 16  # of a GIF that are walked, about 16 MB
IPTC_TAG, PHOTOSHOP_TAG = 33723, 34377
IPTC_RESOURCE: Final = 0x0404


def details(file: IO[bytes], image: Image.Image, *, damaged: bool = False) -> Details:
    """Return the details of an opened photo. Broken metadata leave their part of them empty."""
    said = _metadata(file, image)
    extras, pages, bits = Extra(0), 1, image.info.get(BITS, 8)
    count, hashes = 0, tuple[int, ...]()
    if image.format in {"JPEG", "MPO"} and WHOLE not in image.info:
        applied: list[tuple[str, bytes]] = getattr(image, "applist", [])  # by name: "APP1", "COM"
        kept = ((COM if name == "COM" else APP0 + int(name[3:]), body) for name, body in applied)
        count, hashes = blocks(kept)
        with suppress(*BROKEN):
            extras, pages = jpeg.extras(file, image, said.xmp)
    else:
        with suppress(*BROKEN):
            count = _metadata_bytes(image)
            extras, pages, bits = _held(file, image, bits)
    if WHOLE in image.info:
        extras |= Extra.RAW
    taken_s, camera = 0, ""
    with suppress(*BROKEN):
        if said:
            extras |= said.extras()
            camera, taken_s = said.camera(), said.taken_s()
    pages = min(max(pages, 1), MOST_PAGES)
    return Details(taken_s, camera, int(extras), pages, min(bits, 255), min(count, MOST_BYTES), hashes, damaged)


def _held(file: IO[bytes], image: Image.Image, bits: int) -> tuple[Extra, int, int]:
    """Return what a file that is no JPEG holds besides its picture, how many pages, and the bits of a channel."""
    if image.format in {"HEIF", "AVIF"}:
        extras, frames, bits = heif.extras(file)
        return extras, max(frames, getattr(image, "n_frames", 1)), bits
    extras = Extra(0)
    if image.format == "JXL" and any(box.name == b"jhgm" for box in boxes(file)):
        extras = Extra.GAIN_MAP
    if image.format == "GIF":
        pages = _gif_frames(file)
    else:
        pages = getattr(image, "n_frames", 1) if image.format == "WEBP" else image.info.get(PAGES, 1)
    return extras, pages, bits


def _metadata(file: IO[bytes], image: Image.Image) -> Metadata:
    said = Metadata()
    with suppress(*BROKEN):
        said.exif = image.info.get(SAID) or Image.Image.getexif(image)
    with suppress(*BROKEN):
        if (
            isinstance(image, tiff.TiffFile)
            and tiff.FIRST in image.info
            and not (0x8769 in said.exif or 0x010F in said.exif)
        ):
            first = Image.Exif()
            first.endian, first.bigtiff = said.exif.endian, said.exif.bigtiff
            first.load_from_fp(file, image.info[tiff.FIRST])
            said.exif = first
    with suppress(*BROKEN):
        said.xmp = bytes(image.info.get("xmp", b""))[:MAX_XMP]
        said.iptc = _iptc(image)
        said.dates = (image.info[png.DATE],) if png.DATE in image.info else ()
        said.has_caption = bool(image.info.get(png.HAS_CAPTION))
    return said


def _iptc(image: Image.Image) -> bytes:
    if raw := image.info.get(png.IPTC):
        return iptc_of(raw) or bytes(raw)
    if photoshop := image.info.get("photoshop"):
        return bytes(photoshop.get(IPTC_RESOURCE, b""))
    tags = getattr(image, "tag_v2", {})
    if iptc := tags.get(IPTC_TAG):
        return bytes(iptc) if isinstance(iptc, bytes) else b""  # some programs store it as numbers
    resources = tags.get(PHOTOSHOP_TAG)
    return iptc_of(resources) if isinstance(resources, bytes) else b""


def _metadata_bytes(image: Image.Image) -> int:
    if png.METADATA_BYTES in image.info:
        return int(image.info[png.METADATA_BYTES])
    tags = getattr(image, "tag_v2", {})
    blocks = [
        image.info.get("exif", b""),
        image.info.get("xmp", b""),
        tags.get(IPTC_TAG, b""),
        tags.get(PHOTOSHOP_TAG, b""),
    ]
    return sum(len(block) for block in blocks if isinstance(block, bytes))


def _gif_frames(file: IO[bytes]) -> int:
    """Return how many pictures a GIF has, as far as they lie in its first `MOST_BLOCKS` blocks.

    Source: GIF89a, sections 18 to 26.
    """
    head = read(file, 0, 13)
    at, frames, is_inside = 13 + _table_bytes(head[10:11]), 0, False
    for _ in range(MOST_BLOCKS):
        kind = read(file, at, 1)
        if is_inside and kind:
            at += 1 + kind[0]
            is_inside = kind != b"\0"
        elif kind == b",":
            frames += 1
            at += 11 + _table_bytes(read(file, at + 9, 1))
            is_inside = True
        elif kind == b"!":
            at += 2
            is_inside = True
        else:
            break
    return frames


def _table_bytes(flags: bytes) -> int:
    """Return the size of the table of colours that these flags announce."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0
