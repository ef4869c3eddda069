"""The keys of photos in the store.

Pure functions without I/O, for every thread.

The key of a record, 24 bytes:

| bytes | what |
| --- | --- |
| 0-3 | the first 4 bytes of the digest of the folder's path: photos of one folder are neighbours, so a commit changes few pages |
| 4-15 | the first 12 bytes of the digest of the photo's path; never the path itself, since LMDB refuses keys over 511 bytes |
| 16-23 | mtime in ns, plus 2**63, big endian: keys of one path sort by time, before 1970 too |
"""

import hashlib
import os
import struct
from typing import Final

from pixkind.fs.stamp import TIME_BIAS

_MTIME: Final = struct.Struct(">Q")
_PAGE: Final = struct.Struct(">H")
CONTENT_BYTES: Final = 16  # of a content id, which is 128 bits of BLAKE3


def path_digest(path: str) -> bytes:
    """Return the 16 bytes that stand for a path in the store: BLAKE2b-128 of its bytes."""
    return hashlib.blake2b(os.fsencode(path), digest_size=16).digest()


def record_prefix(path: str) -> bytes:
    """Return the 16 bytes that begin every key of `path`. 96 bits of them come from the path itself, so they do not collide."""
    return path_digest(os.path.dirname(path))[:4] + path_digest(path)[:12]


def key(path: str, mtime_ns: int) -> bytes:
    """Return the 24-byte key of the version of `path` at `mtime_ns` (-2**63 to 2**63 - 1)."""
    return record_prefix(path) + _MTIME.pack(mtime_ns + TIME_BIAS)


def page_id(content: bytes, page: int) -> bytes:
    """Return the 16 bytes that stand for a further page of a content: BLAKE2b-128 of its id and the number, 1 or more."""
    return hashlib.blake2b(content + _PAGE.pack(page), digest_size=CONTENT_BYTES).digest()


def mtime_of(key: bytes) -> int:
    """Return the mtime in ns that a key holds: the inverse of `key` in its last 8 bytes."""
    return int(_MTIME.unpack(key[16:])[0]) - TIME_BIAS
