"""Downloads weights from their publisher: `python -m pixkind.encoder.worker.fetch MODEL FOLDER`.

Nothing else in pixkind downloads. A user runs this once, by `pixkind fetch MODEL`; the daemon and the worker never do.
This process is not confined, so it only saves the bytes. It never loads them.

torchvision gives eight digits of each file's SHA-256, in its name. They are checked, and all 64 digits are written beside the
file, as sha256sum(1) writes them. From then on pixkind takes no other file for the one that was downloaded.
"""

import hashlib
import os
import re
import sys
import tempfile
from typing import Final

from pixkin import installing

USAGE: Final = 64  # EX_USAGE
UNAVAILABLE: Final = 69  # EX_UNAVAILABLE


def fetch(model: str, folder: str) -> str:
    """Download a model's weights to `folder`/`model`.pth. The file is complete or not there.

    Raises:
        LookupError: torchvision knows no such model.
        OSError: the network or the folder cannot be reached.
        RuntimeError: the download does not match torchvision's hash, or there is no such hash.
    """
    from torch.hub import download_url_to_file
    from torchvision.models import get_model_weights

    try:
        url = get_model_weights(model).DEFAULT.url
    except ValueError as error:
        raise LookupError(model) from error
    if (named := re.search(r"-([0-9a-f]{8,64})\.pth$", url)) is None:
        raise RuntimeError(f"{url} names no hash")
    os.makedirs(folder, exist_ok=True)
    goal = os.path.join(folder, f"{model}.pth")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        new, note = os.path.join(scratch, "new"), os.path.join(scratch, "note")
        download_url_to_file(url, new, named[1], progress=sys.stderr.isatty())
        with open(new, "rb") as file, open(note, "w", encoding="ascii") as said:
            said.write(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {model}.pth\n")
            said.flush()
            os.fsync(said.fileno())
            os.fsync(file.fileno())
        # The note goes first: if the second step is missing, the former file is refused until it is fetched again.
        os.replace(note, f"{goal}.sha256")
        os.replace(new, goal)
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
        sys.stderr.write(f"the library {error.name} is not installed: {installing.command('daemon')}\n")
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
