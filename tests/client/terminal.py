"""Reads what a process wrote to a terminal, and is the terminal of one."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import tty
from collections.abc import Mapping, Sequence
from contextlib import suppress


def all_of(master: int) -> bytes:
    """Return all that was written to a terminal that no process has open any more, and close it."""
    told = b""
    with suppress(OSError):  # EIO is the end
        while some := os.read(master, 10_000):
            told += some
    os.close(master)
    return told


def on_terminal(
    words: Sequence[str],
    env: Mapping[str, str],
    *,
    answers: bytes = b"",
    size: tuple[int, int, int, int] = (40, 120, 0, 0),
    typed: bytes = b"",
) -> tuple[int, bytes, bytes]:
    """Run a command in the foreground of a terminal of its own.

    Args:
        words: the command.
        env: its whole environment.
        answers: what the terminal says when it is asked what it is (DA1); empty: it stays silent.
        size: rows, columns, width and height in pixels.
        typed: what the user has typed before the command began.

    Returns:
        The exit status, what the command wrote to the terminal, and what nobody has read of what was typed or answered.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size))
    os.write(master, typed)
    # `--ctty`: the terminal is the one of the command's session.
    process = subprocess.Popen(["setsid", "--ctty", *words], stdin=slave, stdout=slave, stderr=slave, env=env)
    told = b""
    is_asked = False
    try:
        while process.poll() is None or select.select([master], [], [], 0)[0]:
            if not select.select([master], [], [], 0.1)[0]:
                continue
            told += os.read(master, 10_000)
            if answers and not is_asked and b"\x1b[c" in told:
                is_asked = True
                os.write(master, answers)
    finally:
        process.kill()
        process.wait()
    tty.setraw(slave, termios.TCSANOW)
    left = os.read(slave, 1000) if select.select([slave], [], [], 0)[0] else b""
    os.close(slave)
    os.close(master)
    return process.returncode, told, left
