"""Writes a network as an ONNX model, which is a message of Protocol Buffers.

The package `onnx` would do that as well, but its import alone takes as long as all the rest of a start: half a second.
Field numbers are those of onnx.proto3; the encoding is that of protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FLOAT: Final = 1  # TensorProto.DataType
UINT8: Final = 2
_IR_VERSION: Final = 8  # with these two, ONNX Runtime since 1.14 reads the model
_OPSET: Final = 17
_INT, _INTS = 2, 7  # AttributeProto.AttributeType


class Value(NamedTuple):
    """An input or output of the network."""

    name: str
    kind: int  # FLOAT or UINT8
    shape: tuple[int | str, ...]  # a size that is not known is a name

    def encoded(self) -> bytes:
        """Return it as ValueInfoProto."""
        sizes = b"".join(_field(1, _field(1 if isinstance(size, int) else 2, size)) for size in self.shape)
        return _field(1, self.name) + _field(2, _field(1, _field(1, self.kind) + _field(2, sizes)))


class Graph:
    """A graph that grows by one operation after the other. Values have names."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._fields: list[bytes] = [_field(2, b"graph")]
        self._count = 0

    def constant(self, values: NDArray[np.float32] | np.float32) -> str:
        """Add a constant; return its name."""
        name, shape = self._name(), np.shape(values)
        tensor = [*(_field(1, size) for size in shape), _field(2, FLOAT), _field(8, name), _field(9, values.tobytes())]
        self._fields.append(_field(5, b"".join(tensor)))
        return name

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: int | Sequence[int]) -> str:
        """Add an operation of ONNX; return the name of its output."""
        name = output or self._name()
        node = [*(_field(1, one) for one in inputs), _field(2, name), _field(4, operation)]
        node += [_field(5, _attribute(key, value)) for key, value in attributes.items()]
        self._fields.append(_field(1, b"".join(node)))
        return name

    def model(self, given: Value, made: Value) -> bytes:
        """Return the model, with its only input and its only output."""
        fields = [*self._fields, _field(11, given.encoded()), _field(12, made.encoded())]
        opset = _field(1, b"") + _field(2, _OPSET)
        return _field(1, _IR_VERSION) + _field(7, b"".join(fields)) + _field(8, opset)

    def _name(self) -> str:
        self._count += 1
        return f"x{self._count}"


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, _INT)
    return _field(1, name) + b"".join(_field(8, one) for one in value) + _field(20, _INTS)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Return a number that is not negative, seven bits a byte."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
