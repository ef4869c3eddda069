"""What a loaded network is, whichever runtime computes it: PyTorch (`models`) or ONNX Runtime (`onnx`)."""

import hashlib
from io import BufferedReader
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pixkind.encoder.worker.decode import Recipe


class Unfit(Exception):
    """This model and these weights make no encoder; the message is a sentence for users."""


class Network(Protocol):
    """A loaded network. Several threads may use it at once."""

    recipe: Recipe  # how its photos are prepared
    dims: int

    def embed(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, dims) float32 features of (n, side, side, 3) uint8 RGB squares."""


def check_digest(file: BufferedReader, weights: str, sha256: str) -> None:
    """Check a file of weights, and go to its start. It is opened once: the file that is checked is the file that is loaded.

    Args:
        file: the weights.
        weights: their path, for people.
        sha256: in hexadecimal; empty: any file will do.

    Raises:
        Unfit: it is another file.
    """
    if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        raise Unfit(f"the weights {weights} have changed since pixkind started")
    file.seek(0)
