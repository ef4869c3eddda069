"""The error that ends a request with a failure."""

import os
from typing import Final

from pixkin.protocol.replies import Code, Failure
from pixkind.fs.roots import WatchedRoots

NO_PHOTO: Final = "no photo in the library shows this picture"


class RequestError(Exception):
    """The request ends with a failure."""

    def __init__(self, code: Code, what: str, path: str = "", hint: str = "") -> None:
        """Keep what the reply will say; see protocol.replies.Failure."""
        super().__init__(what)
        self.failure = Failure(code=code, what=what, hint=hint, path=os.fsencode(path))


def not_watched(path: str, roots: WatchedRoots) -> RequestError:
    """Return the error for a path that lies in no root."""
    return RequestError(Code.UNKNOWN_FOLDER, "not in a watched folder", path, watched_folders(roots))


def watched_folders(roots: WatchedRoots) -> str:
    """Return the hint that names all roots."""
    return f"watched folders: {', '.join(roots.paths)}"
