"""Fetching weights, up to the network: what comes after that needs the publisher's server."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from pixkin import installing
from pixkind.encoder.space import resolve

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
        f"the library torchvision.models is not installed: {installing.command('daemon')}\n",
    )


# The publisher's server is a folder here: all but the URL is as it is.
_LOCAL = """
import sys
from torchvision.models import ResNet18_Weights
from pixkind.encoder.worker import fetch
ResNet18_Weights.DEFAULT.value.url = sys.argv[1]
sys.exit(fetch.main("resnet18", sys.argv[2]))
"""


def fetch_from(file: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Fetch the weights of resnet18 from a file."""
    command = [sys.executable, "-c", _LOCAL, file.as_uri(), str(folder)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_a_download_is_kept_with_its_hash_and_is_not_loaded(tmp_path: Path) -> None:
    """What has the digits of its name is saved and pinned, byte by byte; nothing looks into it."""
    digest = sha256(b"no weights at all").hexdigest()
    (tmp_path / f"resnet18-{digest[:8]}.pth").write_bytes(b"no weights at all")
    done = fetch_from(tmp_path / f"resnet18-{digest[:8]}.pth", tmp_path / "weights")

    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/weights/resnet18.pth\n"), done.stderr
    assert resolve("resnet18", "", str(tmp_path)).sha256 == digest
    assert (tmp_path / "weights/resnet18.pth.sha256").read_text() == f"{digest}  resnet18.pth\n"
    assert len(list((tmp_path / "weights").iterdir())) == 2


@pytest.mark.parametrize(("name", "why"), [("resnet18-00000000.pth", "hash"), ("resnet18.pth", "names no hash")])
def test_a_download_with_another_hash_or_none_is_refused(tmp_path: Path, name: str, why: str) -> None:
    """There is a sentence, status 69, and the former file stays as it was."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/resnet18.pth").write_bytes(b"former")
    (tmp_path / name).write_bytes(b"other weights")
    done = fetch_from(tmp_path / name, tmp_path / "weights")

    assert done.returncode == 69
    assert why in done.stderr
    assert [file.read_bytes() for file in (tmp_path / "weights").iterdir()] == [b"former"]
