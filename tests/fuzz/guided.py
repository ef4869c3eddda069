"""Fuzzes the parsers that are written in Python, guided by the branches that an input reaches.

`python tests/fuzz/guided.py photo|message|configuration [options and folders of libFuzzer]`. `test_guided.py` runs it.
atheris sees no branches in C: the decoders are fuzzed by `test_photos.py`, in their own process.
"""

import io
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["pixkind", "pixkin", "tomllib"], enable_loader_override=False):
    from pixkin.protocol.framing import ProtocolError, unpack_request
    from pixkind import config
    from pixkind.encoder.worker.header import inspect
    from pixkind.errors import ConfigError, PhotoError


def _photo(data: bytes) -> None:
    with suppress(PhotoError):
        inspect(io.BytesIO(data), job=1, limit_mp=100)


def _message(data: bytes) -> None:
    with suppress(ProtocolError):
        unpack_request([b"pixkin/1", *data.split(b"\0pixkin\0")])


def _configuration(data: bytes) -> None:
    with open(_FILE, "wb") as file:
        file.write(data)
    with suppress(ConfigError):
        config.load(_FILE, folders=["/photos"])


_FILE = os.path.join(tempfile.mkdtemp(), "config.toml")
_TARGETS: dict[str, Callable[[bytes], None]] = {
    "photo": _photo,
    "message": _message,
    "configuration": _configuration,
}

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], _TARGETS[sys.argv[1]])
    atheris.Fuzz()
