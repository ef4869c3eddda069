"""The deadlines of jobs in the worker: which job has had its time, and whether the worker itself is stuck.

The time of a job is the CPU time of the thread that works at it, so neither the queue nor a busy machine counts.
A photo that is indexed has `cpu_s`. After that the worker is ended, the photo fails with `TooSlow`, and all other jobs
go on in the next worker. A photo that comes again because it was too slow, or that is alone, has `slow_cpu_s`.
A query image ends with its asker. If it is slow and others wait, it goes behind them.
A job whose thread does nothing for `wall_s` is stuck. So is a worker in which no thread does anything for `wall_s`.

The encoder's thread owns all of this.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from pixkin.protocol.requests import now_ms
from pixkind.encoder.messages import Draw, Encode, Encoded, Inspect, Inspected, read_work
from pixkind.encoder.process import WorkerProcess
from pixkind.encoder.thumbnail_checks import Drawing
from pixkind.errors import PhotoError

LOAD_S: Final = 300.0  # for importing torch and loading the network on a slow, cold disk
TICKS_S: Final = 1.0  # by how much the two clocks of a thread's CPU time may differ, with a wide margin
CHECK_S: Final = 0.5  # between two looks at what the threads of the worker do
# A query image that has used this much CPU time is slow: it ends with its asker, and makes room for other query images.
SLOW_S: Final = 5.0
WAIT_S: Final = 5.0  # how long a query waits for slow images of others, or for a photo that is alone in the worker
ANSWER_MS: Final = 1000  # before its asker gives up: then the asker learns that the image is slow
STUCK: Final = "takes too long to decode"


class TooSlow(PhotoError):
    """This photo has used all the time that it may have; nothing else is wrong with it."""

    def __init__(self) -> None:
        super().__init__(STUCK)


@dataclass(slots=True)
class EncoderTask:
    """A job, and what has become of it."""

    job: Inspect | Encode | Draw
    descriptor: int
    alone: bool  # no other job is in the worker, so this photo causes its death
    is_patient: bool = False  # it has the long deadline
    until_ms: int = 0  # when its asker gives up, as CLOCK_MONOTONIC says; 0: never
    future: "Future[Inspected | Encoded | Drawing]" = field(default_factory=Future)
    asked_at: float = field(default_factory=time.monotonic)
    sent_at: float = 0.0
    has_company: bool = False  # a query joined it, though it was to be alone
    has_yielded: bool = False  # it was ended for other queries
    parts: bytearray = field(default_factory=bytearray)  # of a thumbnail that has not come as a whole
    # What its thread in the worker has done, as of the last look.
    cpu_s: float = 0.0
    moved_at: float = 0.0  # when its thread last computed, wanted to, or waited for other jobs

    def may_have_company(self) -> bool:
        """Return whether it has been alone in the worker for so long that a query may join it."""
        return self.sent_at + WAIT_S <= time.monotonic()

    def is_over(self) -> bool:
        """Return whether its asker has given up."""
        return 0 < self.until_ms <= now_ms()


Flight = Mapping[int, EncoderTask]  # the jobs in the worker, by number


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long jobs may take. `threads`: of the worker that work at jobs."""

    cpu_s: float  # of a photo that is indexed while others wait
    slow_cpu_s: float  # of any other
    wall_s: float  # without any CPU time
    threads: int

    def look(self, worker: WorkerProcess, flight: Flight, now: float) -> None:
        """Note what the threads of the worker do."""
        at_work = {work.job: work for work in read_work(worker.work)}
        for job, task in flight.items():
            work = at_work.get(job)
            if work is None:
                task.moved_at = now
                continue
            is_runnable, cpu_s = worker.thread(work.thread)
            # The worker wrote this file, so it may say what cannot be. Then all time of the thread counts.
            cpu_s -= work.began_cpu_s if 0 <= work.began_cpu_s <= cpu_s + TICKS_S else 0.0
            if is_runnable or cpu_s > task.cpu_s:
                task.moved_at = now
            task.cpu_s = cpu_s

    def is_late(self, task: EncoderTask, now: float) -> bool:
        """Return whether a job has had its time."""
        if task.until_ms and now_ms() > task.until_ms - ANSWER_MS and task.cpu_s > SLOW_S:
            return True
        # A thumbnail has no longer than indexing: there are hundreds, and another photo may be shown instead.
        has_long = task.alone or task.is_patient or (task.job.urgent and not isinstance(task.job, Draw))
        return task.cpu_s > (self.slow_cpu_s if has_long else self.cpu_s) or now - task.moved_at > self.wall_s

    def in_the_way(self, worker: WorkerProcess, queries: Sequence[EncoderTask], now: float) -> set[int]:
        """Return the slow images of these queries, if they hold up others. They go last, and count no more as waiting."""
        if worker.needs_network_since and not worker.loaded_at:
            return set()
        slow = [task for task in queries if task.cpu_s > SLOW_S]
        since = [
            max(task.asked_at, task.sent_at, worker.loaded_at)
            for task in queries
            if task not in slow and not task.has_yielded
        ]
        if not slow or now - min(since, default=now) <= WAIT_S:
            return set()
        for task in slow:
            task.has_yielded = True
        return {task.job.job for task in slow}

    def is_stuck(self, worker: WorkerProcess, flight: Flight, now: float) -> bool:
        """Return whether the worker does nothing, or computes without end although no job is being decoded."""
        if worker.needs_network_since and not worker.loaded_at:
            is_late = now - worker.needs_network_since > LOAD_S
        else:
            first = min(task.sent_at for task in flight.values())
            is_late = now - max(worker.heard_at, worker.loaded_at, first) > self.wall_s
        longest_s = self.slow_cpu_s * self.threads
        return is_late and not (worker.wants_processor() and worker.cpu_s() - worker.heard_cpu_s <= longest_s)
