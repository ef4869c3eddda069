"""Replaces a small file as a whole: a reader gets the old bytes or the new ones, never a part."""

import os
import tempfile


def replace(file: str, data: bytes, mode: int) -> None:
    """Replace a file, or make it, and the folders above it. A crash leaves the old file or the new one.

    Args:
        file: its path; a link there is replaced itself.
        data: what it is to hold.
        mode: its permissions.

    Raises:
        OSError: it is unchanged.
    """
    folder = os.path.dirname(file)
    os.makedirs(folder, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".pixkin-", delete=False) as stream:
        try:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            os.chmod(stream.name, mode)
            os.replace(stream.name, file)
        except BaseException:
            os.unlink(stream.name)
            raise
