"""What is installed, and that a change of it is noticed: real packages' metadata in a folder that Python imports from."""

import shutil
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from pixkind.encoder.formats import FORMATS, HEIF, LOOK_S, DecoderChange, decoders

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what puts a package's metadata where Python looks first; what it returns may be removed again."""
    monkeypatch.syspath_prepend(tmp_path)

    def one(package: str, number: str) -> Path:
        folder = tmp_path / f"{package.replace('-', '_')}-{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {number}\n")
        return folder

    return one


def test_decoders_differ_whenever_one_is_installed_removed_or_upgraded(install: Install) -> None:
    """All packages are named with their versions, in an order that never changes."""
    before = decoders()
    upgraded = install("pillow-heif", "99.1")
    after = decoders()
    shutil.rmtree(upgraded)

    assert (
        before
        == decoders()
        == ", ".join(f"{name} {version(name)}" for name in ("pillow", "pillow-heif", "pylibjxl", "rawpy"))
    )
    assert after == before.replace(f"pillow-heif {version('pillow-heif')}", "pillow-heif 99.1")


def test_a_change_is_told_once_when_it_is_complete(install: Install) -> None:
    """A first look may be in the middle of an installation; the second finds the same, and no further look tells it again."""
    change = DecoderChange()
    looks = [change.has_come(0), change.has_come(LOOK_S)]
    install("rawpy", "99.2")
    looks += [change.has_come(LOOK_S * 1.5), *(change.has_come(LOOK_S * n) for n in (2, 3, 4, 5))]

    assert looks == [False, False, False, False, True, False, False]


def test_no_suffix_is_of_two_formats() -> None:
    """Each suffix stands once, in lower case and without its dot."""
    suffixes = [suffix for one in FORMATS for suffix in one.suffixes]

    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix.isalnum() and suffix == suffix.lower() for suffix in suffixes)


def test_what_is_to_be_installed_is_an_extra_of_this_package() -> None:
    """Each format's extra installs its package, and all are installed where these tests run."""
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]

    assert "pillow-heif" in HEIF.install
    for one in FORMATS:
        found = [*extras[one.extra], *(extras["engine"] if one.extra == "daemon" else [])]
        assert any(line.startswith(f"{one.package}>=") for line in found)
    assert "pixkin[engine]" in extras["daemon"]
    (installed,) = (line for line in extras["dev"] if line.startswith("pixkin["))
    assert {one.extra for one in FORMATS if one.extra != "daemon"} <= {*installed[7:-1].split(",")}
