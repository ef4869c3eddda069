"""Mutates files and lines. Each case has a random number generator of its own, so it can be made again without the others.

A mutation knows where formats keep their parts and lengths, because bytes that are changed at random seldom hit one.
"""

import json
import os
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

SEED: Final = int(os.environ.get("PIXKIN_SEED", "1"))

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD9)))  # markers of a JPEG without a length
_LOOKED_AT: Final = 4096  # bytes that are searched for lengths
_ODD_BYTES: Final = (0x00, 0xFF, 0x7F, 0x80, 0x01, 0xFE)
_ODD_NUMBERS: Final = (0, 1, -1, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, (1 << 16) - 1, 1 << 15)
# Values that a line of JSON may have by mistake or on purpose: of other types, at the ends of ranges, nested.
_ODD_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, -1, 0, 1 << 63, 1 << 70, 1.5, float("nan"), float("inf"), "", "0", "\0", "\udc80", "\ud800"),
    *([], {}, [[]], [None], {"": None}, "x" * 5000, "/" * 5000, "a" * 32, "..", "/"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "9999-12-31T23:59:59.999999+14:00"),
)


def generator(*case: object) -> random.Random:
    """Return the random numbers of one case, which depend on the seed of the run and on nothing else."""
    return random.Random(":".join(map(str, (SEED, *case))))


def keep(folder: Path, name: str, data: bytes) -> str:
    """Write an input that was found to do harm; return its path."""
    path = folder / name.replace("/", "-").replace(" ", "_")
    path.write_bytes(data)
    return str(path)


# Bytes.


def mutated(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Return the data with one to three mutations; for some of them a part of one of `others`."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if made:
            chance.choice(_WAYS)(made, chance, others)
    return _with_sums(bytes(made)) if made.startswith(_PNG) and chance.random() < 0.6 else bytes(made)


def _flip(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    """Change bytes, more often those near the start."""
    for _number in range(chance.choice((1, 1, 2, 4, 16, 64))):
        at = chance.randrange(min(len(made), chance.choice((64, 512, len(made)))))
        made[at] = chance.choice((*_ODD_BYTES, chance.randrange(256), made[at] ^ 1 << chance.randrange(8)))


def _cut(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    del made[chance.randrange(len(made)) :]


def _zero(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at = chance.randrange(len(made))
    end = min(len(made), at + chance.choice((4, 64, 4096, len(made))))
    made[at:end] = bytes(end - at)


def _delete(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at = chance.randrange(len(made))
    del made[at : at + chance.choice((1, 2, 4, 100))]


def _repeat(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at, start = chance.randrange(len(made)), chance.randrange(len(made))
    made[at:at] = made[start : start + chance.choice((1, 4, 64, 1000))] * chance.choice((1, 1, 20))


def _lengthen(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    """Write an odd number where a length, an offset or a count may stand."""
    code, at = chance.choice(list(_lengths(made)) or [("<H", chance.randrange(len(made)))])
    size = struct.calcsize(code)
    if at + size > len(made):
        return
    old = struct.unpack_from(code, made, at)[0]
    number = chance.choice((*_ODD_NUMBERS, old + 1, old - 1, old * 2, len(made)))
    struct.pack_into(code, made, at, number % (1 << 8 * size))


def _splice(made: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    """Continue with the end of another file, at a part of both or anywhere."""
    other = chance.choice(others)
    if not other:
        return
    if chance.random() < 0.5:
        made[chance.choice(_starts(made)) :] = other[chance.choice(_starts(other)) :]
    else:
        at = chance.randrange(len(made))
        made[at:] = other[min(at, len(other) - 1) :]


def _move_part(made: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    """Swap two parts, repeat one, leave one out, or take one of another file."""
    starts = _starts(made)
    parts = [bytes(made[start:end]) for start, end in pairwise((*starts, len(made)))]
    one, two = (chance.randrange(len(parts)) for _ in range(2))
    match chance.randrange(4):
        case 0:
            parts[one], parts[two] = parts[two], parts[one]
        case 1:
            parts.insert(two, parts[one] * chance.choice((1, 2, 50)))
        case 2:
            del parts[one]
        case _:
            other = chance.choice(others)
            start, end = chance.choice(list(pairwise((*_starts(other), len(other)))))
            parts.insert(one, other[start:end])
    made[starts[0] :] = b"".join(parts)


_Way = Callable[[bytearray, random.Random, Sequence[bytes]], None]
_WAYS: Final[tuple[_Way, ...]] = (
    _flip,
    _flip,
    _cut,
    _zero,
    _delete,
    _repeat,
    _lengthen,
    _lengthen,
    _splice,
    _move_part,
)


def _lengths(data: bytes | bytearray) -> Iterator[tuple[str, int]]:
    """Yield the numbers near the start that are no larger than the file, so that they may be lengths: type and place."""
    for at in range(min(len(data), _LOOKED_AT) - 4):
        for code, least in ((">I", 1), ("<I", 1), (">H", 16), ("<H", 16)):
            if least <= struct.unpack_from(code, data, at)[0] <= len(data):
                yield code, at


def _starts(data: bytes | bytearray) -> list[int]:
    """Return where the parts of a file start, such as chunks, boxes or segments; at least one place."""
    starts = list(_walk(data, *_layout(data)))
    return starts or list(range(0, len(data), max(1, len(data) // 8))) or [0]


_Step = Callable[[bytes | bytearray, int], int]  # from the start of a part to its end


def _layout(data: bytes | bytearray) -> tuple[int, _Step]:
    """Return where the first part starts, and how to find its end."""
    if data.startswith(_PNG):
        return len(_PNG), lambda data, at: at + 12 + int.from_bytes(data[at : at + 4], "big")
    if data.startswith(b"\xff\xd8"):
        return 2, _segment_end
    if data.startswith((b"RIFF", b"II", b"MM")):
        is_riff = data.startswith(b"RIFF")
        return (12, _riff_end) if is_riff else (8, lambda _, at: at + 12)
    return 0, lambda data, at: at + max(8, int.from_bytes(data[at : at + 4], "big"))  # boxes


def _segment_end(data: bytes | bytearray, at: int) -> int:
    if data[at : at + 1] != b"\xff" or data[at + 1] in _ALONE:
        return at + 2
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if data[at + 1] != 0xDA:
        return end
    while (end := data.find(b"\xff", end)) >= 0 and data[end + 1 : end + 2] == b"\0":
        end += 2
    return end if end >= 0 else len(data)


def _riff_end(data: bytes | bytearray, at: int) -> int:
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    return at + 8 + size + size % 2


def _walk(data: bytes | bytearray, at: int, end_of: _Step) -> Iterator[int]:
    for _ in range(200):
        if at + 2 > len(data):
            return
        yield at
        at = end_of(data, at)


def _with_sums(data: bytes) -> bytes:
    """Return a PNG with right checksums: else hardly a mutation reaches its decoder."""
    parts, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            break
        parts.append(data[at : at + 8 + size] + struct.pack(">I", zlib.crc32(data[at + 4 : at + 8 + size])))
        at += 12 + size
    return b"".join((*parts, data[at:]))


# Lines of JSON.


def mutated_line(line: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Return a line of JSON with other bytes, or with another value somewhere in it."""
    if chance.random() < 0.5:
        return mutated(line, chance, others).replace(b"\n", b" ")
    if chance.random() < 0.1:
        return b"[" * 100_000
    made = json.loads(line)
    make_odd(made, chance)
    return json.dumps(made).encode()


def make_odd(made: Any, chance: random.Random) -> None:  # noqa: ANN401  whatever JSON is
    """Replace a value somewhere in an object or array, or leave it out."""
    holder, name = chance.choice(list(_values(made)))
    if chance.random() < 0.2 and isinstance(holder, dict):
        del holder[name]
    else:
        holder[name] = chance.choice(_ODD_VALUES)


def _values(made: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  whatever JSON is
    """Yield each object and array with each of its keys."""
    for name, value in made.items() if isinstance(made, dict) else enumerate(made):
        yield made, name
        if isinstance(value, (dict, list)):
            yield from _values(value)
