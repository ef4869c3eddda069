"""The errors of the daemon, in two families.

A `PhotoError` concerns one photo, this time. It is recorded, counted and shown by `pixkin status --failed`; the loop
goes on. Every other error is fatal: it reaches its thread's outermost frame and ends the process, and systemd starts it
again. An `OSError` about one file is translated where it happens; any other OSError is fatal.
"""

from pixkin.errors import PixkinError


class PhotoError(Exception):
    """This photo cannot be used now; `reason` says why, for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigError(PixkinError):
    """The configuration cannot be used; the message names the file, the key, the value and what is allowed."""

    status = 78  # EX_CONFIG; systemd does not restart the unit on it


class AlreadyRunning(PixkinError):
    """Another pixkind has the lock; it is not disturbed."""

    status = 75  # EX_TEMPFAIL; systemd does not restart the unit on it
