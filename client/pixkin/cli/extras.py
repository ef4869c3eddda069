"""What is said if the packages of an extra are missing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pixkin import installing
from pixkin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
    """Import what needs an extra.

    Raises:
        UsageError: a package is missing; it says how to install it, and that `what` needs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pixkin"):
            raise
        missing = f"`{what}` needs the package {error.name}, which is not installed"
        raise UsageError(missing, installing.command(extra)) from error
