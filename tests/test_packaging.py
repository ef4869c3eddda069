"""What a release brings: the manuals and completions are those of the commands, and sdist and wheel have all that runs."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pixkin import __version__

ROOT = Path(__file__).parents[1]
BASH = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_"$1"; printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse words its help otherwise in later versions")
def test_manuals_and_completions_are_those_of_the_commands() -> None:
    """`make manuals` writes them; an option that is new is in them."""
    made_ones = [path for path in (ROOT / "docs").glob("*/*") if path.parent.name in ("man", "completions")]
    before = {path: path.read_bytes() for path in (*made_ones, ROOT / "docs/commands.md")}
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


def git(folder: Path, *words: str, umask: int = -1) -> None:
    """Run git in a folder, as a user of its own and at a time of its own."""
    config = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_DATE": "@1000000000 +0000",
        "GIT_COMMITTER_DATE": "@1000000000 +0000",
    }
    user = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(
        ["git", *user, *words], cwd=folder, check=True, capture_output=True, env={**os.environ, **config}, umask=umask
    )


def make(folder: Path, target: str, *, umask: int = -1, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run make in a folder that is no checkout with an environment of its own: the one of the tests serves."""
    words = ["make", "-o", ".venv/.release", f"BIN={Path(sys.executable).parent}", target]
    return subprocess.run(
        words, cwd=folder, check=False, capture_output=True, text=True, env={**os.environ, **env}, umask=umask
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository of the files of the project as they are now, in which the version has no heading yet."""
    folder = tmp_path / "repository"
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()]
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", *ignored))
    changes = folder / "CHANGELOG.md"
    changes.write_text(changes.read_text().replace(f"## [{__version__}]", "## [older]"))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=all")
    return folder


def test_no_release_is_made_of_changes_that_are_nowhere_told(repository: Path) -> None:
    """Not of files that are not committed, and not of a version without its heading: a sentence says so, and nothing is built."""
    unheard = make(repository, "release")
    (repository / "CHANGELOG.md").write_text(f"## [{__version__}] - 2026-11-28\n")
    dirty = make(repository, "release")

    assert unheard.returncode != 0
    assert f"no release: CHANGELOG.md has no heading for version {__version__}: ## [{__version__}]\n" in unheard.stderr
    assert dirty.returncode != 0
    assert "no release: the working tree has changes; commit them first\n" in dirty.stderr
    assert not (repository / "dist").exists()


def test_two_builds_of_a_commit_are_equal_to_the_byte(repository: Path, tmp_path: Path) -> None:
    """In clones in two places, by users with other umasks, time zones and languages. No time is in them but that of the commit."""
    built = []
    for place, umask, zone in (("a", 0o022, "UTC"), ("deep/er", 0o077, "Pacific/Auckland")):
        clone = tmp_path / place
        git(tmp_path, "clone", "--quiet", str(repository), str(clone), umask=umask)
        (clone / "client/pixkin/stray.py").touch()  # not committed, so not in it
        done = make(clone, "package", umask=umask, TZ=zone)
        assert done.returncode == 0, done.stderr
        built.append({path.name: path for path in (clone / "dist").iterdir()})
    one, other = built
    wheel, sdist = sorted(one.values(), key=lambda path: path.suffix, reverse=True)
    with zipfile.ZipFile(wheel) as archive:
        names = {member.filename for member in archive.infolist()}
        times = {member.date_time for member in archive.infolist()}
    with tarfile.open(sdist) as archive:
        seconds = {member.mtime for member in archive}

    assert {name: path.read_bytes() == other[name].read_bytes() for name, path in one.items()} == {
        wheel.name: True,
        sdist.name: True,
    }
    assert "pixkin/client.py" in names
    assert "pixkin/stray.py" not in names
    assert times == {(2001, 9, 9, 1, 46, 40)}
    assert seconds == {1_000_000_000}
