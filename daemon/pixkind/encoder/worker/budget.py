"""The memory that all threads of the worker together may use to decode photos, and what each photo takes of it.

Measured with photos of 24 MP, each in a process of its own (bytes a pixel; F: and the size of the file):

| format | bytes a pixel | what takes them |
| --- | ---: | --- |
| PNG, GIF, BMP, TIFF without compression | 1 to 4 | Pillow's pixels |
| other TIFF | 4, F | and one strip or tile; a photo may be a single strip |
| JPEG | 0.1 | it is decoded at an eighth of its size |
| JPEG without an end marker | 0.3, 3 F | it is decoded three times, to see which rows it has |
| JPEG, progressive or of several scans | 2 grey, 3 and 6 colour, 8 CMYK | libjpeg keeps all coefficients, two bytes each |
| WebP | 16, F | two canvases, a copy, Pillow's pixels |
| AVIF of 8 bits | 9 (4:2:0) to 12 (4:4:4 with alpha), F | planes, a copy, Pillow's pixels |
| HEIF of 8 bits | 7 to 8.3, F | likewise; of more bits 16 |
| JPEG 2000 | 6 grey, 8 grey of 16 bits, 19 RGB, 25 RGBA, 2 F | components of 32 bits; only one tile at a time |
| the same, at half of its size | 5 RGB | a quarter for each level that is left out |
| JPEG XL | 9; a progressive one 21; F | planes of floats, coefficients |
| RAW without a preview | 3; 20 of three colours a pixel; F | LibRaw's pixels, and the developed ones at half of their size |

The network and torch take 430 MB of their own, so a worker that has both stays under 1.2 GB. With ONNX Runtime it is 70 MB.
"""

import ctypes
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Final

from PIL import ExifTags, Image

from pixkind.encoder.worker import jpeg2000, jpeg_rescue
from pixkind.encoder.worker.sniff import CODED, File
from pixkind.errors import PhotoError

MOST_BYTES: Final = 680_000_000  # of all photos
SHARE_BYTES: Final = 240_000_000  # of all photos that are indexed at once, besides one that needs more by itself
# A query image up to this size waits for no memory: each camera's JPEG, and a PNG of 8 MP.
FREE_BYTES: Final = 32_000_000
PIXEL_BYTES: Final = 4  # Pillow's memory for a pixel, RGB too
FRAME_BYTES: Final = {"WEBP": 16, "AVIF": 12, "HEIF": 9, "JXL": 21}
DEEP_BYTES: Final = {"AVIF": 20, "HEIF": 16}  # of more than 8 bits a channel
COEFFICIENT_BYTES: Final = 2
# Of formats whose files are in memory as a whole from the moment when they are opened.
HEAD_BYTES: Final = 1 << 16  # an AVIF says in these how many bits it has
READ_WHOLE: Final = (b"II", b"MM", b"RIFF", b"\xff\x0a", b"\0\0\0")

_libc = ctypes.CDLL(None)


class Budget:
    """The memory and the cores for decoding photos."""

    def __init__(
        self,
        cores: threading.Semaphore | None = None,
        *,
        most_bytes: int = MOST_BYTES,
        share_bytes: int = SHARE_BYTES,
        waits: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Begin with all memory free.

        Args:
            cores: those of indexing; None: no limit.
            most_bytes: all memory.
            share_bytes: the part of it that photos share which are indexed at once.
            waits: returns a context that a thread is in while it waits.
        """
        self.cores = cores
        self.most_bytes = most_bytes
        self.share_bytes = share_bytes
        self.waits = waits
        self.large = threading.Lock()  # held by the only large photo that is indexed
        self._turn = threading.Lock()  # in turn: small photos must not starve one of medium size
        self._changed = threading.Condition()  # guards the numbers
        self._used_bytes = 0
        self._shared_bytes = 0  # of these, by photos that share
        self._claimed_bytes = 0  # what the large photo waits for

    @contextmanager
    def share(self, *, urgent: bool = False) -> Iterator["Share"]:
        """Yield the share of one photo, which is given back at the end. `urgent`: for a query."""
        with ExitStack() as large, ExitStack() as memory:
            yield Share(self, urgent, large, memory)

    @contextmanager
    def taken(self, cost_bytes: int, *, is_large: bool, is_shared: bool) -> Iterator[None]:
        """Take memory for a `with`, when there is room."""
        shared_bytes = cost_bytes if is_shared else 0
        claimed_bytes = cost_bytes if is_large else 0

        def has_room() -> bool:
            used_bytes = self._used_bytes + (self._claimed_bytes if is_shared else 0)
            has_share = self._shared_bytes + shared_bytes <= self.share_bytes
            return has_share and used_bytes + cost_bytes <= self.most_bytes

        with self.waits(), self._turn if is_shared else nullcontext(), self._changed:
            self._claimed_bytes += claimed_bytes
            self._changed.wait_for(has_room)
            self._claimed_bytes -= claimed_bytes
            self._used_bytes += cost_bytes
            self._shared_bytes += shared_bytes
        try:
            yield
        finally:
            if cost_bytes > self.share_bytes // 2:
                _libc.malloc_trim(0)  # else the C library would keep hundreds of MB
            with self._changed:
                self._used_bytes -= cost_bytes
                self._shared_bytes -= shared_bytes
                self._changed.notify_all()


class Share:
    """The memory and the core of one photo. A thread that waits for more holds none that another could wait for."""

    def __init__(self, budget: Budget, urgent: bool, large: ExitStack, memory: ExitStack) -> None:  # noqa: FBT001
        """Begin without any memory. The caller closes the stacks."""
        self._budget = budget
        self._urgent = urgent
        self._large = large
        self._memory = memory
        self._bytes = 0
        self._is_large = False

    def open(self, file: File) -> None:
        """Take the memory for opening a photo: some decoders read all of its file."""
        file_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        if file_bytes > FREE_BYTES and file.read(4).startswith(READ_WHOLE):
            self.reserve(min(file_bytes, self._budget.most_bytes))

    def reserve(self, cost_bytes: int) -> None:
        """Take memory, in all. A photo that needs more than the share of all is large: only one is in memory at a time.

        Raises:
            PhotoError: there will never be so much memory.
        """
        budget = self._budget
        if cost_bytes > budget.most_bytes:
            most = f"{budget.most_bytes / 1e6:,.0f} MB"
            raise PhotoError(
                f"to decode it takes {cost_bytes / 1e6:,.0f} MB of memory, which is over the limit of {most}"
            )
        if cost_bytes <= self._bytes or (self._urgent and cost_bytes <= FREE_BYTES):
            return
        self._memory.close()
        if not self._urgent and cost_bytes > budget.share_bytes and not self._is_large:
            with budget.waits():
                self._large.enter_context(budget.large)
            self._is_large = True
        is_shared = not (self._urgent or self._is_large)
        self._memory.enter_context(budget.taken(cost_bytes, is_large=self._is_large, is_shared=is_shared))
        self._bytes = cost_bytes

    @contextmanager
    def core(self) -> Iterator[None]:
        """Hold a core for a `with`. A query needs none."""
        cores = None if self._urgent else self._budget.cores
        if cores is None:
            yield
            return
        with self._budget.waits():
            cores.acquire()
        try:
            yield
        finally:
            cores.release()


def price(image: Image.Image, whole: tuple[int, int], file: File) -> int:
    """Return the bytes of memory that it takes to load an image, which is open, and scaled down if its decoder can.

    Args:
        image: of which no pixel is decoded yet.
        whole: its size before it was scaled down.
        file: its file; at any position.
    """
    levels = left_out(image)
    coded: tuple[int, int] = image.info.get(CODED, image.size)
    pixels, file_bytes = math.prod(coded) >> 2 * levels, file.seek(0, os.SEEK_END)
    kind = image.format or ""
    if kind in FRAME_BYTES:
        is_deep = kind in DEEP_BYTES and _is_deep(image, file)
        return (DEEP_BYTES if is_deep else FRAME_BYTES)[kind] * pixels + file_bytes
    if kind == "RAW":
        return int(getattr(image, "pixel_bytes", 20)) * pixels + file_bytes
    more_bytes = 0
    if kind in ("JPEG", "MPO"):
        more_bytes = int(COEFFICIENT_BYTES * _coefficients(image) * math.prod(whole))
        if jpeg_rescue.lacks_end(file):  # then it is decoded twice more, from copies of the file
            more_bytes += 2 * PIXEL_BYTES * pixels + 3 * min(file_bytes, jpeg_rescue.MOST_RESCUED)
    elif kind == "TIFF":
        more_bytes = _tiff(image, file_bytes)
    elif kind == "JPEG2000":
        more_bytes = 2 * file_bytes + jpeg2000.memory(file, levels)
    return PIXEL_BYTES * pixels + more_bytes


def left_out(image: Image.Image) -> int:
    """Return how many levels of a JPEG 2000 will not be decoded; 0 for any other image."""
    return int(getattr(image, "_reduce", 0))


def _coefficients(image: Image.Image) -> float:
    """Return how many coefficients a pixel libjpeg keeps; 0: it decodes the photo line by line."""
    if not image.info.get("progressive"):
        return 0
    layers = [(across, down) for _, across, down, _ in getattr(image, "layer", [])]
    largest = max((across for across, _ in layers), default=1) * max((down for _, down in layers), default=1)
    return sum(float(across * down) for across, down in layers) / max(1, largest)


def _tiff(image: Image.Image, file_bytes: int) -> int:
    """Return the bytes that libtiff takes: the whole file, and one strip or tile."""
    tags = getattr(image, "tag_v2", {})
    if not getattr(image, "use_load_libtiff", True):
        return 0
    base = ExifTags.Base
    bits = tags.get(base.BitsPerSample, (8,))
    sample_bits = sum(bits) if isinstance(bits, tuple) else int(bits)
    width, rows = tags.get(base.TileWidth), tags.get(base.TileLength)
    if width is None or rows is None:
        width, rows = image.width, min(tags.get(base.RowsPerStrip, image.height), image.height)
    return file_bytes + int(width * rows * sample_bits) // 8


def _is_deep(image: Image.Image, file: File) -> bool:
    """Return whether an AVIF or HEIF has more than 8 bits a channel."""
    if "bit_depth" in image.info:
        return bool(image.info["bit_depth"] > 8)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    at = head.find(b"av1C")
    return at < 0 or bool(head[at + 6 : at + 7] >= b"\x40" and head[at + 6] & 0x40)
