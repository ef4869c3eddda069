"""The terminal that the pictures are drawn on, also where standard output is a pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pixkin.errors import OutputLost, UsageError


@contextmanager
def terminal() -> Iterator[None]:
    """Let standard input, output and error be the terminal for a while, as in `pixkin browse | xargs ls`.

    textual reads from one, draws on another, and asks the third for its size.

    Raises:
        OutputLost: standard output is closed.
        UsageError: there is no terminal, or it cannot move its cursor.
    """
    if sys.__stdout__ is None:
        raise OutputLost("standard output is closed")
    try:
        drawn = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(
            "there is no terminal to draw on", "`pixkin like --paths IMAGE` prints paths without one"
        ) from error
    if os.environ.get("TERM", "dumb") == "dumb" or sys.__stdin__ is None or sys.__stderr__ is None:
        os.close(drawn)
        raise UsageError("this terminal cannot show pictures: TERM is not set, is `dumb`, or a stream is closed")
    sys.__stdout__.flush()
    sys.__stderr__.flush()
    kept = [os.dup(number) for number in range(3)]
    try:
        for number in range(3):
            os.dup2(drawn, number)
        yield
    finally:
        sys.__stdout__.flush()
        sys.__stderr__.flush()
        for number, old in enumerate(kept):
            os.dup2(old, number)
            os.close(old)
        os.close(drawn)
