"""JPEG XL for Pillow, through pylibjxl: its own plugin tells no metadata before the pixels, and copies these twice more.

Runs on the worker's decode threads, which share the codec.
"""

from typing import IO, TYPE_CHECKING, Final, cast

import pylibjxl
from PIL import Image, ImageFile

from pixkind.worker.kind import JXL_BOX

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess  # exists for type checkers only

HEAD_BYTES: Final = 1 << 16  # in which the codestream begins, unless there is a lot of metadata before it
MOST_BOXES: Final = 64
MOST_EXIF: Final = 1 << 20  # bytes
# One thread: the caller itself, whose core and nice value these are. A hundred at once: more than there ever are.
CODEC: Final = pylibjxl.JXL(threads=1, pool_size=100)


class JxlFile(ImageFile.ImageFile):
    """A photo whose header is read when it is opened, and whose pixels when it is loaded, upright then."""

    format = "JXL"
    format_description = "JPEG XL"

    def _open(self) -> None:
        file = cast("IO[bytes]", self.fp)  # None only after `load`
        head = file.read(HEAD_BYTES)
        try:
            about = pylibjxl.probe(head)
        except RuntimeError:
            about = pylibjxl.probe(head + file.read())
        self._size = (about["width"], about["height"])
        self._mode = "L" if about["channels"] == 1 else "RGB"  # for now: the pixels say more
        if head.startswith(JXL_BOX) and (exif := _exif(file)):
            self.info["exif"] = exif

    def load(self) -> "PixelAccess | None":
        """Decode the pixels, once: the first frame, in 8 bits a channel."""
        if self.fp is not None:
            self.fp.seek(0)
            pixels, said = CODEC.decode(self.fp.read(), metadata=True)
            self.fp = None
            whole = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
            self.im, self._mode, self._size = whole.im, whole.mode, whole.size
            if "icc" in said:
                self.info["icc_profile"] = said["icc"]
        return super().load()


def _exif(file: IO[bytes]) -> bytes:
    """Return the EXIF of a container of boxes; empty: none, or none that is readable without Brotli."""
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        size, name, begin = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), 16
        if name == b"Exif" and 4 < size - begin <= MOST_EXIF:
            file.seek(at + begin)
            body = file.read(size - begin)
            return body[4 + int.from_bytes(body[:4], "big") :]  # a number says where the TIFF in it begins
        if size < begin:  # 0: up to the end of the file
            break
        at += size
    return b""


Image.register_open(JxlFile.format, JxlFile)
