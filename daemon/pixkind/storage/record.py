"""The byte formats of the store: a pair of pack and unpack each. No other module knows them.

All integers are little endian.

Record of a photo (database `photos`, key: keys.key):

| bytes | type | what |
| --- | --- | --- |
| 0 | uint8 | flags: 1 gone while its root was online, 2 failed, 4 times follow the path, 8 details end the value |
| 1-8 | uint64 | size in bytes |
| 9-16 | int64 | ctime, ns since the epoch |
| 17-24 | uint64 | inode |
| 25-40 | bytes | content id; zeros: never known |
| 41- | bytes | path, as the kernel has it |

After the path, only with flag 4. Nearly every photo has neither time, and lacks it:

| bytes | type | what |
| --- | --- | --- |
| 0-7 | int64 | gone since, s on the clock of its root; 0: not gone |
| 8-15 | int64 | try again at, s since the epoch; 0: when the file or the decoder changes |

At the end, only with flag 8; photos that were indexed before there were details lack them:

| bytes | type | what |
| --- | --- | --- |
| 0- | MessagePack | the details of the file, see encoder/messages.py |
| last 2 | uint16 | how many bytes these are |

Facts of a content (database `contents`, key: content id):

| bytes | type | what |
| --- | --- | --- |
| 0-3, 4-7 | uint32 | width, height in pixels, as stored |
| 8-15 | int64 | taken at, s since the epoch; 0: unknown; only for photos without details |
| 16- | UTF-8 | camera; empty: unknown; only for photos without details |

After the camera, if it is known how the picture looks; stores of an older pixkind lack it:

| bytes | type | what |
| --- | --- | --- |
| 0 | uint8 | 0, the last one of the value |
| 1-6 | ASCII | the mean colour, in hexadecimal digits: RRGGBB |
| 7 | ASCII | only if the picture is shown with width and height swapped: t |

Vector (database `vectors/SPACE`, key: see vectors.py), in a space of the kind `image`:

| bytes | type | what |
| --- | --- | --- |
| 0- | float16 | the values, as the encoder gave them |
| last 4 | uint32 | CRC-32 of everything before it: LMDB has no checksums, and a damaged vector would answer wrongly for ever |

A value of any other kind ends with that CRC-32, too, so `is_sound` holds for all. Reserved for the kind `faces`:

| bytes | type | what |
| --- | --- | --- |
| 0-7 | 4 x uint16 | left, top, right and bottom of the face in the upright photo, in shares of 1/65535 of its width and height |
| 8-9 | float16 | quality of the face, from 0 to 1 |
| 10- | float16 | the values |
| last 4 | uint32 | CRC-32 |

Clock of a root (database `clocks`, key: keys.path_digest of its path): MessagePack, a map of the fields of `Clock`.
"""

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pixkind.encoder.messages import UNSEEN, Details, Look
from pixkind.fs.name_date import date_in_name
from pixkind.fs.stamp import Stamp
from pixkind.storage.keys import CONTENT_BYTES, key, mtime_of

GONE: Final = 1
FAILED: Final = 2
TIMED: Final = 4
DETAILED: Final = 8
UNKNOWN: Final = bytes(CONTENT_BYTES)

_RECORD: Final = struct.Struct("<BQqQ16s")
_TIMES: Final = struct.Struct("<qq")
_LENGTH: Final = struct.Struct("<H")
_FACTS: Final = struct.Struct("<IIq")
_CRC: Final = struct.Struct("<I")
_RESIDUE: Final = zlib.crc32(bytes(4))
_details: msgspec.msgpack.Decoder[Details] = msgspec.msgpack.Decoder(Details)


@dataclass(frozen=True, slots=True)
class Record:
    """One version of a photo, as the store has it."""

    path: str
    stamp: Stamp
    content: bytes = UNKNOWN
    failed: bool = False  # a network failed at it; the network of another space may have a vector of it
    gone_s: int = 0  # seconds on the clock of its root; 0: not gone
    retry_s: int = 0  # epoch seconds; 0: when the file or the decoder changes
    details: Details | None = None  # None: not read

    @property
    def live(self) -> bool:
        """Whether the photo was there when it was last looked for."""
        return not self.gone_s

    @property
    def is_hopeless(self) -> bool:
        """Whether it has failed for good: it may kill the worker, so this version is never tried again."""
        return self.failed and not self.retry_s

    @property
    def key(self) -> bytes:
        """The key of this record."""
        return key(self.path, self.stamp.mtime_ns)

    def place(self, facts: "Facts | None") -> "Place":
        """Return the place of this photo. `facts`: of its content."""
        return _place(self.path, self.stamp.mtime_ns, self.details, facts)


class Place(NamedTuple):
    """What the index keeps of one photo: what filters of a search ask, and where it stands among all by date."""

    folder: str
    taken_s: int = 0  # epoch seconds, the camera's clock as if it were UTC; 0: unknown
    camera: str = ""  # make and model; empty: unknown
    mtime_s: int = 0  # epoch seconds
    named_s: int = 0  # as `taken_s`, as the name of the file says; 0: it says nothing, or `taken_s` is known


@dataclass(frozen=True, slots=True)
class Facts:
    """What the worker read from the header of a content. Its date and camera count only for photos without details."""

    width: int
    height: int
    taken_s: int
    camera: str
    dates: frozenset[int] | None = None  # known ones of its live photos, epoch seconds; None: `taken_s` alone
    look: Look = UNSEEN

    @property
    def known_dates(self) -> frozenset[int]:
        """All dates that are known."""
        return frozenset({self.taken_s} - {0}) if self.dates is None else self.dates

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as the picture is shown; as it is stored, if the look is not known."""
        return (self.height, self.width) if self.look.turned else (self.width, self.height)


class Clock(Struct, frozen=True):
    """The clock of a root, which runs only while its drive is connected. All times are in seconds."""

    path: bytes  # of the root
    clock_s: int  # it began at the epoch time of its first moment
    seen_s: int  # epoch; when the clock was last advanced
    removed_s: int | None = None  # for how long the root has not been configured; None: it is configured
    named: bool = False  # the root was only ever named on the command line: its clock never advances


def pack_record(record: Record) -> bytes:
    """Return the stored value of a record, without its mtime, which is in the key."""
    is_timed = record.gone_s or record.retry_s
    flags = (GONE if record.gone_s else 0) | (FAILED if record.failed else 0) | (TIMED if is_timed else 0)
    tail = _TIMES.pack(record.gone_s, record.retry_s) if is_timed else b""
    if record.details is not None:
        flags |= DETAILED
        details = msgspec.msgpack.encode(record.details)
        tail += details + _LENGTH.pack(len(details))
    head = _RECORD.pack(flags, record.stamp.size, record.stamp.ctime_ns, record.stamp.inode, record.content)
    return head + os.fsencode(record.path) + tail


def unpack_record(key: bytes, value: bytes) -> Record:
    """Return the record that `pack_record` packed."""
    flags, size, ctime_ns, inode, content = _RECORD.unpack_from(value)
    path, gone_s, retry_s = _split(value)
    stamp = Stamp(mtime_of(key), size, ctime_ns, inode)
    return Record(os.fsdecode(path), stamp, content, bool(flags & FAILED), gone_s, retry_s, _details_of(value))


def outcome(value: bytes, path: bytes, stamp: Stamp) -> tuple[bytes, bool, int, bool] | None:
    """Return content, failed, retry_s and whether there are details; None if it is no live photo of this path and stamp.

    The caller knows from the key that the mtime is the same. Every scan calls this for every photo: it takes a third of
    the time of `unpack_record`.
    """
    flags, size, ctime_ns, inode, content = _RECORD.unpack_from(value)
    if flags & GONE or size != stamp.size or ctime_ns != stamp.ctime_ns or inode != stamp.inode:
        return None
    ours, _, retry_s = _split(value)
    return (content, bool(flags & FAILED), retry_s, bool(flags & DETAILED)) if ours == path else None


def place_of(key: bytes, value: bytes, facts: Facts | None) -> Place:
    """Return the place of a packed record's photo. Making an index calls this for every photo."""
    path = _split(value)[0]
    return _place(os.fsdecode(path), mtime_of(key), _details_of(value), facts)


def _place(path: str, mtime_ns: int, details: Details | None, facts: Facts | None) -> Place:
    """Return a place. Without details, the date and the camera of the content are those of its photo that was read last."""
    known = details or facts
    taken_s, camera = (0, "") if known is None else (known.taken_s, known.camera)
    folder, _, name = path.rpartition("/")
    return Place(folder or "/", taken_s, camera, mtime_ns // 1_000_000_000, 0 if taken_s else date_in_name(name))


def _details_of(value: bytes) -> Details | None:
    return _details.decode(value[_end(value) : -_LENGTH.size]) if value[0] & DETAILED else None


def _end(value: bytes) -> int:
    """Return where path and times end."""
    if not value[0] & DETAILED:
        return len(value)
    at = len(value) - _LENGTH.size
    return at - int(_LENGTH.unpack_from(value, at)[0])


def _split(value: bytes) -> tuple[bytes, int, int]:
    """Return path, gone_s and retry_s of a packed record."""
    end = _end(value)
    if not value[0] & TIMED:
        return value[_RECORD.size : end], 0, 0
    gone_s, retry_s = _TIMES.unpack_from(value, end - _TIMES.size)
    return value[_RECORD.size : end - _TIMES.size], gone_s, retry_s


def pack_facts(facts: Facts) -> bytes:
    """Return the stored value of facts."""
    look = f"{facts.look.colour:06x}{'t' * facts.look.turned}" if facts.look.colour >= 0 else ""
    text = f"{facts.camera}\0{look}" if look or "\0" in facts.camera else facts.camera
    return _FACTS.pack(facts.width, facts.height, facts.taken_s) + text.encode()


def unpack_facts(value: bytes) -> Facts:
    """Return the facts that `pack_facts` packed."""
    width, height, taken_s = _FACTS.unpack_from(value)
    text = value[_FACTS.size :].decode()
    camera, _, look = text.rpartition("\0") if "\0" in text else (text, "", "")
    return Facts(width, height, taken_s, camera, None, Look(int(look[:6], 16), look[6:] == "t") if look else UNSEEN)


def pack_clock(clock: Clock) -> bytes:
    """Return the stored value of a clock."""
    return msgspec.msgpack.encode(clock)


def unpack_clock(value: bytes) -> Clock:
    """Return the clock that `pack_clock` packed."""
    return msgspec.msgpack.decode(value, type=Clock)


def pack_vector(vector: bytes) -> bytes:
    """Return the stored value of a vector, (dims,) little-endian float16."""
    return vector + _CRC.pack(zlib.crc32(vector))


def dims_in(size: int) -> int:
    """Return the dimensions of a vector whose stored value has this many bytes."""
    return (size - _CRC.size) // 2


def size_of(dims: int) -> int:
    """Return how many bytes the stored value of a vector has."""
    return 2 * dims + _CRC.size


def most_common_dims(sizes: Mapping[int, int]) -> int:
    """Return the dimensions that most stored vectors have, by how many values have each size; 0: there are none."""
    return max(((count, dims_in(size)) for size, count in sizes.items()), default=(0, 0))[1]


def is_sound(value: bytes) -> bool:
    """Return whether a stored vector matches its checksum: the CRC-32 of data with their own CRC-32 behind is a constant."""
    return zlib.crc32(value) == _RESIDUE


def unpack_vector(value: bytes) -> NDArray[np.float16] | None:
    """Return the vector, (dims,) float16, read-only in the memory of `value`; None if it does not match its checksum."""
    return np.frombuffer(value, dtype="<f2", count=dims_in(len(value))) if is_sound(value) else None


def unpack_vectors(values: Sequence[bytes]) -> NDArray[np.float32]:
    """Return many vectors of one length, (n, dims) float32, without checking their checksums."""
    halves = np.frombuffer(b"".join(values), dtype="<f2").reshape(len(values), -1)
    return halves[:, : -_CRC.size // 2].astype(np.float32)
