"""The networks in PyTorch, which turn squares of pixels into vectors.

In a running worker only this module imports torch, at the first encode.
EfficientNet-Lite0 is built from `lite0`, so it needs no torchvision, whose import takes over a second. All other models are
torchvision's. This reads one file, the weights, and connects to nothing.
"""

import copy
import pickle
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pixkind.encoder.worker import lite0
from pixkind.encoder.worker.decode import LITE0, Recipe
from pixkind.encoder.worker.networks import Unfit, check_digest

State = Mapping[str, Tensor]

SAME: Final = 0.9999  # cosine of vectors that are computed in two ways in the same precision
AGREES: Final = 0.99  # cosine of bf16 and fp32 vectors: over 1,000 photos the mean is 0.9992, and the worst 0.990


class Network:
    """A loaded network. Several threads may use it at once."""

    def __init__(self, recipe: Recipe, body: nn.Module, head: nn.Linear, mean: list[float], std: list[float]) -> None:
        """Prepare a network.

        Args:
            recipe: how its photos are prepared.
            body: normalised (n, 3, side, side) to features (n, dims).
            head: features to class logits, which only tests use.
            mean: of each channel, in [0, 1].
            std: of each channel.
        """
        self.recipe = recipe
        # For a whole row of pixels: three numbers, broadcast to each pixel, take four times as long.
        self._mean = torch.tensor(mean).repeat(recipe.side) * 255
        self._scale = 1 / (torch.tensor(std).repeat(recipe.side) * 255)
        self._dtype = torch.float32
        self._body = body.eval().to(memory_format=torch.channels_last)
        self._head = head.eval()
        self.dims = int(self.embed(_probes(recipe.side)[:1]).shape[1])

    @property
    def precision(self) -> str:
        """Return "bfloat16" or "float32"."""
        return str(self._dtype).removeprefix("torch.")

    def embed(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, dims) float32 features of (n, side, side, 3) uint8 RGB squares."""
        with torch.inference_mode():
            rows = torch.from_numpy(squares).flatten(2).float().sub_(self._mean).mul_(self._scale)
            # (n, side, side, 3), viewed as (n, 3, side, side), is channels_last already: nothing is copied.
            pixels = rows.to(self._dtype).view(squares.shape).permute(0, 3, 1, 2)
            features: Tensor = self._body(pixels)
            return features.float().numpy()

    def logits(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, classes) float32 class scores of (n, side, side, 3) uint8 RGB squares."""
        features = torch.from_numpy(self.embed(squares))
        with torch.inference_mode():
            logits: Tensor = self._head(features)
            return logits.numpy()

    def halve(self) -> bool:
        """Switch to bfloat16 if its vectors agree; return whether they do."""
        return self._change(_halved(copy.deepcopy(self._body)), torch.bfloat16, AGREES)

    def fuse(self) -> bool:
        """Switch to oneDNN's convolutions with fused activation, if they are there and right; return whether they are."""
        body = copy.deepcopy(self._body)
        layers = [layer for layer in body.modules() if isinstance(layer, _Convolution)]
        for layer in layers:
            layer.is_fused = True
        try:
            return bool(layers) and self._change(body, self._dtype, SAME)
        except (AttributeError, RuntimeError):  # another torch, or one without oneDNN
            return False

    def _change(self, body: nn.Module, dtype: torch.dtype, least: float) -> bool:
        """Switch to this body if the cosine of its vectors with the present ones is over `least`; return whether it is."""
        probes, before = _probes(self.recipe.side), (self._body, self._dtype)
        expected, agrees = torch.from_numpy(self.embed(probes)), False
        self._body, self._dtype = body, dtype
        try:
            agrees = bool(functional.cosine_similarity(expected, torch.from_numpy(self.embed(probes))).min() > least)
        finally:
            if not agrees:
                self._body, self._dtype = before
        return agrees


def load(model: str, weights: str, *, threads: int, sha256: str = "", is_exact: bool = False) -> Network:
    """Return the network, in the precision that this processor computes fastest.

    Args:
        model: "efficientnet_lite0", or the name of a torchvision classifier.
        weights: absolute path of a state dict; nothing in it is executed.
        threads: that torch computes with.
        sha256: of the weights, in hexadecimal; empty: any file will do.
        is_exact: stay in float32 whatever the processor can do, for comparisons.

    Raises:
        Unfit: the model is unknown, the weights cannot be read, are another file or belong to another model, or there is not
            enough memory.
    """
    torch.set_num_threads(threads)
    try:
        with open(weights, "rb") as file:
            check_digest(file, weights, sha256)
            state = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(state, Mapping):
            raise Unfit(f"{weights} holds no state dict")
        network = _lite0(state) if model == "efficientnet_lite0" else _torchvision(model, state)
        network.fuse()  # first: in bfloat16, fused convolutions still add in float32
        if not is_exact and _computes_bfloat16():
            network.halve()
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise Unfit(f"the weights {weights} cannot be read: {error}") from error
    except (KeyError, RuntimeError, ValueError) as error:
        raise Unfit(f"the weights {weights} do not make a {model}: {error}") from error
    except MemoryError as error:
        raise Unfit(f"not enough memory for {model}") from error
    return network


def _lite0(state: State) -> Network:
    """Return EfficientNet-Lite0 from weights with the names of EfficientNet-PyTorch."""
    blocks = lite0.blocks({name: tensor.numpy() for name, tensor in state.items()})
    body = nn.Sequential(*map(_Block, blocks), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Linear(state["_fc.weight"].shape[1], state["_fc.weight"].shape[0])
    head.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})
    return Network(LITE0, body, head, [lite0.MEAN / 255] * 3, [lite0.SCALE / 255] * 3)


def _halved(body: nn.Module) -> nn.Module:
    """Return the same network, converted to bfloat16.

    Measured on 500 unrelated photos, as the share of Lite0's ten nearest photos that is the same as in float32:

    - 0.966 if all numbers are rounded to the nearest;
    - 0.975 if filters keep their sums (`_rounded`);
    - 0.979 if the biases also stay in float32, as in fused convolutions;
    - 0.984 if the first two layers also stay in float32, but then encoding takes 8 to 25 % longer. Decoding large photos at
      a smaller scale changes their ten nearest more than that gains.
    """
    layers = [module for module in body.modules() if isinstance(module, _Convolution)]
    for layer in layers:
        layer.halve()
    return body if layers else body.bfloat16()


class _Block(nn.Module):
    """A block of EfficientNet-Lite0."""

    def __init__(self, block: lite0.Block) -> None:
        super().__init__()
        self.body = nn.Sequential(*map(_convolution, block.convolutions))
        self.residual = block.residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def _convolution(one: lite0.Convolution) -> nn.Module:
    weight = torch.from_numpy(one.weight)
    outputs, inputs, kernel, _ = weight.shape
    before, behind = one.padding
    if before < behind:
        # A zero row and column in the kernel do the same with even padding, in half the time of padding the image first.
        weight, kernel = functional.pad(weight, (1, 0, 1, 0)), kernel + 1
    layer = nn.Conv2d(inputs * one.groups, outputs, kernel, one.stride, behind, groups=one.groups)
    layer.load_state_dict({"weight": weight, "bias": torch.from_numpy(one.bias)})
    return _Convolution(layer, active=one.active)


class _Convolution(nn.Module):
    """A convolution, with or without a ReLU6.

    Fused, both are one call of oneDNN with weights in its own order, as torch's compiler would emit it. That saves a pass over
    memory each time. In bfloat16 a photo takes 9.3 ms instead of 12.7 in batches of 8, and 15 instead of 21 ms alone.
    The call is not part of torch's public API; hence the check in `Network.fuse`.
    """

    def __init__(self, layer: nn.Conv2d, *, active: bool) -> None:
        super().__init__()
        self.layer = layer
        self.active = active
        self.is_fused = False
        self._packed: Tensor | None = None

    def __deepcopy__(self, memo: object) -> "_Convolution":
        """Return a copy without the packed weights, which cannot be copied."""
        result = _Convolution(copy.deepcopy(self.layer), active=self.active).eval()
        result.is_fused = self.is_fused
        return result

    def halve(self) -> None:
        """Convert to bfloat16; a fused convolution keeps its bias in float32."""
        weight, bias = self.layer.weight.data, self.layer.bias
        self.layer.weight.data = _rounded(weight) if self.layer.groups > 1 else weight.bfloat16()
        if bias is not None and not self.is_fused:
            bias.data = bias.data.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        if not self.is_fused:
            y: Tensor = layer(x)
            return functional.relu6(y, inplace=True) if self.active else y
        where = (layer.padding, layer.stride, layer.dilation, layer.groups)
        if self._packed is None:  # two threads may do this at once: both get the same
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(layer.weight, *where, list(x.shape))
        after = ("hardtanh", [0.0, 6.0], "") if self.active else ("none", [], "")
        fused: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self._packed, layer.bias, *where, *after)
        return fused


def _rounded(weight: Tensor) -> Tensor:
    """Return filters, (n, 1, k, k), rounded to bfloat16 so that each keeps its sum, and so the level of even areas.

    Weights are rounded from the largest to the smallest, and each rounding error is added to the next weight.
    """
    flat = weight.flatten(1)
    order = flat.abs().argsort(1, descending=True)
    result, error = torch.empty_like(flat), torch.zeros(len(flat), 1)
    for number in range(flat.shape[1]):
        at = order[:, number, None]
        wanted = flat.gather(1, at) + error
        rounded = wanted.bfloat16().float()
        error = wanted - rounded
        result.scatter_(1, at, rounded)
    return result.view_as(weight).bfloat16()


def _torchvision(model: str, state: State) -> Network:
    """Return one of torchvision's classifiers: its features are the input of its last linear layer."""
    import torchvision.models as known
    from torch.fx.experimental.optimization import fuse

    # The classifiers are in the package itself. A detector from a subpackage would download its backbone even now.
    if model not in known.list_models(module=known):
        raise Unfit(f"torchvision has no classifier named {model}")
    preset = known.get_model_weights(model).DEFAULT.transforms()
    network = known.get_model(model, weights=None)
    heads = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not heads:
        raise Unfit(f"{model} has no linear last layer whose input could be the vector")
    network.load_state_dict(state)
    head = network.get_submodule(heads[-1])
    network.set_submodule(heads[-1], nn.Identity())
    network.eval()
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        network = fuse(network, inplace=True)
    recipe = Recipe(preset.resize_size[0], preset.crop_size[0], "bicubic" in str(preset.interpolation.value))
    return Network(recipe, network, head, list(preset.mean), list(preset.std))


def _computes_bfloat16() -> bool:
    """Return whether the processor computes in bfloat16; if it emulates that, float32 is faster."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        words = set(file.read().split())
    return not words.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, ARM


def _probes(side: int) -> NDArray[np.uint8]:
    """Return four squares with broad shapes like those of photos, always the same."""
    seeds = torch.rand(4, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    smooth = functional.interpolate(seeds, size=(side, side), mode="bicubic").clamp(0, 1)
    return (smooth * 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
