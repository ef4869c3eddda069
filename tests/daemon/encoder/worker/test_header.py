"""What a photo is, by its bytes: the content id, the facts, and what is refused."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pixkind.encoder.messages import Inspected
from pixkind.encoder.worker.header import SMALL_BYTES, check_finished, content_id, inspect, open_photo
from pixkind.errors import PhotoError

COM, APP0, APP1, APP2, APP13, APP14 = 0xFE, 0xE0, 0xE1, 0xE2, 0xED, 0xEE
ORIENTATION, MAKE, MODEL, EXIF_IFD, TAKEN = 0x0112, 0x010F, 0x0110, 0x8769, 0x9003

# Pillow warns of broken metadata; the worker does not listen, and neither do these tests.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def encoded(kind: str = "JPEG", **options: object) -> bytes:
    """Return a small image with some structure, in a file format."""
    image = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    image.putpixel((3, 5), (250, 10, 20))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segment(photo: bytes, marker: int, body: bytes) -> bytes:
    """Return the JPEG with a segment more, after its APP0."""
    end = 4 + int.from_bytes(photo[4:6], "big")
    return photo[:end] + segment(marker, body) + photo[end:]


def exif(**tags: int | str) -> bytes:
    """Return the body of an APP1 segment with EXIF."""
    block = Image.Exif()
    for name, value in tags.items():
        if name == "TAKEN":
            block.get_ifd(EXIF_IFD)[TAKEN] = value
        else:
            block[globals()[name]] = value
    return block.tobytes()


def look(photo: bytes) -> Inspected:
    """Return what the worker would say of these bytes."""
    return inspect(io.BytesIO(photo), job=7, limit_mp=100)


METADATA = {
    "comment": (COM, b"a holiday"),
    "rating and place in EXIF": (APP1, exif(MAKE="Acme", TAKEN="2020:01:02 03:04:05")),
    "rating in XMP": (APP1, b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmp:Rating="5"/>'),
    "caption in IPTC": (APP13, b"Photoshop 3.0\0 8BIM caption"),
    "an unknown application": (APP2, b"FPXR\0"),
    "upright, said explicitly": (APP1, exif(ORIENTATION=1)),
    "where the pictures of an MPF lie": (APP2, b"MPF\0II*\0" + bytes(60)),
    "Photoshop's quality": (0xEC, b"Ducky\0\1\0\4\0\0\0\x50\0\0"),
    "Kodak's EXIF": (0xE3, b"Meta\0\0II*\0"),
    "Samsung's id": (0xE5, b"ssuniqueid\0 1234"),
    "the version of a gain map": (APP2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"),
    "XMP that did not fit into one segment": (APP1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(9000)),
    "an empty segment": (0xE8, bytes(40)),
}


@pytest.mark.parametrize("change", METADATA.values(), ids=METADATA.keys())
def test_content_id_ignores_metadata(change: tuple[int, bytes]) -> None:
    """Metadata about a picture do not make another picture."""
    photo = encoded()

    assert look(with_segment(photo, *change)).content == look(photo).content


PICTURE = {
    "colour profile": (APP2, b"ICC_PROFILE\0\1\1" + ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    "Adobe's colour transform": (APP14, b"Adobe\0\x64\0\0\0\0\1"),
    "orientation in EXIF": (APP1, exif(ORIENTATION=6)),
    "orientation in XMP": (APP1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'),
    "another quantisation table": (0xDB, bytes(65)),
    "the residual of JPEG XT": (0xEB, b"JP\0\1" + bytes(range(200))),
    "a thermal image": (APP1, b"FLIR\0" + bytes(range(200))),
    "an unknown application that is not known to be harmless": (0xE8, b"anything"),
    "a second picture in XMP": (APP1, b"http://ns.adobe.com/xap/1.0/\0<x GImage:Data='/9j/'/>"),
    "depth in extended XMP": (APP1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"GDepth:Data='iVBO'"),
}


@pytest.mark.parametrize("change", PICTURE.values(), ids=PICTURE.keys())
def test_content_id_follows_the_picture(change: tuple[int, bytes]) -> None:
    """A change of pixels, colours or orientation makes another picture."""
    photo = encoded()

    assert look(with_segment(photo, *change)).content != look(photo).content


def test_content_id_follows_extended_xmp_of_64_kb() -> None:
    """So much text is none: it is the sound or the right eye of a panorama, or depth."""
    photo = encoded()
    one, two = (photo, photo)
    for number in range(2):
        piece = b"http://ns.adobe.com/xmp/extension/\0" + bytes((number + 1,)) * 40_000
        one, two = with_segment(one, APP1, piece), with_segment(two, APP1, piece[:-1] + b"!")

    assert len({look(one).content, look(two).content, look(photo).content}) == 3


def test_content_id_follows_pixels_and_jfif() -> None:
    """Other coefficients, or a missing JFIF segment, make another picture."""
    photo = encoded()
    bare = photo[:2] + photo[4 + int.from_bytes(photo[4:6], "big") :]

    assert len({look(other).content for other in (photo, encoded(quality=40), bare, photo + b"!")}) == 4


def test_content_id_is_the_documented_hash() -> None:
    """The id of a JPEG is BLAKE3 over exactly what the docstring names, so that a store outlives the code."""
    table, scan = segment(0xDB, bytes(range(65))), segment(0xDA, b"header") + b"coefficients\xff\xd9"
    photo = b"\xff\xd8" + segment(APP0, b"JFIF\0rest") + segment(COM, b"no") + table + scan

    assert content_id(io.BytesIO(photo), 6) == blake3(b"jpeg\x06\x01" + table + scan).digest(16)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000"])
def test_content_id_of_other_formats_is_the_whole_file(kind: str) -> None:
    """Of anything but a JPEG every byte counts."""
    photo = encoded(kind)

    assert look(photo).content == blake3(b"file" + photo).digest(16)


@settings(deadline=None)
@given(
    at=st.integers(0, 700), noise=st.binary(max_size=40), cut=st.integers(0, 900), seed=st.sampled_from(["JPEG", "PNG"])
)
def test_inspect_survives_any_bytes(at: int, noise: bytes, cut: int, seed: str) -> None:
    """A mutilated photo is inspected or refused; nothing else ever comes out."""
    photo = encoded(seed)
    mutant = photo[:at] + noise + photo[at + len(noise) : max(at, len(photo) - cut)]
    assert len(content_id(io.BytesIO(mutant), 1)) == 16
    with contextlib.suppress(PhotoError):
        assert len(look(mutant).content) == 16


def test_facts_come_from_the_header() -> None:
    """Size, time and camera are read from header and EXIF; the camera's brand is said once."""
    seen = look(with_segment(encoded(), APP1, exif(MAKE="Canon\0", MODEL="Canon EOS 5D", TAKEN="1970:01:02 00:00:01")))

    assert (seen.job, seen.width, seen.height, seen.details.taken_s, seen.details.camera) == (
        7,
        64,
        48,
        86401,
        "Canon EOS 5D",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 64,
        b"Exif\0\0nonsense",
        exif(ORIENTATION=99, TAKEN="yesterday", MAKE="\x1b[31m"),
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + b"\x12\x01\x0c\0\x01\0\0\0\xff\xff\xff\xff",
    ],
)
def test_broken_exif_never_hurts(body: bytes) -> None:
    """A photo with nonsense in its EXIF is the same upright picture, taken at an unknown time."""
    seen = look(with_segment(encoded(), APP1, body))

    assert (seen.content, seen.details.taken_s) == (look(encoded()).content, 0)
    assert seen.details.camera.isprintable()


REFUSED = {
    "an empty file": b"",
    "not an image": b"Dear diary, today I took no photo.\n" * 20,
    "not an image of": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",  # Pillow would start Ghostscript
    "unfinished": encoded()[:600] + bytes(4096),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_photo_is_refused(reason: str) -> None:
    """A file that is no finished photo is refused, in words."""
    with pytest.raises(PhotoError, match=reason):
        look(REFUSED[reason])


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    """An image over the limit is refused by its header alone."""
    with pytest.raises(PhotoError, match=r"2 MP is over the limit of 1 MP \(decode.limit_mp\)"):
        inspect(io.BytesIO(png(1414, 1415)), job=1, limit_mp=1)


def png(width: int, height: int) -> bytes:
    """Return a PNG of one bit a pixel: few bytes, many pixels."""
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("tail", [b"", bytes(512), b"\0\0\0 ftypmp42 a film" + bytes(64)])
def test_a_finished_jpeg_may_be_followed_by_anything(tail: bytes) -> None:
    """Zeros after the end marker are padding, and a motion photo's film may end in zeros."""
    check_finished(io.BytesIO(encoded() + tail))


NOISE = Image.effect_noise((320, 240), 80).convert("RGB")
TRAILER = b"\0\0\x01\x0a\x12\0\0\0Panorama_Shot_Info" + bytes(number * 37 % 256 for number in range(5000))


def noise(**options: object) -> bytes:
    """Return a JPEG of noise, each row of which takes as many bytes as any other."""
    file = io.BytesIO()
    NOISE.save(file, "JPEG", quality=80, **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 2}, {"subsampling": 0}])
@pytest.mark.parametrize("tail", [b"", TRAILER, b"x" * 400, bytes(64) + b"\xff\xda\1\2\3\4" * 20])
def test_a_jpeg_without_an_end_marker_is_whole_if_its_pixels_are(options: dict[str, object], tail: bytes) -> None:
    """Panoramas of Samsung end without one, and a trailer follows."""
    seen = look(noise(**options)[:-2] + tail)

    assert (seen.width, seen.height, seen.details.damaged) == (320, 240, False)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_its_last_rows_is_damaged(mode: str) -> None:
    """The rest of the picture is worth finding, and no reason to delete a whole copy."""
    file = io.BytesIO()
    NOISE.convert(mode).save(file, "JPEG", quality=80)
    whole = file.getvalue()

    assert look(whole[: len(whole) * 96 // 100]).details.damaged
    assert not look(whole).details.damaged


@pytest.mark.parametrize("share", [10, 50, 80])
@pytest.mark.parametrize("tail", [b"", TRAILER])
def test_a_jpeg_without_more_than_its_last_rows_is_truncated(share: int, tail: bytes) -> None:
    """Noise behind the end is no picture."""
    whole = noise()

    with pytest.raises(PhotoError, match="truncated"):
        look(whole[: len(whole) * share // 100] + tail)


def test_a_progressive_jpeg_without_all_its_scans_is_truncated() -> None:
    """Its first scan alone shows the whole picture, in squares of eight pixels."""
    whole = noise(progressive=True)
    second = whole.index(b"\xff\xda", whole.index(b"\xff\xda") + 2)

    with pytest.raises(PhotoError, match="truncated"):
        look(whole[:second])


def broken_png(*, name: bytes) -> bytes:
    """Return a PNG with a wrong checksum in its chunk of this name."""
    photo = bytearray(encoded("PNG"))
    at = photo.index(name)
    photo[at + 4 + int.from_bytes(photo[at - 4 : at], "big")] ^= 1
    return bytes(photo)


def test_a_png_is_followed_to_its_end() -> None:
    """One that ends in zeros, or in the middle, is not finished; one that lacks its end alone is damaged."""
    photo = encoded("PNG")
    with pytest.raises(PhotoError, match="unfinished"):
        look(photo[:-12] + bytes(12))
    with pytest.raises(PhotoError, match="truncated"):
        look(photo[:-20])
    with pytest.raises(PhotoError, match="the checksum of its IHDR chunk is wrong"):
        look(broken_png(name=b"IHDR"))

    assert look(photo[:-12]).details.damaged
    assert not look(photo + b"anything").details.damaged


KINDS = {
    "a Photoshop document": b"8BPS\0\1" + bytes(100),
    "a film": b"\0\0\0\x18ftypmp42" + bytes(100),
    "a JPEG of 12 bits a channel": encoded().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
    "JPEG-LS": encoded().replace(b"\xff\xc0\0\x11\x08", b"\xff\xf7\0\x11\x08"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_of_another_kind_is_called_that(kind: str) -> None:
    """Whoever reads that it is broken looks for a fault of the drive."""
    with pytest.raises(PhotoError, match=f"^{kind}, which pixkin does not read$"):
        look(KINDS[kind])


def test_other_formats_may_end_in_zeros() -> None:
    """Only a JPEG has an end marker to miss."""
    assert look(encoded("BMP")[:-2] + bytes(2)).width == 64


@pytest.mark.parametrize("size", [0, 5000, SMALL_BYTES, SMALL_BYTES + 1])
def test_open_photo_owns_the_descriptor(tmp_path: Path, size: int) -> None:
    """Closing the photo closes the descriptor, and no mapping of the file can be made through it."""
    data = os.urandom(size)
    (tmp_path / "a.jpg").write_bytes(data)
    descriptor = os.open(tmp_path / "a.jpg", os.O_RDONLY)
    with open_photo(descriptor) as photo:
        assert photo.read() == data
        assert photo.seek(0, os.SEEK_END) == size
        with pytest.raises(io.UnsupportedOperation):
            photo.fileno()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF"])
def test_a_small_photo_is_inspected_as_a_large_one(kind: str) -> None:
    """One that is read at once has the same content id, facts and details."""
    photo = encoded(kind)
    in_steps = inspect(io.BufferedReader(io.BytesIO(photo)), job=7, limit_mp=100)

    assert look(photo) == in_steps


def test_a_photo_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    """Opening it does not end the worker."""
    descriptor = os.open(tmp_path, os.O_RDONLY)  # any read of a folder is an error

    with open_photo(descriptor) as photo, pytest.raises(PhotoError, match="cannot be read: Is a directory"):
        inspect(photo, job=1, limit_mp=1)


def test_inspect_needs_no_torch(tmp_path: Path) -> None:
    """Inspecting, with all its imports, loads no torch."""
    (tmp_path / "a.jpg").write_bytes(encoded())
    code = (
        "import sys; from pixkind.encoder.worker.header import inspect\n"
        f"print(inspect(open({str(tmp_path / 'a.jpg')!r}, 'rb'), job=1, limit_mp=1).width, 'torch' in sys.modules)"
    )

    assert subprocess.check_output([sys.executable, "-I", "-c", code], text=True).split() == ["64", "False"]


def test_real_photos_are_all_inspected(shared_photos: Path) -> None:
    """Each of 500 real photos has an id of its own, and a size."""
    seen = [inspect(open_photo(os.open(path, os.O_RDONLY)), job=0, limit_mp=100) for path in shared_photos.iterdir()]

    assert len({one.content for one in seen}) == len(seen) == 500
    assert all(one.width and one.height for one in seen)
