"""Two files are compared by their bytes, as the worker compares them by content ids and details if it is honest."""

import io
import os
from itertools import product
from pathlib import Path

from PIL import Image

from pixkind.encoder.jpeg_segments import MOST_BYTES
from pixkind.encoder.messages import Inspected
from pixkind.encoder.worker.header import inspect
from pixkind.search.proof import Proof, compare


def _saved(kind: str = "JPEG", colour: int = 90, **options: bytes) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").point(lambda value: value // 2 + colour).save(file, kind, **options)
    return file.getvalue()


def _exif(maker: str) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = maker
    return exif.tobytes()


def _with(photo: bytes, marker: int, body: bytes) -> bytes:
    """Return a JPEG with one more segment."""
    return photo[:2] + bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body + photo[2:]


_PLAIN = _saved()
FILES = {
    "plain": _PLAIN,
    "another picture": _saved(colour=91),
    "with EXIF": _saved(exif=_exif("Kodak")),
    "with other EXIF": _saved(exif=_exif("Leica")),
    "with EXIF and a comment": _saved(exif=_exif("Kodak"), comment=b"on the beach"),
    "with a comment": _saved(comment=b"on the beach"),
    "with a profile": _saved(icc_profile=b"no profile" * 20),
    "with depth": _with(_PLAIN, 0xEB, b"depth" * 99),
    "with a film": _PLAIN + b"\0\0\0\x18ftypmp42" + bytes(99),
    "PNG": _saved("PNG"),
    "PNG with one bit more": _saved("PNG", colour=91),
    "BMP": _saved("BMP"),
}


def _compared(stays: Path, goes: Path) -> Proof:
    with stays.open("rb") as one, goes.open("rb") as two:
        return compare(one.fileno(), two.fileno())


def _expected(stays: Inspected, goes: Inspected) -> Proof:
    if stays.content != goes.content:
        return Proof.OTHER
    return Proof.COPY if stays.details.covers(goes.details) else Proof.BARE


def test_bytes_say_what_an_honest_worker_says(tmp_path: Path) -> None:
    """One picture is one content id, and a copy is covered by what stays; this holds for each pair."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    seen = {name: inspect(io.BytesIO(data), job=1, limit_mp=1) for name, data in FILES.items()}
    pairs = [*product(FILES, FILES)]
    found = {(one, other): _compared(tmp_path / one, tmp_path / other) for one, other in pairs}

    assert found == {(one, other): _expected(seen[one], seen[other]) for one, other in pairs}
    assert {*found.values()} == {*Proof}


def test_what_cannot_be_taken_apart_is_compared_as_a_whole(tmp_path: Path) -> None:
    """A JPEG that is cut within its segments, or has more of them than any program writes, costs no more memory."""
    comments = _PLAIN[:2] + (b"\xff\xfe\xff\xff" + bytes(65533)) * (MOST_BYTES // 65533 + 1)
    for number, data in enumerate((_PLAIN[:50], comments + _PLAIN[2:], b"\xff\xd8" + b"\xff\xfe\0\2" * 20_001, b"")):
        one, same, other = (tmp_path / f"{number}{letter}" for letter in "abc")
        one.write_bytes(data)
        same.write_bytes(data)
        other.write_bytes(data + b"\xff")

        assert _compared(one, same) is Proof.COPY
        assert _compared(one, other) is Proof.OTHER


def test_files_that_differ_in_their_last_byte_are_two_pictures(tmp_path: Path) -> None:
    """However long they are."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(bytes(3_000_000))
    other.write_bytes(bytes(2_999_999) + b"\1")

    assert _compared(one, other) is Proof.OTHER
    os.truncate(other, 2_999_999)
    assert _compared(one, other) is Proof.OTHER
    assert _compared(other, one) is Proof.OTHER
