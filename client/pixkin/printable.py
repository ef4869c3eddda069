"""Text for people: file names made harmless, which may have control characters or bytes that are no UTF-8, and numbers."""

import binascii
from typing import Final

DIM, GREEN, YELLOW = 2, 32, 33  # what a text means, as an attribute of a terminal (SGR)
_KILO: Final = 1000


def shown(path: bytes) -> str:
    """Return the path as one line of text without control characters."""
    return harmless(path.decode("utf-8", "backslashreplace"))


def harmless(text: str) -> str:
    """Return the text with every character that is not printable escaped, such as ESC or a newline in a file name."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def b64(path: bytes) -> str:
    """Return the bytes of a path in base64."""
    return binascii.b2a_base64(path, newline=False).decode()


def is_utf8(path: bytes) -> bool:
    """Return whether a path is UTF-8."""
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def size(n_bytes: float) -> str:
    """Return a number of bytes with a readable unit."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < _KILO:
            return f"{n_bytes:.0f} bytes" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= _KILO
    return f"{n_bytes:.1f} TB"


def many(n: int, one: str, more: str) -> str:
    """Return a number with its noun in singular or plural."""
    return f"{n:,} {one if n == 1 else more}"
