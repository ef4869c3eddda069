"""The pages of a TIFF: which ones count, and that each is seen as itself."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from tests.daemon.encoder.worker.test_decode import frames, seen

from pixkind.encoder.messages import MOST_PAGES
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import LITE0, decode
from pixkind.encoder.worker.header import inspect
from pixkind.errors import PhotoError

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
THUMBNAIL, PAGE, MASK = 1, 2, 4

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def filled(colour: tuple[int, ...], width: int = 90, height: int = 80) -> NDArray[np.uint8]:
    """Return the pixels of a picture of one colour."""
    return np.full((height, width, 3), colour, np.uint8)


def pages(*kept: tuple[NDArray[Any], dict[str, Any]], **options: Any) -> bytes:  # noqa: ANN401  whatever tifffile takes
    """Return a TIFF of these pictures, each with options of its own."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:
        for pixels, own in kept:
            writer.write(pixels, metadata=None, **{"photometric": "rgb", **own})
    return file.getvalue()


def count(photo: bytes) -> int:
    """Return how many pages of a photo get a vector each."""
    return inspect(io.BytesIO(photo), job=1, limit_mp=100).pages


def colours(photo: bytes) -> list[tuple[int, ...]]:
    """Return the mean colour of each page, as a network sees it."""
    squares = [
        decode(io.BytesIO(photo), LITE0, limit_mp=100, budget=Budget(), page=page) for page in range(count(photo))
    ]
    return [tuple(square.mean(axis=(0, 1)).round().astype(int).tolist()) for square in squares]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True], ids=["ordinary", "BigTIFF"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_each_page_is_seen(order: str, bigtiff: bool, compression: str | None) -> None:  # noqa: FBT001  a parameter
    """In every kind of TIFF, whatever the pages are like: sizes, bits, strips and compression may differ."""
    photo = pages(
        (filled(RED), {"compression": compression}),
        (filled(GREEN, 300, 200).astype(np.uint16) * 257, {}),
        (filled(BLUE), {"compression": "zlib", "tile": (16, 16)}),
        (np.full((70, 60), 99, np.uint8), {"photometric": "minisblack", "compression": compression}),
        byteorder=order,
        bigtiff=bigtiff,
    )

    assert colours(photo) == [RED, GREEN, BLUE, (99, 99, 99)]


def test_a_thumbnail_is_no_page() -> None:
    """Nor are a mask and a smaller version of the same picture, marked or not, wherever they stand."""
    large = 900, 800
    marked = pages(
        (filled(RED, *large), {}),
        (filled(GREEN), {"subfiletype": THUMBNAIL}),
        (np.ones((800, 900), bool), {"photometric": "minisblack", "subfiletype": MASK}),
        (filled(BLUE, *large), {"subfiletype": PAGE}),
    )
    unmarked_first = pages((filled(GREEN), {}), (filled(RED, *large), {}), (filled(BLUE, *large), {}))
    unmarked_last = pages((filled(RED, *large), {}), (filled(BLUE, *large), {}), (filled(GREEN), {}))

    assert colours(marked) == colours(unmarked_first) == colours(unmarked_last) == [RED, BLUE]


def test_nothing_of_one_page_is_seen_in_another() -> None:
    """Neither its orientation nor its colour profile."""
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"rXYZ", b"tmpX")
    swapped = swapped.replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")  # red and blue change places
    left_green = np.concatenate([filled(GREEN, 40, 80), filled(RED, 40, 80)], axis=1)
    turned = {"extratags": [(274, 3, 1, 3, True)], "iccprofile": swapped}
    photo = pages((left_green, turned), (left_green, {}), (left_green, turned))
    corners = [
        decode(io.BytesIO(photo), LITE0, limit_mp=100, budget=Budget(), page=page)[112, [5, -5]].tolist()
        for page in range(3)
    ]

    assert corners[1] == [[*GREEN], [*RED]]
    assert corners[0] == corners[2] != corners[1]
    assert corners[0][0][2] > 100 > corners[0][0][0]


def test_only_the_first_pages_are_seen() -> None:
    """A scan of a book must not hold up all other photos."""
    photo = pages(*((filled((number, 0, 0)), {}) for number in range(MOST_PAGES + 8)))

    assert colours(photo) == [(number, 0, 0) for number in range(MOST_PAGES)]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "MPO"])
def test_a_frame_is_no_page(kind: str) -> None:
    """The frames of an animation are one picture."""
    photo = frames(kind)

    assert count(photo) == 1
    with pytest.raises(PhotoError, match="no such page"):
        decode(io.BytesIO(photo), LITE0, limit_mp=100, budget=Budget(), page=1)


def test_a_page_that_is_not_there_is_refused() -> None:
    """The worker is asked only for pages that it has counted, but the file may have changed since."""
    with pytest.raises(PhotoError, match="no such page"):
        decode(io.BytesIO(frames("TIFF")), LITE0, limit_mp=100, budget=Budget(), page=2)


def test_each_page_has_the_limits_of_a_photo() -> None:
    """A page may be larger than the one that is shown."""
    photo = pages((filled(RED, 900, 800), {}), (filled(BLUE, 2000, 1000), {}))

    assert seen(photo, limit_mp=1).mean(axis=(0, 1)).round().tolist() == [*RED]
    with pytest.raises(PhotoError, match="2 MP is over the limit of 1 MP"):
        decode(io.BytesIO(photo), LITE0, limit_mp=1, budget=Budget(), page=1)


def test_a_broken_page_costs_no_other() -> None:
    """A page of a kind that nobody reads, and one whose pixels are cut off, are refused; the first one is seen."""
    file = io.BytesIO(pages((filled(RED), {}), (filled(BLUE, 300, 300), {}), (filled(GREEN), {})))
    with tifffile.TiffFile(file) as opened:
        entry = opened.pages[1].aspage().tags["PhotometricInterpretation"].valueoffset
        strips = opened.pages[2].aspage().tags["StripOffsets"].valueoffset
    data = bytearray(file.getvalue())
    data[entry : entry + 2] = (1234).to_bytes(2, "little")
    data[strips : strips + 4] = len(data).to_bytes(4, "little")
    photo = bytes(data)

    assert count(photo) == 3
    assert seen(photo).mean(axis=(0, 1)).round().tolist() == [*RED]
    for page in (1, 2):
        with pytest.raises(PhotoError):
            decode(io.BytesIO(photo), LITE0, limit_mp=100, budget=Budget(), page=page)


def test_pages_that_form_a_circle_end() -> None:
    """A directory that names itself as the next one is one page."""
    photo = bytearray(pages((filled(RED), {}), (filled(BLUE), {})))
    first = int.from_bytes(photo[4:8], "little")
    entries = int.from_bytes(photo[first : first + 2], "little")
    after = first + 2 + 12 * entries
    photo[after : after + 4] = photo[4:8]

    assert colours(bytes(photo)) == [RED]


def test_a_page_can_be_turned_by_its_own_orientation() -> None:
    """As a photo of one page."""
    wide = Image.new("RGB", (120, 80), RED)
    wide.paste(BLUE, (0, 0, 60, 80))
    single = pages((np.asarray(wide), {"extratags": [(274, 3, 1, 6, True)]}))
    second = pages((filled(GREEN), {}), (np.asarray(wide), {"extratags": [(274, 3, 1, 6, True)]}))
    alone = decode(io.BytesIO(single), LITE0, limit_mp=100, budget=Budget())

    assert (decode(io.BytesIO(second), LITE0, limit_mp=100, budget=Budget(), page=1) == alone).all()
