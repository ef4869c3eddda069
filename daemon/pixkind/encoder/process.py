"""The worker process as the daemon sees it: starts, measures and reaps it. The encoder's thread owns it.

A hostile photo that has taken the worker over can read its environment, and write to its standard error. So the environment
has nothing of the daemon's, and standard error is a pipe. The daemon logs a bounded number of lines from it, and the log escapes
control characters.
"""

import fcntl
import logging
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from pixkind.encoder.messages import WORK_BYTES, Settings

_log = logging.getLogger(__name__)

ASKED_S: Final = 0.1  # between two looks at the worker's time
LOGGED_LINES: Final = 200  # of each worker's standard error; the rest is dropped
LINE_BYTES: Final = 500  # a longer line is cut into several
# All of the worker's environment, together with the search path of the loader, which Python may need to start.
ENVIRONMENT: Final = {
    # Else the C library would look for the user's folder, and ask other services.
    "HOME": "/",
    # By default OpenMP's threads spin while they wait for each other, which is most of the time on a busy machine.
    "OMP_WAIT_POLICY": "passive",
    # The threads of numpy's OpenBLAS take a third of the CPU time of a start, and compute nothing: torch and ONNX Runtime have
    # their own.
    "OPENBLAS_NUM_THREADS": "1",
    # torch looks for a folder for compiled code. It is not used.
    "TORCHINDUCTOR_CACHE_DIR": sys.prefix,
}
LOADER_PATH: Final = "LD_LIBRARY_PATH"
# A worker is renewed after so many outcomes or seconds: whatever has taken it over ends with it, and sees no later photos.
# A new photo has two outcomes. Photos of 0.2 MP take 9.3 ms of CPU time each, and so 25,000 of them take 230 s. Another worker
# and the network in it take 2.7 s with torch, 1.2 % of that, and 0.5 s with ONNX Runtime; less of larger photos.
MOST_OUTCOMES: Final = 50_000
MOST_AGE_S: Final = 86_400.0


@dataclass(slots=True)
class WorkerProcess:
    """A worker process, the daemon's ends of its socket and its standard error, and the file that says what its threads do."""

    process: "subprocess.Popen[bytes]"
    socket: socket.socket
    errors: int  # -1: closed
    work: int
    polite: bool  # its indexing gives way to everything else
    heard_at: float  # when its last outcome came, or when it was started
    started_at: float
    outcomes: int = 0
    heard_cpu_s: float = 0.0  # its CPU time then, or up to ASKED_S earlier
    loaded_at: float = 0.0  # 0: the network is not loaded yet
    dims: int = 0
    needs_network_since: float = 0.0
    fault: str = ""  # why the daemon killed it
    _asked_at: float = 0.0
    _lines: int = 0  # that were logged
    _line: bytes = b""  # the last one, which is not complete

    @classmethod
    def start(cls, command: Sequence[str], settings: Settings) -> "WorkerProcess":
        """Start a worker. This sets `socket` in its settings."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        errors, their_errors = os.pipe()
        os.set_blocking(errors, False)
        work = os.memfd_create("work", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(work, WORK_BYTES)
        fcntl.fcntl(work, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        with theirs:
            told = msgspec.json.encode(msgspec.structs.replace(settings, socket=theirs.fileno(), work=work)).decode()
            # exec, never fork: a forked child of a threaded process deadlocks in torch.
            process = subprocess.Popen(
                [*command, told],
                pass_fds=[theirs.fileno(), work],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=their_errors,
                env=ENVIRONMENT | {name: path for name, path in os.environ.items() if name == LOADER_PATH},
            )
        os.close(their_errors)
        now = time.monotonic()
        return cls(process, ours, errors, work, settings.polite, now, now)

    def is_worn(self) -> bool:
        """Return whether it has had enough jobs, or is old enough, to be renewed."""
        return self.outcomes >= MOST_OUTCOMES or time.monotonic() >= self.started_at + MOST_AGE_S

    def register(self, poll: "select.poll", *, writes: bool) -> None:
        """Have `poll` wake for what it says, and with `writes` for room in its socket."""
        poll.register(self.socket, select.POLLIN | (select.POLLOUT if writes else 0))
        if self.errors >= 0:
            poll.register(self.errors, select.POLLIN)

    def log_errors(self) -> None:
        """Log what it has written to its standard error. After LOGGED_LINES the pipe is closed."""
        with suppress(BlockingIOError):
            while self.errors >= 0:
                data = os.read(self.errors, LINE_BYTES)
                *lines, self._line = (self._line + data).split(b"\n")
                if len(self._line) >= LINE_BYTES or not data:
                    lines.append(self._line)
                    self._line = b""
                self._log_lines(lines)
                if not data or self._lines >= LOGGED_LINES:
                    os.close(self.errors)
                    self.errors = -1

    def _log_lines(self, lines: Sequence[bytes]) -> None:
        for line in lines[: LOGGED_LINES - self._lines]:
            self._lines += 1  # an empty one counts too
            if line:
                _log.warning("worker pid=%d: %s", self.process.pid, line.decode(errors="surrogateescape"))
            if self._lines == LOGGED_LINES:
                _log.warning("worker pid=%d wrote too many lines; the next ones are not logged", self.process.pid)

    def hear(self, now: float) -> None:
        """Note that an outcome has come. The CPU time is read every ASKED_S: reading it takes a tenth of an inspection."""
        self.heard_at = now
        self.outcomes += 1
        if now >= self._asked_at + ASKED_S:
            self._asked_at, self.heard_cpu_s = now, self.cpu_s()

    def cpu_s(self) -> float:
        """Return the CPU time of the process, with all its threads."""
        return _stat(f"/proc/{self.process.pid}/stat")[1]

    def thread(self, thread: int) -> tuple[bool, float]:
        """Return whether a thread runs or waits only for a processor, and its CPU time; (False, 0) if it has ended."""
        with suppress(FileNotFoundError, ProcessLookupError):
            return _stat(f"/proc/{self.process.pid}/task/{thread}/stat")
        return False, 0.0

    def wants_processor(self) -> bool:
        """Return whether one of its threads runs, or waits only for a processor."""
        return any(self.thread(int(task))[0] for task in os.listdir(f"/proc/{self.process.pid}/task"))

    def reap(self, patience_s: float) -> int:
        """Close its socket, which makes it exit, and return its exit status. It is killed after `patience_s`."""
        self.socket.close()
        os.close(self.work)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log_errors()
        if self.errors >= 0:  # another process has it, too
            os.close(self.errors)
        return self.process.returncode


def _stat(path: str) -> tuple[bool, float]:
    """Return whether a process or thread runs or could run, and its CPU time. Source: proc_pid_stat(5)."""
    with open(path, "rb") as file:
        words = file.read().rpartition(b")")[2].split()
    return words[0] == b"R", (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def threads(cores: int) -> tuple[int, int]:
    """Return how many threads decode, and how many the network computes with, on this many cores.

    Measured on two cores, and reasoned for more:

    - Decoding a 12 MP JPEG takes six times as long as encoding it; a PNG of 600 x 400, twice as long.
    - More than 8 threads do not help networks this small, and 16 decoding threads keep 8 busy.
    - On few cores there is one thread too many, so that no core idles while a thread waits. The worker lets no more threads
      compute at once than there are cores (`Settings.cores`).

    The two threads of queries come on top.
    """
    computing = min(8, max(1, cores // 4))
    return min(16, max(cores - computing, min(cores, 2))), computing
