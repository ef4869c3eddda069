"""`pixkin forget`: what it asks, what it says, and how it ends."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest
from tests.client.terminal import all_of

from pixkin.protocol import framing
from pixkin.protocol.replies import Code, Failure, Forgotten, Reply
from pixkin.protocol.requests import Forget, Request

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def answering(asked: list[Request], counted: Reply, done: Reply | None) -> Callable[[list[bytes]], list[list[bytes]]]:
    """Return a daemon that counts so, and then has done so."""

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        asked.append(msgspec.structs.replace(request, id=0, until_ms=0))
        reply = counted if isinstance(request, Forget) and request.dry_run else done
        assert reply is not None
        return [framing.pack(msgspec.structs.replace(reply, id=request.id))]

    return answer


@pytest.mark.parametrize(
    ("counted", "done", "status", "out", "remarks"),
    [
        (Forgotten(photos=1), Forgotten(photos=1), 0, "forgot 1 photo", []),
        (
            Forgotten(photos=1200, away=3, there=2),
            Forgotten(photos=1200, away=3, there=2),
            1,
            "forgot 1,200 photos",
            ["3 of them are on drives that are not connected", "2 photos stay, because they lie in a watched folder"],
        ),
        (Forgotten(photos=1), Forgotten(photos=1, traces="no\x1broom"), 75, "forgot 1 photo", ["left: no\\x1broom;"]),
        (Forgotten(there=1), None, 1, "0 photos to forget", ["1 photo stays, because it lies in a watched folder"]),
        (Forgotten(), Forgotten(), 1, "forgot 0 photos", []),  # they may have left traces
    ],
)
def test_photos_are_counted_and_then_forgotten(
    pixkin: Run, serve: Serve, counted: Reply, done: Reply | None, status: int, out: str, remarks: list[str]
) -> None:
    """It is said what stays, what may come back, and what is left; paths are absolute."""
    asked: list[Request] = []
    ended = pixkin("forget", "--yes", "/p/a", "/p/../q", "--socket", serve(answering(asked, counted, done)))
    request = Forget(paths=(b"/p/a", b"/q"))
    wanted = [msgspec.structs.replace(request, dry_run=True), *([request] if done is not None else [])]

    assert (ended.returncode, ended.stdout.decode()) == (status, f"{out}\n")
    assert asked == wanted
    assert len(ended.stderr.splitlines()) == len(remarks)
    assert all(remark in ended.stderr.decode() for remark in remarks)


def test_a_dry_run_forgets_nothing(pixkin: Run, serve: Serve) -> None:
    """It needs no terminal."""
    asked: list[Request] = []
    ended = pixkin("forget", "--dry-run", "/p", "--socket", serve(answering(asked, Forgotten(photos=7), Forgotten())))

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"7 photos to forget\n", b"")
    assert asked == [Forget(paths=(b"/p",), dry_run=True)]


def test_many_paths_are_several_requests(pixkin: Run, serve: Serve) -> None:
    """A request names 200 at most."""
    asked: list[Request] = []
    names = [f"/p/{number}" for number in range(450)]
    reply = Forgotten(photos=5)
    ended = pixkin("forget", "--yes", *names, "--socket", serve(answering(asked, reply, reply)))

    assert ended.stdout == b"forgot 15 photos\n"
    assert [len(request.paths) for request in asked if isinstance(request, Forget)] == [200, 200, 50] * 2


def test_an_older_daemon_answers_with_a_sentence(pixkin: Run, serve: Serve) -> None:
    """It does not know the request; nothing is forgotten."""
    failure = Failure(code=Code.MALFORMED, what="Invalid value 'forget' - at `$.type`")
    ended = pixkin("forget", "--yes", "/p", "--socket", serve(answering([], failure, failure)))

    assert (ended.returncode, ended.stdout) == (70, b"")
    assert ended.stderr.startswith(b"pixkin: error: ")


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1), ("", 1)])
def test_a_terminal_is_asked(serve: Serve, answer: str, status: int) -> None:
    """Only yes is yes."""
    asked: list[Request] = []
    socket = serve(answering(asked, Forgotten(photos=2), Forgotten(photos=2)))
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "pixkin", "forget", "/p", "--socket", socket], stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        os.write(master, f"{answer}\n".encode())
        process.wait()
    told = all_of(master)

    assert process.returncode == status
    assert b"forget 2 photos? [y/N] " in told
    assert len(asked) == 2 - status
