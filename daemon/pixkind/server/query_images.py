"""The images of a query: in memory, and what the worker made of them."""

import os
from concurrent.futures import CancelledError, Future
from typing import TypeVar

from pixkin.protocol.replies import Code
from pixkin.protocol.requests import Image
from pixkind.encoder.messages import Encoded, Inspected
from pixkind.encoder.supervisor import WorkerDied
from pixkind.errors import PhotoError
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.stamp import Stamp
from pixkind.search.errors import RequestError

_Outcome = TypeVar("_Outcome", Inspected, Encoded)


def silent(path: str) -> RequestError:
    """Return the error for a path whose file system does not answer: a client that read it itself would hang."""
    return RequestError(Code.BUSY, "its file system does not answer", path, "ask again when it does")


def in_memory(image: Image, frame: bytes) -> OpenPhoto:
    """Return bytes as an open file: the worker takes descriptors only."""
    descriptor = os.memfd_create("query", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(frame)
        return OpenPhoto(os.fsdecode(image.path), descriptor, Stamp.of(os.fstat(descriptor)))
    except BaseException:
        os.close(descriptor)
        raise


def outcome(future: "Future[_Outcome]", image: Image) -> _Outcome:
    """Return what the worker made of a query image.

    Raises:
        Unanswerable: nothing.
    """
    path = os.fsdecode(image.path)
    try:
        return future.result()
    except PhotoError as error:
        raise RequestError(Code.REFUSED, error.reason, path) from error
    except WorkerDied as error:
        what = error.blame or "the worker died while it looked at this image, maybe because of another"
        raise RequestError(Code.BUSY, what, path, "ask again") from error
    except CancelledError as error:
        raise RequestError(Code.STOPPING, "pixkind is stopping", path) from error
