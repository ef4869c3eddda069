"""A worker that does what the photos say: the other end of `pixkind.job`, to see what the daemon makes of it.

A photo for it is a text. Its first line is the picture, of which content id and vector are made: that of a region is the
picture `PICTURE at X`, and the further ways of it are `PICTURE way 1` and so on. Each further line says
what the worker does when it gets the photo as a certain job, as in `encode signal 9`; see `obey` and `hold_up`.
The line `says EXTRAS BLOCK...` has numbers for the details of the file; `jpeg` makes a photo that has them as segments.
An empty photo is the trial of the network; it is refused.
Every job that it takes but that becomes a line in the file that the settings name as weights: `encode PICTURE`.
"""

import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from io import BytesIO
from socket import socket

import msgspec

from pixkind.encoder.messages import (
    WAYS,
    Confined,
    Details,
    Draw,
    Drawn,
    Encode,
    Encoded,
    Inspected,
    Job,
    JobRefused,
    Loaded,
    Look,
    Settings,
    begin_work,
    receive_job,
    send_outcome,
)

DIMS = 8


def content_of(picture: str) -> bytes:
    """Return the content id of a picture."""
    return blake2b(picture.encode(), digest_size=16).digest()


def vector_of(picture: str) -> bytes:
    """Return the vector of a picture, (8,) float16."""
    return struct.pack("<8e", *(byte / 128 - 0.99 for byte in content_of(picture)[:DIMS]))


def thumbnail_of(picture: str, size: str = "S") -> bytes:
    """Return the thumbnail of a picture: the segments of a JPEG of 4 x 3 pixels around words."""
    parts = ((0xE0, b"JFIF\0".ljust(14, b"\0")), (0xC0, struct.pack(">BHHB", 8, 3, 4, 0)), (0xDA, b""))
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in parts)
    return b"\xff\xd8" + head + f"{size} of {picture}".encode() + b"\xff\xd9"


def look_of(picture: str) -> Look:
    """Return how a picture looks: those with a T are turned."""
    return Look(int.from_bytes(content_of(picture)[:3], "big"), "T" in picture)


def jpeg(picture: str, extras: int, *blocks: int) -> bytes:
    """Return a photo that is like a JPEG: its details are segments, so that it has the picture of others byte by byte."""
    said = b"JFXX\0says " + " ".join(map(str, (extras, *blocks))).encode()
    kept = [(0xE0, said), *((0xE1, b"Exif\0%05d" % block) for block in blocks)]
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in kept)
    return b"\xff\xd8" + head + b"\xff\xda\0\0" + picture.encode()


def text_of(photo: bytes) -> str:
    """Return the text that a photo is, or that a photo like a JPEG means."""
    if not photo.startswith(b"\xff\xd8"):
        return photo.decode()
    from pixkind.encoder.jpeg_segments import segments

    file = BytesIO(photo)
    said = [body.removeprefix(b"JFXX\0") for _, body in segments(file) if body.startswith(b"JFXX\0")]
    return b"\n".join([file.read()[4:], *said]).decode()


def obey(daemon: socket, job: Job, action: str, words: list[str]) -> bool:
    """Do what a line of the photo says; return whether that was the answer."""
    match action:
        case "refuse":
            send_outcome(daemon, JobRefused(job.job, " ".join(words)))
            return True
        case "lie":  # that it is another picture
            send_outcome(daemon, Inspected(job.job, content_of(" ".join(words)), 4, 3, Details(0, "Brownie")))
            return True
        case "rubbish":
            daemon.send(b"\xc1 no message")
        case "stranger":  # an answer to a job that nobody gave
            send_outcome(daemon, JobRefused(job.job + 1000, "who is that?"))
        case "mistaken":  # an answer to another kind of job
            send_outcome(daemon, Encoded(job.job, vector_of("another")))
        case "mutter":  # so many lines to standard error
            os.write(2, "".join(f"line {number}\n" for number in range(int(words[0]))).encode())
        case "confined":
            send_outcome(daemon, Confined((), ("all of it",)))
        case "short":  # a vector of another length
            send_outcome(daemon, Encoded(job.job, bytes(6)))
        case _:
            hold_up(daemon, action, *words)
    return False


def hold_up(daemon: socket, action: str, *words: str) -> None:
    """Go on later, or never."""
    match action:
        case "signal":
            os.kill(os.getpid(), int(words[0]))
        case "exit":
            os._exit(int(words[0]))
        case "spin":
            while True:
                pass
        case "compute":  # seconds of CPU time
            until = time.thread_time() + float(words[0])
            while time.thread_time() < until:
                pass
        case "stall":
            signal.pause()
        case "linger":  # seconds
            select.select([], [], [], float(words[0]))
        case "gate":  # a FIFO: go on when somebody has opened it for writing and closed it, or it is gone
            with suppress(FileNotFoundError):
                wait_at(os.open(words[0], os.O_RDONLY | os.O_NONBLOCK), daemon)
        case _:
            raise ValueError(action)


def wait_at(gate: int, daemon: socket) -> None:
    """Wait until somebody closes the other end of the FIFO `gate`; end with the daemon."""
    poll = select.poll()
    for descriptor in (gate, daemon.fileno()):
        poll.register(descriptor, 0)  # only hang-ups
    if daemon.fileno() in dict(poll.poll()):
        os._exit(0)
    os.close(gate)


def details_in(lines: list[str]) -> Details:
    """Return the details of a photo with these lines."""
    numbers = next((map(int, line.split()[1:]) for line in lines if line.startswith("says ")), iter(()))
    return Details(0, "Brownie", extras=next(numbers, 0), blocks=tuple(numbers))


def answer(daemon: socket, job: Job, picture: str, details: Details, *, loaded: bool) -> None:
    """Say what a good worker says of a photo."""
    if isinstance(job, Draw):
        data, look = thumbnail_of(picture, job.size), look_of(picture)
        send_outcome(daemon, Drawn(job.job, data[:9], look, is_last=False))
        send_outcome(daemon, Drawn(job.job, data[9:], look, is_last=True))
    elif isinstance(job, Encode):
        if not loaded:
            send_outcome(daemon, Loaded(DIMS, 0.0))
        pictures = [picture, *(f"{picture} way {way}" for way in range(1, WAYS))] if job.every_way else [picture]
        part = f" at {job.region.x:g}" if job.region else ""
        vectors = b"".join(vector_of(one + part) for one in pictures)
        thumbnail = thumbnail_of(picture) if job.thumbnail else b""
        send_outcome(daemon, Encoded(job.job, vectors, look_of(picture), thumbnail))
    else:
        send_outcome(daemon, Inspected(job.job, content_of(picture), 4, 3, details))


def main(settings: Settings, obey: Callable[[socket, Job, str, list[str]], bool] = obey) -> None:
    """Take jobs until the daemon is gone. `obey`: does what a line of the photo says."""
    log = os.open(settings.weights, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    loaded = False
    with socket(fileno=settings.socket) as daemon:
        while (received := receive_job(daemon)) is not None:
            job, descriptor = received
            kind = type(job).__name__.lower()
            text = text_of(os.pread(descriptor, 1 << 16, 0))
            os.close(descriptor)
            if not text:  # the trial of the network
                send_outcome(daemon, Loaded(DIMS, 0.0))
                send_outcome(daemon, JobRefused(job.job, "an empty file"))
                loaded = True
                continue
            picture, *lines = text.splitlines()
            os.write(log, f"{kind} {picture}\n".encode())
            begin_work(settings.work, 0, job.job)
            orders = [line.split() for line in lines if line.startswith(f"{kind} ")]
            if not any(obey(daemon, job, action, words) for _, action, *words in orders):
                if select.select([daemon], [], [], 0)[0]:
                    os.write(log, f"company {kind} {picture}\n".encode())
                answer(daemon, job, picture, details_in(lines), loaded=loaded)
                loaded = loaded or isinstance(job, Encode)
            begin_work(settings.work, 0, 0)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Settings))
