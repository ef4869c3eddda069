"""Writes the log to standard error, with the journal's priorities when the journal reads it.

Messages contain file names, and a file name may contain anything. So control characters are escaped: no name of a photo
can forge a line or move the cursor of a terminal. A traceback keeps its lines, indented.

A log outlives the photos that it names, and `pixkin forget` cannot reach it. So a message of the level INFO names no photo:
it counts them. Only DEBUG (`pixkind --verbose`) names each, and WARNING and ERROR those that somebody should look at.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Final

# C0, DEL, C1, line and paragraph separators, marks that reorder text, and bytes that are not UTF-8 (surrogates).
_UNPRINTABLE: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Source: sd-daemon(3).
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def set_up(level: str = "INFO") -> None:
    """Send the log of the whole process to standard error; a second call replaces the first.

    Args:
        level: `DEBUG`, `INFO`, `WARNING` or `ERROR`; less important messages are dropped.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(_priority if _is_journal() else _time_and_level))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def escape(text: str) -> str:
    """Return `text` as one line without characters that a terminal interprets."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # surrogateescape: this is a byte of the file name
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Lines(logging.Formatter):
    """Formats the message and the traceback, if there is one; every line begins with the same prefix."""

    def __init__(self, prefix: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        lines = [escape(record.getMessage())]
        if record.exc_info:
            lines += ["    " + escape(line) for line in self.formatException(record.exc_info).split("\n")]
        prefix = self._prefix(record)
        return "\n".join(prefix + line for line in lines)


def _time_and_level(record: logging.LogRecord) -> str:
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
    return f"{now} {record.levelname:<7} "


def _priority(record: logging.LogRecord) -> str:
    """Return the prefix with the priority for the journal, which adds the time itself."""
    return f"<{next((priority for least, priority in _PRIORITIES if record.levelno >= least), 7)}>"


def _is_journal() -> bool:
    """Return whether standard error is the stream to the journal that systemd opened, and not a later redirection."""
    try:
        st = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError):
        return False  # it is closed, or was replaced by an object without a descriptor
    return os.environ.get("JOURNAL_STREAM") == f"{st.st_dev}:{st.st_ino}"
