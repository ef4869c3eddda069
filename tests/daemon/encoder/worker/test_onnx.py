"""The default network in ONNX Runtime: the vectors of torch, from the same file, and nothing said to anybody."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from tests.daemon.encoder.worker.test_models import Evil, batches, square

from pixkind.encoder.space import LITE0_SHA256, resolve
from pixkind.encoder.worker import models, onnx, state_dict
from pixkind.encoder.worker.jobs import NICE
from pixkind.encoder.worker.networks import Network, Unfit
from pixkind.encoder.worker.onnx_graph import FLOAT, Graph, Value


@pytest.fixture(scope="module")
def weights() -> str:
    """Return the path of the default network's weights."""
    return resolve("efficientnet_lite0", "", "/").weights


@pytest.fixture(scope="module")
def light(weights: str) -> Network:
    """Return the default network in ONNX Runtime."""
    return onnx.load(weights, threads=1, sha256=LITE0_SHA256)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors with the length 1."""
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


def test_its_vectors_are_those_of_torch(light: Network, weights: str, shared_photos: Path) -> None:
    """So they share a space. Of 500 real photos, in float32; the worst cosine counts."""
    exact = models.load("efficientnet_lite0", weights, threads=1, is_exact=True)
    worst = 1.0
    for batch in batches(sorted(shared_photos.iterdir()), 25):
        squares = np.stack([square(light, photo) for photo in batch])
        worst = min(worst, (unit(light.embed(squares)) * unit(exact.embed(squares))).sum(1).min())

    assert light.dims == exact.dims == 1280
    assert worst > 0.99999


def test_a_vector_depends_on_neither_batch_nor_threads(weights: str, light: Network) -> None:
    """Seven squares together, by three threads and by one, and each alone."""
    squares = np.random.default_rng(0).integers(0, 256, (7, 224, 224, 3), dtype=np.uint8)
    alone = np.concatenate([light.embed(squares[number : number + 1]) for number in range(7)])

    for network in (light, onnx.load(weights, threads=3)):
        assert np.allclose(network.embed(squares), alone, rtol=1e-3, atol=1e-4)


_NICE = """
import os, sys, threading
import numpy as np
from pixkind.encoder.worker import onnx

network, squares = onnx.load(sys.argv[1], threads=4), np.zeros((8, 224, 224, 3), np.uint8)
before = {*os.listdir("/proc/self/task")}

def index():
    os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[2]))
    network.embed(squares)
    new = {*os.listdir("/proc/self/task")} - before
    print(len(new), *{os.getpriority(os.PRIO_PROCESS, int(task)) for task in new})

thread = threading.Thread(target=index)
thread.start()
thread.join()
"""


def test_its_threads_give_way_where_the_caller_does(weights: str) -> None:
    """A thread that indexes has a lower priority, and so have those that compute for it."""
    done = subprocess.run(
        [sys.executable, "-c", _NICE, weights, str(NICE)], check=True, stdout=subprocess.PIPE, text=True
    )
    count, *priorities = done.stdout.split()

    assert 2 <= int(count) <= 5  # itself, and up to four
    assert priorities == [str(NICE)]


def test_the_file_is_read_as_torch_reads_it(weights: str) -> None:
    """Every tensor, bit for bit."""
    expected = torch.load(weights, map_location="cpu", weights_only=True)
    with open(weights, "rb") as file:
        found = state_dict.read(file)

    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in expected.items())


def test_views_of_a_storage_are_read(tmp_path: Path) -> None:
    """A tensor may begin in the middle of its storage, and count its columns first."""
    rows = torch.arange(12, dtype=torch.float32).view(3, 4)
    state = OrderedDict(rows=rows, turned=rows.t(), end=rows[1:])
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    with (tmp_path / "w.pth").open("rb") as file:
        found = state_dict.read(file)

    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: tensor.tolist() for name, tensor in state.items()
    }


def test_weights_are_never_executed(tmp_path: Path) -> None:
    """A file with code in it is refused, and the code does not run; wherever in the file it is."""
    header: list[object] = [state_dict.MAGIC, 1001, {}]
    for number, before in enumerate((b"", b"".join(pickle.dumps(one, 2) for one in header))):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(before + pickle.dumps(Evil(tmp_path / "ran"), 2))
        with pytest.raises(Unfit, match=r"cannot be read: it has a \w+.mkdir"):
            onnx.load(str(path), threads=1)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("size", [0, 1, 100, 20_000, 60_000, 1 << 20, -1])
def test_a_part_of_the_file_makes_no_network(weights: str, tmp_path: Path, size: int) -> None:
    """Wherever it is cut."""
    (tmp_path / "w.pth").write_bytes(Path(weights).read_bytes()[:size])

    with pytest.raises(Unfit, match=r"w\.pth"):
        onnx.load(str(tmp_path / "w.pth"), threads=1)


def test_other_weights_make_no_network(weights: str, tmp_path: Path) -> None:
    """Of another network, in torch's newer format, or other ones than pixkind has checked."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    torch.save(state, tmp_path / "new.pth")
    state["_blocks.3._depthwise_conv.weight"] = torch.zeros(144, 1, 3, 3)
    torch.save(state, tmp_path / "shape.pth", _use_new_zipfile_serialization=False)
    torch.save(OrderedDict(a=torch.zeros(1)), tmp_path / "names.pth", _use_new_zipfile_serialization=False)
    state["_blocks.3._depthwise_conv.weight"] = torch.zeros(144, 1, 5, 5)
    state["_conv_stem.weight"] = torch.zeros(32, 4, 3, 3)  # ONNX Runtime itself refuses it
    torch.save(state, tmp_path / "stem.pth", _use_new_zipfile_serialization=False)
    for name in ("new", "shape", "names"):
        with pytest.raises(Unfit, match=rf"{name}\.pth"):
            onnx.load(str(tmp_path / f"{name}.pth"), threads=1)
    with pytest.raises(Unfit, match=r"ONNX Runtime [\d.]+ cannot compute efficientnet_lite0"):
        onnx.load(str(tmp_path / "stem.pth"), threads=1)
    with pytest.raises(Unfit, match="have changed since pixkind started"):
        onnx.load(weights, threads=1, sha256="0" * 64)


def test_a_graph_that_is_written_is_read() -> None:
    """By ONNX Runtime, with numbers of more than seven bits."""
    graph = Graph()
    graph.add("Mul", "x", graph.constant(np.arange(300, dtype=np.float32)), output="y")
    model = graph.model(Value("x", FLOAT, ("n",)), Value("y", FLOAT, (300,)))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (y,) = session.run(["y"], {"x": np.full(300, 2, np.float32)})

    assert y.tolist() == list(range(0, 600, 2))


_OURS = "from pixkind.encoder.worker import onnx; onnx.load(sys.argv[1], threads=1).embed(squares)"
_PLAIN = "import onnxruntime"


def kept_at_home(home: Path, code: str, weights: str) -> list[Path]:
    """Run code with an empty home folder, in no environment of a CI and with no network; return the files that it leaves."""
    home.mkdir()
    before = "import sys, numpy; squares = numpy.zeros((1, 224, 224, 3), numpy.uint8); "
    alone = ["unshare", "--net", *([] if os.getuid() == 0 else ["--map-current-user"])]
    subprocess.run([*alone, sys.executable, "-c", before + code, weights], check=True, env={"HOME": str(home)})
    return [path for path in home.rglob("*") if path.is_file()]


def test_it_tells_nobody_that_it_is_used(weights: str, tmp_path: Path) -> None:
    """Since 1.29 it makes an identifier and a queue of reports where nobody forbids that. We do."""
    release = tuple(map(int, version("onnxruntime").split(".")[:2]))

    assert kept_at_home(tmp_path / "ours", _OURS, weights) == []
    assert bool(kept_at_home(tmp_path / "plain", _PLAIN, weights)) == (release >= (1, 29))
