"""What the daemon believes of the worker: nothing that it can check.

A photo may take over the decoder, and then the worker says whatever the photo wants. So an outcome counts only if

- its job was given and has no outcome yet, and the outcome fits the job;
- its vectors have the dimensions of the space, are finite, and are not zero;
- its thumbnails are what `thumbnail_checks` lets through;
- it is the first `Loaded` of this worker, which was asked to load the network.

Anything else is `Nonsense`: the worker is killed. A photo that was alone in it has failed.

Two things a photo could say to harm all others: that the network is unusable, which ends the daemon, and how many
dimensions a new space has. Both are believed only of a worker that was given no photo. It has one job, a *trial*: to
encode an empty file. The trial comes before all photos if the dimensions of the space are not known, and again after a
worker said that the network is unusable.

The encoder's thread owns all of this.
"""

import itertools
import logging
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pixkind.encoder.deadlines import EncoderTask
from pixkind.encoder.messages import (
    DRAWN_BYTES,
    WAYS,
    Draw,
    Drawn,
    Encode,
    Encoded,
    Inspect,
    Inspected,
    Job,
    JobRefused,
    Loaded,
    Nonsense,
    Size,
    Unusable,
)
from pixkind.encoder.process import WorkerProcess
from pixkind.encoder.thumbnail_checks import Drawing, check
from pixkind.errors import ConfigError

_log = logging.getLogger(__name__)

NONSENSE: Final = "makes the decoder answer nonsense"


@dataclass(slots=True)
class Belief:
    """What is known of the network, and the trial if one is under way."""

    model: str
    dims: int = 0  # of the vectors of the space; 0: those of the first `Loaded` are believed
    needs_trial: bool = False
    is_accused: bool = False  # a worker has said that the network is unusable: the trial waits for no photo
    _trial: int = 0  # the number of its job
    _is_refused: bool = False  # as an empty file must be, before or after the network is loaded
    _nothing: int = field(default_factory=lambda: os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def begin_trial(self, numbers: "itertools.count[int]") -> EncoderTask:
        """Return the job of a trial, for a worker that has had none."""
        self._trial, self._is_refused = next(numbers), False
        return EncoderTask(Encode(self._trial), self._nothing, alone=True)

    def is_on_trial(self, flight: Mapping[int, EncoderTask]) -> bool:
        """Return whether a worker with these jobs has not loaded the network yet, although it has no photo."""
        return self._trial in flight

    def judge(
        self,
        worker: WorkerProcess,
        flight: MutableMapping[int, EncoderTask],
        outcome: Inspected | Encoded | Drawn | JobRefused | Loaded | Unusable,
    ) -> tuple[int, Inspected | Encoded | Drawing | JobRefused] | None:
        """Return the job of a photo and its outcome; None if that is about the network, or a part of a thumbnail.

        Args:
            worker: that sent it just now.
            flight: the jobs in the worker. The trial is removed when it has succeeded.
            outcome: what it says.

        Raises:
            Nonsense: it cannot be true, or was not asked for.
            ConfigError: the network is unusable.
        """
        match outcome:
            case Loaded():
                if worker.loaded_at or not worker.needs_network_since or self.dims not in (0, outcome.dims):
                    raise Nonsense
                worker.loaded_at, worker.dims = worker.heard_at, outcome.dims
                self.dims, self.needs_trial, self.is_accused = outcome.dims, False, False
                flight.pop(self._trial, None)
                _log.info("worker pid=%d loaded %s in %.1f s", worker.process.pid, self.model, outcome.seconds)
            case Unusable():
                if worker.loaded_at or not worker.needs_network_since:
                    raise Nonsense
                if self.is_on_trial(flight):
                    what = f"encoder.model = {self.model!r} cannot be used: {outcome.reason}"
                    raise ConfigError(
                        what, "choose another model, other weights or another runtime in the configuration"
                    )
                self.needs_trial = self.is_accused = True
                worker.process.kill()
            case JobRefused() if outcome.job == self._trial and not self._is_refused:
                self._is_refused = True
            case _:
                task = flight.get(outcome.job)
                if task is None:
                    raise Nonsense
                if isinstance(outcome, Drawn):
                    drawing = _whole(task, outcome)
                    return None if drawing is None else (outcome.job, drawing)
                if not (isinstance(outcome, JobRefused) or _fits(task.job, outcome, worker.dims)):
                    raise Nonsense
                return outcome.job, outcome
        return None


def _whole(task: EncoderTask, part: Drawn) -> Drawing | None:
    """Add a part to the thumbnail of a task; return that if it is complete.

    Raises:
        Nonsense: nobody asked for it, or it cannot be a thumbnail.
    """
    task.parts += part.data
    if not isinstance(task.job, Draw) or len(task.parts) > DRAWN_BYTES:
        raise Nonsense
    if not part.is_last:
        return None
    try:
        return check(bytes(task.parts), task.job.size, part.look)
    except ValueError as error:
        raise Nonsense from error


def _fits(job: Job, outcome: Inspected | Encoded, dims: int) -> bool:
    """Return whether an outcome can be that of a job. `dims`: of the worker's network; 0: it is not loaded."""
    if isinstance(outcome, Inspected):
        return isinstance(job, Inspect) and any(outcome.content)  # zeros mean that the content is not known
    if not isinstance(job, Encode):
        return False
    if outcome.thumbnail:
        try:
            check(outcome.thumbnail, Size.S)
        except ValueError:
            return False
    ways = WAYS if job.every_way else 1
    if job.thumbnail < bool(outcome.thumbnail) or not len(outcome.vector) == ways * 2 * dims > 0:
        return False
    vectors = np.frombuffer(outcome.vector, "<f2").reshape(ways, dims)
    return bool(np.isfinite(vectors).all() and vectors.any(axis=1).all())
