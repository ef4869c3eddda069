"""Reads the weights of the default network without torch.

`torch.save` wrote the file before torch 1.6: four pickles (a magic number, a version, the sizes of C's types, the state dict),
a fifth with the keys of the storages, and then the bytes of each storage. Source: torch/serialization.py, `_legacy_save`.
"""

import os
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAGIC: Final = 0x1950A86A20F9469CFC6C
_TYPES: Final[Mapping[str, np.dtype[Any]]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensor(NamedTuple):
    storage: tuple[str, str]  # its type and its key
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Makes tensors and dictionaries, and nothing else: no code in the file is ever called."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  as its base has it
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: _Tensor(storage, offset, shape, stride)
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"it has a {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:  # noqa: ANN401  as its base has it
        _, kind, key, *_ = pid
        return kind, key


def read(file: BinaryIO) -> Mapping[str, NDArray[Any]]:
    """Return the tensors of a state dict by their names.

    Raises:
        OSError: the file cannot be read.
        pickle.UnpicklingError, EOFError: it is no such file, or a part of one.
    """
    if _Unpickler(file).load() != MAGIC:
        raise pickle.UnpicklingError("it is not in the format of torch before 1.6")
    for _ in ("version", "sizes"):
        _Unpickler(file).load()
    tensors: Mapping[str, _Tensor] = _Unpickler(file).load()
    types = {tensor.storage[1]: _TYPES[tensor.storage[0]] for tensor in tensors.values()}
    storages = {}
    for key in _Unpickler(file).load():
        size = int.from_bytes(file.read(8), "little") * types[key].itemsize
        if size > os.fstat(file.fileno()).st_size - file.tell():
            raise EOFError("it ends too early")
        storages[key] = file.read(size)
    return {name: _array(tensor, storages[tensor.storage[1]]) for name, tensor in tensors.items()}


def _array(tensor: _Tensor, storage: bytes) -> NDArray[Any]:
    kind = _TYPES[tensor.storage[0]]
    strides = tuple(step * kind.itemsize for step in tensor.stride)
    return np.ndarray(tensor.shape, kind, storage, tensor.offset * kind.itemsize, strides)
