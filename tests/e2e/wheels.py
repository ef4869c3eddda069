"""An index of wheels without a network: a folder that pip and uv take for one, made of the packages that are installed here."""

import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from contextlib import suppress
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# The wheels that were made once, whole or hollow. They have their versions in their names, and take 280 MB.
_KEPT: Final = Path(sys.prefix, "wheels")
# PyTorch, what its wheels bring for graphics cards, and what it alone needs: 5 GB.
_HEAVY: Final = ("cuda", "mpmath", "networkx", "nvidia", "setuptools", "sympy", "torch", "triton")
# Large packages of extras that no test installs.
_UNUSED: Final = ("pillow-heif", "pyarrow", "pylibjxl", "rawpy")
# What no wheel has: its installer has written it.
_WRITTEN: Final = frozenset(["INSTALLER", "RECORD", "REQUESTED", "direct_url.json"])


def fill(index: Path) -> None:
    """Put wheels into a folder below `sys.prefix`: pixkin's, from its sdist, and those of all that it needs, and of pip.

    The wheels of PyTorch and of what it alone needs hold their metadata alone: `link_heavy` brings the rest.
    """
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(index), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    for name in (*_needed(), "pip"):
        wheel = _packed(distribution(name), is_hollow=name.startswith(_HEAVY))
        (index / wheel.name).hardlink_to(wheel)


def link_heavy(packages: Path) -> None:
    """Bring into site-packages by hard links what `fill` has left out. The worker is confined to its own environment."""
    heavy = [distribution(name) for name in _needed() if name.startswith(_HEAVY)]
    names = {file.parts[0] for package in heavy for file in package.files or ()} - {".."}
    here = Path(sysconfig.get_path("purelib"))
    lacking = [here / name for name in names if not (packages / name).exists()]
    subprocess.run(["cp", "-al", *lacking, packages], check=True)


def _needed() -> list[str]:
    names = subprocess.check_output([sys.executable, ROOT / ".ci/runtime"], text=True).split()
    return [name for name in names if name not in _UNUSED]


def _packed(package: Distribution, *, is_hollow: bool) -> Path:
    """Make the wheel again from which a package was installed, and return it. Source: PyPA's specification of wheels."""
    files = [file for file in package.files or () if file.parts[0] != ".." and file.suffix != ".pyc"]
    (record,) = (str(file) for file in files if file.name == "RECORD" and len(file.parts) == 2)
    folder = os.path.dirname(record)
    lines = (package.read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag: ").split("-") for line in lines if line.startswith("Tag: ")]
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    wheel = _KEPT / ("hollow" if is_hollow else "whole") / f"{folder.removesuffix('.dist-info')}-{tag}.whl"
    if wheel.exists():
        return wheel
    wheel.parent.mkdir(parents=True, exist_ok=True)
    wanted = [file for file in files if file.name not in _WRITTEN and (not is_hollow or file.parts[0] == folder)]
    with tempfile.NamedTemporaryFile(dir=wheel.parent, delete=False) as made, zipfile.ZipFile(made, "w") as archive:
        for file in wanted:
            archive.write(str(file.locate()), str(file))
        archive.writestr(record, "".join(f"{file},,\n" for file in wanted))
    with suppress(FileExistsError):
        os.link(made.name, wheel)  # whole at once, and never replaced: others make it, and link to it, at the same time
    os.unlink(made.name)
    return wheel
