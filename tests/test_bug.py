"""A bug ends a command with its traceback, and with what a report of it must say."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pixkin import __version__

# Python imports this module when it starts: the function is broken from the first line on.
_BREAK = "import {module}\ndef broken(*_, **__): return 1 / 0\n{module}.{name} = broken\n"


@pytest.mark.parametrize(
    ("words", "module", "name", "library"),
    [
        (["pixkin", "status"], "pixkin.cli.connect", "connect", ""),
        (["pixkind", "--check"], "pixkind.config", "load", ", numpy [0-9]"),
    ],
)
def test_a_bug_says_where_it_was_met(tmp_path: Path, words: list[str], module: str, name: str, library: str) -> None:
    """With the versions of pixkin, of Python and of what is loaded, and status 1."""
    (tmp_path / "sitecustomize.py").write_text(_BREAK.format(module=module, name=name))
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [Path(sys.executable).parent / words[0], *words[1:]], env=env, capture_output=True, text=True, check=False
    )
    *_, said, versions = done.stderr.splitlines()

    assert done.returncode == 1
    assert (done.stdout, "ZeroDivisionError" in done.stderr) == ("", True)
    assert said == "This is a bug. Please report it with all of these lines."
    assert versions.startswith(f"pixkin {__version__}, Python {platform.python_version()}, Linux")
    assert re.search(library, versions)
