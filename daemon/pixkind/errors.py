"""Errors of the daemon, in two families.

`PhotoError`: this photo, this time. Recorded, counted, shown by `pixkin status --failed`; the loop goes on.
Everything else is fatal: it reaches its thread's outermost frame and ends the process, and systemd starts it again.
An `OSError` about one file is translated where it happens; any unwrapped one is critical and ends the daemon.
"""

from pixkin.errors import PixkinError


class PhotoError(Exception):
    """This photo cannot be used now, and why, in words for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigError(PixkinError):
    """The configuration cannot be used: names file, key, value and what is allowed."""

    status = 78  # EX_CONFIG; the unit does not restart on it


class AlreadyRunning(PixkinError):
    """Another pixkind holds the lock; it is undisturbed."""

    status = 75  # EX_TEMPFAIL; the unit does not restart on it
