"""Replies that wait for something: a handler returns one instead of a reply, so that no thread of the pool is blocked."""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

from pixkin.protocol.replies import Code, Failure, Reply
from pixkind.search.errors import RequestError


@dataclass(frozen=True, slots=True)
class Deferred:
    """A request that waits: when all `futures` are done, or at `until_ms`, `resume` returns the reply, or another Deferred.

    Exactly one of `resume` and `abandon` is called.
    """

    futures: "Sequence[Future[Any]]"
    resume: "Callable[[], Reply | Deferred]"
    abandon: "Callable[[], None]" = lambda: None  # called instead of `resume` when the client no longer waits
    until_ms: int = 0  # CLOCK_MONOTONIC in ms at which `resume` is called, even if not all futures are done; 0: never

    def then(self, change: "Callable[[Reply], Reply | Deferred]") -> "Deferred":
        """Return the same request, whose reply will be `change(reply)`, or that of the Deferred that this returns."""

        def resume() -> "Reply | Deferred":
            reply = self.resume()
            return reply.then(change) if isinstance(reply, Deferred) else change(reply)

        return Deferred(self.futures, resume, self.abandon, self.until_ms)


def reply_when(
    futures: "Sequence[Future[Any]]",
    reply: Callable[[], Reply | Deferred],
    close: Callable[[], None] = lambda: None,
    until_ms: int = 0,
) -> Deferred:
    """Return a Deferred that turns errors of `reply` into failures.

    Args:
        futures: what the request waits for.
        reply: returns the reply. RequestError becomes its failure, CancelledError says that the daemon is stopping.
        close: called when `reply` raises, or when the client no longer waits.
        until_ms: as in Deferred.
    """

    def resume() -> Reply | Deferred:
        try:
            return reply()
        except RequestError as error:
            close()
            return error.failure
        except CancelledError:
            close()
            return stopping().failure
        except BaseException:
            close()
            raise

    return Deferred(futures, resume, close, until_ms)


def stopping(path: str = "") -> RequestError:
    """Return the error for a request that the daemon can no longer answer. `path`: the image that it is about, if any."""
    return RequestError(Code.STOPPING, "pixkind is stopping", path)


def internal_error() -> Failure:
    """Return the failure of a request that met a defect of the daemon."""
    return Failure(code=Code.INTERNAL, what="internal error: the log of pixkind has the details")
