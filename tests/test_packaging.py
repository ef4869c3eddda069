"""What a release brings: the manuals and completions are those of the commands, and sdist and wheel have all that runs."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from pixkin import __version__

ROOT = Path(__file__).parents[1]
SHARED = (
    *(f"share/man/man{section}" for section in ("1/pixkin.1", "1/pixkind.1", "5/pixkin-config.5")),
    *(f"share/bash-completion/completions/{name}" for name in ("pixkin", "pixkind")),
    *(f"share/zsh/site-functions/_{name}" for name in ("pixkin", "pixkind")),
    *(f"share/fish/vendor_completions.d/{name}.fish" for name in ("pixkin", "pixkind")),
)
BASH = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_"$1"; printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse words its help otherwise in later versions")
def test_manuals_and_completions_are_those_of_the_commands() -> None:
    """`make manuals` writes them; an option that is new is in them."""
    before = {
        path: path.read_bytes() for path in (ROOT / "docs").glob("*/*") if path.parent.name in ("man", "completions")
    }
    code = """if True:
        import runpy
        for path, text in runpy.run_path("docs/manuals.py")["made"]().items():
            print(path, text.encode().hex())
    """
    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout.splitlines()
    texts = dict(line.split(" ", 1) for line in made)

    assert {str(path.relative_to(ROOT / "docs")): text.hex() for path, text in before.items()} == texts


@pytest.mark.parametrize("page", sorted((ROOT / "docs/man").iterdir()), ids=lambda path: path.name)
def test_a_manual_has_the_sections_that_readers_look_for(page: Path) -> None:
    """And no line that troff would take for a request that it does not know."""
    lines = page.read_text().splitlines()
    requests = {line.split()[0] for line in lines if line.startswith(".")}

    assert lines[0].startswith(".TH PIXKI")
    assert ".SH NAME" in lines
    assert ".SH DESCRIPTION" in lines
    assert requests <= {".TH", ".SH", ".B", ".TP", ".PP", ".nf", ".fi", ".RS", ".RE", ".br", ".SS"}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pixkin", "li"], {"like"}),
        (["pixkin", "do"], {"doctor"}),
        (["pixkin", "like", "--min"], {"--minus", "--min-score"}),
        (["pixkin", "space", "u"], {"use"}),
        (["pixkind", "--che"], {"--check"}),
    ],
)
def test_bash_completes_commands_and_options(words: list[str], offered: set[str]) -> None:
    """In a real bash, with the file that the wheel brings."""
    done = subprocess.run(
        ["bash", "-c", BASH, "bash", ROOT / f"docs/completions/{words[0]}.bash", *words],
        capture_output=True,
        check=True,
        text=True,
    )

    assert {*done.stdout.split()} == offered
    assert done.stderr == ""


def test_a_wheel_from_the_sdist_runs_in_an_empty_environment(tmp_path: Path) -> None:
    """Programs, units, manuals and completions are in it. What pixkin needs comes from the environment of the tests."""
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir"]
    subprocess.run([*build, tmp_path, "--sdist", ROOT], check=True, capture_output=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(sdist, tmp_path)
    subprocess.run(
        [*build, tmp_path, "--wheel", sdist.with_name(sdist.name.removesuffix(".tar.gz"))],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    def run(*words: str | Path) -> str:
        return subprocess.run(words, capture_output=True, check=True, text=True, env=env, cwd=tmp_path).stdout

    where = run(python, "-c", "import pixkin, pixkind; print(pixkin.__file__, pixkind.__file__)")
    checked = run(tmp_path / "env/bin/pixkind", "--check", tmp_path)

    assert all(one.startswith(str(packages)) for one in where.split())
    assert run(tmp_path / "env/bin/pixkin", "--version") == f"pixkin {__version__}\n"
    assert checked.startswith(f"the configuration is good; folders: {tmp_path}")
    assert [name for name in SHARED if not (tmp_path / "env" / name).is_file()] == []
    assert {path.name for path in (packages / "pixkind").glob("pixki*.*")} >= {"pixkind.service", "pixkin-web.socket"}
    assert re.search(r"Name: pixkin\n", (next(packages.glob("pixkin-*.dist-info")) / "METADATA").read_text())
