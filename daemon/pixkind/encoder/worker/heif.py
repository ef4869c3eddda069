"""Reads the directory of a HEIF or AVIF file: whether its pictures are all there, and what else it holds.

libheif decodes a truncated HEIF file, with grey or black instead of the rest. Runs in the worker's decode threads; no state is
shared between calls.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

from pixkind.encoder.messages import Extra
from pixkind.encoder.worker.isobmff import Box, boxes, read
from pixkind.errors import PhotoError

MOST_BYTES: Final = 1 << 22  # of a directory; a directory of 50 tiles has 2 KB
# So many zero bytes never end a picture. HEVC: after two comes a 3 (ITU-T H.265, section 7.4.2). AV1: by chance alone.
TAILS: Final = {b"hvc1": 4, b"av01": 16}
MOST_PROPERTIES: Final = 1024
MOST_PARENTS: Final = 64  # boxes of a track that hold others; it has four
# Kinds of pictures that libheif and libavif decode: HEVC, AV1, and those that are made of others.
READ: Final = frozenset((b"hvc1", b"av01", b"grid", b"iden", b"iovl"))
OPTIONAL: Final = (b"Exif", b"mime", b"tmap")  # items without which the picture is the same


@dataclass(slots=True)
class Items:
    """The items of a file, and their properties."""

    kinds: dict[int, bytes] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)  # the offset of each kind
    primary: int = 0
    properties: list[Box] = field(default_factory=list)
    of_item: dict[int, list[int]] = field(default_factory=dict)  # numbers of properties, from 1


def items(file: IO[bytes]) -> Items:
    """Return the items of the file; none if it has no directory.

    Source: ISO/IEC 14496-12, sections 8.11.4 and 8.11.6; ISO/IEC 23008-12, section 9.3.
    """
    found = Items()
    for meta in [box for box in boxes(file) if box.name == b"meta"][:1]:
        for box in boxes(file, meta.at + 4, meta.at + meta.size):
            if box.name == b"pitm":
                found.primary = int.from_bytes(
                    read(file, box.at, 8)[4 : 8 if read(file, box.at, 1) > b"\0" else 6], "big"
                )
            elif box.name == b"iinf":
                for item, kind, place in _entries(file, box):
                    found.kinds[item], found.places[item] = kind, place
            elif box.name == b"iprp":
                for one in boxes(file, box.at, box.at + box.size):
                    if one.name == b"ipco":
                        inner = boxes(file, one.at, one.at + one.size)
                        found.properties = [each for each, _ in zip(inner, range(MOST_PROPERTIES), strict=False)]
                    elif one.name == b"ipma":
                        found.of_item.update(_associations(read(file, one.at, min(one.size, MOST_BYTES))))
    return found


def property_of(file: IO[bytes], of: Items, name: bytes) -> bytes:
    """Return a property of the primary picture; empty: it has none."""
    numbers = of.of_item.get(of.primary, ())
    found = (of.properties[number - 1] for number in numbers if 0 < number <= len(of.properties))
    return next((read(file, one.at, min(one.size, 256)) for one in found if one.name == name), b"")


def unread_kind(file: IO[bytes]) -> str:
    """Return what kind of picture this file has that pixkin does not read; empty: none that is known."""
    found = items(file)
    kind = found.kinds.get(found.primary, b"hvc1")
    name = kind.decode("ascii", "replace").strip()
    return "" if kind in READ else f"a HEIF of the kind {name if name.isprintable() else 'unknown'}"


def extras(file: IO[bytes]) -> tuple[Extra, int, int]:
    """Return what the file holds besides its picture, the frames of a sequence (0: none), and the bits of a channel."""
    found, held, frames = items(file), Extra(0), 0
    said = [read(file, one.at, min(one.size, 256)).lower() for one in found.properties if one.name == b"auxC"]
    if b"tmap" in found.kinds.values() or any(b"gainmap" in one for one in said):
        held |= Extra.GAIN_MAP
    if any(b"depth" in one or b"auxid:2" in one for one in said):
        held |= Extra.DEPTH
    for box in boxes(file):
        tracks = dict(_tracks(file, box)) if box.name == b"moov" else {}
        if box.name == b"mpvd" or b"vide" in tracks:
            held |= Extra.VIDEO
        if b"soun" in tracks:
            held |= Extra.SOUND
        frames = max(frames, tracks.get(b"pict", 0))
    bits = property_of(file, found, b"pixi")[5:6]
    return held, frames, bits[0] if bits else 8


def _tracks(file: IO[bytes], movie: Box) -> Iterator[tuple[bytes, int]]:
    """Yield the kind of each track, and how many samples it has. Source: ISO/IEC 14496-12, sections 8.4.3 and 8.7.3."""
    for track in [box for box in boxes(file, movie.at, movie.at + movie.size) if box.name == b"trak"][:MOST_PARENTS]:
        kind, count, ahead, seen = b"", 0, [track], 0
        while ahead and seen < MOST_PARENTS:
            parent, seen = ahead.pop(), seen + 1
            for box in boxes(file, parent.at, parent.at + parent.size):
                if box.name in (b"mdia", b"minf", b"stbl"):
                    ahead.append(box)
                elif box.name == b"hdlr":
                    kind = read(file, box.at + 8, 4)
                elif box.name in (b"stsz", b"stz2"):
                    count = int.from_bytes(read(file, box.at + 8, 4), "big")
        yield kind, count


def check_whole(file: IO[bytes]) -> None:
    """Refuse a HEIF or AVIF file in which a part of a picture is missing, or is zeros: it is still being written.

    Raises:
        PhotoError: the file is truncated or unfinished.
        ValueError: its directory is broken.
        OSError: the file cannot be read.
    """
    end = file.seek(0, os.SEEK_END)
    metas = [box for box in boxes(file) if box.name == b"meta"]
    inner = {one.name: one for box in metas for one in boxes(file, box.at + 4, box.at + box.size)}
    if b"iinf" not in inner or b"iloc" not in inner:
        return  # a sequence; its decoder decides
    places = inner[b"iloc"]
    tails = {item: TAILS[kind] for item, kind, _ in _entries(file, inner[b"iinf"]) if kind in TAILS}
    for item, last in _places(read(file, places.at, min(places.size, MOST_BYTES))):
        tail = tails.get(item)
        if tail is None:
            continue
        if last > end:
            raise PhotoError("truncated: a part of the picture lies beyond its end")
        if last >= tail and read(file, last - tail, tail) == bytes(tail):
            raise PhotoError("unfinished: zeros where a part of the picture ends")


def _entries(file: IO[bytes], info: Box) -> Iterator[tuple[int, bytes, int]]:
    """Yield number, kind and the offset of the kind of each item. Source: ISO/IEC 14496-12, section 8.11.6."""
    is_wide = read(file, info.at, 1) > b"\0"  # its version
    for box in boxes(file, info.at + (8 if is_wide else 6), info.at + info.size):
        entry = read(file, box.at, 14)
        width = 4 if entry[:1] == b"\3" else 2
        if box.name == b"infe" and len(entry) >= 4 + width + 6:
            yield int.from_bytes(entry[4 : 4 + width], "big"), entry[4 + width + 2 :][:4], box.at + 4 + width + 2


def _associations(body: bytes) -> dict[int, list[int]]:
    """Return the numbers of the properties of each item. Source: ISO/IEC 23008-12, section 9.3.2."""
    data, found = io.BytesIO(body[4:]), dict[int, list[int]]()
    item_size, number_size = 4 if body[:1] > b"\0" else 2, 2 if body[3:4] > b"\0" and body[3] & 1 else 1
    for _ in range(int.from_bytes(data.read(4), "big")):
        item, count = data.read(item_size), data.read(1)
        if not count:
            break
        numbers = [int.from_bytes(data.read(number_size), "big") for _ in range(count[0])]
        found[int.from_bytes(item, "big")] = [number & (0x7FFF if number_size == 2 else 0x7F) for number in numbers]
    return found


def _places(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield each item inside the file, and the offset at which its last part ends.

    Source: ISO/IEC 14496-12, section 8.11.3.
    """
    data = io.BytesIO(body)

    def number(size: int) -> int:
        got = data.read(size)
        if len(got) < size:
            raise ValueError("its directory ends too early")
        return int.from_bytes(got, "big")

    version = number(1)
    sizes = number(5) & 0xFFFF  # after three bytes of flags
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    width = 4 if version == 2 else 2
    for _ in range(number(width)):
        item = number(width)
        method = number(2) & 15 if version else 0
        number(2)  # which file: this one
        base, last = number(base_size), 0
        parts = number(2)
        for _ in range(parts if offset_size or length_size else 0):  # else the parts have no bytes and no end
            number(index_size)
            last = base + number(offset_size) + number(length_size)
        if not method:
            yield item, last
