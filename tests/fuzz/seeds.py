"""One small photo of each kind that the worker reads, to be mutated. All are made here; none is copied into the project."""

import io
import random
from functools import cache

import numpy as np
import pillow_heif
import pylibjxl
import tifffile
from PIL import ExifTags, Image, ImageCms
from tests.daemon.encoder.worker import test_decode, test_plugins
from tests.daemon.encoder.worker.dng import dng

_SIZE = (96, 72)
_LARGE = 100_000  # bytes; in a larger file, few mutations hit what a decoder decides by


def picture(number: int) -> Image.Image:
    """Return a small picture that is like no other, with edges, slopes and noise."""
    chance = random.Random(number)
    coarse = Image.frombytes("RGB", (5, 4), chance.randbytes(60)).resize(_SIZE, Image.Resampling.BICUBIC)
    noise = Image.frombytes("RGB", _SIZE, chance.randbytes(3 * _SIZE[0] * _SIZE[1]))
    return Image.blend(coarse, noise, 0.1)


@cache
def seeds() -> dict[str, bytes]:
    """Return photos by what they are. Each is whole, and becomes a vector."""
    golden = test_decode.GOLDEN | test_plugins.GOLDEN
    red = {f"{name}, one colour": photo for name, (photo, _) in golden.items() if len(photo) < _LARGE}
    return _jpegs(picture(1)) | _others(picture(2)) | _tiffs(picture(3)) | _plugins(picture(4)) | red


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = orientation
    block[ExifTags.Base.Make], block[ExifTags.Base.Model] = "Acme", "Acme One"
    block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:05:06 07:08:09"
    block.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    return block.tobytes()


def _jpegs(image: Image.Image) -> dict[str, bytes]:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b'<x:xmpmeta><rdf:Description xmp:Rating="5" GCamera:MotionPhoto="1"/></x:xmpmeta>'
    return {
        "JPEG with metadata": _saved(image, "JPEG", exif=_exif(6), icc_profile=profile, xmp=xmp, comment="a comment"),
        "JPEG, progressive": _saved(image, "JPEG", progressive=True, exif=_exif(3)),
        "JPEG with restarts": _saved(image, "JPEG", restart_marker_rows=1, subsampling=0),
        "JPEG, optimised": _saved(image, "JPEG", optimize=True, quality=20),
        "JPEG, CMYK, progressive": _saved(image.convert("CMYK"), "JPEG", progressive=True),
        "MPO": _saved(image, "MPO", save_all=True, append_images=[image.rotate(9)]),
    }


def _others(image: Image.Image) -> dict[str, bytes]:
    clear, palette = image.convert("RGBA"), image.quantize(64)
    clear.putalpha(image.convert("L"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = {"save_all": True, "append_images": [clear.rotate(9)]}
    return {
        "PNG with metadata": _saved(clear, "PNG", exif=_exif(8), icc_profile=profile),
        "APNG": _saved(clear, "PNG", **frames),
        "PNG, palette": _saved(palette, "PNG", transparency=3),
        "GIF, animated": _saved(image, "GIF", **frames),
        "WebP with metadata": _saved(image, "WEBP", exif=_exif(2), icc_profile=profile),
        "WebP, animated": _saved(clear, "WEBP", **frames),
        "BMP, runs": _saved(palette, "BMP"),
        "AVIF with metadata": _saved(image, "AVIF", exif=_exif(1), icc_profile=profile, speed=10),
        "AVIF, animated": _saved(image, "AVIF", speed=10, **frames),
        "JPEG 2000, lossy": _saved(clear, "JPEG2000", irreversible=True, quality_layers=[20, 5]),
        "JPEG 2000, tiles": _saved(image, "JPEG2000", tile_size=(32, 32)),
    }


def _tiffs(image: Image.Image) -> dict[str, bytes]:
    compressions = ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "zstd", "lzma")
    file, floats = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(file, np.asarray(image), photometric="rgb", tile=(32, 32), compression="zlib", predictor=True)
    tifffile.imwrite(floats, np.asarray(image.convert("F")), photometric="minisblack", byteorder=">")
    return {
        **{f"TIFF, {name}": _saved(image, "TIFF", compression=name) for name in compressions},
        "TIFF with metadata": _saved(image, "TIFF", exif=_exif(5)),
        "TIFF, group 3": _saved(image.convert("1"), "TIFF", compression="group3"),
        "TIFF, pages": _saved(image, "TIFF", save_all=True, append_images=[image.rotate(9)]),
        "TIFF, tiles": file.getvalue(),
        "TIFF, floats": floats.getvalue(),
    }


def _plugins(image: Image.Image) -> dict[str, bytes]:
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L"))
    several, pixels = pillow_heif.from_pillow(image), np.asarray(image)
    several.add_from_pillow(image.rotate(9))
    file = io.BytesIO()
    several.save(file, quality=50)
    return {
        "HEIC with metadata": test_plugins.heic(image, exif=_exif(6)),
        "HEIC with alpha": test_plugins.heic(clear),
        "HEIC of tiles": test_plugins.heic(image.resize((160, 128)), tile_size=64),
        "HEIC, several": file.getvalue(),
        "JPEG XL with metadata": pylibjxl.encode(pixels, effort=1, exif=_exif(1)),
        "JPEG XL, of a JPEG": test_plugins.jxl_of_jpeg(6),
        "RAW with a preview": dng(image.resize((300, 256)), size=(64, 48), orientation=6),
        "RAW without": dng(size=(64, 48)),
    }
