"""Networks other than the default: their vectors live beside each other in the store."""

from pathlib import Path

import pytest
from tests.e2e.conftest import Home, untrained

pytestmark = [pytest.mark.e2e]

_WEIGHTS = Path(__file__).parents[2] / "../shared/data/weights/mobilenet_v2-imagenet.pth"


@pytest.fixture
def weights() -> str:
    """Return real weights of MobileNetV2, which are not part of the project."""
    if not _WEIGHTS.is_file():
        pytest.skip(f"no weights of mobilenet_v2 in {_WEIGHTS}")
    return str(_WEIGHTS.resolve())


def test_each_encoder_keeps_its_own_vectors(home: Home, photos: list[Path], weights: str) -> None:
    """Another network encodes every photo once; going back to the first one costs nothing."""
    encodes, best, spaces = [], [], []
    for photo in photos[:4]:
        home.copy(photo)
    for encoder in ({}, {"model": "mobilenet_v2", "weights": weights}, {"model": "efficientnet_lite0"}):
        home.configure(encoder=encoder)
        daemon = home.start()
        home.sync()
        encodes.append(home.encodes())
        best.append(home.like(photos[0], "--self")[0])
        spaces.append(home.status()["space"])
        daemon.stop()

    assert encodes == [4, 4, 0]
    assert [match["path"] for match in best] == [str(home.photos / photos[0].name)] * 3
    assert [match["score"] for match in best] == pytest.approx([1, 1, 1], abs=1e-3)
    assert spaces[0] == spaces[2] != spaces[1]


def test_another_runtime_encodes_nothing_and_finds_the_same(home: Home, photos: list[Path]) -> None:
    """A query by a new photo asks vectors that either runtime has made."""
    found, encodes = [], []
    for photo in photos[:6]:
        home.copy(photo)
    for runtime in ("torch", "onnx", "torch"):
        home.configure(encoder={"runtime": runtime})
        daemon = home.start()
        home.sync()
        found.append(
            {match["path"]: match["score"] for match in home.like(photos[8], "--min-score", "-1", "--no-fold")}
        )
        encodes.append(home.encodes())
        daemon.stop()

    assert encodes == [6, 0, 0]
    assert len(found[0]) == 6
    assert found[1] == pytest.approx(found[0], abs=0.02)
    assert found[2] == pytest.approx(found[0], abs=0.001)


def test_weights_of_another_network_are_refused(home: Home, photos: list[Path], weights: str) -> None:
    """A file that does not fit ends the daemon with 78 at the first photo, and condemns no photo."""
    home.configure(encoder={"model": "resnet18", "weights": weights})
    home.copy(photos[0])
    daemon = home.start()
    status = daemon.process.wait(240)
    home.configure()
    home.start()
    home.sync()

    assert status == 78
    assert "encoder.model = 'resnet18' cannot be used" in daemon.log.read_text()
    assert home.status("--failed")["failures"] == []
    assert home.status()["photos"] == 1


def test_weights_that_change_while_pixkind_runs_are_not_loaded(home: Home, photos: list[Path]) -> None:
    """Vectors of other weights never come into the space; the log says which file has changed."""
    home.configure(encoder=untrained(home.folder))
    daemon = home.start()
    with (home.folder / "random.pth").open("ab") as file:
        file.write(b"one more")
    home.copy(photos[0])
    status = daemon.process.wait(240)

    assert status == 78
    assert f"{home.folder}/random.pth have changed since pixkind started" in daemon.log.read_text()
