"""Verifies the store in a child process: before the store is opened, or while queries are answered."""

import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Final

from pixkind.storage.store import Store
from pixkind.system import sd_notify
from pixkind.system.threads import STOP, ServiceThread

_log = logging.getLogger(__name__)

UNVERIFIED: Final = "unverified"
UNREADABLE: Final = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)  # the disk has the file, but cannot read it
LOOK_S: Final = 2.0  # before queries are answered: between two messages to systemd, and two looks for a signal to stop
PASSES: Final = 3  # over a store that grows and seems to be damaged
_IS_DAMAGED: Final = 3  # an exit status; 1 would be that of a traceback
# The child must end with this process, and leave the processor to queries. It never lets LMDB map the file: a process that
# maps a truncated file ends with SIGBUS.
_VERIFY: Final = f"""
import ctypes, os, signal, sys
from lmdb.verify import VerifyError, verify
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
os.nice(int(sys.argv[1]))
def faults_in(folder):
    try:
        return verify(folder)
    except VerifyError as error:
        return [error]
    except OSError as error:
        if error.errno not in {UNREADABLE}:
            raise
        return [error.strerror]
data = os.path.join(sys.argv[2], "data.mdb")
# It learns how large the file is, and then which commit is the last. One that comes between may have made the file larger.
for _ in range({PASSES}):
    size, faults = os.path.getsize(data), faults_in(sys.argv[2])
    if not faults or os.path.getsize(data) == size:
        break
if faults:
    print(ascii(str(faults[0]))[1:-1])
    sys.exit({_IS_DAMAGED})
"""


class Stopped(Exception):
    """A signal to stop came before the store was open. The store is unchanged, and the signal still pending."""


class Verdict(Enum):
    """The result of a verification."""

    SOUND = 0
    FAULT = 1
    UNKNOWN = 2  # the verifier was killed or failed, which says nothing about the store


class Verifier:
    """A service that verifies the store while queries are answered, if `open_store` has left that to it.

    It does not try again what could not be verified before: a suspicion would restart the process again and again.
    """

    def __init__(self, store: Store, suspect: Callable[[], None]) -> None:
        """Prepare. `suspect` is called in this service's thread if the store may be damaged: it must restart the process."""
        self._store = store
        self._suspect = suspect
        self._mark = os.path.join(store.folder, UNVERIFIED)
        self.is_sound = not os.path.exists(self._mark)
        self.is_through = self.is_sound or os.stat(self._mark).st_size > 0  # whatever the result
        self.is_suspect = False
        self._is_stopping = False
        self._thread = ServiceThread("verify", self._verify)
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin if the store is to be verified."""
        if not self.is_through:
            self._thread.start()

    def stop(self) -> None:
        """End the verification at once."""
        self._is_stopping = True
        if self._child is not None:
            self._child.kill()
        self._thread.join(4)

    def failure(self) -> BaseException | None:
        """Return what the thread died of."""
        return self._thread.failure

    def beat(self) -> None:
        """Return None: the thread only waits for the process that verifies."""

    def _verify(self) -> None:
        with self._store.pinned():
            self._child = verifying(self._store.folder, nice=19)
            if self._is_stopping:
                self._child.kill()
            verdict, why = judged(self._child, *self._child.communicate())
        if self._is_stopping:
            return
        if verdict is Verdict.SOUND:
            unlink(self._mark)
            self.is_sound = True
            _log.info("the store is sound")
        elif verdict is Verdict.UNKNOWN:
            _log.warning(
                "the store could not be verified (%s): the next start verifies it before it answers queries", why
            )
        self.is_through = True
        if verdict is Verdict.FAULT:
            _log.error(
                "the store may be damaged (%s): pixkind restarts, and verifies the store before it opens it", why
            )
            self.is_suspect = True
            self._suspect()


def verifying(folder: str, *, nice: int) -> "subprocess.Popen[str]":
    """Start a process that verifies a store, and return it."""
    words = [sys.executable, "-I", "-c", _VERIFY, str(nice), folder]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def awaited(child: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait for a verifier to end, however long that takes, and return its output. Main thread, with the signals to stop blocked.

    Raises:
        Stopped: a signal to stop came.
    """
    sd_notify.status("verifying the store, which was not closed cleanly")
    while True:
        sd_notify.patience(sd_notify.START_S)
        try:
            said = child.communicate(timeout=LOOK_S)
        except subprocess.TimeoutExpired:
            if not signal.sigpending() & STOP:
                continue
            sd_notify.stopping()
            child.kill()
            with suppress(subprocess.TimeoutExpired):  # it cannot be killed while its disk does not answer
                child.communicate(timeout=1)
            raise Stopped from None
        sd_notify.status("")
        return said


def judged(child: "subprocess.Popen[str]", out: str, err: str) -> tuple[Verdict, str]:
    """Return the result of a verifier that has ended with this output, and the reason."""
    if child.returncode == 0:
        return Verdict.SOUND, ""
    if child.returncode == _IS_DAMAGED:
        return Verdict.FAULT, out.strip() or "it does not verify"
    if child.returncode < 0:
        return Verdict.UNKNOWN, f"the verifier was ended by signal {-child.returncode}"
    return Verdict.UNKNOWN, err.strip().split("\n")[-1]


def unlink(path: str) -> None:
    """Remove a file, if there is one."""
    with suppress(FileNotFoundError):
        os.unlink(path)
