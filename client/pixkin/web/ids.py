"""How the page names photos: 26 letters of base32 for the 16 bytes of a content id."""

import base64
import re
from typing import Final

# The last letter has three bits of the 128.
PATTERN: Final = "^[a-z2-7]{25}[aeimquy4]$"
_ID: Final = re.compile(PATTERN.removesuffix("$") + r"\Z")


def encoded(content: bytes) -> str:
    """Return the id of a content; empty if there is none."""
    return base64.b32encode(content).decode().rstrip("=").lower()


def decoded(text: str) -> bytes:
    """Return the content of an id.

    Raises:
        ValueError: it is no id.
    """
    if not _ID.match(text):
        raise ValueError(f"{text!r} is not the id of a photo: 26 letters a to z and digits 2 to 7")
    return unpadded(text)


def unpadded(text: str) -> bytes:
    """Return the bytes of a text that `encoded` has made.

    Raises:
        ValueError: it has not.
    """
    data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))  # binascii.Error is a ValueError
    if encoded(data) != text:  # its last bits, which mean nothing, are set
        raise ValueError(f"{text!r} is not what the server has said")
    return data
