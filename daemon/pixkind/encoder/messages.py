"""The messages between the daemon's encoder thread and the worker process, and how they travel.

Both sides use this module, so it imports neither torch nor Pillow.
A pair of AF_UNIX SOCK_SEQPACKET sockets carries the messages. The kernel keeps their boundaries and the order of the
descriptors, so there is no length prefix to get wrong. The largest message is far below the socket's buffer.
A photo travels as an open descriptor (SCM_RIGHTS), never as a path: the worker may open nothing.

A file in memory, which both sides have open, says which thread of the worker works at which job. A message for each job would
cost more, and a thread inside of a decoder that holds Python's lock could not be reported by another.
"""

import array
import os
import select
import socket
import struct
import threading
import time
from enum import IntFlag, StrEnum
from typing import Annotated, ClassVar, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from pixkin.protocol import requests

Region = requests.Region  # a part of a query image
Size = requests.Size  # of a thumbnail
_Colour = Annotated[int, Meta(ge=-1, lt=1 << 24)]
_UInt8 = Annotated[int, Meta(ge=0, lt=1 << 8)]
_UInt16 = Annotated[int, Meta(ge=0, lt=1 << 16)]
_UInt32 = Annotated[int, Meta(ge=0, lt=1 << 32)]
_Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Sentences = Annotated[tuple[Annotated[str, Meta(max_length=200)], ...], Meta(max_length=10)]
MOST_PAGES: Final = 32  # of a file that get a vector each
WAYS: Final = 8  # to orient a picture: four rotations, and the same mirrored
URGENT: Final = 2  # jobs of queries in the worker at once; each has a thread
DRAWS: Final = 2  # jobs of thumbnails in the worker at once; each has a thread, so that queries do not wait for them
MAX_BYTES: Final = 1 << 17  # of one message: eight float16 vectors of 4,096 dimensions take 64 KiB
PART_BYTES: Final = 3 << 15  # of a thumbnail in one message
DRAWN_BYTES: Final = 24 << 20  # of a thumbnail; noise of 24 megapixels takes 20 MB
# Of a thumbnail that comes with a vector. Nearly all have 10 to 30 KB.
THUMBNAIL_BYTES: Final = 3 << 14
MOST_TEXT: Final = 300  # characters of a text from the worker


class Runtime(StrEnum):
    """What computes a network."""

    AUTO = "auto"  # in the configuration alone: whatever is installed and can
    TORCH = "torch"
    ONNX = "onnx"  # ONNX Runtime


class Settings(Struct, frozen=True):
    """The worker's settings, as JSON on its command line: `python -I -m pixkind.encoder.worker SETTINGS`."""

    socket: int  # the descriptor of its end of the pair
    model: str
    weights: str  # absolute path
    limit_mp: int  # megapixels; a larger image is refused
    decode_threads: int
    network_threads: int
    cores: int = 1  # the most that indexing keeps busy
    polite: bool = True  # indexing gives way to every other program that wants the processor or the disk
    work: int = -1  # the descriptor of the file that says which thread works at which job; -1: there is none
    runtime: Runtime = Runtime.TORCH  # not AUTO
    sha256: str = ""  # of the weights; other ones are not loaded. Empty: any are


class Inspect(Struct, frozen=True, tag="inspect"):
    """Read the content id and the header of the photo behind the descriptor. This needs no torch."""

    job: int
    urgent: bool = False  # a query waits for it: it goes before all jobs that are not urgent


class Encode(Struct, frozen=True, tag="encode"):
    """Turn the photo behind the descriptor into a vector."""

    job: int
    urgent: bool = False
    region: Region | None = None  # only this part of it
    every_way: bool = False  # a vector for each of the `WAYS`, the first as it is; only if it is urgent
    thumbnail: bool = False  # make a thumbnail of size S as well
    page: Annotated[int, Meta(ge=0, lt=MOST_PAGES)] = 0  # 0: the picture that the photo shows; else a further page


class ThumbnailOf(Struct, frozen=True):
    """What a thumbnail that the desktop has made says of its photo."""

    uri: str
    mtime_s: int


class Draw(Struct, frozen=True, tag="draw"):
    """Make a thumbnail of the photo behind the descriptor. It goes before all jobs of indexing, and beside queries."""

    urgent: ClassVar[bool] = True
    job: int
    size: Size
    of: ThumbnailOf | None = None  # it is no photo, but a thumbnail; if it is not of this photo, it is refused


class Extra(IntFlag):
    """What a file holds besides its first picture and the numbers of its exposure."""

    VIDEO = 1  # of a motion photo
    SOUND = 2
    DEPTH = 4
    GAIN_MAP = 8
    RAW = 16  # the data of the sensor
    PICTURES = (
        32  # further pictures that are neither pages nor previews: the other eye of a stereo pair, a panorama's parts
    )
    GPS = 64
    CAPTION = 128  # title, description or keywords
    RATING = 256


class Details(Struct, frozen=True, array_like=True, omit_defaults=True):
    """What the file of a photo says besides its picture. Two files of one picture may differ in all of it.

    The store keeps it as a MessagePack array: new fields come last, with a default.
    """

    taken_s: _Int64 = 0  # when it was taken, as if the camera's clock were UTC, epoch seconds; 0: unknown
    camera: Annotated[str, Meta(max_length=100)] = ""  # make and model; empty: unknown
    extras: _UInt16 = 0  # an `Extra`
    pages: _UInt16 = 1  # pages, frames or layers
    bits: _UInt8 = 8  # of a channel
    metadata_bytes: _UInt32 = 0  # of all metadata together: EXIF, XMP, IPTC, comments
    # A hash of each block of metadata, such as EXIF or XMP, sorted; without blocks that every program writes, such as JFIF.
    blocks: Annotated[tuple[_UInt32, ...], Meta(max_length=16)] = ()
    damaged: bool = False  # the last rows of the picture are missing
    # When it was read, epoch seconds. The worker does not say it. 0: by a pixkind that did not note it.
    read_s: _UInt32 = 0

    def covers(self, other: "Details") -> bool:
        """Return whether a file with these details says all that a file of the same picture with the others says."""
        return {*other.blocks} <= {*self.blocks} and not other.extras & ~self.extras and other.pages <= self.pages


class Look(Struct, frozen=True, array_like=True):
    """How a picture looks from afar."""

    colour: _Colour = -1  # the mean, 0xRRGGBB; -1: not known, and then nothing else here is
    turned: bool = False  # it is shown with width and height swapped


UNSEEN: Final = Look()


class Inspected(Struct, frozen=True, tag="inspected"):
    """The content id of a photo, and what its header says."""

    job: int
    content: Annotated[bytes, Meta(min_length=16, max_length=16)]  # the content id, see encoder/worker/header.py
    width: _UInt32  # pixels, as stored, before orientation
    height: _UInt32
    details: Details
    # How many pages are pictures of their own, and are encoded one by one. `details` counts frames and layers, too.
    pages: Annotated[int, Meta(ge=1, le=MOST_PAGES)] = 1


class Encoded(Struct, frozen=True, tag="encoded"):
    """The vector, or the vectors of every way, concatenated."""

    job: int
    vector: bytes  # (dims,) float16, little endian, as the encoder gave it: not normalised
    look: Look = UNSEEN
    thumbnail: Annotated[bytes, Meta(max_length=THUMBNAIL_BYTES)] = b""  # a JPEG; empty: none, or it is too large


class Drawn(Struct, frozen=True, tag="drawn"):
    """A part of a thumbnail, which is a JPEG. The parts come in their order."""

    job: int
    data: Annotated[bytes, Meta(min_length=1, max_length=PART_BYTES)]
    look: Look
    is_last: bool


class JobRefused(Struct, frozen=True, tag="refused"):
    """This photo cannot be used now; the reason is a sentence for users."""

    job: int
    reason: str


class Confined(Struct, frozen=True, tag="confined"):
    """What the sandbox enforces, and what it lacks and why; sent once, before the worker takes the first photo."""

    enforced: _Sentences
    missing: _Sentences


class Loaded(Struct, frozen=True, tag="loaded"):
    """The network is loaded; sent once, before the first `Encoded`. `dims`: of its vectors."""

    dims: Annotated[int, Meta(ge=1, lt=1 << 13)]
    seconds: float


class Unusable(Struct, frozen=True, tag="unusable"):
    """The network cannot be loaded: a wrong file, or not enough memory. The worker then exits."""

    reason: str


class Nonsense(Exception):
    """The worker has said what it cannot say: a photo has taken it over."""


Job = Inspect | Encode | Draw
Outcome = Confined | Inspected | Encoded | Drawn | JobRefused | Loaded | Unusable

_encoder = msgspec.msgpack.Encoder()
_jobs: msgspec.msgpack.Decoder[Job] = msgspec.msgpack.Decoder(Job)
_outcomes: msgspec.msgpack.Decoder[Outcome] = msgspec.msgpack.Decoder(Outcome)


class Work(NamedTuple):
    """A thread of the worker that works at a job. It does not while it waits for memory or a core."""

    job: int
    thread: int  # its id for the kernel
    began_cpu_s: float  # its CPU time when it began


_WORK: Final = struct.Struct("=QQd")
MOST_WORK: Final = 256  # threads
WORK_BYTES: Final = MOST_WORK * _WORK.size


def begin_work(file: int, place: int, job: int) -> None:
    """Note that the calling thread, which has this place in the file, begins with a job; 0: it has none."""
    if file >= 0:
        os.pwrite(file, _WORK.pack(job, threading.get_native_id(), time.thread_time()), place * _WORK.size)


def read_work(file: int) -> list[Work]:
    """Return which threads work at which jobs."""
    data = os.pread(file, WORK_BYTES, 0)
    return [
        work for work in map(Work._make, _WORK.iter_unpack(data[: len(data) // _WORK.size * _WORK.size])) if work.job
    ]


def send_job(sock: socket.socket, job: Job, descriptor: int) -> None:
    """Send a job with the photo's descriptor, which the sender must still close.

    Raises:
        OSError: the worker is gone (EPIPE, ECONNRESET) or, on a non-blocking socket, its queue is full (EAGAIN).
    """
    rights = array.array("i", [descriptor])
    sock.sendmsg([_encoder.encode(job)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def receive_job(sock: socket.socket) -> tuple[Job, int] | None:
    """Return the next job and its descriptor, which the caller must close; None if the daemon has ended."""
    try:
        message, descriptors, _, _ = socket.recv_fds(sock, MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # it ended with outcomes unread
        return None
    if not message:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    return _jobs.decode(message), descriptors[0]


def send_outcome(sock: socket.socket, outcome: Outcome) -> None:
    """Send an outcome. One `send` is one message, so several threads need no lock.

    Raises:
        OSError: the daemon has ended.
    """
    sock.send(_encoder.encode(outcome))


def receive_outcome(sock: socket.socket) -> Outcome | None:
    """Return the next outcome; None if the worker has ended.

    Its texts are cut and have no control characters: they go to the log, the store and users.

    Raises:
        OSError: nothing has come yet (EAGAIN), or the worker ended with jobs unread (ECONNRESET).
        Nonsense: this is no outcome.
    """
    message = sock.recv(MAX_BYTES)
    if not message and _is_closed(sock):
        return None
    try:
        outcome = _outcomes.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Nonsense from error
    if isinstance(outcome, (JobRefused, Unusable)):
        return msgspec.structs.replace(outcome, reason=_plain(outcome.reason))
    if isinstance(outcome, Confined):
        return Confined(*(tuple(map(_plain, sentences)) for sentences in (outcome.enforced, outcome.missing)))
    if isinstance(outcome, Inspected) and not outcome.details.camera.isprintable():
        details = msgspec.structs.replace(outcome.details, camera=_plain(outcome.details.camera))
        return msgspec.structs.replace(outcome, details=details)
    return outcome


def _is_closed(sock: socket.socket) -> bool:
    """Return whether the other end is closed: an empty message looks like the end."""
    poll = select.poll()
    poll.register(sock, 0)  # only hang-ups
    return bool(poll.poll(0))


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:MOST_TEXT])
