"""Opening the store so that a damaged one can do no harm: it is verified after an unclean end, and moved aside.

The store is derived data, but expensive: what cannot be trusted is kept for whoever wants to look, until the next one.
"""

import glob
import logging
import os
import shutil
import subprocess
import sys
import time
from typing import Final

import lmdb

from pixkind.store import Store

_log = logging.getLogger(__name__)

CLEAN: Final = "clean"  # a file beside the data, there only between a clean stop and the next start; holds their size
DATA: Final = "data.mdb"


def open_store(folder: str, space: str, *, map_gb: int) -> Store:
    """Return the open store; one that is damaged is moved aside, with the time in its name, and begun anew.

    Args:
        folder: where it is, or will be.
        space: as for `Store`.
        map_gb: as for `Store`.

    Raises:
        PixkinError: it was written by a newer pixkin; it is left alone.
    """
    fault = _fault(folder)
    if fault:
        _set_aside(folder, fault)
    try:
        return Store(folder, space, map_gb=map_gb)
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.PageNotFoundError) as error:
        _set_aside(folder, str(error))
        return Store(folder, space, map_gb=map_gb)


def close_store(store: Store) -> None:
    """Close the store and note that this was a clean end."""
    store.close()
    try:
        with open(os.path.join(store.folder, CLEAN), "w", encoding="ascii") as file:
            file.write(str(_size(store.folder)))
    except OSError as error:  # a full disk: the next start verifies, which is the safe side
        _log.warning("the clean stop could not be noted: %s", error.strerror)


def _fault(folder: str) -> str:
    """Return why the store in `folder` must not be opened; empty if it may be."""
    if not os.path.exists(os.path.join(folder, DATA)):
        return ""
    noted = _take_note(folder)
    if noted == _size(folder):
        return ""
    _log.info("the store was not closed cleanly: verifying %s", folder)
    # In a process of its own, which never hands the file to LMDB: a truncated one ends with SIGBUS whoever maps it.
    verify = [sys.executable, "-I", "-m", "lmdb", "verify", folder]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    if done.returncode == 1 and "FAILED" in done.stderr:
        return done.stdout.strip().split("\n")[0] or "it does not verify"
    if done.returncode:  # the verifier itself failed, which says nothing about the store
        _log.warning("the store could not be verified: %s", done.stderr.strip().split("\n")[-1])
    return ""


def _take_note(folder: str) -> int | None:
    """Return what a clean stop noted, and forget it: from now on the store is open."""
    path = os.path.join(folder, CLEAN)
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            noted = file.read()
        os.unlink(path)
    except FileNotFoundError:
        return None
    return int(noted) if noted.isdecimal() else None


def _size(folder: str) -> int:
    return os.stat(os.path.join(folder, DATA)).st_size


def _set_aside(folder: str, fault: str) -> None:
    """Move a damaged store out of the way; of those that were moved before, none is kept: each may be gigabytes."""
    for older in glob.glob(glob.escape(folder) + ".damaged-*"):
        shutil.rmtree(older)
    aside = f"{folder}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
    os.rename(folder, aside)
    _log.error("the store was damaged (%s): it is now %s, and all photos are indexed anew", fault, aside)
