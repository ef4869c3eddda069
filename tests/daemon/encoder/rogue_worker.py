"""A worker that a photo takes over: it says and does what a photo that controls the decoder could make it do.

It is the scripted worker until it meets a photo with a line such as `inspect take garbage` or `encode take nan`. Then it
does what the function of that name below does, and nothing else until it is killed or its daemon has ended.
"""

import array
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import get_native_id
from typing import Any, Final

import msgspec

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.daemon import scripted_worker
from tests.daemon.scripted_worker import DIMS, content_of, thumbnail_of, vector_of

from pixkind.encoder.messages import (
    MOST_WORK,
    PART_BYTES,
    UNSEEN,
    WAYS,
    Details,
    Drawn,
    Encoded,
    Inspect,
    Inspected,
    Job,
    JobRefused,
    Loaded,
    Settings,
    Unusable,
    receive_job,
)

ESCAPES: Final = "\x1b[2J\x9b31m\r\n\u202egpj\0"  # what moves the cursor, colours, breaks a line or turns text round
_LONG: Final = ESCAPES * (100_000 // len(ESCAPES.encode()))
_WORK: Final = struct.Struct("=QQd")


@dataclass(frozen=True)
class Rogue:
    """A worker that was taken over while it had this job."""

    daemon: socket.socket
    job: Job
    settings: Settings

    @property
    def number(self) -> int:
        """Its number."""
        return self.job.job

    def say(self, *outcomes: Any) -> None:  # noqa: ANN401  outcomes, and what looks like one
        """Send outcomes, true or not."""
        with suppress(ConnectionError):  # the daemon has killed it meanwhile
            for outcome in outcomes:
                self.daemon.send(msgspec.msgpack.encode(outcome))

    def say_without_end(self, outcome: Any) -> None:  # noqa: ANN401  likewise
        """Send an outcome until the daemon has had enough."""
        while True:
            self.say(outcome)

    def load(self, dims: int = DIMS) -> None:
        """Say that the network is loaded."""
        self.say(Loaded(dims, 0.0))

    def write_work(self, *work: tuple[int, int, float], place: int = 0) -> None:
        """Say which threads work at which jobs, and since which CPU time; what has no room in the file may be refused."""
        for number, one in enumerate(work, place):
            with suppress(OSError):
                os.pwrite(self.settings.work, _WORK.pack(*one), number * _WORK.size)

    def spin(self) -> None:
        """Compute until we are killed, or our daemon is."""
        daemon = os.getppid()
        while os.getppid() == daemon:
            pass


# Messages that are none.


def garbage(rogue: Rogue) -> None:
    rogue.daemon.send(os.urandom(1000))


def huge(rogue: Rogue) -> None:
    rogue.daemon.send(bytes(200_000))


def empty(rogue: Rogue) -> None:
    rogue.daemon.send(b"")


def deep(rogue: Rogue) -> None:
    rogue.daemon.send(b"\x91" * 100_000)


def unheard_of(rogue: Rogue) -> None:
    rogue.say({"type": "owned", "job": rogue.number})


def odd_types(rogue: Rogue) -> None:
    rogue.say({"type": "inspected", "job": None, "content": 1.5, "width": -1, "height": [], "details": {}})


def no_text(rogue: Rogue) -> None:
    message = msgspec.msgpack.encode(JobRefused(rogue.number, "no UTF-8"))
    rogue.daemon.send(message.replace(b"no UTF-8", b"\xff\xfe\xc0\xc1\xed\xa0\x80!"))


# The network.


def loaded_twice(rogue: Rogue) -> None:
    rogue.load()
    rogue.load()


def loaded_with_two_dimensions(rogue: Rogue) -> None:
    rogue.load(2)
    rogue.say(Encoded(rogue.number, b"\0\x3c" * 2))


def loaded_with_no_dimension(rogue: Rogue) -> None:
    rogue.say({"type": "loaded", "dims": 0, "seconds": float("nan")}, Encoded(rogue.number, b""))


def loaded_with_all_dimensions(rogue: Rogue) -> None:
    rogue.say({"type": "loaded", "dims": (1 << 64) - 1, "seconds": 1e308})


def loaded_without_end(rogue: Rogue) -> None:
    rogue.say_without_end(Loaded(DIMS, 0.0))


def unusable(rogue: Rogue) -> None:
    rogue.say(Unusable(_LONG))


def unusable_after_it_was_loaded(rogue: Rogue) -> None:
    rogue.load()
    rogue.say(Unusable("the weights have gone"))


# Vectors.


def _vector(value: float, rogue: Rogue) -> None:
    rogue.load()
    rogue.say(Encoded(rogue.number, struct.pack(f"<{DIMS}e", *[1.0] * (DIMS - 1), value)))


def nan(rogue: Rogue) -> None:
    _vector(float("nan"), rogue)


def infinite(rogue: Rogue) -> None:
    _vector(float("-inf"), rogue)


def zero(rogue: Rogue) -> None:
    rogue.load()
    rogue.say(Encoded(rogue.number, bytes(2 * DIMS)))


def short(rogue: Rogue) -> None:
    rogue.load()
    rogue.say(Encoded(rogue.number, b"\0\x3c" * (DIMS - 1)))


def odd_length(rogue: Rogue) -> None:
    rogue.load()
    rogue.say(Encoded(rogue.number, b"\0\x3c" * DIMS + b"\0"))


def eight_for_one(rogue: Rogue) -> None:
    rogue.load()
    rogue.say(Encoded(rogue.number, b"\0\x3c" * 8 * DIMS))


# Thumbnails.


def _drawn(rogue: Rogue, *parts: bytes, is_last: bool = True) -> None:
    """Answer with a thumbnail in these parts."""
    for number, part in enumerate(parts, 1):
        rogue.say(Drawn(rogue.number, part, UNSEEN, is_last and number == len(parts)))


def _with_segment(marker: int, body: bytes) -> bytes:
    data = thumbnail_of("picture")
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def no_jpeg(rogue: Rogue) -> None:
    _drawn(rogue, b"<script>alert(1)</script>")


def with_exif(rogue: Rogue) -> None:
    _drawn(rogue, _with_segment(0xE1, b"Exif\0\0GPS"))


def with_comment(rogue: Rogue) -> None:
    _drawn(rogue, _with_segment(0xFE, b"/home/u/secret.jpg"))


def with_long_jfif(rogue: Rogue) -> None:
    _drawn(rogue, _with_segment(0xE0, b"JFIF\0" + bytes(2000)))


def with_second_file(rogue: Rogue) -> None:
    _drawn(rogue, thumbnail_of("picture"), thumbnail_of("picture"))


def without_end(rogue: Rogue) -> None:
    _drawn(rogue, thumbnail_of("picture")[:-2])


def too_wide(rogue: Rogue) -> None:
    _drawn(rogue, thumbnail_of("picture").replace(struct.pack(">HH", 3, 4), struct.pack(">HH", 3, 4000)))


def without_shape(rogue: Rogue) -> None:
    _drawn(rogue, thumbnail_of("picture").replace(b"\xff\xc0", b"\xff\xc4"))


def progressive(rogue: Rogue) -> None:
    _drawn(rogue, thumbnail_of("picture").replace(b"\xff\xc0", b"\xff\xc2"))


def parts_without_end(rogue: Rogue) -> None:
    rogue.say_without_end(Drawn(rogue.number, bytes(PART_BYTES), UNSEEN, is_last=False))


def thumbnail_for_a_vector(rogue: Rogue) -> None:
    rogue.load()
    _drawn(rogue, thumbnail_of("picture"))


def thumbnail_that_nobody_wants(rogue: Rogue) -> None:
    rogue.load()
    rogue.say(Encoded(rogue.number, b"\0\x3c" * DIMS, thumbnail=thumbnail_of("picture")))


def colour_that_is_none(rogue: Rogue) -> None:
    rogue.say({"type": "drawn", "job": rogue.number, "data": b"\xff", "look": [1 << 30, False], "is_last": False})


def _in_a_way(vector: bytes, rogue: Rogue) -> None:
    """Answer with the vectors of all ways of a picture, one of which is this."""
    rogue.load()
    rogue.say(Encoded(rogue.number, b"\0\x3c" * DIMS * (WAYS - 1) + vector))


def nan_in_a_way(rogue: Rogue) -> None:
    _in_a_way(b"\0\x7e" * DIMS, rogue)


def zero_in_a_way(rogue: Rogue) -> None:
    _in_a_way(bytes(2 * DIMS), rogue)


def short_in_a_way(rogue: Rogue) -> None:
    _in_a_way(b"", rogue)


def before_it_was_loaded(rogue: Rogue) -> None:
    rogue.say(Encoded(rogue.number, vector_of("picture")))


# Answers to other questions.


def vector_for_an_inspection(rogue: Rogue) -> None:
    rogue.say(Encoded(rogue.number, vector_of("picture")))


def content_for_a_vector(rogue: Rogue) -> None:
    rogue.say(Inspected(rogue.number, content_of("picture"), 4, 3, Details()))


def content_that_means_unknown(rogue: Rogue) -> None:
    rogue.say(Inspected(rogue.number, bytes(16), 4, 3, Details()))


def stranger(rogue: Rogue) -> None:
    rogue.say(JobRefused(rogue.number + 10**6, "who is that?"))


def of_the_past(rogue: Rogue) -> None:
    rogue.say(JobRefused(1, "again"), JobRefused(1, "again"))


def below_zero(rogue: Rogue) -> None:
    rogue.say(JobRefused(-rogue.number, ""), JobRefused((1 << 63) - 1, ""))


def strangers_without_end(rogue: Rogue) -> None:
    rogue.say_without_end(JobRefused(rogue.number + 10**6, "x" * 1000))


# What may be said, but not like this.


def refused_twice(rogue: Rogue) -> None:
    rogue.say(JobRefused(rogue.number, "torn"), JobRefused(rogue.number, "torn"))


def long_reason(rogue: Rogue) -> None:
    rogue.say(JobRefused(rogue.number, _LONG))


def camera_with_escapes(rogue: Rogue) -> None:
    rogue.say(Inspected(rogue.number, content_of("camera"), 4, 3, Details(0, (ESCAPES * 9)[:100])))


def with_descriptors(rogue: Rogue) -> None:
    message = msgspec.msgpack.encode(JobRefused(rogue.number, "torn"))
    sent = array.array("i", [rogue.settings.work] * 200)
    rogue.daemon.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)])


# Time.


def silence(rogue: Rogue) -> None:
    """Say nothing."""


def spin_since_no_time(rogue: Rogue) -> None:
    rogue.write_work((rogue.number, get_native_id(), float("nan")))
    rogue.spin()


def spin_since_the_end_of_time(rogue: Rogue) -> None:
    rogue.write_work((rogue.number, get_native_id(), float("inf")))
    rogue.spin()


def spin_with_others(rogue: Rogue) -> None:
    """Name jobs and threads that do not exist, twice as many as there is room for."""
    top = (1 << 64) - 1
    rogue.write_work(*[(top - one, top - one, float("-inf")) for one in range(2 * MOST_WORK)], place=1)
    rogue.spin()


def sleep_in_a_thread_that_is_none(rogue: Rogue) -> None:
    rogue.write_work((rogue.number, 1 << 40, -1e300))


def torn_file(rogue: Rogue) -> None:
    with suppress(OSError):
        os.ftruncate(rogue.settings.work, 5)
    rogue.say(JobRefused(rogue.number, "torn"))


# All that comes later.


def one_content_for_all(rogue: Rogue) -> None:
    """Every photo is a copy of the first, and has all its metadata."""
    is_loaded = False
    for job in _jobs(rogue):
        if isinstance(job, Inspect):
            rogue.say(Inspected(job.job, content_of("first"), 4, 3, Details()))
        else:
            rogue.say(*[] if is_loaded else [Loaded(DIMS, 0.0)], Encoded(job.job, vector_of("first")))
            is_loaded = True


def _jobs(rogue: Rogue) -> Iterator[Job]:
    job: Job | None = rogue.job
    while job is not None:
        yield job
        received = receive_job(rogue.daemon)
        job = None if received is None else received[0]
        if received is not None:
            os.close(received[1])


def obey(settings: Settings, daemon: socket.socket, job: Job, action: str, words: list[str]) -> bool:
    """Do what a line of the photo says, as `scripted_worker.obey`, or be taken over."""
    if action != "take":
        return scripted_worker.obey(daemon, job, action, words)
    how: Callable[[Rogue], None] = globals()[words[0]]
    how(Rogue(daemon, job, settings))
    poll = select.poll()
    poll.register(daemon, 0)  # only hang-ups
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    told = msgspec.json.decode(sys.argv[1], type=Settings)
    scripted_worker.main(told, partial(obey, told))
