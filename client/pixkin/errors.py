"""The errors of the client: each has a sentence for people, a hint, and an exit status.

This module imports nothing that costs time, because every start of the client imports it.
"""

from typing import ClassVar


class PixkinError(Exception):
    """The base of all errors that end a command with a sentence instead of a traceback."""

    status: ClassVar[int] = 70  # EX_SOFTWARE: request refused, or a bug

    def __init__(self, what: str, hint: str = "") -> None:
        """Keep the sentence and the hint.

        Args:
            what: what went wrong, with the path; no full stop.
            hint: what the user can do, usually a command; may be empty.
        """
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(PixkinError):
    """The arguments are wrong or contradict each other."""

    status = 2


class InputUnreadable(PixkinError):
    """A file or folder cannot be used: it is missing or unreadable, is not an image, or lies in no watched folder."""

    status = 66  # EX_NOINPUT


class DaemonAbsent(PixkinError):
    """Nothing listens on the socket."""

    status = 69  # EX_UNAVAILABLE


class Refused(PixkinError):
    """The daemon refused the request, or there is a bug."""

    status = 70  # EX_SOFTWARE


class OutputLost(PixkinError):
    """Standard output is closed or cannot be written, for example because the disk is full."""

    status = 74  # EX_IOERR


class DaemonBusy(PixkinError):
    """The daemon did not answer in time, or not every file is indexed yet."""

    status = 75  # EX_TEMPFAIL


class AlreadyMoving(PixkinError):
    """Another process of this user does what only one may do at a time."""

    status = 75  # EX_TEMPFAIL


class VersionsDiffer(PixkinError):
    """Client and daemon speak different versions of the protocol."""

    status = 76  # EX_PROTOCOL
