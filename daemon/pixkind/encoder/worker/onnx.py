"""The default network in ONNX Runtime.

Measured on two cores with bfloat16, against torch, on 500 photos:

| | torch | ONNX Runtime |
| --- | --- | --- |
| query by a new photo, with the start of a worker | 1.9 to 2.4 s | 0.5 to 0.6 s |
| most memory of the worker while it indexes | 730 to 780 MB | 165 MB |
| indexing, with the start of a worker | 5.7 to 6.5 s | 4.6 to 5.1 s |
| a photo in the network, alone / in batches of 8 | 9.1 / 5.9 ms | 7.5 / 7.6 ms |

Where the processor has no bfloat16, torch needs 14.5 ms. The network is made from the weights at each start, in 0.1 s, so no
second file of weights can be out of date. Its vectors are those of torch in float32: of 500 photos, the worst cosine is 0.9999998.
"""

import ctypes
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.encoder.worker import lite0, state_dict
from pixkind.encoder.worker.decode import LITE0
from pixkind.encoder.worker.networks import Unfit, check_digest
from pixkind.encoder.worker.onnx_graph import FLOAT, UINT8, Graph, Value

# Since 1.29 it reports its use to its makers, unless this is set before it is imported: then it makes neither a connection nor
# an identifier. The sandbox forbids sockets as well. Source: onnxruntime, docs/Privacy.md
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

QUIET: Final = 3  # errors alone
# Of ONNX Runtime. They have no base of their own.
ERRORS: Final = tuple(
    kind
    for kind in vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
)


class OnnxNetwork:
    """EfficientNet-Lite0. Several threads may use it at once."""

    recipe = LITE0

    def __init__(self, graph: bytes, dims: int, threads: int) -> None:
        """Prepare it.

        Args:
            graph: `squares`, (n, side, side, 3) uint8, to `features`, (n, dims) float32, as an ONNX model.
            dims: of its vectors.
            threads: that compute one batch.
        """
        self.dims = dims
        self._threads = threads
        self._pools = threading.local()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = QUIET
        # It computes in the calling thread alone: threads of its own would have one priority for all that call it.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.embed(np.zeros((1, LITE0.side, LITE0.side, 3), np.uint8))  # what cannot be computed is noticed now

    def embed(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, dims) float32 features of (n, side, side, 3) uint8 RGB squares."""
        # One by one: together they are no faster, and eight take 75 MB more.
        parts = np.split(squares, len(squares))
        if self._threads == 1 or len(parts) == 1:
            return np.concatenate([self._embed(part) for part in parts])
        return np.concatenate([*self._pool().map(self._embed, parts)])

    def _embed(self, square: NDArray[np.uint8]) -> NDArray[np.float32]:
        (features,) = self._session.run(["features"], {"squares": square})
        return np.asarray(features, np.float32)

    def _pool(self) -> ThreadPoolExecutor:
        """Return the calling thread's own pool: it starts the threads, so they have its priority."""
        if not hasattr(self._pools, "mine"):
            self._pools.mine = ThreadPoolExecutor(self._threads)
        pool: ThreadPoolExecutor = self._pools.mine
        return pool


def load(weights: str, *, threads: int, sha256: str = "") -> OnnxNetwork:
    """Return EfficientNet-Lite0.

    Args:
        weights: absolute path of the state dict that comes with the network.
        threads: that compute one batch.
        sha256: of the weights, in hexadecimal; empty: any file will do.

    Raises:
        Unfit: the weights cannot be read, are another file or belong to another network, or there is not enough memory.
    """
    try:
        with open(weights, "rb") as file:
            check_digest(file, weights, sha256)
            state = state_dict.read(file)
        network = OnnxNetwork(*_graph(state), threads)
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise Unfit(f"the weights {weights} cannot be read: {error}") from error
    except (KeyError, ValueError, RuntimeError) as error:
        raise Unfit(f"the weights {weights} do not make an efficientnet_lite0: {error}") from error
    except MemoryError as error:
        raise Unfit("not enough memory for efficientnet_lite0") from error
    except ERRORS as error:
        raise Unfit(f"ONNX Runtime {onnxruntime.__version__} cannot compute efficientnet_lite0: {error}") from error
    del state
    with suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)  # of what making the network took: 30 MB
    return network


def _graph(state: lite0.Weights) -> tuple[bytes, int]:
    """Return the network as an ONNX model, and the dimensions of its vectors."""
    graph, side = Graph(), LITE0.side
    lowest, highest = graph.constant(np.float32(0)), graph.constant(np.float32(6))
    x = graph.add("Cast", graph.add("Transpose", "squares", perm=[0, 3, 1, 2]), to=FLOAT)
    x = graph.add("Sub", x, graph.constant(np.float32(lite0.MEAN)))
    x = graph.add("Mul", x, graph.constant(np.float32(1 / lite0.SCALE)))
    dims = 0
    for block in lite0.blocks(state):
        y = x
        for one in block.convolutions:
            (before, behind), step, dims = one.padding, one.stride, len(one.bias)
            values = y, graph.constant(one.weight), graph.constant(one.bias)
            pads = [before, before, behind, behind]
            y = graph.add("Conv", *values, pads=pads, strides=[step, step], group=one.groups)
            y = graph.add("Clip", y, lowest, highest) if one.active else y
        x = graph.add("Add", x, y) if block.residual else y
    graph.add("Flatten", graph.add("GlobalAveragePool", x), output="features")
    given, made = Value("squares", UINT8, ("n", side, side, 3)), Value("features", FLOAT, ("n", dims))
    return graph.model(given, made), dims
