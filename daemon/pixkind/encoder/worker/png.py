"""Reads the chunks of a PNG, and opens it without those that are no part of the picture.

Pillow refuses a PNG with long texts or a wrong checksum in its metadata, and sees no EXIF behind the pixels until it has
decoded them. Source: PNG, third edition. Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import os
import zlib
from contextlib import suppress
from typing import IO, Final, NamedTuple

from PIL import Image

from pixkind.encoder.worker.sniff import BITS, PAGES
from pixkind.encoder.worker.splice import Spliced
from pixkind.errors import PhotoError

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
END: Final = b"\0\0\0\0IEND\xae\x42\x60\x82"
BEFORE_PIXELS: Final = frozenset((b"IHDR", b"PLTE", b"tRNS"))  # what Pillow needs besides the pixels
CRITICAL: Final = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
TEXTS: Final = frozenset((b"tEXt", b"zTXt", b"iTXt"))
MOST_CHUNKS: Final = 1 << 20  # 12 million pixels have about 2,500
MOST_TEXTS: Final = 100
MOST_TEXT: Final = 1 << 18  # bytes of one text, decompressed
MOST_PROFILE: Final = 1 << 22  # bytes of a colour profile, decompressed; one for a printer has 3 MB
MOST_PALETTE: Final = 1 << 16
CHUNK_BYTES: Final = 1 << 20
CAPTIONS: Final = frozenset((b"Title", b"Description", b"Caption"))
PROFILES: Final = {
    b"Raw profile type exif": "exif",
    b"Raw profile type APP1": "exif",
    b"Raw profile type iptc": "pixkin_iptc",
}
WORDS: Final = (b"XML:com.adobe.xmp", b"Creation Time", b"Thumb::URI", b"Thumb::MTime")
IPTC, DATE, HAS_CAPTION = "pixkin_iptc", "pixkin_date", "pixkin_caption"  # in the `info` of the image
THUMB_URI, THUMB_MTIME = "pixkin_thumb_uri", "pixkin_thumb_mtime"  # likewise, of a thumbnail that the desktop has made
METADATA_BYTES, IS_CUT = "pixkin_metadata_bytes", "pixkin_cut"  # likewise; cut: it has no IEND


class Chunk(NamedTuple):
    """One chunk. `at` and `size` are of its data, in bytes."""

    name: bytes
    at: int
    size: int


def chunks(file: IO[bytes]) -> list[Chunk]:
    """Return the chunks, the last of which is IEND, or ends with the file.

    Raises:
        PhotoError: the file is truncated or unfinished.
    """
    end = file.seek(0, os.SEEK_END)
    at, found = len(SIGNATURE), list[Chunk]()
    while at < end:
        file.seek(at)
        head = file.read(8)
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8:
            raise PhotoError("truncated: a part of the picture lies beyond its end")
        if not name.strip(b"\0"):
            raise PhotoError("unfinished: zeros where the next part of a PNG should begin")
        if not name.isalpha() or len(found) >= MOST_CHUNKS:
            raise PhotoError("broken: no chunk where a PNG should have one")
        if at + 12 + size > end:
            raise PhotoError("truncated: a part of the picture lies beyond its end")
        found.append(Chunk(name, at + 8, size))
        if name == b"IEND":
            break
        at += 12 + size
    return found


def check_sums(file: IO[bytes]) -> None:
    """Refuse a PNG in which the checksum of a part of its picture is wrong, or the picture ends in zeros.

    Raises:
        PhotoError: the PNG is truncated, unfinished or broken.
    """
    for chunk in chunks(file):
        if chunk.name in CRITICAL:
            _check_sum(file, chunk)


def open_png(file: IO[bytes]) -> Image.Image:
    """Return the image with its header read, and its metadata in its `info`.

    Of an animation it is the picture that a program shows that knows of no animation.

    Raises:
        PhotoError: the file is truncated or unfinished.
    """
    found = chunks(file)
    pixels = [one for one in found if one.name == b"IDAT"]
    if not pixels:
        raise PhotoError("truncated: it has no pixels")
    run = next((number for number, one in enumerate(pixels[1:]) if one.at != _end(pixels[number]) + 8), len(pixels) - 1)
    begin, end = pixels[0].at - 8, _end(pixels[run])
    for one in found[: found.index(pixels[0])]:
        if one.name in CRITICAL:
            _check_sum(file, one)
    # What comes behind the pixels, or is no part of them, may be broken.
    head = SIGNATURE + b"".join(
        _read(file, one.at - 8, min(one.size, MOST_PALETTE) + 12)
        for one in found
        if one.at < begin and one.name in BEFORE_PIXELS and (one.name != b"tRNS" or _is_sound(file, one))
    )
    whole = io.BufferedReader(Spliced(head, file, begin, end - begin, END), 1 << 16)
    image = Image.open(whole, formats=("PNG",))
    if found[-1].name != b"IEND":
        image.info[IS_CUT] = True
    for one in found:
        with suppress(zlib.error, ValueError):
            _note(file, one, image.info)
    return image


def _end(chunk: Chunk) -> int:
    return chunk.at + chunk.size + 4


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _check_sum(file: IO[bytes], chunk: Chunk) -> None:
    if not _is_sound(file, chunk):
        raise PhotoError(f"broken: the checksum of its {chunk.name.decode()} chunk is wrong")


def _is_sound(file: IO[bytes], chunk: Chunk) -> bool:
    file.seek(chunk.at - 4)
    left, crc = chunk.size + 4, 0
    while left and (piece := file.read(min(left, CHUNK_BYTES))):
        crc, left = zlib.crc32(piece, crc), left - len(piece)
    return file.read(4) == crc.to_bytes(4, "big")


def _note(file: IO[bytes], chunk: Chunk, info: dict[str | tuple[int, int], object]) -> None:
    """Add what a chunk says to the `info` of the image, if its checksum is right."""
    if chunk.name == b"IHDR":
        info[BITS] = _read(file, chunk.at + 8, 1)[0]
    elif chunk.name == b"acTL":
        info[PAGES] = int.from_bytes(_read(file, chunk.at, 4), "big")
    elif chunk.name == b"iCCP" and info.setdefault("pixkin_iccp", chunk) is chunk and _is_sound(file, chunk):
        _, _, packed = _read(file, chunk.at, min(chunk.size, MOST_PROFILE)).partition(b"\0")
        info["icc_profile"] = _unpacked(packed[1:], MOST_PROFILE)
    elif chunk.name == b"eXIf" and info.setdefault("pixkin_exif_at", chunk) is chunk and _is_sound(file, chunk):
        info["exif"] = b"Exif\0\0" + _read(file, chunk.at, min(chunk.size, MOST_TEXT))
        _count(info, chunk.size)
    elif chunk.name in TEXTS:
        _count(info, chunk.size)
        number = info["pixkin_texts"] = int(str(info.get("pixkin_texts", 0))) + 1
        if number <= MOST_TEXTS and _is_sound(file, chunk):
            _note_text(chunk.name, _read(file, chunk.at, min(chunk.size, MOST_TEXT)), info)


def _count(info: dict[str | tuple[int, int], object], size: int) -> None:
    info[METADATA_BYTES] = int(str(info.get(METADATA_BYTES, 0))) + size


def _note_text(kind: bytes, body: bytes, info: dict[str | tuple[int, int], object]) -> None:
    key, _, text = body.partition(b"\0")
    if key not in PROFILES and key not in CAPTIONS and key not in WORDS:
        return
    if kind == b"zTXt":
        text = _unpacked(text[1:], MOST_TEXT)
    elif kind == b"iTXt":
        is_packed, text = text[:1] == b"\1", text[2:].partition(b"\0")[2].partition(b"\0")[2]
        text = _unpacked(text, MOST_TEXT) if is_packed else text
    if key == b"XML:com.adobe.xmp":
        info["xmp"] = text
    elif key in WORDS:
        names = {b"Creation Time": DATE, b"Thumb::URI": THUMB_URI, b"Thumb::MTime": THUMB_MTIME}
        info[names[key]] = text.decode("ascii", "replace")
    elif key in CAPTIONS:
        info[HAS_CAPTION] = bool(text.strip())
    else:  # "\nexif\n    1234\n" and hexadecimal digits in lines
        data = bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii", "replace"))
        is_xmp = data.startswith(b"http://ns.adobe.com/xap/1.0/\0")
        info.setdefault("xmp" if is_xmp else PROFILES[key], data.partition(b"\0")[2] if is_xmp else data)


def _unpacked(packed: bytes, most: int) -> bytes:
    return zlib.decompressobj().decompress(packed, most)
