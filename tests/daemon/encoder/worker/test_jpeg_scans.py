import io
import struct

import pytest
from PIL import Image

from pixkind.encoder.jpeg_segments import MOST_BYTES, MOST_SEGMENTS
from pixkind.encoder.worker import jpeg_scans
from pixkind.encoder.worker.header import inspect
from pixkind.encoder.worker.jpeg_scans import MOST_SCANS, check_scans, is_buffered
from pixkind.errors import PhotoError


def _jpeg(mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((80, 60), 50).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def _repeated(data: bytes, count: int) -> bytes:
    """Return a JPEG whose last scan is there so many times more."""
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


@pytest.mark.parametrize(("mode", "scans"), [("L", 6), ("RGB", 10), ("CMYK", 18)])
def test_what_libjpeg_writes_is_far_below_the_limit(mode: str, scans: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its progressive JPEGs have this many scans, and no fewer: the look counts each one."""
    data = _jpeg(mode, progressive=True)
    monkeypatch.setattr(jpeg_scans, "MOST_SCANS", scans)
    check_scans(io.BytesIO(data))
    assert is_buffered(io.BytesIO(data))
    monkeypatch.setattr(jpeg_scans, "MOST_SCANS", scans - 1)
    with pytest.raises(PhotoError, match="scans"):
        check_scans(io.BytesIO(data))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_only_a_jpeg_of_several_scans_is_decoded_as_a_whole(mode: str) -> None:
    """One with a single scan is read no further than its header, whatever follows."""
    assert not is_buffered(io.BytesIO(_repeated(_jpeg(mode), 2 * MOST_SCANS)))
    assert not is_buffered(io.BytesIO(b"no photo"))
    assert not is_buffered(io.BytesIO())


def test_scans_of_one_channel_each_are_counted_too() -> None:
    """A JPEG need not be progressive to have thousands of scans."""
    data = bytearray(_jpeg("RGB"))
    at = data.index(b"\xff\xda")
    size = struct.unpack(">H", data[at + 2 : at + 4])[0]
    one = _segment(0xDA, bytes((1, data[at + 5], data[at + 6], 0, 63, 0))) + bytes(data[at + 2 + size : -2])
    few, many = (bytes(data[:at]) + one * count + b"\xff\xd9" for count in (3, MOST_SCANS + 1))

    check_scans(io.BytesIO(few))
    assert is_buffered(io.BytesIO(few))
    with pytest.raises(PhotoError, match="scans"):
        check_scans(io.BytesIO(many))


def test_a_jpeg_without_an_end_is_counted_before_its_rows_are_looked_for() -> None:
    """To see which rows it has, it would be decoded twice."""
    data = _repeated(_jpeg(progressive=True), MOST_SCANS)[:-2]

    with pytest.raises(PhotoError, match="scans"):
        inspect(io.BytesIO(data), job=1, limit_mp=100)


def test_what_follows_the_end_of_the_picture_is_not_counted() -> None:
    """A motion photo, or a second picture, may have any bytes."""
    data = _jpeg(progressive=True)

    check_scans(io.BytesIO(data + data[data.index(b"\xff\xda") :] * MOST_SCANS))


def test_a_marker_across_two_chunks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the chunks end, the look finds the same scans."""
    data = _repeated(_jpeg("L", progressive=True), MOST_SCANS)
    for step in (3, 7, 64):
        monkeypatch.setattr(jpeg_scans, "STEP", step)
        with pytest.raises(PhotoError, match="scans"):
            check_scans(io.BytesIO(data))


@pytest.mark.parametrize(
    "bad",
    [
        _segment(0xFE, bytes(65_000)) * (MOST_BYTES // 65_000 + 1),
        _segment(0xFE, b"") * (MOST_SEGMENTS + 1),
    ],
    ids=["bytes", "segments"],
)
def test_too_much_before_the_picture_is_refused(bad: bytes) -> None:
    """Pillow would keep all of it in memory."""
    data = _jpeg()
    with pytest.raises(PhotoError, match=r"before its picture|segments"):
        is_buffered(io.BytesIO(data[:2] + bad + data[2:]))
