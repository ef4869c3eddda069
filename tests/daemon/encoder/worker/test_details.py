"""What a file says and holds besides its picture: date, camera, place, caption, rating, pages, and whatever is attached."""

import io
import os
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image
from tests.daemon.encoder.worker.dng import dng

from pixkind.encoder.messages import Details, Extra
from pixkind.encoder.worker.header import inspect
from pixkind.encoder.worker.metadata import Metadata

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TAKEN_S = 1557126489  # 2019-05-06 07:08:09
XMP = b"http://ns.adobe.com/xap/1.0/\0"
MP4 = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 8


def picture(shift: int = 0) -> Image.Image:
    """Return a small image with some structure."""
    return Image.radial_gradient("L").resize((64, 48)).rotate(shift).convert("RGB")


def encoded(kind: str = "JPEG", **options: object) -> bytes:
    """Return the image in a file format."""
    file = io.BytesIO()
    picture().save(file, kind, **options)
    return file.getvalue()


def several(kind: str) -> bytes:
    """Return three images in one file."""
    return encoded(kind, save_all=True, append_images=[picture(9), picture(40)])


def details(photo: bytes) -> Details:
    """Return what the worker would say of these bytes."""
    return inspect(io.BytesIO(photo), job=7, limit_mp=100).details


def segment(marker: int, body: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(*segments: tuple[int, bytes]) -> bytes:
    """Return a JPEG with these segments more."""
    photo = encoded()
    return photo[:2] + b"".join(segment(*one) for one in segments) + photo[2:]


def exif(
    tags: dict[int, object], inner: dict[int, object] | None = None, place: dict[int, object] | None = None
) -> bytes:
    """Return an EXIF block."""
    block = Image.Exif()
    for tag, value in tags.items():
        block[tag] = value
    block.get_ifd(ExifTags.IFD.Exif).update(inner or {})
    block.get_ifd(ExifTags.IFD.GPSInfo).update(place or {})
    return block.tobytes()


def xmp(text: str) -> bytes:
    """Return the body of an XMP segment."""
    return XMP + f"<x:xmpmeta><rdf:Description {text}</rdf:Description></x:xmpmeta>".encode()


def iptc(*sets: tuple[int, bytes]) -> bytes:
    """Return the body of a Photoshop segment with IPTC."""
    data = b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text for number, text in sets)
    return b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data


def samsung(*parts: tuple[bytes, bytes]) -> bytes:
    """Return what Samsung appends to a JPEG: parts with names, and a directory of them."""
    blocks = [struct.pack("<HHI", 0, 0xA30, len(name)) + name + body for name, body in parts]
    directory, left = b"SEFH" + struct.pack("<II", 106, len(blocks)), sum(map(len, blocks))
    for block in blocks:
        directory += struct.pack("<HHII", 0, 0xA30, left, len(block))
        left -= len(block)
    return b"".join(blocks) + directory + struct.pack("<I", len(directory)) + b"SEFT"


def box(name: bytes, body: bytes) -> bytes:
    """Return a box of an ISO file."""
    return (8 + len(body)).to_bytes(4, "big") + name + body


ORIGINAL, DIGITIZED, CHANGED = 36867, 36868, 306
SAID = "2019:05:06 07:08:09"
DATES: dict[str, tuple[bytes, int]] = {
    "EXIF": (with_segments((0xE1, exif({}, {ORIGINAL: SAID, DIGITIZED: "2020:01:01 00:00:00"}))), TAKEN_S),
    "digitised": (with_segments((0xE1, exif({CHANGED: "2020:01:01 00:00:00"}, {DIGITIZED: SAID}))), TAKEN_S),
    "changed, where nothing else is said": (with_segments((0xE1, exif({CHANGED: SAID}))), TAKEN_S),
    "a day": (with_segments((0xE1, exif({CHANGED: "2020:01:01 00:00:00"}, {ORIGINAL: "2019:05:06"}))), 1557100800),
    "a day here, a time there": (
        with_segments((0xE1, exif({}, {ORIGINAL: "2019:05:06"})), (0xE1, xmp(f'exif:DateTimeOriginal="{SAID}">'))),
        TAKEN_S,
    ),
    "the sixtieth second": (with_segments((0xE1, exif({}, {ORIGINAL: "2019:05:06 07:08:60"}))), TAKEN_S + 50),
    "no hour is the 25th": (with_segments((0xE1, exif({}, {ORIGINAL: "2019:05:06 25:08:09"}))), 1557100800),
    "a clock that was never set": (
        with_segments((0xE1, exif({}, {ORIGINAL: "0000:00:00 00:00:00", DIGITIZED: SAID}))),
        TAKEN_S,
    ),
    "XMP": (with_segments((0xE1, xmp('photoshop:DateCreated="2019-05-06T07:08:09+02:00">'))), TAKEN_S),
    "XMP, an element": (with_segments((0xE1, xmp("><xmp:CreateDate>2019-05-06T07:08:09Z</xmp:CreateDate>"))), TAKEN_S),
    "XMP before XMP": (
        with_segments((0xE1, xmp('xmp:CreateDate="2020-01-01T00:00:00" exif:DateTimeOriginal="2019-05-06T07:08:09">'))),
        TAKEN_S,
    ),
    "IPTC": (with_segments((0xED, iptc((55, b"20190506"), (60, b"070809+0200")))), TAKEN_S),
    "IPTC, a day": (with_segments((0xED, iptc((55, b"20190506")))), 1557100800),
    "TIFF": (encoded("TIFF", tiffinfo={CHANGED: SAID}), TAKEN_S),
    "WebP": (encoded("WEBP", exif=exif({}, {ORIGINAL: SAID})), TAKEN_S),
    "AVIF, XMP": (encoded("AVIF", xmp=xmp('xmp:CreateDate="2019-05-06T07:08:09">')), TAKEN_S),
    "JPEG 2000": (
        encoded("JPEG2000") + box(b"uuid", b"JpgTiffExif->JP2" + exif({}, {ORIGINAL: SAID}).removeprefix(b"Exif\0\0")),
        TAKEN_S,
    ),
    "nothing that is a date": (with_segments((0xE1, exif({CHANGED: "soon"}, {ORIGINAL: "    :  :     :  :  "}))), 0),
    "a day that is none": (with_segments((0xE1, exif({}, {ORIGINAL: "2019:02:30 01:02:03"}))), 0),
}


@pytest.mark.parametrize("name", DATES)
def test_a_date_is_found_wherever_it_stands(name: str) -> None:
    """When the photo was taken goes before when it was digitised, a time before a day alone, and when it was changed last."""
    photo, taken_s = DATES[name]

    assert details(photo).taken_s == taken_s


def test_camera_is_found_in_xmp() -> None:
    """A program that writes no EXIF writes the camera into XMP."""
    assert details(with_segments((0xE1, xmp('tiff:Make="Canon" tiff:Model="Canon EOS 5D">')))).camera == "Canon EOS 5D"


CAPTION, RATING, MAKE = 270, 0x4746, 271
TITLE = "><dc:title><rdf:Alt><rdf:li xml:lang='x-default'>{}</rdf:li></rdf:Alt></dc:title>"
EXTRAS: dict[str, tuple[bytes, Extra]] = {
    "nothing": (encoded(), Extra(0)),
    "a place": (with_segments((0xE1, exif({}, place={1: "N", 2: (48.0, 1.0, 2.0)}))), Extra.GPS),
    "a place in XMP": (with_segments((0xE1, xmp('exif:GPSLatitude="48,1.2N">'))), Extra.GPS),
    "an empty place": (with_segments((0xE1, exif({}, place={0: b"\2\3\0\0"}))), Extra(0)),
    "a caption": (with_segments((0xE1, exif({CAPTION: "Grandma's 90th birthday"}))), Extra.CAPTION),
    "what a camera writes as caption": (with_segments((0xE1, exif({CAPTION: "OLYMPUS DIGITAL CAMERA         "}))), Extra(0)),
    "a title of Windows": (with_segments((0xE1, exif({0x9C9B: "Grandma\0".encode("utf-16-le")}))), Extra.CAPTION),
    "keywords": (with_segments((0xE1, xmp("><dc:subject><rdf:Bag><rdf:li>Grandma</rdf:li></rdf:Bag></dc:subject>"))), Extra.CAPTION),
    "a title": (with_segments((0xE1, xmp(TITLE.format("Grandma")))), Extra.CAPTION),
    "an empty title": (with_segments((0xE1, xmp(TITLE.format("")))), Extra(0)),
    "a caption in IPTC": (with_segments((0xED, iptc((120, b"Grandma")))), Extra.CAPTION),
    "a text of a PNG": (encoded("PNG", pnginfo=None), Extra(0)),
    "stars": (with_segments((0xE1, xmp('xmp:Rating="5">'))), Extra.RATING),
    "no stars": (with_segments((0xE1, xmp("><xmp:Rating>0</xmp:Rating>"))), Extra(0)),
    "rejected": (with_segments((0xE1, xmp('xmp:Rating="-1">'))), Extra.RATING),
    "stars in EXIF": (with_segments((0xE1, exif({RATING: 4}))), Extra.RATING),
    "a film behind it": (encoded() + MP4, Extra.VIDEO),
    "a film that XMP names": (with_segments((0xE1, xmp('GCamera:MotionPhoto="1">'))) + MP4 + b"\xff\xd9", Extra.VIDEO),
    "a film that is gone": (with_segments((0xE1, xmp('GCamera:MotionPhoto="1">'))), Extra(0)),
    "a film of Samsung's": (encoded() + samsung((b"MotionPhoto_Data", bytes(99))), Extra.VIDEO),
    "sound of Samsung's": (encoded() + samsung((b"SoundShot_000", bytes(99))), Extra.SOUND),
    "depth and a second picture of Samsung's": (
        encoded() + samsung((b"DualShot_DepthMap_1", bytes(99)), (b"DualShot_1", encoded())),
        Extra.DEPTH | Extra.PICTURES,
    ),
    "sound behind it": (encoded() + b"RIFF\x10\0\0\0WAVEfmt " + bytes(99), Extra.SOUND),
    "depth in XMP": (with_segments((0xE1, xmp('GDepth:Mime="image/png">'))), Extra.DEPTH),
    "sound and the right eye": (
        with_segments((0xE1, xmp('GImage:Mime="image/jpeg" GAudio:Mime="audio/mp4a">'))),
        Extra.SOUND | Extra.PICTURES,
    ),
    "a gain map": (with_segments((0xE1, xmp('hdrgm:Version="1.0">'))) + encoded(), Extra.GAIN_MAP),
    "a gain map of ISO's": (with_segments((0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4))), Extra.GAIN_MAP),
    "the residual of JPEG XT": (with_segments((0xEB, b"JP\0\1" + bytes(99))), Extra.GAIN_MAP),
    "the data of a sensor": (dng(Image.new("RGB", (300, 260))), Extra.RAW),
    "an HEIC with a film": (encoded("HEIF") + box(b"mpvd", MP4), Extra.VIDEO),
}  # fmt: skip


@pytest.mark.parametrize("name", EXTRAS)
def test_what_a_file_holds_besides_its_picture_is_told(name: str) -> None:
    """Films, sound, depth, further pictures, a place, a caption and a rating are told; what says nothing is not."""
    photo, extras = EXTRAS[name]

    assert Extra(details(photo).extras) == extras


def test_every_part_of_a_multi_picture_file_is_told_by_its_kind() -> None:
    """Further pictures are pages, the other eye is none, and a preview is nothing."""
    photo = several("MPO")
    at = photo.index(b"MPF\0")
    entry = photo.rindex(b"\0\0\3\0", at, at + 140)  # of the first picture, which is the main one
    stereo = bytearray(photo)
    for number in (1, 2):
        stereo[entry + 16 * number : entry + 16 * number + 4] = struct.pack("<I", 0x020002)
    preview = bytearray(photo)
    for number in (1, 2):
        preview[entry + 16 * number : entry + 16 * number + 4] = struct.pack("<I", 0x010001)

    assert (details(photo).pages, details(photo).extras) == (3, 0)
    assert (details(bytes(stereo)).pages, details(bytes(stereo)).extras) == (1, Extra.PICTURES)
    assert (details(bytes(preview)).pages, details(bytes(preview)).extras) == (1, 0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF", "HEIF", "MPO"])
def test_pages_and_frames_are_counted(kind: str) -> None:
    """A file of three pictures has three pages, one of one picture has one."""
    assert details(several(kind)).pages == 3
    assert details(encoded("JPEG" if kind == "MPO" else kind)).pages == 1


def test_a_gif_is_not_walked_to_its_end() -> None:
    """The frames of a GIF are counted in its beginning only: a file of 10 MB may have a million blocks."""
    frame = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    photo = encoded("GIF")[:-1] + frame * 100_000 + b";"

    assert 10_000 < details(photo).pages < 65_536


BITS: dict[str, tuple[Callable[[], bytes], int]] = {
    "JPEG": (encoded, 8),
    "PNG": (lambda: encoded("PNG"), 8),
    "TIFF": (lambda: tiff(np.zeros((40, 50, 3), np.uint16), photometric="rgb"), 16),
    "PNG, 16 bits": (lambda: saved(Image.fromarray(np.zeros((40, 50), np.uint16)), "PNG"), 16),
    "JPEG 2000, 16 bits": (lambda: saved(Image.fromarray(np.zeros((40, 50), np.uint16)), "JPEG2000"), 16),
    "RAW": (lambda: dng(Image.new("RGB", (300, 260))), 16),
}


def tiff(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint16]]", **options: object) -> bytes:
    """Return the pixels as a TIFF that Pillow could not write."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)  # type: ignore[arg-type]  # whatever it takes
    return file.getvalue()


def saved(image: Image.Image, kind: str) -> bytes:
    """Return an image in a file format."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("name", BITS)
def test_bits_of_a_channel_are_told(name: str) -> None:
    """A picture of 16 bits is more than one of 8."""
    make, bits = BITS[name]

    assert details(make()).bits == bits


def test_each_block_of_metadata_has_a_hash() -> None:
    """A copy without some metadata does not say all; one whose metadata are in another order does; JFIF says nothing."""
    said, stars, note = (0xE1, exif({MAKE: "Acme"})), (0xE1, xmp('xmp:Rating="5">')), (0xFE, b"a note")
    full, other, less = (
        details(with_segments(*one)) for one in ((said, stars, note), (note, said, stars), (said, note))
    )
    bare = details(encoded())

    assert len(full.blocks) == 3
    assert full.blocks == other.blocks == tuple(sorted(full.blocks))
    assert full.covers(less)
    assert not less.covers(full)
    assert less.covers(bare)
    assert (bare.blocks, bare.metadata_bytes) == ((), 0)
    assert full.metadata_bytes == sum(len(body) for _, body in (said, stars, note))


def test_metadata_in_pieces_are_one_block() -> None:
    """EXIF that takes two segments has one hash, so a file has few blocks whatever it says."""
    many = [(0xE1, b"Exif\0\0" + bytes((number,)) * 99) for number in range(1, 40)]

    assert len(details(with_segments(*many)).blocks) == 1


def test_broken_metadata_cost_nothing_but_themselves() -> None:
    """A camera is known although the place is nonsense."""
    block = bytearray(exif({MAKE: "Acme"}, place={1: "N", 2: (48.0, 1.0, 2.0)}))
    at = block.index(b"\x88\x25") + 8  # the offset of the place
    block[at : at + 4] = b"\xff\xff\xff\x7f"

    assert details(with_segments((0xE1, bytes(block)))).camera == "Acme"


def test_a_broken_directory_of_pictures_hides_no_metadata() -> None:
    """The hashes of EXIF and of a film behind the picture are told all the same."""
    said = details(with_segments((0xE1, exif({MAKE: "Acme"})), (0xE2, b"MPF\0II*\0" + b"\xff" * 20)) + MP4)

    assert (len(said.blocks), said.extras) == (1, Extra.VIDEO)


def test_metadata_survive_any_bytes() -> None:
    """Nonsense in XMP and IPTC is no date, and no error."""
    for seed in range(300):
        noise = bytes((seed * 7 + number * number) % 256 for number in range(seed))
        said = Metadata(xmp=b'exif:DateTimeOriginal="' + noise, iptc=b"\x1c\x02" + noise)
        assert said.taken_s() in range(-(1 << 40), 1 << 40)
        assert isinstance(said.extras(), Extra)


def test_a_png_with_noise_for_a_profile_is_read() -> None:
    """A colour profile or text that cannot be unpacked is left out."""
    photo = encoded("PNG")
    body = b"name\0\0" + os.urandom(40)
    chunk = struct.pack(">I", len(body)) + b"iCCP" + body
    chunk += struct.pack(">I", zlib.crc32(b"iCCP" + body))

    assert details(photo[:33] + chunk + photo[33:]).pages == 1
