"""Decodes thumbnails with Pillow; the package says why that is safe."""

import io
from typing import Final

from PIL import Image

_MOST_PIXELS: Final = 1_000_000  # of a thumbnail: one of size S has 2,048 x 256 at most


def decoded(jpeg: bytes, width: int, height: int, most_pixels: int = _MOST_PIXELS) -> Image.Image:
    """Return the picture as large as it fits into a box, in pixels.

    Raises:
        ValueError: it is no JPEG that can be decoded, or it has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            if image.width * image.height > most_pixels:
                raise ValueError("the thumbnail has too many pixels")
            scale = min(width / image.width, height / image.height)
            size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
            return image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("the thumbnail cannot be decoded") from error
