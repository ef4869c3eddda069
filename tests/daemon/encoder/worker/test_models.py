"""The networks: right classes on real photos, the same vectors however a photo is stored, and refusal of odd weights."""

import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pixkind.encoder.space import resolve
from pixkind.encoder.worker import models, networks
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import LITE0, Square, decode
from pixkind.encoder.worker.header import open_photo
from pixkind.encoder.worker.models import Network, load
from pixkind.encoder.worker.networks import Unfit

SHARED = Path(__file__).parents[4] / "../shared/data"
MOBILENET = SHARED / "weights/mobilenet_v2-imagenet.pth"

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture(scope="module")
def lite0() -> Network:
    """Return the default network."""
    return load("efficientnet_lite0", resolve("efficientnet_lite0", "", "/").weights, threads=1)


@pytest.fixture(scope="module")
def mobilenet() -> Network:
    """Return MobileNetV2 with weights that are not part of the project."""
    if not MOBILENET.is_file():
        pytest.skip(f"no weights at {MOBILENET}")
    return load("mobilenet_v2", str(MOBILENET), threads=1)


def plain_lite0(monkeypatch: pytest.MonkeyPatch, *without: str) -> Network:
    """Return the default network without some of what makes it fast."""
    with monkeypatch.context() as patch:
        for name in without:
            patch.setattr(Network, name, lambda _: False)
        return load("efficientnet_lite0", resolve("efficientnet_lite0", "", "/").weights, threads=1)


def square(network: networks.Network, photo: Path | bytes) -> Square:
    """Return a photo as the network wants it."""
    with io.BytesIO(photo) if isinstance(photo, bytes) else open_photo(os.open(photo, os.O_RDONLY)) as file:
        return decode(file, network.recipe, limit_mp=100, budget=Budget())


def embed(network: Network, *photos: Path | bytes) -> NDArray[np.float32]:
    """Return unit vectors of the photos, (n, dims)."""
    vectors = network.embed(np.stack([square(network, photo) for photo in photos]))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def batches(items: list[Path], size: int = 8) -> Iterator[list[Path]]:
    """Yield the items in batches."""
    return (items[start : start + size] for start in range(0, len(items), size))


def top1(network: Network, folder: Path) -> float:
    """Return the share of photos whose class is right: sorted by name, the k-th is ImageNet class 2k."""
    photos = sorted(folder.iterdir())
    best = [
        int(number)
        for batch in batches(photos)
        for number in network.logits(np.stack([square(network, photo) for photo in batch])).argmax(1)
    ]
    return float(np.mean([number == 2 * place for place, number in enumerate(best)]))


def test_lite0_knows_real_photos(lite0: Network, shared_photos: Path) -> None:
    """Through our own decoding and preparation, more than 84 % of real photos get their class."""
    assert top1(lite0, shared_photos) > 0.84


def test_mobilenet_v2_knows_real_photos(mobilenet: Network, shared_photos: Path) -> None:
    """Through our own decoding and preparation, more than 75 % of real photos get their class."""
    assert top1(mobilenet, shared_photos) > 0.75


@pytest.mark.parametrize("held", ["landscape", "portrait"])
def test_orientation_does_not_change_the_vector(lite0: Network, held: str) -> None:
    """A camera's JPEGs with the eight orientations are near-identical pictures, but for the number painted on each."""
    folder = SHARED / "orientation"
    if not folder.is_dir():
        pytest.skip(f"no photos in {folder}")
    squares = np.stack([square(lite0, folder / f"{held}_{way}.jpg") for way in range(1, 9)])
    squares[:, 85:145, 90:135] = 127  # the painted number
    vectors = lite0.embed(squares)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    assert np.abs(squares.astype(int) - squares[0]).mean((1, 2, 3)).max() < 4
    assert (vectors @ vectors[0]).min() > 0.98


def test_scaled_decoding_keeps_the_vector(lite0: Network, photos: list[Path]) -> None:
    """A large JPEG has nearly the vector that its fully decoded pixels have."""
    for photo in photos:
        with Image.open(photo) as image:
            large = image.convert("RGB").resize((2400, 1800), Image.Resampling.BICUBIC)
        scaled, full = io.BytesIO(), io.BytesIO()
        large.save(scaled, "JPEG", quality=95)
        with Image.open(scaled) as image:
            image.convert("RGB").save(full, "BMP")
        one, other = embed(lite0, scaled.getvalue(), full.getvalue())

        assert one @ other > 0.98, photo.name


def test_batching_keeps_the_vectors(lite0: Network, photos: list[Path]) -> None:
    """A photo's vector does not depend on which photos it is encoded with."""
    together = embed(lite0, *photos)
    alone = np.concatenate([embed(lite0, photo) for photo in photos])

    assert (together * alone).sum(1).min() > 0.998


def test_precision_is_what_the_processor_computes(lite0: Network) -> None:
    """bfloat16 is used where the processor has it in hardware, and only there."""
    words = Path("/proc/cpuinfo").read_text(errors="replace").split()
    hardware = not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)

    assert lite0.precision == ("bfloat16" if hardware else "float32")


def test_disagreeing_bfloat16_is_not_used() -> None:
    """A network whose bfloat16 vectors differ stays in float32, with its vectors as they were."""

    class Fragile(torch.nn.Module):
        """Features that depend on the last bits, which bfloat16 does not have."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sin(x.mean((2, 3)).repeat(1, 8) * 1e4)

    network = Network(LITE0, Fragile(), torch.nn.Linear(24, 2), [0.5] * 3, [0.5] * 3)
    squares = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    before = network.embed(squares)
    halved = network.halve()

    assert not halved
    assert network.precision == "float32"
    assert (network.embed(squares) == before).all()


def test_fusing_changes_no_vector(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions that activate their own output give the same vectors, and are left alone where they would not."""
    plain = plain_lite0(monkeypatch, "fuse", "halve")
    before = embed(plain, *photos)
    with monkeypatch.context() as patch:
        patch.setattr(models, "SAME", 1.01)  # no cosine is
        refused = not plain.fuse()

    assert refused
    assert (embed(plain, *photos) == before).all()
    assert plain.fuse() == torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    assert (embed(plain, *photos) * before).sum(1).min() > 0.99999


def test_halving_keeps_filters_and_what_is_added(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 the vectors are nearer to those in float32 than with everything rounded: 0.0002 off, not 0.0006."""
    network = plain_lite0(monkeypatch, "halve")
    expected = embed(network, *photos)

    assert network.halve()
    assert (1 - (embed(network, *photos) * expected).sum(1)).mean() < 0.0004


def saved(folder: Path, model: str) -> tuple[Path, torch.nn.Module]:
    """Return random weights of one of torchvision's classifiers, and the classifier that has them."""
    from torchvision.models import get_model

    torch.manual_seed(0)
    network: torch.nn.Module = get_model(model, weights=None).eval()
    torch.save(network.state_dict(), folder / f"{model}.pth")
    return folder / f"{model}.pth", network


@pytest.mark.parametrize(
    ("model", "dims"),
    [("resnet18", 512), ("mobilenet_v3_small", 1024), ("convnext_tiny", 768), ("regnet_y_400mf", 440)],
)
def test_any_torchvision_classifier_gives_its_penultimate_features(tmp_path: Path, model: str, dims: int) -> None:
    """Of a classifier by name, the features are what its last layer is given: with that layer they make its logits."""
    path, original = saved(tmp_path, model)
    network = load(model, str(path), threads=1)
    side = network.recipe.side
    squares = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        expected = original(((torch.from_numpy(squares).float() / 255 - mean) / std).permute(0, 3, 1, 2)).numpy()
    logits = network.logits(squares)

    assert network.dims == network.embed(squares).shape[1] == dims
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max() + 0.05


class Evil:
    """Unpickled by a careless reader, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_weights_are_never_executed(tmp_path: Path) -> None:
    """A weights file with code in it is refused, and the code does not run."""
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil(tmp_path / "ran"), 2))
    with pytest.raises(Unfit, match="cannot be read"):
        load("efficientnet_lite0", str(tmp_path / "evil.pth"), threads=1)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\3\4 nearly"])
def test_unreadable_weights_are_named(tmp_path: Path, content: bytes) -> None:
    """A file that holds no weights is refused with its path."""
    (tmp_path / "w.pth").write_bytes(content)

    with pytest.raises(Unfit, match=r"w\.pth"):
        load("efficientnet_lite0", str(tmp_path / "w.pth"), threads=1)


def test_weights_are_loaded_only_with_their_hash(tmp_path: Path) -> None:
    """A file that is not the one that was checked is refused before it is read as weights."""
    (tmp_path / "w.pth").write_bytes(b"not weights")

    with pytest.raises(Unfit, match=r"w\.pth have changed"):
        load("efficientnet_lite0", str(tmp_path / "w.pth"), threads=1, sha256="0" * 64)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    """Weights fit one model; with another they are an error, never a half-filled network."""
    path, _ = saved(tmp_path, "resnet18")
    for model in ("efficientnet_lite0", "mobilenet_v2"):
        with pytest.raises(Unfit, match=model):
            load(model, str(path), threads=1)


@pytest.mark.parametrize("model", ["resnet_18", "fasterrcnn_resnet50_fpn", "r3d_18", "squeezenet1_0"])
def test_what_is_no_classifier_is_refused(tmp_path: Path, model: str) -> None:
    """A name that torchvision does not know, or knows as something else, makes no encoder."""
    torch.save({}, tmp_path / "w.pth")

    with pytest.raises(Unfit, match=model):
        load(model, str(tmp_path / "w.pth"), threads=1)
