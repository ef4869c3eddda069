"""The smallest RAW photo that LibRaw accepts: sensor data, and the camera's preview."""

import io
import struct

from PIL import Image

Entry = tuple[int, str, tuple[int, ...] | bytes]  # of a TIFF: tag, format of a value as `struct` has it, values
TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "ii": 10}


def dng(
    preview: Image.Image | None = None, *, size: tuple[int, int] = (600, 400), grey: int = 30000, orientation: int = 1
) -> bytes:
    """Return a DNG.

    Args:
        preview: the picture beside it, stored as a JPEG without EXIF; None: none but one of 24 x 16 black pixels.
        size: of the sensor, in pixels.
        grey: 0 to 65535, what each of them saw.
        orientation: 1 to 8 as in EXIF, of all of it.
    """
    file = io.BytesIO(b"II*\0" + bytes(4))
    file.seek(0, io.SEEK_END)
    sensor = _picture(file, size, struct.pack("<H", grey) * (size[0] * size[1]), bits=(16,), kind=32803)
    sensor += [(33421, "H", (2, 2)), (33422, "B", (0, 1, 1, 2)), (50717, "I", (65535,))]
    parts = [_directory(file, sensor)]
    if preview is not None:
        jpeg = io.BytesIO()
        preview.save(jpeg, "JPEG", quality=95)
        shown = _picture(file, preview.size, jpeg.getvalue(), bits=(8, 8, 8), kind=6, compression=7)
        parts.append(_directory(file, shown))
    taken = _directory(file, [(36867, "s", b"2021:05:06 07:08:09\0")])
    first = _picture(file, (24, 16), bytes(24 * 16 * 3), bits=(8, 8, 8), kind=2)
    first += [(271, "s", b"Acme\0"), (272, "s", b"Acme One\0"), (274, "H", (orientation,))]
    first += [(306, "s", b"2022:02:02 02:02:02\0"), (330, "I", tuple(parts)), (34665, "I", (taken,))]
    first += [(50706, "B", (1, 4, 0, 0)), (50708, "s", b"Acme One\0")]
    first += [(50721, "ii", (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1))]  # colours are what they are
    at = _directory(file, first)
    file.seek(4)
    file.write(struct.pack("<I", at))
    return file.getvalue()


def _picture(
    file: io.BytesIO, size: tuple[int, int], data: bytes, *, bits: tuple[int, ...], kind: int, compression: int = 1
) -> list[Entry]:
    """Write the data of a picture; return what a directory says of it."""
    at = file.tell()
    file.write(data + bytes(len(data) % 2))
    return [
        *((254, "I", (int(kind != 32803),)), (256, "I", size[:1]), (257, "I", size[1:]), (258, "H", bits)),
        *((259, "H", (compression,)), (262, "H", (kind,)), (273, "I", (at,)), (277, "H", (len(bits),))),
        *((278, "I", size[1:]), (279, "I", (len(data),))),
    ]


def _directory(file: io.BytesIO, entries: list[Entry]) -> int:
    """Write a directory and what does not fit into it; return where it is."""
    at = file.tell()
    after = at + 2 + 12 * len(entries) + 4
    head, tail = struct.pack("<H", len(entries)), b""
    for tag, form, values in sorted(entries):
        data = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{form[0]}", *values)
        head += struct.pack("<HHI", tag, TYPES[form], len(values) // len(form))
        if len(data) > 4:
            data, tail = struct.pack("<I", after + len(tail)), tail + data + bytes(len(data) % 2)
        head += data.ljust(4, b"\0")
    file.write(head + bytes(4) + tail)
    return at
