"""Jobs to outcomes: the threads of the worker and the queues between them.

Indexing has `decode_threads` threads that inspect and decode, and one that turns what they decoded into vectors, in
batches. What is to be inspected is read into the kernel's memory by one thread more, newest first: a slow disk holds up
nobody who computes, and is never idle while they do. A photo to be encoded was inspected a moment ago, so it goes past.
A query's jobs have a thread of their own from end to end, so nothing is ever ahead of them.
The daemon keeps at most 128 jobs here, which bounds every queue: 128 squares of 224 pixels take 19 MB.
"""

import ctypes
import os
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

import numpy as np

from pixkind.encoder.messages import Encode, Encoded, Inspect, Job, JobRefused, Loaded, Outcome, Settings, Unusable
from pixkind.encoder.worker.decode import LITE0, Budget, Square, decode, every_way_of
from pixkind.encoder.worker.header import inspect, open_photo
from pixkind.encoder.worker.plugins import is_hopeless
from pixkind.errors import PhotoError

if TYPE_CHECKING:
    from pixkind.encoder.worker.models import Network  # imports torch


BATCH: Final = 8  # photos at once: in bfloat16 twice as fast as one by one, and no faster from there on
PATIENCE_S: Final = 0.2  # for a batch to fill, while photos are still being decoded
# Of indexing threads. Queries share the interpreter's lock with them, and on a busy machine whoever holds it without
# a claim to the processor keeps it. With two normal loops a core, and queries by new photos of 12 MP:
#   nice  share of the processors that indexing took  queries, median and longest in ms, three runs of 14 s
#     10  2.7 to 3.5 %                                433 to 476   620 to 877
#     15  0.9 to 1.4 %                                321 to 516   700 to 796
#     19  0.4 to 0.6 %                                381 to 472   584 to 4712
#   idle  0.1 to 0.5 %                                316 to 368   621 to 3931
# With one loop a core indexing took 15 % at nice 10, and 5 % at 19. A worker for queries beside one of the idle class:
# 509 to 1797 ms at the longest, and torch's memory twice.
NICE: Final = 15
AHEAD_BYTES: Final = 64 << 20  # read and not yet inspected, and of one photo at most: some 25 photos from a camera
HEAD_BYTES: Final = 1 << 16  # tell what a photo is
STEP_BYTES: Final = 1 << 18  # between the bytes that are waited for; 0.1 s on a slow disk
IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
IOPRIO_IDLE: Final = 3 << 13  # class 3: the disk is theirs when nobody else has wanted it for a while


class JobRunner:
    """The threads and their queues. `take` is called by one thread, `send` by all."""

    def __init__(self, settings: Settings, send: Callable[[Outcome], None]) -> None:
        """Start the threads; torch is imported at the first encode.

        Args:
            settings: which network, and how many threads.
            send: hands an outcome to the daemon; an OSError means that there is none any more.
        """
        self._settings = settings
        self._send = send
        self._cores = threading.Semaphore(settings.cores)  # for indexing: decoding and torch together
        self._budget = Budget(cores=self._cores)
        self._network: Future[Network] = Future()
        self._loading = False
        self._urgent: SimpleQueue[tuple[Job, int]] = SimpleQueue()
        self._unread: SimpleQueue[tuple[Job, int]] = SimpleQueue()
        self._queue: SimpleQueue[tuple[Job, int, int]] = SimpleQueue()  # with the bytes that were read ahead
        self._ahead_bytes = 0  # of what is in `_queue`; guarded by `_open_space`
        self._open_space = threading.Condition()
        self._decoded: SimpleQueue[tuple[int, Square] | None] = SimpleQueue()  # None: that one was refused
        self._accepted = 0  # photos to encode; written by `take` alone
        self._collected = 0  # of these, out of `_decoded`; written by the batching thread alone
        _start(self._answer)
        _start(self._read)
        _start(self._encode)
        for _ in range(settings.decode_threads):
            _start(self._prepare)

    def take(self, job: Job, descriptor: int) -> None:
        """Queue a job; the descriptor is ours to close."""
        if isinstance(job, Encode):
            if not self._loading:
                self._loading = True
                _start(self._load)
            self._accepted += not job.urgent
        if job.urgent:
            self._urgent.put((job, descriptor))
        elif isinstance(job, Inspect):
            self._unread.put((job, descriptor))
        else:
            self._queue.put((job, descriptor, 0))

    def _load(self) -> None:
        began = time.monotonic()
        from pixkind.encoder.worker import models

        settings = self._settings
        try:
            network = models.load(settings.model, settings.weights, threads=settings.torch_threads)
        except models.Unfit as error:
            self._send(Unusable(str(error)))
            os._exit(1)
        self._send(Loaded(network.dims, time.monotonic() - began))
        self._network.set_result(network)

    def _answer(self) -> None:
        """Serve queries, one at a time."""
        while True:
            job, descriptor = self._urgent.get()
            decoded = self._start_job(job, descriptor)
            if decoded is not None:
                self._finish([decoded], every_way=isinstance(job, Encode) and job.every_way)

    def _read(self) -> None:
        """Read ahead for the index."""
        self._give_way()
        while True:
            job, descriptor = self._unread.get()
            with self._open_space:
                self._open_space.wait_for(lambda: self._ahead_bytes < AHEAD_BYTES)
            count = 0
            with suppress(OSError):  # whoever inspects it meets it again, and says so
                size = min(os.fstat(descriptor).st_size, AHEAD_BYTES)
                # A photo that nothing here can read is not read: of raw photos there are terabytes.
                count = 0 if is_hopeless(os.pread(descriptor, HEAD_BYTES, 0)) else size
                if count:
                    _await(descriptor, count)
            with self._open_space:
                self._ahead_bytes += count
            self._queue.put((job, descriptor, count))

    def _prepare(self) -> None:
        """Inspect and decode for the index."""
        self._give_way()
        while True:
            job, descriptor, ahead_bytes = self._queue.get()
            with self._open_space:
                self._ahead_bytes -= ahead_bytes
                self._open_space.notify()
            # To decode, a core is taken when there is memory: whoever waits for memory must not stop torch.
            with self._cores if isinstance(job, Inspect) else nullcontext():
                decoded = self._start_job(job, descriptor)
            if isinstance(job, Encode):
                self._decoded.put(decoded)

    def _encode(self) -> None:
        """Turn what was decoded for the index into vectors."""
        self._give_way()
        while True:
            batch = self._gather()
            self._network.result()  # no core is taken to wait for it
            with self._cores:
                self._finish(batch)

    def _give_way(self) -> None:
        """Lower the calling thread's claim to processor and disk; an ordinary user cannot raise it again.

        Source: sched(7), ioprio_set(2): both are a thread's own, and those that it starts (torch's) inherit them.
        """
        if not self._settings.polite:
            return
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        if number := IOPRIO_SET.get(os.uname().machine):
            ctypes.CDLL(None).syscall(number, 1, 0, IOPRIO_IDLE)  # 1: of a thread, 0: of this one

    def _start_job(self, job: Job, descriptor: int) -> tuple[int, Square] | None:
        """Do all of an inspect, or the decoding of an encode, which is returned unless it was refused."""
        limit_mp = self._settings.limit_mp
        try:
            with open_photo(descriptor) as file:
                if isinstance(job, Inspect):
                    inspected = inspect(file, job=job.job, limit_mp=limit_mp)
                    file.close()  # before it is told: then the drive may go
                    self._send(inspected)
                    return None
                recipe = LITE0 if self._settings.model == "efficientnet_lite0" else self._network.result().recipe
                budget, urgent = self._budget, job.urgent
                square = decode(file, recipe, limit_mp=limit_mp, budget=budget, urgent=urgent, region=job.region)
                return job.job, square
        except PhotoError as error:
            self._send(JobRefused(job.job, error.reason))
            return None

    def _gather(self) -> list[tuple[int, Square]]:
        """Wait for decoded photos; return up to a batch of them, fewer when no more are to come soon."""
        batch: list[tuple[int, Square]] = []
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

    def _finish(self, batch: list[tuple[int, Square]], *, every_way: bool = False) -> None:
        """Send the vectors of decoded photos, or, `every_way`, those of the only one."""
        squares = np.stack([square for _, square in batch])
        vectors = self._network.result().embed(every_way_of(squares[0]) if every_way else squares)
        with np.errstate(over="ignore"):  # an overflow becomes infinite, which is refused
            halves = vectors.astype("<f2").reshape(len(batch), -1, vectors.shape[1])
        for (job, _), vector in zip(batch, halves, strict=True):
            if np.isfinite(vector).all() and vector.any(axis=1).all():
                self._send(Encoded(job, vector.tobytes()))
            else:
                self._send(JobRefused(job, "the network made no usable vector of it"))


def _await(descriptor: int, count: int) -> None:
    """Return when the first bytes of a file, `count` of them, are in the kernel's memory.

    A byte here and there waits for them: to copy all would cost a third of hashing it.
    """
    os.posix_fadvise(descriptor, 0, count, os.POSIX_FADV_WILLNEED)
    for end in range(STEP_BYTES, count + STEP_BYTES, STEP_BYTES):
        os.pread(descriptor, 1, min(end, count) - 1)


def _start(loop: Callable[[], None]) -> None:
    threading.Thread(target=_to_the_end, args=(loop,), name=loop.__name__.strip("_"), daemon=True).start()


def _to_the_end(loop: Callable[[], None]) -> None:
    """Run a thread's loop; if it fails, the process ends, since a worker with a thread less answers nothing."""
    try:
        loop()
    except (BrokenPipeError, ConnectionResetError):  # the daemon is gone
        os._exit(0)
    except BaseException:  # noqa: BLE001  the thread's outermost frame
        traceback.print_exc()
        os._exit(70)  # EX_SOFTWARE
