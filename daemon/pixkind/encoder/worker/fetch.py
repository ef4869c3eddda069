"""Downloads weights from their publisher: `python -m pixkind.encoder.worker.fetch MODEL FOLDER`.

Nothing else in pixkind downloads. A user runs this once, by `pixkind fetch MODEL`; the daemon and the worker never do.
"""

import os
import sys
import tempfile
from typing import Final

USAGE: Final = 64  # EX_USAGE
UNAVAILABLE: Final = 69  # EX_UNAVAILABLE


def fetch(model: str, folder: str) -> str:
    """Download a model's weights to `folder`/`model`.pth. The file is complete or not there.

    Raises:
        LookupError: torchvision knows no such model.
        OSError: the network or the folder cannot be reached.
        RuntimeError: the download does not match torchvision's hash.
    """
    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(model).DEFAULT
    except ValueError as error:
        raise LookupError(model) from error
    os.makedirs(folder, exist_ok=True)
    goal = os.path.join(folder, f"{model}.pth")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        weights.get_state_dict(check_hash=True, progress=sys.stderr.isatty(), model_dir=scratch, weights_only=True)
        (name,) = os.listdir(scratch)  # the file that was checked
        with open(os.path.join(scratch, name), "rb") as file:
            os.fsync(file.fileno())
        os.replace(os.path.join(scratch, name), goal)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return goal


def main(model: str, folder: str) -> int:
    """Fetch the weights, print the result, and return the exit status."""
    try:
        goal = fetch(model, folder)
    except LookupError:
        sys.stderr.write(f"torchvision has no weights for a model named {model}\n")
        return USAGE
    except ModuleNotFoundError as error:
        sys.stderr.write(f"the library {error.name} is not installed: pip install 'pixkin[daemon]'\n")
        return UNAVAILABLE
    except KeyboardInterrupt:
        return 130
    except (OSError, RuntimeError) as error:
        sys.stderr.write(f"the weights of {model} cannot be fetched: {error}\n")
        return UNAVAILABLE
    sys.stdout.write(f"{goal}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
