"""TIFF for Pillow, whose own plugin opens the first picture, be it a thumbnail, and knows fewer kinds of pixels than libtiff.

Runs in the worker's decode threads; no state is shared between calls.
"""

from typing import IO, Any, Final, cast

from PIL import Image, TiffImagePlugin

from pixkind.encoder.messages import MOST_PAGES
from pixkind.encoder.worker import sniff
from pixkind.encoder.worker.ifd import (
    BITS,
    EXTRA_SAMPLES,
    HEIGHT,
    PHOTOMETRIC,
    SAMPLE_FORMAT,
    SAMPLES,
    WIDTH,
    Directory,
    directories,
    sub_directories,
)
from pixkind.errors import PhotoError

FIRST: Final = "pixkin_first"  # in the `info` of the image: the offset of the first directory, if it is another one
PLANES: Final = 2  # planar configuration
# Likewise: the mode that the image should have, and its bands in the loaded image. Pillow cannot load it in that mode.
BANDS: Final = "pixkin_bands"
THUMBNAIL: Final = 512  # pixels; the longer side of an embedded one
TIMES: Final = 4  # so much larger is the picture of a thumbnail that is not marked as one

_II, _MM = b"II", b"MM"
# What libtiff decodes and Pillow's table lacks: byte order, photometric interpretation, sample format, fill order, bits,
# extra samples; and mode and raw mode.
_MORE: Final[dict[Any, tuple[str, str]]] = {
    (_MM, 0, (1,), 1, (16,), ()): ("I;16B", "I;16B"),
    **{(_MM, kind, (1,), 1, (12,), ()): ("I;16", "I;12") for kind in (0, 1)},
    (_II, 0, (1,), 1, (12,), ()): ("I;16", "I;12"),
    (_MM, 1, (1,), 1, (32,), ()): ("I", "I;32B"),
    **{(order, 5, (1,), 1, (8,) * 5, (extra,)): ("CMYK", "CMYKX") for order in (_II, _MM) for extra in (1, 2)},
    **{(order, 8, (1,), 1, (8,) * 4, (extra,)): ("RGBA", "RGBA") for order in (_II, _MM) for extra in (0, 1, 2)},
    (_II, 8, (1,), 1, (16,) * 3, ()): ("RGB", "RGB;16L"),
    (_MM, 8, (1,), 1, (16,) * 3, ()): ("RGB", "RGB;16B"),
    **{(_II, 8, (1,), 1, (16,) * 4, (extra,)): ("RGBA", "RGBA;16L") for extra in (0, 1, 2)},
    **{(_MM, 8, (1,), 1, (16,) * 4, (extra,)): ("RGBA", "RGBA;16B") for extra in (0, 1, 2)},
    # Two bytes of grey and two of alpha.
    **{(order, 1, (1,), 1, (16, 16), (extra,)): ("RGBA", "RGBA") for order in (_II, _MM) for extra in (0, 1, 2)},
}
TiffImagePlugin.OPEN_INFO.update({key: value for key, value in _MORE.items() if key not in TiffImagePlugin.OPEN_INFO})
_KINDS: Final = {0: "grey", 1: "grey", 2: "RGB", 3: "a palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab", 10: "Lab"}


class BigDirectory(TiffImagePlugin.ImageFileDirectory_v2):
    """A directory that may be one of a big-endian BigTIFF, which Pillow takes for an ordinary TIFF."""

    def __init__(
        self, ifh: bytes = b"II\x2a\x00\x00\x00\x00\x00", prefix: bytes | None = None, group: int | None = None
    ) -> None:
        """Read a header of 8 bytes; of 16 if it is a BigTIFF's."""
        is_big = ifh[:4] == b"MM\0+"
        super().__init__(ifh[:8] if is_big else ifh, prefix, group)
        if is_big:
            self._bigtiff = True
            self.next = int.from_bytes(ifh[8:16], "big")


class TiffFile(TiffImagePlugin.TiffImageFile):
    """A TIFF, opened at its full picture."""

    _uses_libtiff = False

    @property
    def use_load_libtiff(self) -> bool:
        """Whether libtiff decodes it: Pillow's own decoder takes channels of 16 bits in planes of their own for 8 bits."""
        is_deep = max(self.tag_v2.get(BITS, (1,))) > 8
        return self._uses_libtiff or (is_deep and self._planar_configuration == PLANES)

    @use_load_libtiff.setter
    def use_load_libtiff(self, wanted: bool) -> None:
        self._uses_libtiff = wanted

    def _open(self) -> None:
        file = cast("IO[bytes]", self.fp)  # None only after `load`
        chain = list(directories(file))
        shown = _full_picture(file, chain)
        self.pages = _pages(chain, shown) if shown else []
        self._turn_to(file, shown)
        if shown:
            self.info[sniff.PAGES] = max(1, sum(not one.is_reduced and not one.is_mask for one in chain))
            if shown.at != chain[0].at:
                self.info[FIRST] = chain[0].at

    def turn(self, page: int) -> None:
        """Turn to a page, before any pixel is decoded.

        Raises:
            PhotoError: there is no such page.
        """
        if page >= len(self.pages):
            raise PhotoError("it has no such page")
        self._turn_to(cast("IO[bytes]", self.fp), self.pages[page])

    def _turn_to(self, file: IO[bytes], shown: Directory | None) -> None:
        """Turn to the picture of a directory; None: to the first one, which is broken."""
        file.seek(0)
        head = file.read(8)
        if b"+" in head[2:4]:
            head += file.read(8)
        self.tag_v2 = BigDirectory(head)
        self.info = {}
        at = shown.at if shown else self.tag_v2.next
        # As in Pillow, but for the offset of the directory. Pillow's names are private.
        for name, value in (("first", at), ("next", at), ("frame", -1)):
            setattr(self, f"_TiffImageFile__{name}", value)
        self._fp, self._frame_pos, self._tag_data_limits = file, [], []
        self._tag_data_remaining = file.seek(0, 2)
        try:
            self._seek(0)
        except SyntaxError as error:
            if shown and str(error) == "unknown pixel mode":
                raise PhotoError(f"{_kind(shown)}, which pixkin does not read") from error
            raise
        if shown:
            self.info[sniff.BITS] = max(shown.tags.get(BITS, ()) or (1,))
            # libtiff swaps the bytes of each number, Pillow's own decoder does not.
            swapped = head[:2] == _MM and not self.use_load_libtiff
            if bands := _bands(shown, swapped=swapped):
                self.info[BANDS] = bands


def _pages(chain: list[Directory], shown: Directory) -> list[Directory]:
    """Return the directories of the first pages: the one that is shown, and then all others but thumbnails and masks."""
    others = [one for one in chain[1:] if one.at != shown.at and one.pixels and not one.is_reduced and not one.is_mask]
    return [shown, *(one for one in others if not (_looks_small(one) and _is_thumbnail(one, shown)))][:MOST_PAGES]


def _full_picture(file: IO[bytes], chain: list[Directory]) -> Directory | None:
    """Return the directory of the picture: the first, unless it is a thumbnail or a mask; None: there is no directory."""
    if not chain:
        return None
    first, others = chain[0], [one for one in chain[1:] if one.pixels and not one.is_reduced and not one.is_mask]
    if first.is_reduced or first.is_mask or _looks_small(first):
        others += [one for one in sub_directories(file, first) if one.pixels and not one.is_reduced and not one.is_mask]
        largest = max(others, key=lambda one: one.pixels, default=first)
        if first.is_reduced or first.is_mask or _is_thumbnail(first, largest):
            return largest if largest.pixels > first.pixels or first.is_mask else first
    return first


def _looks_small(one: Directory) -> bool:
    return max(one.first(WIDTH), one.first(HEIGHT)) <= THUMBNAIL


def _is_thumbnail(small: Directory, large: Directory) -> bool:
    """Return whether one is so much smaller than the other that it is no page of the same document."""
    return all(large.first(side) >= TIMES * max(1, small.first(side)) for side in (WIDTH, HEIGHT))


def _bands(one: Directory, *, swapped: bool) -> tuple[str, tuple[int, ...]] | None:
    photometric, bits = one.first(PHOTOMETRIC), one.tags.get(BITS, ())
    extra = len(one.tags.get(EXTRA_SAMPLES, ()))
    if photometric == 8 and (bits[:1] == (16,) or extra):
        return "LAB", (0, 1, 2, 3) if extra else (0, 1, 2)
    if photometric == 1 and bits == (16, 16):
        return "L", (0, 2) if swapped else (1, 3)
    return None


def _kind(one: Directory) -> str:
    bits = one.tags.get(BITS, ()) or (1,)
    form = {2: "signed ", 3: "floating-point "}.get(one.first(SAMPLE_FORMAT, 1), "")
    channels = one.first(SAMPLES, len(bits))
    name = _KINDS.get(one.first(PHOTOMETRIC), f"photometric interpretation {one.first(PHOTOMETRIC)}")
    return f"a TIFF in {name} with {max(bits)} {form}bits in each of {channels} channels"


TiffImagePlugin.ImageFileDirectory_v2 = BigDirectory  # type: ignore[misc]  # EXIF in such a file needs it, too
Image.register_open(TiffFile.format, TiffFile, Image.OPEN[TiffFile.format][1])
