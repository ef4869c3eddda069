"""Fetching weights, up to the network: what comes after that needs the publisher's server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e]


def fetch(model: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Fetch by a proxy where nothing listens, so that no test downloads."""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "pixkind.encoder.worker.fetch", model, str(folder)]
    return subprocess.run(command, env={**os.environ, **nowhere}, check=False, capture_output=True, text=True)


def test_an_unreachable_network_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """Without a network there is a sentence, status 69, and not even a temporary file."""
    done = fetch("mobilenet_v2", tmp_path / "weights")

    assert done.returncode == 69
    assert done.stderr.splitlines()[-1].startswith("the weights of mobilenet_v2 cannot be fetched: ")
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "weights").iterdir()) == []


def test_an_unknown_model_is_said(tmp_path: Path) -> None:
    """A name that torchvision does not know is status 64, and no folder is made."""
    done = fetch("mobilenet_v22", tmp_path / "weights")

    assert (done.returncode, done.stderr) == (64, "torchvision has no weights for a model named mobilenet_v22\n")
    assert not (tmp_path / "weights").exists()


def test_a_missing_library_is_said(tmp_path: Path) -> None:
    """Where only the client is installed, nothing can be fetched: a sentence and status 69."""
    code = (
        "import sys; sys.modules['torchvision.models'] = None\n"
        "from pixkind.encoder.worker import fetch; sys.exit(fetch.main('mobilenet_v2', sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (
        69,
        "the library torchvision.models is not installed: pip install 'pixkin[daemon]'\n",
    )
