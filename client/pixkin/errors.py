"""What can go wrong, for people: a sentence, a way out, and an exit status.

Kept free of imports that cost time: every start of the client pays for this module.
"""

from typing import ClassVar


class PixkinError(Exception):
    """Base of all errors that end a command with a sentence instead of a traceback."""

    status: ClassVar[int] = 70  # EX_SOFTWARE: refused, or a defect

    def __init__(self, what: str, hint: str = "") -> None:
        """Keep the sentence.

        Args:
            what: what went wrong, with the path; no full stop.
            hint: what to do about it, usually a command; empty if there is nothing to do.
        """
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(PixkinError):
    """The words of the command do not fit together."""

    status = 2


class InputUnreadable(PixkinError):
    """A file or folder that the command names cannot be used: missing, no image, or in no root."""

    status = 66  # EX_NOINPUT


class DaemonAbsent(PixkinError):
    """Nothing listens on the socket."""

    status = 69  # EX_UNAVAILABLE


class Refused(PixkinError):
    """The daemon understood the request and will not or cannot do it."""

    status = 70  # EX_SOFTWARE


class DaemonBusy(PixkinError):
    """The daemon is there and did not answer in time, or not everything has an outcome yet."""

    status = 75  # EX_TEMPFAIL


class VersionsDiffer(PixkinError):
    """Client and daemon speak different versions of the protocol."""

    status = 76  # EX_PROTOCOL
