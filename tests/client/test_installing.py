"""The command that a hint names works in the environment that runs, whoever made it."""

import importlib.util
import shlex
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

from pixkin import installing

PYTHON = shlex.quote(sys.executable)


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take rawpy and textual away."""
    real = metadata.version

    def version(package: str) -> str:
        if package in {"rawpy", "textual"}:
            raise metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.usefixtures("lacking")
def test_it_names_what_is_missing_of_an_extra_with_its_bounds() -> None:
    """Not pixkin itself, which may come from a checkout; of several packages those that are missing."""
    assert installing.command("raw") == f"{PYTHON} -m pip install 'rawpy>=0.25'"
    assert installing.command("tui") == f"{PYTHON} -m pip install 'textual<9,>=8.2'"


def test_a_package_that_is_there_and_cannot_be_used_is_installed_anew() -> None:
    """A plain `pip install` would do nothing."""
    assert installing.command("raw") == f"{PYTHON} -m pip install --force-reinstall 'rawpy>=0.25'"
    assert installing.again("rawpy") == f"{PYTHON} -m pip install --force-reinstall rawpy"


@pytest.mark.parametrize("extra", ["heif", "jxl", "raw", "show", "tui", "web", "mcp", "parquet", "light", "daemon"])
def test_every_extra_that_a_hint_names_has_packages(extra: str) -> None:
    """pyproject.toml has them."""
    words = shlex.split(installing.command(extra))

    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert words[4:]
    assert not [word for word in words[4:] if word.startswith("pixkin")]


@pytest.mark.usefixtures("lacking")
def test_pipx_and_uv_have_commands_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pipx injects, an upgrade keeps. uv makes environments without pip."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "prefix", "/home/ada/.local/share/pipx/venvs/pixkin")
        piped = installing.command("raw"), installing.again("rawpy")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    uv = installing.command("raw")

    assert piped == ("pipx inject pixkin 'rawpy>=0.25'", "pipx runpip pixkin install --force-reinstall rawpy")
    assert uv == f"uv pip install --python {PYTHON} 'rawpy>=0.25'"


def test_the_python_of_a_system_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PEP 668: pip refuses there, for good reasons. pipx makes an environment for pixkin."""
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))

    assert installing.command("raw") == "pipx install 'pixkin[light,raw]'"
    assert installing.command("daemon") == "pipx install 'pixkin[daemon]'"
    assert installing.again("rawpy") == "pipx install 'pixkin[light]'"


def test_pixkin_without_metadata_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its sources were copied."""

    def requires(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)

    assert installing.command("raw") == f"{PYTHON} -m pip install 'pixkin[raw]'"
