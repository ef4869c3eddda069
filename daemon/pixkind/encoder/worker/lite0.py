"""EfficientNet-Lite0, the default network, as a list of convolutions. Every runtime builds it from these.

Its weights have the names of EfficientNet-PyTorch. Batch norms are folded into the convolutions, which compute the same twice
as fast.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]

NORM_EPS: Final = np.float32(1e-3)  # of the batch norms, as in TensorFlow
# TensorFlow's Lite models get (x - 127) / 128, which is about [-1, 1].
MEAN: Final = 127
SCALE: Final = 128
# The stages: kernel, stride, expansion, channels out, repeats. Source: EfficientNet-PyTorch, efficientnet_lite0.
STAGES: Final = (
    *((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3)),
    *((5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)),
)


class Convolution(NamedTuple):
    """A convolution with its batch norm folded in, and whether a ReLU6 follows."""

    weight: NDArray[np.float32]  # (channels out, channels in / groups, kernel, kernel)
    bias: NDArray[np.float32]
    stride: int
    groups: int
    active: bool

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels before and behind each row and column, as TensorFlow's "same" has it: from 224 down all sizes are even."""
        behind = self.weight.shape[2] // 2
        return behind - (self.stride > 1), behind


class Block(NamedTuple):
    """Convolutions, one after the other. `residual`: the input is added to their output."""

    convolutions: list[Convolution]
    residual: bool = False


def blocks(state: Weights) -> Iterator[Block]:
    """Yield all that stands before the pooling: the stem, inverted residual blocks, and the head.

    Raises:
        KeyError, ValueError: these are the weights of another network.
    """
    yield Block([_convolution(state, "_conv_stem", "_bn0", stride=2)])
    inputs, number = 32, 0
    for kernel, stride, expansion, outputs, repeats in STAGES:
        for repeat in range(repeats):
            name = f"_blocks.{number}"
            filters = state[f"{name}._depthwise_conv.weight"].shape
            shape = (filters[2], filters[0] // expansion, state[f"{name}._project_conv.weight"].shape[0])
            if shape != (kernel, inputs, outputs):
                raise ValueError(f"block {number} has the shape {shape}")
            yield _inverted(state, name, expansion=expansion, stride=1 if repeat else stride)
            inputs, number = outputs, number + 1
    yield Block([_convolution(state, "_conv_head", "_bn1")])


def _inverted(state: Weights, name: str, *, expansion: int, stride: int) -> Block:
    """Return an inverted residual block: expand, filter each channel, project."""
    found = [_convolution(state, f"{name}._expand_conv", f"{name}._bn0")] if expansion > 1 else []
    groups = state[f"{name}._depthwise_conv.weight"].shape[0]
    found += [
        _convolution(state, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, groups=groups),
        _convolution(state, f"{name}._project_conv", f"{name}._bn2", active=False),
    ]
    return Block(found, residual=stride == 1 and groups // expansion == found[-1].weight.shape[0])


def _convolution(
    state: Weights, name: str, norm: str, *, stride: int = 1, groups: int = 1, active: bool = True
) -> Convolution:
    scale = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"] + NORM_EPS)
    bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return Convolution(state[f"{name}.weight"] * scale[:, None, None, None], bias, stride, groups, active)
