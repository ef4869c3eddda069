"""Looks at the program of the daemon, and at what it says of its configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from pixkin import installing
from pixkin.doctor.finding import NOTE, OK, PROBLEM, Finding

_CHECK_S: Final = 60.0
_ERROR: Final = "pixkind: error: "
_HINT: Final = "hint: "
_NO_FOLDER: Final = "error: no folder to index"


def check(folders: Sequence[str] = ()) -> list[Finding]:
    """Run `pixkind --check`: it reads the configuration, and looks for the weights and the runtime of the network.

    Args:
        folders: those of a running daemon. They may stand on its command line, so that the configuration needs none.
    """
    program = shutil.which(os.path.join(os.path.dirname(sys.argv[0]), "pixkind")) or shutil.which("pixkind")
    if program is None:
        return [Finding(PROBLEM, "program", "the daemon is not installed here", installing.command("light"))]
    try:
        done = _run(program)
        if folders and _NO_FOLDER in done.stderr:
            done = _run(program, "--", *folders)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Finding(PROBLEM, "program", f"{program} does not run: {error}", installing.command("light"))]
    return [Finding(OK, "program", program), *_said(done)]


def _run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "--check", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=_CHECK_S,
        check=False,
    )


def _said(done: subprocess.CompletedProcess[str]) -> list[Finding]:
    if done.returncode:
        lines = done.stderr.splitlines() or [f"pixkind --check ends with {done.returncode}"]
        what = next((line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)), lines[-1])
        fix = next((line.removeprefix(_HINT) for line in lines if line.startswith(_HINT)), "pixkind --check")
        return [Finding(PROBLEM, "configuration", what, fix)]
    first, *others = done.stdout.splitlines() or [""]
    found = [Finding(OK, "configuration", first)]
    for line in others:
        what, now, fix = line.rpartition(" now: ")
        found.append(Finding(NOTE, "folder", f"{what}{now.removesuffix(': ')}", fix))
    return found
