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
def test_pipx_has_commands_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What pipx injects, an upgrade keeps. The environment has another name after `pipx install --suffix`."""
    prefix = tmp_path / "pixkin_old"
    prefix.mkdir()
    (prefix / "pipx_metadata.json").touch()
    monkeypatch.setattr(sys, "prefix", str(prefix))

    assert installing.command("raw") == "pipx inject pixkin_old 'rawpy>=0.25'"
    assert installing.command("show") == "pipx runpip pixkin_old install --force-reinstall 'pillow>=13'"
    assert installing.again("rawpy") == "pipx runpip pixkin_old install --force-reinstall rawpy"


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize(
    ("receipt", "words"),
    [
        ('[{ name = "pixkin" }]', "'pixkin[raw]'"),
        ('[{ name = "pixkin", extras = ["light"], specifier = "==0.1.0" }]', "'pixkin[light,raw]==0.1.0'"),
        ('[{ name = "pixkin", path = "/a b/pixkin.whl" }]', "'pixkin[raw] @ file:///a%20b/pixkin.whl'"),
        (
            '[{ name = "pixkin" }, { name = "idna", extras = ["all"] }, { name = "h11", directory = "/h" }]',
            "--with 'idna[all]' --with 'h11 @ file:///h' 'pixkin[raw]'",
        ),
        ('[{ name = "pixkin" }]\npython = "3.12"', "--python 3.12 'pixkin[raw]'"),
        (
            '[{ name = "pixkin", extras = ["light"], git = "https://example.org/pixkin?rev=main" }]',
            "'pixkin[light,raw] @ git+https://example.org/pixkin@main'",
        ),
        (
            '[{ name = "pixkin" }, { name = "h11", git = "https://example.org/h?subdirectory=a&tag=v1" }]',
            "--with 'h11 @ git+https://example.org/h@v1#subdirectory=a' 'pixkin[raw]'",
        ),
        (
            (
                '[{ name = "pixkin" }]\n[tool.options]\nno-index = true\nfind-links = ["file:///a%20b"]\nindex-url = "https://i.org/"\n'
                'index = [{ url = "https://d.org/", default = true }, { name = "c", url = "https://c.org/", default = false }]'
            ),
            (
                "--no-index --default-index https://d.org/ --index c=https://c.org/ --index-url https://i.org/ "
                "--find-links file:///a%20b 'pixkin[raw]'"
            ),
        ),
        ('[{ name = "pixkin", url = "https://example.org/p.whl" }]', "'pixkin[raw] @ https://example.org/p.whl'"),
    ],
)
def test_a_tool_of_uv_is_named_with_all_that_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, receipt: str, words: str
) -> None:
    """For uv removes what the command does not name."""
    (tmp_path / "uv-receipt.toml").write_text(f"[tool]\nrequirements = {receipt}\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))

    assert installing.command("raw") == f"uv tool install {words}"
    assert installing.again("lmdb").startswith("uv tool install ")
    assert "--reinstall-package=lmdb" in installing.again("lmdb")


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize("key", ["index", "marker", "git"])
def test_a_tool_of_uv_that_no_command_can_name_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str
) -> None:
    """A package of a stranger may have the same name elsewhere."""
    receipt = f'[tool]\nrequirements = [{{ name = "pixkin", {key} = "https://example.org/?new=1" }}]\n'
    (tmp_path / "uv-receipt.toml").write_text(receipt)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert installing.command("raw") == f"uv pip install --python {PYTHON} 'rawpy>=0.25'"
    assert installing.again("lmdb") == f"uv pip install --python {PYTHON} --force-reinstall lmdb"


@pytest.mark.usefixtures("lacking")
def test_an_environment_without_pip_is_one_of_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such are those that uv makes."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert installing.command("raw") == f"uv pip install --python {PYTHON} 'rawpy>=0.25'"


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
