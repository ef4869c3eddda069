"""Reads date, camera, place, caption and rating from EXIF, XMP and IPTC, wherever a file has them.

Broken metadata never harm a picture: what cannot be read is left out. Runs in the worker's decode threads; no state is
shared between calls.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from PIL import ExifTags, Image

from pixkind.encoder.messages import Extra
from pixkind.encoder.worker.sniff import BROKEN

MAX_CAMERA: Final = 100  # characters; a hostile tag may hold megabytes
MAX_XMP: Final = 1 << 18  # bytes that are searched
MAX_DATE: Final = 60  # characters
OLDEST: Final = 1800  # year; some programs write year 1 for an unknown date

_VALUE: Final = rb"""\s*(?:=\s*["']|>)\s*([^"'<]{1,60})"""
_XMP_DATES: Final = (b"exif:DateTimeOriginal", b"photoshop:DateCreated", b"xmp:CreateDate")
_XMP_DATE: Final = re.compile(rb"(exif:DateTimeOriginal|photoshop:DateCreated|xmp:CreateDate)" + _VALUE)
_XMP_CAMERA: Final = re.compile(rb"tiff:(Make|Model)" + _VALUE)
_XMP_RATING: Final = re.compile(rb"xmp:Rating\s*(?:=\s*[\"']|>)\s*-?0*[1-9]")
_XMP_TEXTS: Final = (b"dc:title>", b"dc:description>", b"dc:subject>")
_XMP_TEXT: Final = re.compile(rb"<rdf:li[^>]*>\s*[^<\s]")
MOST_TEXT: Final = 1 << 12  # bytes of a caption that are searched
_XMP_GPS: Final = re.compile(rb"exif:GPSLatitude" + _VALUE)
_NUMBERS: Final = re.compile(r"\d+")
RATING, RATING_PERCENT = 0x4746, 0x4749
XP_TEXTS: Final = (0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F)  # title, comment, keywords, subject, of Windows
GPS_LATITUDE: Final = 2
IPTC_DATE, IPTC_TIME = 55, 60
IPTC_TEXTS: Final = frozenset((5, 25, 105, 120))  # title, keywords, headline, caption
# What cameras and programs write into ImageDescription by themselves.
_NO_CAPTION: Final = re.compile(
    r"(?i)(?:.*digital (?:still )?camera|sony dsc|minolta dsc|samsung|exif_jpeg_picture|<?(?:default|untitled)>?|"
    r"\{\"shape\".*|imagej=.*|dcim[\\/].*|created with .*|screenshot|image description|dav|hdrp?l?|sdr|edf|cof|ptr|rhdr|rpt|mde|fbt|btf|bty|mtf|"
    r"(?:oz)?nor(?:wo)?|burst|qrf|dua|mpt)"
)


@dataclass(slots=True)
class Metadata:
    """The blocks of metadata that a file has. `dates` and `caption` are of formats with texts of their own, as PNG."""

    exif: Image.Exif = field(default_factory=Image.Exif)
    xmp: bytes = b""
    iptc: bytes = b""  # the datasets
    dates: tuple[str, ...] = ()
    has_caption: bool = False

    def __bool__(self) -> bool:
        return bool(self.exif or self.xmp or self.iptc or self.dates or self.has_caption)

    def taken_s(self) -> int:
        """Return when the photo was taken, as if the camera's clock were UTC, in epoch seconds; 0: unknown.

        The first of these counts that has a day and a time. If none has, the first counts that has a day; it stands for
        midnight.

        1. EXIF DateTimeOriginal, then DateTimeDigitized;
        2. XMP exif:DateTimeOriginal, photoshop:DateCreated, xmp:CreateDate;
        3. IPTC DateCreated;
        4. the creation time in a PNG's texts.

        EXIF DateTime, when the file was changed, counts only if the file has no other date.
        """
        inner = self._inner(ExifTags.IFD.Exif)
        in_xmp = dict(reversed(_XMP_DATE.findall(self.xmp)))  # the first of each
        sets: dict[int, bytes] = dict(reversed(_datasets(self.iptc)))
        said: list[object] = [inner.get(ExifTags.Base.DateTimeOriginal), inner.get(ExifTags.Base.DateTimeDigitized)]
        said += [in_xmp.get(name, b"").decode("ascii", "replace") for name in _XMP_DATES]
        said += [_iptc_date(sets.get(IPTC_DATE, b""), sets.get(IPTC_TIME, b"")), *self.dates]
        return _first(said) or _first([self._tag(ExifTags.Base.DateTime)])

    def camera(self) -> str:
        """Return make and model of the camera; empty: unknown."""
        make, model = self._tag(ExifTags.Base.Make), self._tag(ExifTags.Base.Model)
        if not make and not model:
            in_xmp = dict(reversed(_XMP_CAMERA.findall(self.xmp)))
            make, model = (in_xmp.get(name, b"").decode("utf-8", "replace") for name in (b"Make", b"Model"))
        return _camera(make, model)

    def extras(self) -> Extra:
        """Return whether there are a place, a caption and a rating."""
        extras = Extra(0)
        if self._inner(ExifTags.IFD.GPSInfo).get(GPS_LATITUDE) or _XMP_GPS.search(self.xmp):
            extras |= Extra.GPS
        texts = [self._tag(tag) for tag in XP_TEXTS]
        in_iptc = any(number in IPTC_TEXTS and text.strip(b"\0 ") for number, text in _datasets(self.iptc))
        described = str(self._tag(ExifTags.Base.ImageDescription) or "").strip("\0 \r\n\t")
        if (
            self.has_caption
            or in_iptc
            or (described and not _NO_CAPTION.fullmatch(described))
            or any(text.strip(b"\0 ") for text in texts if isinstance(text, bytes))
            or any(_XMP_TEXT.search(_between(self.xmp, name)) for name in _XMP_TEXTS)
        ):
            extras |= Extra.CAPTION
        if any(self._tag(tag) for tag in (RATING, RATING_PERCENT)) or _XMP_RATING.search(self.xmp):
            extras |= Extra.RATING
        return extras

    def _tag(self, tag: int) -> object:
        with suppress(*BROKEN):
            return self.exif.get(tag)
        return None

    def _inner(self, ifd: int) -> dict[int, object]:
        with suppress(*BROKEN):
            return self.exif.get_ifd(ifd) if ifd in self.exif else {}
        return {}


def iptc_of(photoshop: bytes) -> bytes:
    """Return the IPTC datasets in Photoshop's image resources. Source: Adobe, Photoshop File Formats, Image Resources."""
    at = 0
    while photoshop[at : at + 4] == b"8BIM" and at + 12 <= len(photoshop):
        begin = at + 6 + (photoshop[at + 6] // 2 + 1) * 2  # after the name, whose length is padded to be even
        size = int.from_bytes(photoshop[begin : begin + 4], "big")
        if photoshop[at + 4 : at + 6] == b"\x04\x04":
            return photoshop[begin + 4 : begin + 4 + size]
        at = begin + 4 + size + size % 2
    return b""


def _between(xmp: bytes, name: bytes) -> bytes:
    """Return what stands in the first element of this name; its beginning if it is long."""
    _, _, rest = xmp.partition(b"<" + name)
    return rest[:MOST_TEXT].partition(b"</" + name)[0]


def _datasets(iptc: bytes) -> list[tuple[int, bytes]]:
    """Return number and value of each dataset of record 2. Source: IPTC IIM 4.2, chapter 1."""
    sets, at = list[tuple[int, bytes]](), 0
    while iptc[at : at + 1] == b"\x1c" and len(sets) < 1000:
        record, number, size = (
            iptc[at + 1 : at + 2],
            iptc[at + 2 : at + 3],
            int.from_bytes(iptc[at + 3 : at + 5], "big"),
        )
        if size >= 1 << 15:  # an extended dataset: too long for a text
            break
        if record == b"\x02" and number:
            sets.append((number[0], iptc[at + 5 : at + 5 + size]))
        at += 5 + size
    return sets


def _iptc_date(day: bytes, time: bytes) -> str:
    """Return "2019 05 06 07 08 09" of "20190506" and "070809+0000"."""
    said, clock = day.decode("ascii", "replace"), time.decode("ascii", "replace")
    parts = (said[:4], said[4:6], said[6:8], clock[:2], clock[2:4], clock[4:6])
    return " ".join(part for part in parts if part.isdecimal())


def _first(said: list[object]) -> int:
    """Return the first of these dates that has a time, else the first that has a day; 0: none has."""
    moments = [moment for one in said if one and (moment := _moment(str(one)[:MAX_DATE]))]
    return next((moment for moment, has_time in moments if has_time), moments[0][0] if moments else 0)


def _moment(text: str) -> tuple[int, bool] | None:
    """Return a date in epoch seconds, and whether it has a time; None if the text begins with no date."""
    numbers = [int(number) for number in _NUMBERS.findall(text)[:6]]
    if len(numbers) < 3 or numbers[0] < OLDEST:
        return None
    hour, minute, second = (*numbers[3:], 0, 0, 0)[:3]
    has_time = len(numbers) > 4 and hour < 24 and minute < 60
    try:
        day = datetime(numbers[0], numbers[1], numbers[2], tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    clock = hour * 3600 + minute * 60 + min(second, 59) if has_time else 0  # 60: some cameras write it
    return (int(day.timestamp()) + clock, has_time) if day.timestamp() + clock else None


def _camera(make: object, model: object) -> str:
    # Printable characters only: it is shown in terminals.
    maker, name = (
        " ".join(re.findall(r"[!-~\u00a1-\uffff]+", said if isinstance(said, str) else "")) for said in (make, model)
    )
    brand = maker.split(" ", 1)[0].lower()
    return (name if brand and name.lower().startswith(brand) else f"{maker} {name}".strip())[:MAX_CAMERA]
