"""Futures that one thread completes, and another may cancel at any moment.

A cancelled future takes no result. What it was asked for is done all the same.
"""

from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def complete(future: "Future[_Result]", result: _Result) -> None:
    """Give a future its result, unless it was cancelled."""
    if future.set_running_or_notify_cancel():
        future.set_result(result)


def fail(future: "Future[Any]", error: Exception) -> None:
    """Give a future its error, unless it was cancelled."""
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
