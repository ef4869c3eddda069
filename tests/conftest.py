"""Fixtures that several parts share."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("pixkin", deadline=None)  # pytest's timeout is the limit; a shared machine is uneven
settings.load_profile("pixkin")

# Tests import ONNX Runtime themselves, and since 1.29 that reports its use to its makers unless this is set before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# As pixkind has it. Tests that run side by side would wait for each other's threads.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# A shell that runs the tests in the background, or `nohup`, has these ignored, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Photographs, not drawings or data, in scikit-image's wheel; the Makefile's demo has the same.
_SAMPLES = frozenset(
    [
        "astronaut",
        "brick",
        "camera",
        "chelsea",
        "clock_motion",
        "coffee",
        "coins",
        "grass",
        "gravel",
        "hubble_deep_field",
        "moon",
        "motorcycle_left",
        "motorcycle_right",
        "retina",
        "rocket",
    ]
)
_SHARED = Path(__file__).parents[1] / "../shared/data/photos"


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """Yield a new folder with a short path: a socket's path has room for 107 bytes, and tmp_path may be longer."""
    folder = Path(tempfile.mkdtemp(prefix="pk", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    """Return the sample photographs of scikit-image, sorted by name."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-image, the extra [demo], is not installed")
    data = Path(spec.origin).parent / "data"
    found = sorted(path for path in data.iterdir() if path.stem in _SAMPLES and path.suffix in {".png", ".jpg"})
    if not found:
        pytest.skip(f"no sample photographs in {data}")
    return found


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    """Return the folder with 500 real photos of known classes, which is not part of the project."""
    if not _SHARED.is_dir():
        pytest.skip(f"no real photos in {_SHARED}")
    return _SHARED.resolve()
