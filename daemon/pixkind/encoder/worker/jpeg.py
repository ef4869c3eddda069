"""Reads the scans of a JPEG: where the picture ends, and what else the file holds.

Runs in the worker's decode threads; no state is shared between calls.
"""

import os
import re
from contextlib import suppress
from typing import IO, Final, NamedTuple, cast

from PIL import Image, JpegImagePlugin

from pixkind.encoder.jpeg_segments import (
    APP0,
    APP2,
    APP15,
    COM,
    DHT,
    DNL,
    DQT,
    DRI,
    EOI,
    SOI,
    SOS,
    XMP_EXTENSION,
    segments,
)
from pixkind.encoder.messages import Extra
from pixkind.encoder.worker.sniff import BROKEN
from pixkind.errors import PhotoError

FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}  # SOF: the header of the picture
BASELINE: Final = frozenset((0xC0, 0xC1))
BETWEEN_SCANS: Final = frozenset((SOS, DHT, DQT, DRI, DNL, COM, *range(APP0, APP15 + 1)))
MOST_MARKERS: Final = 10_000  # between the scans; a progressive JPEG has about 30

FIRST_BYTES: Final = 1 << 12  # of a scan that are searched for its end, then more and more: a file may have many scans
CHUNK_BYTES: Final = 1 << 20
TAIL_BYTES: Final = 1 << 24  # of what follows a picture, that are searched for a film

_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FILM: Final = re.compile(rb"\0\0[\0-\x0f].ftyp(?!M4A |avif|heic|mif1)[ -~]{4}", re.DOTALL)
_SOUND: Final = re.compile(rb"\0\0[\0-\x0f].ftypM4A |RIFF.{4}WAVE|#!AMR", re.DOTALL)
# What XMP says of further parts of the file. Sources: Google's Motion Photo, Dynamic Depth and Ultra HDR formats.
_XMP_EXTRAS: Final = {
    Extra.GAIN_MAP: re.compile(rb"hdrgm:|HDRGainMap|hdrgainmap|Semantic=\"GainMap\""),
    Extra.DEPTH: re.compile(rb"GDepth:|Semantic=\"Depth|depthData"),
    Extra.PICTURES: re.compile(rb"GImage:"),
    Extra.SOUND: re.compile(rb"GAudio:|Mime=\"audio/"),
}
_XMP_FILM: Final = re.compile(rb"(?:MotionPhoto|MicroVideo)\s*(?:=\s*[\"']|>)\s*1|Mime=\"video/")
_HELD_IN_MPF: Final = re.compile(rb"hdrgm:|HDRGainMap|hdrgainmap")
_DEPTH_IN_MPF: Final = re.compile(rb"depth", re.IGNORECASE)


class Scans(NamedTuple):
    """Where the scans of a JPEG end."""

    end: int  # the offset of what follows them
    is_closed: bool  # by an end marker
    is_whole: bool  # no scan is missing


def scans(file: IO[bytes]) -> Scans:
    """Find the end of the scans. In a JPEG of one scan, any marker but EOI ends it.

    Raises:
        ValueError: the file does not begin as a JPEG.
    """
    frame = (0, b"")
    for marker, body in segments(file):
        if marker in FRAMES:
            frame = (marker, body)
    count = frame[1][5] if len(frame[1]) > 5 else 0
    left = {component: set(range(64)) for component in frame[1][6::3][:count]}  # coefficients that are not exact yet
    components = {*left}
    at, is_single = file.tell(), False
    for _ in range(MOST_MARKERS):
        head = _at(file, at, 4)
        marker = head[1] if len(head) == 4 else 0
        if marker == SOS:
            body = _at(file, at + 4, int.from_bytes(head[2:], "big") - 2)
            if not body or len(body) != 4 + 2 * body[0] or not {*body[1:-3:2]} <= components:
                break  # of something that follows the picture
            is_single = frame[0] in BASELINE and body[0] == count
            _note(body, left, is_sequential=frame[0] in BASELINE)
        at = _next_marker(file, at + 2 + int.from_bytes(head[2:], "big"), marker)
        head = _at(file, at, 2)
        marker = head[1] if len(head) == 2 and head[0] == 0xFF else 0
        if marker == EOI:
            return Scans(at + 2, is_closed=True, is_whole=not any(left.values()))
        if marker not in BETWEEN_SCANS or (is_single and marker != DNL):
            break
    return Scans(at, is_closed=False, is_whole=not any(left.values()))


def _note(scan: bytes, left: dict[int, set[int]], *, is_sequential: bool) -> None:
    """Remove the coefficients that a scan makes exact. Source: ITU-T T.81, sections B.2.3 and G.1.1."""
    first, last, bits = scan[-3:]
    for component in scan[1:-3:2]:
        if is_sequential:
            left.pop(component, None)
        elif not bits & 15:
            left.get(component, set()).difference_update(range(first, last + 1))


def _next_marker(file: IO[bytes], at: int, after: int) -> int:
    """Return the offset of the next marker at or behind `at`; the end of the file if there is none.

    Behind any segment but SOS it stands at `at`.
    """
    if after != SOS:
        return at
    file.seek(at)
    size = FIRST_BYTES
    while chunk := file.read(size):
        size = min(2 * size, CHUNK_BYTES)
        if found := _MARKER.search(chunk):
            return at + found.start()
        # The marker may be cut in two.
        step = len(chunk) - 1 if chunk[-1] == 0xFF and len(chunk) > 1 else len(chunk)
        at += step
        file.seek(at)
        if step < len(chunk) and len(_at(file, at, 2)) < 2:
            break
        file.seek(at)
    return file.seek(0, os.SEEK_END)


def _at(file: IO[bytes], at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(max(size, 0))


def check_finished(file: IO[bytes]) -> None:
    """Refuse a JPEG that ends in zeros instead of EOI: it was preallocated, and is still being written.

    9 of 100 such files decode without an error. After the EOI of a finished one there may be zeros, or a film.

    Raises:
        PhotoError: the JPEG is unfinished.
    """
    end = file.seek(0, os.SEEK_END)
    if _at(file, max(0, end - 2), 2) != b"\0\0":
        return
    try:
        for _ in segments(file):
            pass
    except ValueError:
        file.seek(0)
        if file.read(2) != bytes((0xFF, SOI)):
            return  # no JPEG
    last = b""
    while chunk := file.read(CHUNK_BYTES):
        # These two bytes cannot be in compressed data, which has a zero after 0xFF.
        if bytes((0xFF, EOI)) in last + chunk:
            return
        last = chunk[-1:]
    raise PhotoError("unfinished: ends in zeros instead of a JPEG's end marker")


def unread_kind(file: IO[bytes]) -> str:
    """Return what kind of JPEG this is that Pillow does not read; empty: none that is known."""
    try:
        frames = [(marker, body) for marker, body in segments(file) if marker in FRAMES or marker == 0xF7]
    except ValueError:
        return ""
    for marker, body in frames:
        if marker == 0xF7:
            return "JPEG-LS"
        if body[:1] not in (b"\x08", b""):
            return f"a JPEG of {body[0]} bits a channel"
        if len(body) > 5 and body[5] not in (1, 3, 4):
            return f"a JPEG of {body[5]} channels"
    return ""


def extras(file: IO[bytes], image: Image.Image, xmp: bytes) -> tuple[Extra, int]:
    """Return what the file holds besides its first picture, and how many pages it has."""
    held, pages = Extra(0), 1
    applied: list[tuple[str, bytes]] = getattr(image, "applist", [])
    if xmp:
        extended = b"".join(body for name, body in applied if name == "APP1" and body.startswith(XMP_EXTENSION))
        for extra, pattern in _XMP_EXTRAS.items():
            if pattern.search(xmp) or pattern.search(extended):
                held |= extra
    for name, body in applied:
        if (name == "APP2" and body.startswith(b"urn:iso:std:iso:ts:21496")) or (
            name == "APP11" and body.startswith((b"HDR_RI", b"JP"))
        ):
            held |= Extra.GAIN_MAP
        elif name == "APP2" and body.startswith(b"FPXR\0") and b"A\0u\0d\0i\0o" in body:
            held |= Extra.SOUND
    if "mp" in image.info:
        with suppress(*BROKEN):  # a broken directory of further pictures
            more, pages = _multi_picture(file, image)
            held |= more
    end = file.seek(0, os.SEEK_END)
    if _at(file, end - 2, 2) != bytes((0xFF, EOI)) or _XMP_FILM.search(xmp):
        held |= _behind(file, end)
    return held, pages


def _multi_picture(file: IO[bytes], image: Image.Image) -> tuple[Extra, int]:
    """Return what the further pictures of an MPF are. Source: CIPA DC-007, section 5.2.3.3."""
    held, pages, base = Extra(0), 1, 0
    for marker, body in segments(file):
        if marker == APP2 and body.startswith(b"MPF\0"):
            base = file.tell() - len(body) + 4
    entries = ((cast("JpegImagePlugin.JpegImageFile", image)._getmp() or {}).get(0xB002) or ())[1:100]
    for entry in entries:
        kind = entry["Attribute"]["MPType"]
        head = _at(file, base + entry["DataOffset"], 1 << 16)
        if kind.startswith("Large Thumbnail") or head[:2] != bytes((0xFF, SOI)):
            continue
        if _HELD_IN_MPF.search(head):
            held |= Extra.GAIN_MAP
        elif _DEPTH_IN_MPF.search(head):
            held |= Extra.DEPTH
        elif kind.startswith("Multi-Frame"):
            held |= Extra.PICTURES
        else:
            pages += 1
    return held, pages


def _behind(file: IO[bytes], end: int) -> Extra:
    """Return what follows the picture: a film, sound, and the parts that Samsung names in a directory at the end."""
    held = Extra(0)
    file.seek(scans(file).end)
    tail = file.read(TAIL_BYTES)
    if _FILM.search(tail):
        held |= Extra.VIDEO
    if _SOUND.search(tail):
        held |= Extra.SOUND
    foot = _at(file, max(0, end - 8), 8)
    if foot[4:] != b"SEFT":
        return held
    begin = end - 8 - int.from_bytes(foot[:4], "little")
    directory = _at(file, begin, min(end - 8 - begin, 1 << 14)) if begin > 0 else b""
    for at in range(12, len(directory) - 11, 12):
        place = begin - int.from_bytes(directory[at + 4 : at + 8], "little")
        part = _at(file, place, 128) if 0 < place < begin else b""
        size = int.from_bytes(part[4:8], "little")
        name, body = part[8 : 8 + min(size, 64)], part[8 + size :]
        if re.search(rb"(?i)motionphoto_data|video", name):
            held |= Extra.VIDEO
        elif re.search(rb"(?i)depth", name):
            held |= Extra.DEPTH
        elif re.search(rb"(?i)sound", name):
            held |= Extra.SOUND
        elif body.startswith(bytes((0xFF, SOI))):
            held |= Extra.PICTURES
    return held
