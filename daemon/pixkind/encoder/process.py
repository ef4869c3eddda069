"""The worker process as the daemon sees it: starts, measures and reaps it. The encoder's thread owns it."""

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from pixkind.encoder.messages import Settings

ASKED_S: Final = 0.1  # between two looks at the worker's time


@dataclass(slots=True)
class WorkerProcess:
    """A worker process, the daemon's end of its socket, and the file that says what its threads do."""

    process: "subprocess.Popen[bytes]"
    socket: socket.socket
    work: int
    polite: bool  # its indexing gives way to everything else
    heard_at: float  # when its last outcome came, or when it was started
    heard_cpu_s: float = 0.0  # its CPU time then, or up to ASKED_S earlier
    loaded_at: float = 0.0  # 0: the network is not loaded yet
    dims: int = 0
    needs_torch_since: float = 0.0
    fault: str = ""  # why the daemon killed it
    _asked_at: float = 0.0

    @classmethod
    def start(cls, command: Sequence[str], settings: Settings) -> "WorkerProcess":
        """Start a worker. This sets `socket` in its settings."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        work = os.memfd_create("work", os.MFD_CLOEXEC)
        with theirs:
            told = msgspec.json.encode(msgspec.structs.replace(settings, socket=theirs.fileno(), work=work)).decode()
            # exec, never fork: a forked child of a threaded process deadlocks in torch.
            process = subprocess.Popen(
                [*command, told], pass_fds=[theirs.fileno(), work], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        return cls(process, ours, work, settings.polite, time.monotonic())

    def hear(self, now: float) -> None:
        """Note that an outcome has come. The CPU time is read every ASKED_S: reading it takes a tenth of an inspection."""
        self.heard_at = now
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
        return self.process.returncode


def _stat(path: str) -> tuple[bool, float]:
    """Return whether a process or thread runs or could run, and its CPU time. Source: proc_pid_stat(5)."""
    with open(path, "rb") as file:
        words = file.read().rpartition(b")")[2].split()
    return words[0] == b"R", (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def threads(cores: int) -> tuple[int, int]:
    """Return how many threads decode, and how many torch computes with, on this many cores.

    Measured on two cores, and reasoned for more:

    - Decoding a 12 MP JPEG takes six times as long as encoding it; a PNG of 600 x 400, twice as long.
    - More than 8 torch threads do not help networks this small, and 16 decoding threads keep 8 busy.
    - On few cores there is one thread too many, so that no core idles while a thread waits. The worker lets no more threads
      compute at once than there are cores (`Settings.cores`).

    The two threads of queries come on top.
    """
    torch = min(8, max(1, cores // 4))
    return min(16, max(cores - torch, min(cores, 2))), torch
