"""Reads files that are to be kept, before anything is proposed or moved: what cannot be read now is no reason to let a copy go.

A share that hangs, hangs its thread as well. So these have threads of their own, and a time.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from pixkin.trash.files import Stays, reached, read, said

_THREADS: Final = 2
_READ_S: Final = 10.0


class ReadableFiles:
    """Looks whether files can be read."""

    def __init__(self) -> None:
        """No thread runs until a file is read."""
        self._pool = ThreadPoolExecutor(_THREADS, "read")

    async def reason_not(self, path: str, wait_s: float = _READ_S) -> str:
        """Return why a file cannot be read now; empty: all of it was read."""
        answer = asyncio.get_running_loop().run_in_executor(self._pool, partial(_reason, path))
        try:
            return await asyncio.wait_for(answer, wait_s)
        except TimeoutError:
            return "its drive does not answer in time"

    def close(self) -> None:
        """Forget what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _reason(path: str) -> str:
    try:
        with reached(path) as spot:
            read(spot)
    except Stays as error:
        return str(error)
    except OSError as error:
        return said(error)
    return ""
