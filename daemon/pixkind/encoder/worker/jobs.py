"""Runs jobs: the threads of the worker and the queues between them.

- A reading thread brings photos that are to be inspected into the kernel's memory, newest first. So threads that compute do
  not wait for a slow disk, and the disk is never idle while they compute.
- `decode_threads` threads inspect and decode for indexing. A photo that is to be encoded comes to them directly: it was
  inspected a moment ago, and is in memory.
- One thread turns decoded photos into vectors, in batches.
- Jobs of thumbnails have two threads of their own, so that neither queries nor indexing hold them up, nor the other way round.
- Jobs of queries have two threads of their own from end to end, so no other job is ever before them, and a slow image does
  not keep the next query waiting.

The daemon keeps at most 128 jobs here, which bounds every queue: 128 squares of 224 pixels take 19 MB.
"""

import ctypes
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

import numpy as np

from pixkind.encoder.messages import (
    DRAWS,
    PART_BYTES,
    URGENT,
    Draw,
    Drawn,
    Encode,
    Encoded,
    Inspect,
    Job,
    JobRefused,
    Loaded,
    Look,
    Outcome,
    Runtime,
    Settings,
    Unusable,
    begin_work,
)
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import LITE0, Square, decode, every_way_of
from pixkind.encoder.worker.header import inspect, open_photo
from pixkind.encoder.worker.networks import Network, Unfit
from pixkind.encoder.worker.plugins import is_hopeless
from pixkind.encoder.worker.thumbnails import Allowance, Passing, draw
from pixkind.errors import PhotoError

BATCH: Final = 8  # photos at once: in bfloat16 twice as fast as one by one; larger batches are no faster
PATIENCE_S: Final = 0.2  # how long a batch may wait to fill while photos are still being decoded
# Of indexing threads. Queries share the interpreter's lock with them, and on a busy machine a thread that holds the lock
# but gets no processor keeps it. Measured with two busy loops of normal priority a core, and queries by new photos of 12 MP:
#   nice  share of the processors that indexing took  queries, median and longest in ms, three runs of 14 s
#     10  2.7 to 3.5 %                                433 to 476   620 to 877
#     15  0.9 to 1.4 %                                321 to 516   700 to 796
#     19  0.4 to 0.6 %                                381 to 472   584 to 4712
#   idle  0.1 to 0.5 %                                316 to 368   621 to 3931
# With one loop a core, indexing took 15 % at nice 10, and 5 % at 19. With a second worker for queries, and indexing in the
# idle class, the longest query took 509 to 1797 ms, and torch's memory was needed twice.
NICE: Final = 15
AHEAD_BYTES: Final = 64 << 20  # read but not yet inspected, and at most of one photo: about 25 photos from a camera
HEAD_BYTES: Final = 1 << 16  # enough to recognise the format of a photo
STEP_BYTES: Final = 1 << 18  # between two bytes that are read to wait for a file; 0.1 s on a slow disk
IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
IOPRIO_IDLE: Final = 3 << 13  # class 3: they get the disk when no other program has wanted it for a while


class DecodedPhoto(NamedTuple):
    """A photo on its way from a decoding thread to the network."""

    job: int
    square: Square
    look: Look
    thumbnail: bytes


class JobRunner:
    """The threads and their queues. One thread calls `take`; all threads call `send`."""

    def __init__(self, settings: Settings, send: Callable[[Outcome], None]) -> None:
        """Start the threads; the network's runtime is imported at the first encode.

        Args:
            settings: which network, and how many threads.
            send: sends an outcome to the daemon; an OSError means that the daemon has ended.
        """
        self._settings = settings
        self._send = send
        self._cores = threading.Semaphore(settings.cores)  # of indexing: for decoding and the network together
        self._place = threading.local()  # of each thread in the file of `begin_work`
        self._budget = Budget(self._cores, waits=self._wait)
        self._network: Future[Network] = Future()
        self._loading = False
        self._allowance = Allowance()
        self._urgent: SimpleQueue[tuple[Inspect | Encode, int]] = SimpleQueue()
        self._unread: SimpleQueue[tuple[Inspect, int]] = SimpleQueue()
        self._queue: SimpleQueue[tuple[Inspect | Encode, int, int]] = (
            SimpleQueue()
        )  # with the number of bytes read ahead
        self._ahead_bytes = 0  # of photos in `_queue`; guarded by `_read_ahead`
        self._read_ahead = threading.Condition()
        self._draws: SimpleQueue[tuple[Draw, int]] = SimpleQueue()
        self._decoded: SimpleQueue[DecodedPhoto | None] = SimpleQueue()  # None: the photo was refused
        self._accepted = 0  # photos to encode; written by `take` alone
        self._collected = 0  # of these, taken out of `_decoded`; written by the batching thread alone
        _start(self._read)
        _start(self._encode)
        for place in range(URGENT):
            _start(self._answer, place)
        for place in range(URGENT, URGENT + DRAWS):
            _start(self._draw, place)
        for place in range(URGENT + DRAWS, URGENT + DRAWS + settings.decode_threads):
            _start(self._prepare, place)

    def take(self, job: Job, descriptor: int) -> None:
        """Queue a job, and take over its descriptor."""
        if isinstance(job, Encode):
            if not self._loading:
                self._loading = True
                _start(self._load)
            self._accepted += not job.urgent
        if isinstance(job, Draw):
            self._draws.put((job, descriptor))
        elif job.urgent:
            self._urgent.put((job, descriptor))
        elif isinstance(job, Inspect):
            self._unread.put((job, descriptor))
        else:
            self._queue.put((job, descriptor, 0))

    def _load(self) -> None:
        began = time.monotonic()
        try:
            network = _network_of(self._settings)
        except Unfit as error:
            self._send(Unusable(str(error)))
            os._exit(1)
        self._send(Loaded(network.dims, time.monotonic() - began))
        self._network.set_result(network)

    def _answer(self, place: int) -> None:
        """Serve queries, one at a time."""
        self._place.number = place
        while True:
            job, descriptor = self._urgent.get()
            decoded = self._start_job(job, descriptor)
            if decoded is not None:
                self._finish([decoded], every_way=isinstance(job, Encode) and job.every_way)

    def _draw(self, place: int) -> None:
        """Make thumbnails, one at a time."""
        self._place.number = place
        while True:
            job, descriptor = self._draws.get()
            try:
                with open_photo(descriptor) as file, self._working(job.job):
                    jpeg, look = draw(file, job.size, limit_mp=self._settings.limit_mp, budget=self._budget, of=job.of)
            except PhotoError as error:
                self._send(JobRefused(job.job, error.reason))
                continue
            for at in range(0, len(jpeg), PART_BYTES):
                end = at + PART_BYTES
                self._send(Drawn(job.job, jpeg[at:end], look, end >= len(jpeg)))

    def _read(self) -> None:
        """Read photos ahead for indexing."""
        self._give_way()
        while True:
            job, descriptor = self._unread.get()
            with self._read_ahead:
                self._read_ahead.wait_for(lambda: self._ahead_bytes < AHEAD_BYTES)
            count = 0
            with suppress(OSError):  # inspecting the photo meets the error again, and reports it
                size = min(os.fstat(descriptor).st_size, AHEAD_BYTES)
                # A photo without a decoder is not read ahead: there may be terabytes of RAW photos.
                count = 0 if is_hopeless(os.pread(descriptor, HEAD_BYTES, 0)) else size
                if count:
                    _await(descriptor, count)
            with self._read_ahead:
                self._ahead_bytes += count
            self._queue.put((job, descriptor, count))

    def _prepare(self, place: int) -> None:
        """Inspect and decode photos for indexing."""
        self._place.number = place
        self._give_way()
        while True:
            job, descriptor, ahead_bytes = self._queue.get()
            with self._read_ahead:
                self._ahead_bytes -= ahead_bytes
                self._read_ahead.notify()
            decoded = self._start_job(job, descriptor)
            if isinstance(job, Encode):
                self._decoded.put(decoded)

    def _encode(self) -> None:
        """Turn photos that were decoded for indexing into vectors."""
        self._give_way()
        while True:
            batch = self._gather()
            self._network.result()  # waiting for it takes no core
            with self._cores:
                self._finish(batch)

    def _give_way(self) -> None:
        """Lower the calling thread's priority for processor and disk; an ordinary user cannot raise it again.

        Source: sched(7), ioprio_set(2): each thread has its own, and threads that it starts (the runtime's) inherit both.
        """
        if not self._settings.polite:
            return
        os.setpriority(os.PRIO_PROCESS, 0, NICE)  # 0: of this thread; the sandbox allows no other
        if number := IOPRIO_SET.get(os.uname().machine):
            ctypes.CDLL(None).syscall(number, 1, 0, IOPRIO_IDLE)  # 1: of a thread, 0: of this one

    def _start_job(self, job: Inspect | Encode, descriptor: int) -> DecodedPhoto | None:
        """Inspect or decode a photo. Return it if it was decoded; None if it was inspected or refused."""
        limit_mp = self._settings.limit_mp
        try:
            with open_photo(descriptor) as file, self._working(job.job):
                if isinstance(job, Inspect):
                    # A core only once it has memory: a thread that waits for memory must not stop the network.
                    with self._budget.share(urgent=job.urgent) as share:
                        share.open(file)
                        with share.core():
                            inspected = inspect(file, job=job.job, limit_mp=limit_mp)
                    file.close()  # before the outcome is sent: then the drive may be unmounted
                    self._send(inspected)
                    return None
                recipe = LITE0
                if self._settings.model != "efficientnet_lite0":
                    with self._wait():
                        recipe = self._network.result().recipe
                passing, urgent, region = Passing(job.thumbnail and self._allowance.is_left()), job.urgent, job.region
                began_s = time.thread_time()
                square = decode(
                    file,
                    recipe,
                    limit_mp=limit_mp,
                    budget=self._budget,
                    urgent=urgent,
                    region=region,
                    show=passing.show,
                    page=job.page,
                )
                if not urgent:
                    self._allowance.note(time.thread_time() - began_s - passing.cpu_s, passing.cpu_s)
                return DecodedPhoto(job.job, square, passing.look, passing.thumbnail)
        except PhotoError as error:
            self._send(JobRefused(job.job, error.reason))
            return None

    @contextmanager
    def _working(self, job: int) -> Iterator[None]:
        """Note that the calling thread works at a job, for a `with`."""
        self._place.job = job
        begin_work(self._settings.work, self._place.number, job)
        try:
            yield
        finally:
            begin_work(self._settings.work, self._place.number, 0)

    @contextmanager
    def _wait(self) -> Iterator[None]:
        """Note that the calling thread waits for others, for a `with`: that time is not its job's."""
        begin_work(self._settings.work, self._place.number, 0)
        yield
        begin_work(self._settings.work, self._place.number, self._place.job)

    def _gather(self) -> list[DecodedPhoto]:
        """Wait for decoded photos, and return a batch of them, or fewer if no more will come soon."""
        batch: list[DecodedPhoto] = []
        until = float("inf")
        while len(batch) < BATCH and (not batch or self._collected < self._accepted):
            try:
                one = self._decoded.get(timeout=max(0.0, until - time.monotonic()) if batch else None)
            except Empty:
                break
            self._collected += 1
            if one is not None:
                until = time.monotonic() + PATIENCE_S if not batch else until
                batch.append(one)
        return batch

    def _finish(self, batch: list[DecodedPhoto], *, every_way: bool = False) -> None:
        """Send the vectors of decoded photos. `every_way`: of the only one, in all orientations."""
        squares = np.stack([one.square for one in batch])
        vectors = self._network.result().embed(every_way_of(squares[0]) if every_way else squares)
        with np.errstate(over="ignore"):  # a number that overflows becomes infinite, and the photo is refused
            halves = vectors.astype("<f2").reshape(len(batch), -1, vectors.shape[1])
        for one, vector in zip(batch, halves, strict=True):
            if np.isfinite(vector).all() and vector.any(axis=1).all():
                self._send(Encoded(one.job, vector.tobytes(), one.look, one.thumbnail))
            else:
                self._send(JobRefused(one.job, "the network made no usable vector of it"))


def _network_of(settings: Settings) -> Network:
    """Return the network. Its runtime is imported here, and no other.

    Raises:
        Unfit: see `models.load` and `onnx.load`; or the runtime cannot be imported.
    """
    try:
        if settings.runtime is Runtime.ONNX:
            from pixkind.encoder.worker import onnx

            load: Callable[..., Network] = partial(onnx.load, settings.weights)
        else:
            from pixkind.encoder.worker import models

            load = partial(models.load, settings.model, settings.weights)
    except (ImportError, OSError, AttributeError) as error:  # a wheel that is damaged, or for another machine
        raise Unfit(f"the runtime {settings.runtime} cannot be imported: {error}") from error
    return load(threads=settings.network_threads, sha256=settings.sha256)


def _await(descriptor: int, count: int) -> None:
    """Return when the first `count` bytes of a file are in the kernel's memory.

    It waits by reading one byte a step: copying all of them would take a third of the time of hashing.
    """
    os.posix_fadvise(descriptor, 0, count, os.POSIX_FADV_WILLNEED)
    for end in range(STEP_BYTES, count + STEP_BYTES, STEP_BYTES):
        os.pread(descriptor, 1, min(end, count) - 1)


def _start(loop: Callable[..., None], *arguments: int) -> None:
    name = loop.__name__.strip("_")
    threading.Thread(target=_to_the_end, args=(loop, *arguments), name=name, daemon=True).start()


def _to_the_end(loop: Callable[..., None], *arguments: int) -> None:
    """Run a thread's loop. If it fails, the process ends: a worker without that thread would not answer."""
    try:
        loop(*arguments)
    except (BrokenPipeError, ConnectionResetError):  # the daemon has ended
        os._exit(0)
    except BaseException:  # noqa: BLE001  the thread's outermost frame
        with suppress(OSError):  # the daemon may hear no more of it
            traceback.print_exc()
        os._exit(70)  # EX_SOFTWARE
