"""`pixkin watch`: what it asks, what it prints, what it runs, and how it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pixkin.protocol import framing
from pixkin.protocol.bands import Relation
from pixkin.protocol.news import Arrival, Arrived, WatchedImage, Watches, WatchState
from pixkin.protocol.pictures import Picture
from pixkin.protocol.replies import Code, Failure, Reply
from pixkin.protocol.requests import Arrivals, Image, ListWatches, Request, Unwatch, Watch

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

_CATS = WatchState(7, "cats", (WatchedImage(b"c" * 16, b"/p/\x1bcat.jpg"),), 0.5, new=2, told=40, last=42, began_s=9)
_BOATS = WatchState(8, "bo\nats", (WatchedImage(b"d" * 16, weight=-2),), None, Relation.ALIKE, told=30, why="no\x07")


def _arrival(seq: int, path: bytes) -> Arrival:
    return Arrival(seq, 7, Picture(b"e" * 16), path, 0.91, 12.5, Relation.SAME_SHOT, at_s=99)


class Asked:
    """A daemon with two questions and three matches, one of which has gone again, and what it was asked."""

    def __init__(self, *watches: WatchState) -> None:
        self.requests: list[Request] = []
        self.watches = watches or (_CATS, _BOATS)
        self.arrivals = (
            _arrival(35, b"/p/told.jpg"),
            _arrival(41, b"/p/a\n;b.jpg"),
            _arrival(42, b""),
            _arrival(43, b"/p/\xff.jpg"),
        )

    def __call__(self, frames: list[bytes]) -> list[list[bytes]]:
        """Answer."""
        request, _ = framing.unpack_request(frames)
        self.requests.append(msgspec.structs.replace(request, id=0, until_ms=0))
        reply = self._reply(request)
        return [framing.pack(msgspec.structs.replace(reply, id=request.id))]

    def _reply(self, request: Request) -> Reply:
        match request:
            case Watch():
                return Watches(watches=self.watches, watch=7)
            case ListWatches() | Unwatch():
                return Watches(watches=self.watches)
            case Arrivals():
                found = tuple(one for one in self.arrivals if one.seq > request.after)
                return Arrived(arrivals=found, last=max((one.seq for one in found), default=request.after))
            case _:
                return Failure(code=Code.REFUSED, what="no")


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_what_has_come_is_printed_and_acknowledged(pixkin: Run, serve: Serve, asked: Asked) -> None:
    """One line each, harmless on a terminal; of what is gone again there is a remark."""
    done = pixkin(
        "watch",
        "--like",
        "a.jpg",
        "2:b.jpg",
        "--minus",
        "c.jpg",
        "--min-score",
        "-0.5",
        "--once",
        "--socket",
        serve(asked),
    )
    images = [
        Image(path=os.fsencode(os.path.abspath(name)), weight=w)
        for name, w in (("a.jpg", 1), ("b.jpg", 2), ("c.jpg", -1))
    ]

    assert done.stdout == b"0.910\t12.50\t/p/a\\n;b.jpg\tsame shot\n0.910\t12.50\t/p/\\xff.jpg\tsame shot\n"
    assert done.stderr == b"pixkin: a match has gone again before it could be printed\n"
    assert done.returncode == 0
    assert asked.requests == [
        Watch(images=tuple(images), min_score=-0.5),
        Arrivals(watch=7, after=40, wait=False),
        Arrivals(watch=7, after=43, wait=False),
    ]


def test_without_an_image_the_questions_go_on(pixkin: Run, serve: Serve, asked: Asked) -> None:
    """All of them, from the oldest match that is not told; or the one with this name or number."""
    path = serve(asked)
    done = [
        pixkin("watch", *words, "--once", "--json", "--socket", path)
        for words in ((), ("--name", "cats"), ("--name", "7"))
    ]
    line = json.loads(done[0].stdout.splitlines()[0])

    assert [one.returncode for one in done] == [0, 0, 0]
    assert [one.stdout.count(b"\n") for one in done] == [2, 2, 2]
    assert [one.after for one in asked.requests if isinstance(one, Arrivals)] == [30, 43, 40, 43, 40, 43]
    assert [one.watch for one in asked.requests if isinstance(one, Arrivals)] == [0, 0, 7, 7, 7, 7]
    assert b"pixkin: question 8 (bo\\nats): no\\x07\n" in done[0].stderr
    assert line == {
        "watch": 7,
        "name": "cats",
        "seq": 41,
        "time": 99,
        "path": "/p/a\n;b.jpg",
        "score": 0.91,
        "distance": 12.5,
        "offline": False,
        "copies": [],
        "versions": [],
        "burst": [],
        "frames": 0,
        "related": None,
        "band": "same shot",
        "damaged": False,
    }


def test_a_command_runs_for_each_without_a_shell(pixkin: Run, serve: Serve, asked: Asked, tmp_path: Path) -> None:
    """The path is its last argument. If it fails, the next one is run all the same."""
    script = tmp_path / "a program.py"
    script.write_text(
        "import os, sys; print([os.fsencode(one) for one in sys.argv[1:]], sys.stdin.read()); sys.exit(3)"
    )
    done = pixkin(
        "watch", "--name", "cats", "--once", "-0", "--exec", f"{sys.executable} '{script}' -v", "--socket", serve(asked)
    )

    assert done.stdout.count(b"[b'-v', b'/p/a\\n;b.jpg'] \n") == done.stdout.count(b"[b'-v', b'/p/\\xff.jpg'] \n") == 1
    assert b"/p/a\n;b.jpg\0" in done.stdout
    assert done.stderr.count(b"failed: exit status 3") == 2
    assert done.returncode == 0


def test_questions_are_listed_and_removed(pixkin: Run, serve: Serve, asked: Asked) -> None:
    """By number or name; a name that is not there, or there twice, is wrong use."""
    path = serve(asked)
    listed, as_json = pixkin("watch", "--list", "--socket", path), pixkin("watch", "--list", "--json", "--socket", path)
    removed = [pixkin("watch", "--remove", word, "--socket", path) for word in ("cats", "8", "dogs")]
    twice = pixkin(
        "watch", "--remove", "cats", "--socket", serve(Asked(_CATS, msgspec.structs.replace(_BOATS, name="cats")))
    )
    none = pixkin(
        "watch", "--list", "--socket", serve(lambda f: [framing.pack(Watches(id=framing.unpack_request(f)[0].id))])
    )

    assert listed.stdout == (b"7\tcats\t0.5\t2\t/p/\\x1bcat.jpg\n8\tbo\\nats\talike\t0\tnot ?: no\\x07\n")
    assert [json.loads(line)["min_band"] for line in as_json.stdout.splitlines()] == [None, "alike"]
    assert json.loads(as_json.stdout.splitlines()[0])["images"] == [
        {"path": "/p/\x1bcat.jpg", "content": (b"c" * 16).hex(), "weight": 1.0}
    ]
    assert [one.returncode for one in removed] == [0, 0, 2]
    assert [one.watch for one in asked.requests if isinstance(one, Unwatch)] == [7, 8]
    assert b"there is no question dogs" in removed[2].stderr
    assert (twice.returncode, b"2 questions are called cats" in twice.stderr) == (2, True)
    assert none.returncode == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--min-score", "0.5"), b"--min-score belong to a question that begins"),
        (("--minus", "a.jpg"), b"--min-score belong to a question that begins"),
        (("--like", "a.jpg", "--list"), b"use it without --list and --remove"),
        (("--once", "--list"), b"not allowed with"),
        (("--exec", "no-such-program-here x"), b"there is no program 'no-such-program-here'"),
        (("--exec", "'"), b"is not a command"),
        (("--exec", ""), b"there is no program"),
        (("--like", "a.jpg", "--min-score", "2"), b"is not between -1 and 1"),
    ],
)
def test_wrong_use_is_told(pixkin: Run, serve: Serve, asked: Asked, words: tuple[str, ...], said: bytes) -> None:
    """Before anything is asked."""
    done = pixkin("watch", *words, "--socket", serve(asked))

    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert asked.requests == []


def test_an_older_daemon_is_told_to_be_restarted(pixkin: Run, serve: Serve) -> None:
    """It does not know the request."""

    def answer(frames: list[bytes]) -> Iterator[list[bytes]]:
        number = framing.unpack_request(frames)[0].id
        yield framing.pack(Failure(id=number, code=Code.MALFORMED, what="Invalid value 'watch'"))

    done = pixkin("watch", "--like", "a.jpg", "--socket", serve(answer))

    assert done.returncode == 70
    assert b"restart the daemon" in done.stderr
