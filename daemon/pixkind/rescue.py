"""Opening the store so that a damaged one can do no harm: it is verified after an unclean end, and moved aside.

The store is derived data, but expensive: what cannot be trusted is kept for whoever wants to look, until the next one.

Verifying takes a minute for a million photos, so it is done beside the answers: before them only the metadata are checked,
so that a truncated file is never mapped. What is found beside them is a suspicion, for the file changes meanwhile. It, and
an end before the verification was through, make the next start verify before it opens the store; and that decides.
Two files beside the data say it:

| name | there | holds |
| --- | --- | --- |
| `clean` | between a clean stop and the next start | the size of the data |
| `unverified` | while the store is verified beside the answers, and when it ended before that was through | nothing |
"""

import glob
import logging
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import lmdb

from pixkind.store import Store
from pixkind.thread import Thread

_log = logging.getLogger(__name__)

CLEAN: Final = "clean"
UNVERIFIED: Final = "unverified"
DATA: Final = "data.mdb"
_META: Final = struct.Struct("<16x II 16x I 92x QQ")  # magic, version, page size, last page, transaction
_MAGIC: Final = (0xBEEFC0DE, 1)
# It must end with us, and leave the processor to whoever answers. It never hands the file to LMDB: whoever maps a truncated
# one ends with SIGBUS.
_VERIFY: Final = """
import ctypes, os, signal, sys
from lmdb.tool import main
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
os.nice(int(sys.argv[1]))
main(["verify", sys.argv[2]])
"""


def open_store(folder: str, space: str, *, map_gb: int, waits: bool = True) -> Store:
    """Return the open store; one that is damaged is moved aside, with the time in its name, and begun anew.

    Args:
        folder: where it is, or will be.
        space: as for `Store`.
        map_gb: as for `Store`.
        waits: verify it before it is opened, if need be; False: leave that to a `Verifier`, if it can be left.

    Raises:
        PixkinError: it was written by a newer pixkin; it is left alone.
    """
    fault = _fault(folder, waits=waits)
    if fault:
        _set_aside(folder, fault)
    try:
        return Store(folder, space, map_gb=map_gb)
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.PageNotFoundError) as error:
        _set_aside(folder, str(error))
        return Store(folder, space, map_gb=map_gb)


def close_store(store: Store, verifier: "Verifier | None" = None) -> None:
    """Close the store and note that this was a clean end; not if a verifier is not through, or has a suspicion."""
    store.close()
    if verifier is not None and not verifier.is_sound:
        if not verifier.is_suspect:
            _unlink(
                os.path.join(store.folder, UNVERIFIED)
            )  # nothing happened to it: the next start need not wait either
        return
    try:
        with open(os.path.join(store.folder, CLEAN), "w", encoding="ascii") as file:
            file.write(str(_size(store.folder)))
    except OSError as error:  # a full disk: the next start verifies, which is the safe side
        _log.warning("the clean stop could not be noted: %s", error.strerror)


class Verifier:
    """Verifies the store beside the answers, if `open_store` has left that to it: a service with a child process."""

    def __init__(self, store: Store, suspect: Callable[[], None]) -> None:
        """Prepare. `suspect` is called, in a thread of its own, if the store may be damaged: the process must begin anew."""
        self._store = store
        self._suspect = suspect
        self._mark = os.path.join(store.folder, UNVERIFIED)
        self.is_sound = not os.path.exists(self._mark)
        self.is_suspect = False
        self._is_stopping = False
        self._thread = Thread("verify", self._verify)
        self._child: subprocess.Popen[str] | None = None
        self._beats = 0

    def start(self) -> None:
        """Begin, if there is something to verify."""
        if not self.is_sound:
            self._thread.start()

    def stop(self) -> None:
        """End it, at once."""
        self._is_stopping = True
        if self._child is not None:
            self._child.kill()
        self._thread.join(4)

    def failure(self) -> BaseException | None:
        """Return what the thread died of."""
        return self._thread.failure

    def beat(self) -> int:
        """Return a number that is another one each time: nobody waits for it."""
        self._beats += 1
        return self._beats

    def _verify(self) -> None:
        with self._store.pinned():
            self._child = _verifying(self._store.folder, nice=19)
            if self._is_stopping:
                self._child.kill()
            fault = _judged(self._child)
        if self._is_stopping:
            return
        if fault:
            _log.error("the store may be damaged (%s): pixkind begins anew, to verify it before it is opened", fault)
            self.is_suspect = True
            self._suspect()
        else:
            _unlink(self._mark)
            self.is_sound = True
            _log.info("the store is sound")


def _fault(folder: str, *, waits: bool) -> str:
    """Return why the store in `folder` must not be opened; empty if it may be."""
    mark = os.path.join(folder, UNVERIFIED)
    if not os.path.exists(os.path.join(folder, DATA)):
        _unlink(mark)
        return ""
    if _take_note(folder) == _size(folder):
        return ""
    if not waits and not os.path.exists(mark) and _is_whole(os.path.join(folder, DATA)):
        _log.info("the store was not closed cleanly: it is verified while pixkind answers")
        with open(mark, "wb"):
            return ""
    _log.info("the store was not closed cleanly: verifying %s", folder)
    fault = _judged(_verifying(folder, nice=0))
    _unlink(mark)
    return fault


def _verifying(folder: str, *, nice: int) -> "subprocess.Popen[str]":
    """Begin to verify a store, in a process of its own."""
    words = [sys.executable, "-I", "-c", _VERIFY, str(nice), folder]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _judged(child: "subprocess.Popen[str]") -> str:
    """Wait until the store is verified, and return what is wrong with it; empty: nothing that is known."""
    out, err = child.communicate()
    if child.returncode == 1 and "FAILED" in err:
        return out.strip().split("\n")[0] or "it does not verify"
    if child.returncode > 0:  # the verifier itself failed, which says nothing about the store
        _log.warning("the store could not be verified: %s", err.strip().split("\n")[-1])
    return ""


def _is_whole(data: str) -> bool:
    """Return whether the metadata make sense, and the file has all pages that they tell of.

    Source: MDB_meta and mdb_env_pick_meta in LMDB's mdb.c.
    """
    with open(data, "rb") as file:
        first = file.read(_META.size)
        if len(first) < _META.size:
            return False
        page_bytes = _META.unpack(first)[2]
        file.seek(page_bytes)
        second = file.read(_META.size)
        size = os.fstat(file.fileno()).st_size
    if len(second) < _META.size:
        return False
    metas = [_META.unpack(first), _META.unpack(second)]
    _, _, _, last, _ = max(metas, key=lambda meta: int(meta[4]))
    return all(meta[:3] == (*_MAGIC, page_bytes) for meta in metas) and (last + 1) * page_bytes <= size


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


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _set_aside(folder: str, fault: str) -> None:
    """Move a damaged store out of the way; of those that were moved before, none is kept: each may be gigabytes."""
    for older in glob.glob(glob.escape(folder) + ".damaged-*"):
        shutil.rmtree(older)
    aside = f"{folder}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
    os.rename(folder, aside)
    _log.error("the store was damaged (%s): it is now %s, and all photos are indexed anew", fault, aside)
