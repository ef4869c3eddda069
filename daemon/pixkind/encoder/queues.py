"""The jobs that wait for the worker, in three queues: those of queries go first, then those of thumbnails."""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Final

from pixkind.encoder.deadlines import EncoderTask, Flight
from pixkind.encoder.messages import DRAWS, URGENT, Draw

WINDOW: Final = 128  # jobs in the worker at once; their descriptors count against RLIMIT_NOFILE


class TaskQueues:
    """Three queues. Any thread may add; all else is the encoder's thread's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all of this
        self._urgent: deque[EncoderTask] = deque()
        self._draws: deque[EncoderTask] = deque()
        self._others: deque[EncoderTask] = deque()
        self._is_closed = False

    def __bool__(self) -> bool:
        with self._lock:
            return bool(self._urgent or self._draws or self._others)

    def add(self, task: EncoderTask) -> bool:
        """Queue a task; return whether the encoder's thread must be woken. If the queues are closed, it is cancelled."""
        with self._lock:
            if self._is_closed:
                task.future.cancel()
                return True
            (queue := self._of(task)).append(task)
            return len(queue) == 1  # else the first one has woken the thread, or it waits for outcomes

    def take(self, flight: Flight, *, is_draining: bool) -> EncoderTask | None:
        """Return the next task that may be sent now: urgent ones first, and none while a task is alone in the worker.

        Only an urgent task joins the one that is alone, after some time. Then neither is blamed for the end of the worker.

        Args:
            flight: the tasks in the worker.
            is_draining: the worker is to be replaced, so it gets no photo to index before it is empty.
        """
        alone = next((task for task in flight.values() if task.alone), None)
        draws = sum(isinstance(task.job, Draw) for task in flight.values())
        urgent = sum(task.job.urgent for task in flight.values()) - draws
        with self._lock:
            for queue, has_room in ((self._urgent, urgent < URGENT), (self._draws, draws < DRAWS)):
                if queue and has_room and (alone is None or alone.may_have_company()):
                    if alone is not None:
                        alone.has_company = True
                    return queue.popleft()
            if alone is not None or not self._others:
                return None
            if len(flight) < (1 if self._others[0].alone or is_draining else WINDOW):
                return self._others.popleft()
        return None

    def put_back(self, tasks: Iterable[EncoderTask], last: Iterable[EncoderTask] = ()) -> None:
        """Put tasks back to the front of their queues, the first one first, and urgent ones to the end.

        Args:
            tasks: to the front.
            last: urgent ones, to the end.
        """
        with self._lock:
            for task in reversed([*tasks]):
                self._of(task).appendleft(task)
            self._urgent.extend(last)

    def queries(self) -> list[EncoderTask]:
        """Return the urgent tasks."""
        with self._lock:
            return [*self._urgent]

    def drop_over(self) -> list[EncoderTask]:
        """Remove and return the urgent tasks whose asker has given up."""
        with self._lock:
            over = [task for task in (*self._urgent, *self._draws) if task.is_over()]
            for queue in (self._urgent, self._draws):
                left = [task for task in queue if task not in over]
                queue.clear()
                queue.extend(left)
        return over

    def close(self) -> list[EncoderTask]:
        """Accept no task any more, and return those that are left."""
        with self._lock:
            self._is_closed = True
            return [*self._urgent, *self._draws, *self._others]

    def _of(self, task: EncoderTask) -> deque[EncoderTask]:
        if isinstance(task.job, Draw):
            return self._others if task.alone else self._draws
        return self._urgent if task.job.urgent else self._others
