"""Inputs that a coverage-guided fuzzer makes; only `make fuzz` runs it, and only where atheris is installed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest
from tests.fuzz.mutation import SEED
from tests.fuzz.seeds import seeds

pytest.importorskip("atheris", reason="pip install atheris; it has no wheel for every Python")

pytestmark = [pytest.mark.e2e]

_SECONDS = int(os.environ.get("PIXKIN_GUIDED_S", "60"))  # of each target
_ROOT: Final = Path(__file__).parents[2]
_BEGINNINGS: Final[dict[str, Callable[[], list[bytes]]]] = {
    "photo": lambda: list(seeds().values()),
    "message": lambda: [msgspec.msgpack.encode({"type": "like", "id": 1, "images": [{"path": b"/a", "weight": 2.0}]})],
    "configuration": lambda: [(_ROOT / "config.example.toml").read_bytes()],
}


@pytest.mark.parametrize("target", _BEGINNINGS)
def test_no_guided_input_makes_a_parser_fail(target: str, tmp_path: Path) -> None:
    """Each is accepted, or refused with the one error that is meant for it, within ten seconds and 2 GiB."""
    corpus, harm = tmp_path / "corpus", tmp_path / "harm"
    corpus.mkdir()
    harm.mkdir()
    for number, data in enumerate(_BEGINNINGS[target]()):
        (corpus / str(number)).write_bytes(data)
    limits = [f"-max_total_time={_SECONDS}", f"-seed={SEED}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=20000"]
    command = [sys.executable, str(Path(__file__).with_name("guided.py")), target, *limits]
    done = subprocess.run(
        [*command, f"-artifact_prefix={harm}/", str(corpus)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-3000:]}\nin {harm}: {os.listdir(harm)}"
