"""Thumbnails that a test makes by itself."""

import io
from collections.abc import Callable

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    """Return what makes a JPEG of one colour."""

    def make(colour: str = "red", size: tuple[int, int] = (384, 256)) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", size, colour).save(file, "JPEG")
        return file.getvalue()

    return make
