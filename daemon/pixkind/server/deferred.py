"""Replies that wait for something."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from pixkin.protocol.replies import Reply


@dataclass(frozen=True, slots=True)
class Deferred:
    """A request that waits: when all `futures` are done, `resume` gives the reply, or parks it again.

    Exactly one of `resume` and `abandon` is called.
    """

    futures: "Sequence[Future[Any]]"
    resume: "Callable[[], Reply | Deferred]"
    abandon: "Callable[[], None]" = lambda: None  # nobody wants the reply any more
