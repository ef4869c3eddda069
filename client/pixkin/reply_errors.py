"""Turns replies of the daemon into answers, or into the errors of `errors`."""

import os
from typing import Final, TypeVar

from pixkin.errors import DaemonBusy, InputUnreadable, PixkinError, Refused, VersionsDiffer
from pixkin.protocol import framing
from pixkin.protocol.replies import Code, Failure, Reply

_Answer = TypeVar("_Answer", bound=Reply)

_RESTART: Final = "restart the daemon: `systemctl --user restart pixkind`"


def unpacked(frames: list[bytes]) -> Reply:
    """Return the reply in these frames.

    Raises:
        VersionsDiffer: it is of another version of the protocol.
        Refused: the frames are not a reply.
    """
    try:
        return framing.unpack_reply(frames)
    except framing.ProtocolError as error:
        if error.code is Code.VERSION:
            raise _differ(str(error)) from error
        raise Refused(f"the daemon's reply cannot be understood: {error}") from error


def expect(kind: type[_Answer], reply: Reply) -> _Answer:
    """Return the reply if it is of this kind.

    Raises:
        PixkinError: it is a failure, or of another kind.
    """
    if isinstance(reply, Failure):
        raise error_of(reply)
    if not isinstance(reply, kind):
        raise Refused(f"the daemon answered with {type(reply).__name__} instead of {kind.__name__}")
    return reply


def error_of(failure: Failure) -> PixkinError:
    """Return the error that stands for a failure."""
    what = f"{os.fsdecode(failure.path)}: {failure.what}" if failure.path else failure.what
    match failure.code:
        case Code.UNREADABLE | Code.UNKNOWN_FOLDER:
            return InputUnreadable(what, failure.hint)
        case Code.BUSY | Code.EXPIRED | Code.STOPPING:
            return DaemonBusy(what, failure.hint or "try again")
        case Code.VERSION:
            return _differ(what)
        case Code.MALFORMED:  # the client checks its requests, so the daemon is of another release
            return Refused(what, failure.hint or _RESTART)
        case Code.REFUSED if failure.path:  # it is about this file, which is no image, or too large
            return InputUnreadable(what, failure.hint)
        case Code.REFUSED | Code.INTERNAL:
            return Refused(what, failure.hint)


def _differ(what: str) -> VersionsDiffer:
    return VersionsDiffer(what, _RESTART)
