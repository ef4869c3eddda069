"""Supervises the worker process: starts it on demand, sends it photos, notices its death, and ends it when idle.

A thread of its own does all that. Other threads call `inspect` and `encode`, and get futures.
The caller owns the descriptor, and keeps it open until the future is done.
"""

import contextlib
import itertools
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final, cast

import msgspec

from pixkind.encoder.belief import NONSENSE, Belief
from pixkind.encoder.deadlines import CHECK_S, STUCK, Deadlines, EncoderTask, TooSlow
from pixkind.encoder.messages import (
    DRAWS,
    URGENT,
    Confined,
    Draw,
    Encode,
    Encoded,
    Inspect,
    Inspected,
    JobRefused,
    Nonsense,
    Outcome,
    Region,
    Settings,
    Size,
    ThumbnailOf,
    receive_outcome,
    send_job,
)
from pixkind.encoder.process import WorkerProcess
from pixkind.encoder.queues import WINDOW, TaskQueues
from pixkind.encoder.thumbnail_checks import Drawing
from pixkind.errors import PhotoError
from pixkind.system.threads import ServiceThread

_log = logging.getLogger(__name__)

FRUITLESS: Final = 3  # workers in a row that end before they take a job: then the photos are not to blame
# -I: nothing of the user's environment is imported.
WORKER: Final = (sys.executable, "-I", "-m", "pixkind.encoder.worker")
# Signals by which a photo ends the worker, and nothing outside.
BLAME: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGSYS, signal.SIGFPE})


class WorkerDied(Exception):
    """The worker died with this job in it; `blame` says why this photo caused it, and is empty if that is not known."""

    def __init__(self, blame: str) -> None:
        super().__init__(blame or "the worker died")
        self.blame = blame


class Encoder:
    """Sends jobs to the worker process, and returns their futures."""

    def __init__(
        self,
        settings: Settings,
        *,
        keep_warm_s: float,
        cpu_s: float = 30.0,
        slow_cpu_s: float = 120.0,
        wall_s: float = 120.0,
        command: Sequence[str] = WORKER,
    ) -> None:
        """Prepare; the worker itself starts with the first job.

        Args:
            settings: the worker's; this sets `socket`.
            keep_warm_s: how long the worker stays without work.
            cpu_s: CPU time that a photo may take while others wait for it.
            slow_cpu_s: CPU time of a photo that is alone in the worker, or was too slow before.
            wall_s: time without CPU time, and without waiting for a processor, after which a job or the worker is stuck.
            command: starts the worker; the settings are its last argument.
        """
        self._settings = settings
        self._keep_warm_s = keep_warm_s
        self._deadlines = Deadlines(cpu_s, slow_cpu_s, wall_s, settings.decode_threads + URGENT + DRAWS)
        self._command = command
        self._thread = ServiceThread("encoder", self._run)
        self._queues = TaskQueues()
        self._numbers = itertools.count(1)
        self._flight: dict[int, EncoderTask] = {}
        self._worker: WorkerProcess | None = None
        self._belief = Belief(settings.model)
        self._checked_at = 0.0
        # The jobs for which the worker was ended: those that have had their time, and query images that make room for others.
        self._late: set[int] = set()
        self._yielding: set[int] = set()
        self._fruitless = 0  # workers in a row that exited before they took a job
        self._boosted = False  # set by any thread
        self._polite = True  # not `_boosted`, as the encoder's thread reads it once a turn
        self._stopping = False
        # What the sandbox of the last worker enforces; None: none has said it yet.
        self.confined: Confined | None = None
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    # A service.

    def start(self) -> None:
        """Start the thread, but not yet the worker."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker and the thread; futures that are not done are cancelled."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(5)

    def failure(self) -> BaseException | None:
        """Return the exception that ended the thread; None if there is none."""
        return self._thread.failure

    def beat(self) -> int:
        """Return the number of turns of its loop."""
        return self._thread.beats

    @property
    def pid(self) -> int:
        """The worker's process id; 0 while there is none."""
        worker = self._worker
        return worker.process.pid if worker is not None else 0

    def expect(self, dims: int) -> None:
        """Believe no vectors of other dimensions; 0: a trial tells them. To be called before the first job."""
        self._belief.dims, self._belief.needs_trial = dims, not dims

    def inspect(
        self, descriptor: int, *, urgent: bool = False, alone: bool = False, is_patient: bool = False, until_ms: int = 0
    ) -> "Future[Inspected]":
        """Have the photo behind `descriptor` inspected.

        The future raises PhotoError (it cannot be used), TooSlow, WorkerDied, or CancelledError (the daemon stops, or the
        asker has given up).

        Args:
            descriptor: a regular file, open for reading; the caller keeps it open until the future is done.
            urgent: a query waits for it: it goes before all jobs that are not urgent.
            alone: it goes when no other job is in the worker.
            is_patient: it was too slow before, and gets more time.
            until_ms: when its asker gives up, as CLOCK_MONOTONIC says; 0: never. Only if it is urgent.
        """
        task = EncoderTask(Inspect(next(self._numbers), urgent), descriptor, alone, is_patient, until_ms)
        return cast("Future[Inspected]", self._submit(task))

    def encode(
        self,
        descriptor: int,
        *,
        urgent: bool = False,
        alone: bool = False,
        is_patient: bool = False,
        until_ms: int = 0,
        region: Region | None = None,
        every_way: bool = False,
        thumbnail: bool = False,
        page: int = 0,
    ) -> "Future[Encoded]":
        """Have the photo behind `descriptor` encoded; otherwise as `inspect`.

        Args:
            descriptor: as of `inspect`.
            urgent: likewise.
            alone: likewise.
            is_patient: likewise.
            until_ms: likewise.
            region: only this part of it; None: all.
            every_way: a vector for each of the `WAYS` to orient it; only if it is urgent.
            thumbnail: make a thumbnail of size S as well.
            page: the number of a further page, see `Inspected.pages`; 0: the picture that it shows.
        """
        job = Encode(next(self._numbers), urgent, region, every_way, thumbnail, page)
        return cast("Future[Encoded]", self._submit(EncoderTask(job, descriptor, alone, is_patient, until_ms)))

    def draw(
        self, descriptor: int, size: Size, *, of: ThumbnailOf | None = None, alone: bool = False, until_ms: int = 0
    ) -> "Future[Drawing]":
        """Have a thumbnail made of the photo behind `descriptor`, ahead of indexing and beside queries; otherwise as `inspect`."""
        task = EncoderTask(Draw(next(self._numbers), size, of), descriptor, alone, until_ms=until_ms)
        return cast("Future[Drawing]", self._submit(task))

    def boost(self, on: bool) -> None:  # noqa: FBT001  it is the only argument
        """Let indexing compete for processor and disk like any other program, or give way again; from any thread.

        This is for photos that are sent from now on: a worker of the other kind first finishes its jobs.
        """
        self._boosted = on
        os.eventfd_write(self._wake, 1)

    def _submit(self, task: EncoderTask) -> "Future[Inspected | Encoded | Drawing]":
        if self._queues.add(task):
            os.eventfd_write(self._wake, 1)
        return task.future

    def _run(self) -> None:
        idle_since = time.monotonic()
        try:
            while not self._stopping:
                self._thread.beat()
                self._polite = not self._boosted
                blocked = self._dispatch()
                if self._flight:
                    idle_since = time.monotonic()
                self._wait(idle_since, blocked=blocked)
                self._receive()
                self._check_deadlines()
                if (worker := self._worker) is None:
                    continue
                worker.log_errors()
                is_idle = not self._flight
                if is_idle and (worker.is_worn() or time.monotonic() - idle_since >= self._keep_warm_s):
                    self._dismiss()
        finally:
            self._dismiss()
            for task in [*self._queues.close(), *self._flight.values()]:
                task.future.cancel()

    def _wait(self, idle_since: float, *, blocked: bool) -> None:
        timeout_s = ServiceThread.BEAT_S
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if self._worker:
            self._worker.register(poll, writes=blocked)
            idle_s = idle_since + self._keep_warm_s - time.monotonic()
            timeout_s = 1.0 if self._flight else min(timeout_s, max(0.0, idle_s))
        poll.poll(timeout_s * 1000 + 1)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _take(self) -> EncoderTask | None:
        if self._belief.needs_trial:
            is_due = self._worker is None and (self._queues or self._belief.is_accused)
            return self._belief.begin_trial(self._numbers) if is_due else None
        return self._queues.take(self._flight, is_draining=self._is_to_be_replaced())

    def _is_to_be_replaced(self) -> bool:
        """Return whether the worker must be replaced before it indexes: it is worn, or its threads have another priority."""
        worker = self._worker
        return worker is not None and (worker.polite != self._polite or worker.is_worn())

    def _dispatch(self) -> bool:
        """Send all tasks that can be sent; return whether the worker's socket is full."""
        while (task := self._take()) is not None:
            if not (task.job.urgent or self._flight) and self._is_to_be_replaced():
                self._dismiss()
            if self._worker is None:
                settings = msgspec.structs.replace(self._settings, polite=self._polite)
                self._worker = WorkerProcess.start(self._command, settings)
            worker = self._worker
            task.sent_at = task.moved_at = time.monotonic()
            task.cpu_s = 0.0
            task.parts.clear()
            if isinstance(task.job, Encode) and not worker.needs_network_since:
                worker.needs_network_since = task.sent_at
            self._flight[task.job.job] = task
            try:
                send_job(worker.socket, task.job, task.descriptor)
            except BlockingIOError:
                del self._flight[task.job.job]
                self._queues.put_back([task])
                return True
            except OSError:  # it has died: this task fails with the others, though it was never read
                self._worker_died(started=False)
        return False

    def _receive(self) -> None:
        for _ in range(WINDOW):  # not without end: a worker that never falls silent would hold up the deadlines
            if (worker := self._worker) is None:
                return
            try:
                outcome = receive_outcome(worker.socket)
                if outcome is not None and not worker.fault:
                    self._settle(worker, outcome)
            except BlockingIOError:
                return
            except ConnectionError:  # it ended with a job unread
                self._worker_died(started=False)
            except Nonsense:
                self._end_for(NONSENSE)
            else:
                if outcome is None:
                    self._worker_died(started=True)

    def _settle(self, worker: WorkerProcess, outcome: Outcome) -> None:
        """Take an outcome that can be true.

        Raises:
            Nonsense: it cannot be true, or was not asked for.
            ConfigError: the network is unusable.
        """
        if isinstance(outcome, Confined):
            self._keep_confinement(worker, outcome)
            return
        self._fruitless = self._fruitless if self._belief.needs_trial else 0
        worker.hear(time.monotonic())
        answer = self._belief.judge(worker, self._flight, outcome)
        if answer is not None:
            job, said = answer
            self._conclude(job, PhotoError(said.reason) if isinstance(said, JobRefused) else said)

    def _keep_confinement(self, worker: WorkerProcess, confined: Confined) -> None:
        """Note what the sandbox enforces. A worker says it before its first photo; later, a photo could have it say that."""
        if worker.outcomes:
            raise Nonsense
        worker.hear(time.monotonic())
        if confined.missing and confined != self.confined:
            _log.warning("the sandbox of the worker is incomplete: %s", "; ".join(confined.missing))
        self.confined = confined

    def _conclude(self, job: int, outcome: "Inspected | Encoded | Drawing | PhotoError | WorkerDied") -> None:
        """Remove a job from those in the worker, and tell its caller; an asker who has given up hears nothing more."""
        future = self._flight.pop(job).future
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    # The end of a worker.

    def _end_for(self, fault: str) -> None:
        """Kill the worker; when its socket ends, `_worker_died` is called."""
        if self._worker is not None:
            self._worker.fault = fault
            self._worker.process.kill()

    def _dismiss(self) -> None:
        """Close the worker's socket: then it exits."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.reap(2)

    def _worker_died(self, *, started: bool) -> None:
        """Fail the futures of all jobs in a worker that has ended. `started`: it had read all its jobs."""
        if (worker := self._worker) is None:
            return
        self._worker = None
        code = worker.reap(5)  # the kernel may still be writing its core
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        _log.warning("worker pid=%d died of %s with %d photos in it", worker.process.pid, how, len(self._flight))
        is_fruitless = (code > 0 and not started) or self._belief.is_on_trial(self._flight)
        self._fruitless = self._fruitless + 1 if is_fruitless else 0
        if self._fruitless == FRUITLESS:
            raise RuntimeError(f"the worker cannot start: it ended with {how}, {FRUITLESS} times in a row")
        blame = worker.fault or (f"crashes the decoder ({how})" if started and -code in BLAME else "")
        if self._late or self._yielding:
            self._put_back()
            return
        for job, task in list(self._flight.items()):
            blamed = blame if task.alone and not task.has_company else ""
            self._conclude(job, TooSlow() if blamed == STUCK else WorkerDied(blamed))

    def _put_back(self) -> None:
        """Put the jobs of a worker that was ended back into the queues, except those for which it was ended."""
        for job in self._late & self._flight.keys():
            self._conclude(job, TooSlow())
        left = [(job, task) for job, task in sorted(self._flight.items()) if not task.future.done()]
        for _, task in left:
            task.has_company, task.cpu_s = False, 0.0
        last = [task for job, task in left if job in self._yielding]
        self._queues.put_back([task for job, task in left if job not in self._yielding], last)
        self._flight, self._late, self._yielding = {}, set(), set()

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        if now < self._checked_at + CHECK_S:
            return
        self._checked_at = now
        self._leave_queue()
        worker = self._worker
        if worker is None or not self._flight or worker.fault:
            return
        self._deadlines.look(worker, self._flight, now)
        urgent = [task for task in self._flight.values() if task.job.urgent and not isinstance(task.job, Draw)]
        queries = [*self._queues.queries(), *urgent]
        self._late = {job for job, task in self._flight.items() if self._deadlines.is_late(task, now)}
        self._yielding = self._deadlines.in_the_way(worker, queries, now) - self._late
        if self._late or self._yielding or self._deadlines.is_stuck(worker, self._flight, now):
            self._end_for(STUCK)

    def _leave_queue(self) -> None:
        """Drop the jobs of queries that wait no longer. A job in the worker goes on until it is late."""
        over = [*self._queues.drop_over(), *(task for task in self._flight.values() if task.is_over())]
        for task in over:
            task.future.cancel()
