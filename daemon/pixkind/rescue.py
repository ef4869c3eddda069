"""Opening the store so that a damaged one can do no harm: it is verified after an unclean end, and moved aside.

The store is derived data, but expensive: what cannot be trusted is kept for whoever wants to look, until the next one.

Verifying takes a minute for a million photos, so it is done beside the answers: before them only the metadata are checked,
so that a truncated file is never mapped. What is found beside them is a suspicion, for the file changes meanwhile. It, and
an end before the verification was through, make the next start verify before it opens the store; and that decides.
Where the verifier itself fails, killed for want of memory, say, nothing is decided: the store is opened, for an answer is
worth more than a proof, and every start tries again until one is through. Two files beside the data say it:

| name | there | holds |
| --- | --- | --- |
| `clean` | between a clean stop and the next start | the size of the data |
| `unverified` | while the store is verified beside the answers, and until that was through | nothing |
| the same | after a start that tried before the answers, and learned nothing | one byte |
"""

import errno
import glob
import logging
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Final

import lmdb

from pixkind import notify
from pixkind.store import Store
from pixkind.thread import STOP, Thread

_log = logging.getLogger(__name__)

CLEAN: Final = "clean"
UNVERIFIED: Final = "unverified"
DATA: Final = "data.mdb"
_META: Final = struct.Struct("<16x II 16x I 92x QQ")  # magic, version, page size, last page, transaction
_MAGIC: Final = (0xBEEFC0DE, 1)
_ROTTEN: Final = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)  # the disk has the file, and cannot give it
LOOK_S: Final = 2.0  # while nobody is answered: between two signs of life, and two looks for a signal to stop
_IS_DAMAGED: Final = 3  # an exit status; 1 is a traceback's
# It must end with us, and leave the processor to whoever answers. It never hands the file to LMDB: whoever maps a truncated
# one ends with SIGBUS.
_VERIFY: Final = f"""
import ctypes, os, signal, sys
from lmdb.verify import VerifyError, verify
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
os.nice(int(sys.argv[1]))
try:
    faults = verify(sys.argv[2])
except VerifyError as error:
    faults = [error]
except OSError as error:
    if error.errno not in {_ROTTEN}:
        raise
    faults = [error.strerror]
if faults:
    print(ascii(str(faults[0]))[1:-1])
    sys.exit({_IS_DAMAGED})
"""


class Stopped(Exception):
    """A signal to stop came before the store was open. It is as it was, and the signal still pending."""


class _Verdict(Enum):
    """What a verifier has found out."""

    SOUND = 0
    FAULT = 1
    UNKNOWN = 2  # it was killed, or could not do its work: that says nothing about the store


def open_store(folder: str, space: str, *, map_gb: int, waits: bool = True) -> Store:
    """Return the open store; one that is damaged is moved aside, with the time in its name, and begun anew.

    Args:
        folder: where it is, or will be.
        space: as for `Store`.
        map_gb: as for `Store`.
        waits: verify it before it is opened, if need be; False: leave that to a `Verifier`, if it can be left.

    Raises:
        PixkinError: it was written by a newer pixkin; it is left alone.
        Stopped: a signal to stop came while it was verified.
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
    """Close the store and note that this was a clean end; not if a verifier has not proved it sound."""
    store.close()
    if verifier is not None and not verifier.is_sound:
        if not verifier.is_through:  # nothing happened to it: the next start need not wait either
            _unlink(os.path.join(store.folder, UNVERIFIED))
        return
    try:
        with open(os.path.join(store.folder, CLEAN), "w", encoding="ascii") as file:
            file.write(str(_size(store.folder)))
    except OSError as error:  # a full disk: the next start verifies, which is the safe side
        _log.warning("the clean stop could not be noted: %s", error.strerror)


class Verifier:
    """Verifies the store beside the answers, if `open_store` has left that to it: a service with a child process.

    What could not be verified before the answers is not tried again beside them: a suspicion would make the process begin
    anew, again and again.
    """

    def __init__(self, store: Store, suspect: Callable[[], None]) -> None:
        """Prepare. `suspect` is called, in a thread of its own, if the store may be damaged: the process must begin anew."""
        self._store = store
        self._suspect = suspect
        self._mark = os.path.join(store.folder, UNVERIFIED)
        self.is_sound = not os.path.exists(self._mark)
        self.is_through = self.is_sound or os.stat(self._mark).st_size > 0  # whatever it has found out
        self.is_suspect = False
        self._is_stopping = False
        self._thread = Thread("verify", self._verify)
        self._child: subprocess.Popen[str] | None = None
        self._beats = 0

    def start(self) -> None:
        """Begin, if there is something to verify."""
        if not self.is_through:
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
            verdict, why = _judged(self._child, *self._child.communicate())
        if self._is_stopping:
            return
        if verdict is _Verdict.SOUND:
            _unlink(self._mark)
            self.is_sound = True
            _log.info("the store is sound")
        elif verdict is _Verdict.UNKNOWN:
            _log.warning("the store could not be verified (%s): the next start tries it, before it answers", why)
        self.is_through = True
        if verdict is _Verdict.FAULT:
            _log.error("the store may be damaged (%s): pixkind begins anew, to verify it before it is opened", why)
            self.is_suspect = True
            self._suspect()


def _fault(folder: str, *, waits: bool) -> str:
    """Return why the store in `folder` must not be opened; empty if it may be."""
    mark = os.path.join(folder, UNVERIFIED)
    if not os.path.exists(os.path.join(folder, DATA)):
        _unlink(mark)
        return ""
    if _take_note(folder) == _size(folder):
        return ""
    is_whole = _is_whole(os.path.join(folder, DATA))
    if not waits and not os.path.exists(mark) and is_whole:
        _log.info("the store was not closed cleanly: it is verified while pixkind answers")
        with open(mark, "wb"):
            return ""
    return _fault_found(folder, mark, is_whole=is_whole)


def _fault_found(folder: str, mark: str, *, is_whole: bool) -> str:
    """Verify the store before anything else, and return as `_fault`."""
    _log.info("the store was not closed cleanly: verifying %s", folder)
    child = _verifying(folder, nice=0)
    verdict, why = _judged(child, *_awaited(child))
    if verdict is _Verdict.SOUND:
        _unlink(mark)
    if verdict is not _Verdict.UNKNOWN:
        return why
    if not is_whole:
        return "it lacks pages, or its metadata are wrong"
    _log.warning("the store could not be verified (%s): it is used as it is, and the next start tries again", why)
    with open(mark, "wb") as file:
        file.truncate(1)  # a hole: it takes no room on a full disk
    return ""


def _verifying(folder: str, *, nice: int) -> "subprocess.Popen[str]":
    """Begin to verify a store, in a process of its own."""
    words = [sys.executable, "-I", "-c", _VERIFY, str(nice), folder]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _awaited(child: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return what a verifier says, however long that takes. Main thread, with the signals to stop blocked."""
    notify.status("verifying the store, which was not closed cleanly")
    while True:
        notify.patience(notify.START_S)
        try:
            said = child.communicate(timeout=LOOK_S)
        except subprocess.TimeoutExpired:
            if not signal.sigpending() & STOP:
                continue
            notify.stopping()
            child.kill()
            with suppress(subprocess.TimeoutExpired):  # its disk may not answer
                child.communicate(timeout=1)
            raise Stopped from None
        notify.status("")
        return said


def _judged(child: "subprocess.Popen[str]", out: str, err: str) -> tuple[_Verdict, str]:
    """Return what a verifier that has ended, having said this, has found out, and why."""
    if child.returncode == 0:
        return _Verdict.SOUND, ""
    if child.returncode == _IS_DAMAGED:
        return _Verdict.FAULT, out.strip() or "it does not verify"
    if child.returncode < 0:
        return _Verdict.UNKNOWN, f"the verifier was ended by signal {-child.returncode}"
    return _Verdict.UNKNOWN, err.strip().split("\n")[-1]


def _is_whole(data: str) -> bool:
    """Return whether the metadata can be read and make sense, and the file has all pages that they tell of.

    Source: MDB_meta and mdb_env_pick_meta in LMDB's mdb.c.
    """
    try:
        with open(data, "rb") as file:
            first = file.read(_META.size)
            if len(first) < _META.size:
                return False
            page_bytes = _META.unpack(first)[2]
            file.seek(page_bytes)
            second = file.read(_META.size)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        if error.errno in _ROTTEN:
            return False
        raise
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
