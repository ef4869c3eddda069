"""`pixkin watch`, with real processes: each new photo that is like a question is told once, and nobody is held up."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import zmq
from PIL import Image
from tests.e2e.conftest import BIN, Home, children, new_home
from tests.processes import anonymous_mb
from tests.waiting import wait_for

from pixkin.protocol.framing import pack
from pixkin.protocol.requests import Arrivals, Changes
from pixkind.server.zmq_server import POOL

pytestmark = [pytest.mark.e2e]

_HOSTILE = b"$(touch pwned);<script>\n\xff.jpg"
_GROWTH_MB = 30
# A program that notes its arguments, each followed by a zero byte.
_NOTES = "import os, sys; open(sys.argv[1], 'ab').write(b''.join(os.fsencode(one) + b'\\0' for one in sys.argv[2:]))"


class Watching:
    """A `pixkin watch` that runs."""

    def __init__(self, home: Home, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [BIN / "pixkin", "watch", *arguments],
            env=home.env,
            cwd=home.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.said: dict[int, bytes] = {}

    def _read(self, *, of: int) -> bytes:
        stream = (self.process.stdout, self.process.stderr)[of - 1]
        assert stream is not None
        while select.select([stream], [], [], 0)[0] and (data := os.read(stream.fileno(), 1 << 16)):
            self.said[of] = self.said.get(of, b"") + data
        return self.said.get(of, b"")

    def lines(self, count: int) -> list[bytes]:
        """Return what it has printed, as soon as there are so many lines."""
        wait_for(lambda: self._read(of=1).count(b"\n") >= count or self.process.poll() is not None)
        return self._read(of=1).splitlines()

    def noted(self, text: bytes) -> None:
        """Return when it has said this on standard error."""
        wait_for(lambda: text in self._read(of=2))

    def end(self) -> int:
        """Interrupt it, and return its exit status."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        self._read(of=1)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return status


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with some photos in it, and a daemon."""
    with new_home() as home:
        home.index(*(one for one in photos if one.stem in {"astronaut", "chelsea", "coffee", "rocket"}))
        yield home


def edited(source: Path, target: Path, width: int, **options: int) -> None:
    """Write a smaller version of a photo to a folder that is watched, as a camera does: at once whole."""
    aside = target.with_name(".aside")
    with Image.open(source) as image:
        image.convert("RGB").resize((width, width * image.height // image.width)).save(aside, "JPEG", **options)
    aside.rename(target)


def is_asked(home: Home, name: str) -> bool:
    """Return whether there is a question of this name."""
    with home.client() as client:
        return name in {one.name for one in client.watches().watches}


def test_each_photo_that_lands_is_printed_and_given_to_a_command(library: Home) -> None:
    """One line each, as `pixkin like` prints it. The command gets the path as one argument, whatever it is."""
    cat, noted = library.photos / "chelsea.png", library.folder / "noted"
    script = library.folder / "notes.py"
    script.write_text(_NOTES)
    command = f"{sys.executable} '{script}' '{noted}' --"
    watching = Watching(library, "--like", cat, "--min-score", "same-shot", "--name", "cats", "--exec", command)
    wait_for(lambda: is_asked(library, "cats"))
    hostile = Path(os.fsdecode(os.fsencode(library.photos) + b"/" + _HOSTILE))
    edited(cat, library.photos / "-rf.jpg", 300)
    first = watching.lines(1)
    edited(library.photos / "coffee.png", library.photos / "coffee.jpg", 300)
    edited(cat, hostile, 280, quality=60)
    lines = watching.lines(2)
    wait_for(lambda: noted.exists() and noted.read_bytes().count(b"\0") == 4)
    status = watching.end()
    library.sync()
    found = {one["path"]: one for one in library.like("--no-fold", cat)}

    assert [line.split(b"\t")[2] for line in lines] == [
        bytes(library.photos / "-rf.jpg"),
        bytes(library.photos) + rb"/$(touch pwned);<script>\n\xff.jpg",
    ]
    score, distance, path, band = first[0].decode().split("\t")
    assert float(score) == pytest.approx(found[path]["score"], abs=0.01)  # two photos have come since
    assert float(distance) == pytest.approx(found[path]["distance"], abs=0.01)
    assert band == found[path]["band"]
    arguments = noted.read_bytes().split(b"\0")
    assert arguments[:4] == [b"--", bytes(library.photos / "-rf.jpg"), b"--", bytes(hostile)]
    assert not list(library.folder.rglob("pwned"))
    assert status == 130


def test_what_comes_while_nobody_looks_is_told_once(library: Home) -> None:
    """The client ends, the daemon restarts, a photo is renamed and copied: the next client is told, and no other."""
    cat = library.photos / "chelsea.png"
    ask = ("watch", "--like", cat, "--min-score", "same-shot", "--name", "quiet")
    nothing = library.pixkin(*ask, "--once")
    edited(cat, library.photos / "later.jpg", 260)
    library.sync()
    library.daemons[-1].stop()
    (library.photos / "later.jpg").rename(library.photos / "renamed.jpg")
    edited(cat, library.photos / "last.jpg", 240)
    library.start()
    library.sync()
    library.copy(library.photos / "last.jpg", "z copy.jpg")
    library.sync()
    listed = library.pixkin("watch", "--list", "--json")
    told = library.pixkin(*ask, "--once", "--json")
    again = library.pixkin("watch", "--name", "quiet", "--once")
    lines = [json.loads(line) for line in told.stdout.splitlines()]

    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (1, b"", b"")
    assert [(one["name"], one["path"]) for one in lines] == [
        ("quiet", str(library.photos / "renamed.jpg")),
        ("quiet", str(library.photos / "last.jpg")),
    ]
    assert {one["name"]: one["new"] for one in map(json.loads, listed.stdout.splitlines())}["quiet"] == 2
    assert (again.returncode, again.stdout) == (1, b"")


def test_a_command_that_is_interrupted_runs_again(library: Home) -> None:
    """The matches before it are told; it, and those behind it, come again."""
    cat, script = library.photos / "chelsea.png", library.folder / "stops.py"
    script.write_text("import signal, sys; sys.argv[1].endswith('second.jpg') and signal.pause()")
    library.pixkin("watch", "--like", cat, "--min-score", "same-shot", "--name", "three", "--once")
    for number, name in enumerate(("first.jpg", "second.jpg", "third.jpg")):
        edited(cat, library.photos / name, 310 + number)
        library.sync()
    watching = Watching(library, "--name", "three", "--paths", "--exec", f"{sys.executable} {script}")
    lines = watching.lines(2)
    wait_for(
        lambda: any(b"stops.py" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(watching.process.pid))
    )
    status = watching.end()
    again = library.pixkin("watch", "--name", "three", "--paths", "--once")

    assert (lines, status) == ([bytes(library.photos / name) for name in ("first.jpg", "second.jpg")], 130)
    assert again.stdout.splitlines() == [bytes(library.photos / name) for name in ("second.jpg", "third.jpg")]


def test_a_client_outlives_its_daemon(library: Home) -> None:
    """It waits until the daemon is back, and goes on where it was; a question that is removed ends it."""
    cat = library.photos / "chelsea.png"
    watching = Watching(library, "--like", cat, "--min-score", "same-shot", "--name", "long", "--paths")
    wait_for(lambda: is_asked(library, "long"))
    library.daemons[-1].stop()
    watching.noted(b"waiting until pixkind answers")
    edited(cat, library.photos / "meanwhile.jpg", 220)
    library.start()
    lines = watching.lines(1)
    watching.noted(b"pixkind is back")
    removed = library.pixkin("watch", "--remove", "long")
    watching.process.wait(60)
    status = watching.end()

    assert lines == [bytes(library.photos / "meanwhile.jpg")]
    assert removed.returncode == 0
    assert (status, watching.said.get(1)) == (70, bytes(library.photos / "meanwhile.jpg") + b"\n")


def test_clients_that_wait_or_never_read_hold_up_nobody(library: Home) -> None:
    """Twenty wait, and one asks thousands of times and never reads: each match is told, and the daemon grows by nothing."""
    cat, daemon = library.photos / "chelsea.png", library.daemons[-1].process
    with library.client() as client:
        watch = client.watch(cat, min_score=0.85, name="many")
        number, last = watch.watch, watch.last

    def threads() -> int:
        return len(os.listdir(f"/proc/{daemon.pid}/task"))

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{daemon.pid}/fd"))

    def wait(_: int) -> list[bytes]:
        with library.client() as client:
            while not (reply := client.arrivals(number, last, 60)).arrivals:
                pass
            return [one.path for one in reply.arrivals]

    assert library.like(cat)  # the worker runs, and the threads of the pool
    before = threads(), descriptors(), anonymous_mb(daemon.pid)
    with ExitStack() as stack:
        context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())
        greedy = stack.enter_context(context.socket(zmq.DEALER))
        greedy.linger, greedy.rcvhwm, greedy.sndtimeo = 0, 1, 1000
        greedy.connect(f"ipc://{library.socket}")
        with suppress(zmq.Again):
            for asked in range(3000):
                request = Arrivals(after=last, id=asked + 1) if asked % 2 else Changes(after=1 << 40, id=asked + 1)
                greedy.send_multipart(pack(request))
        pool = stack.enter_context(ThreadPoolExecutor(20))
        waiting = [pool.submit(wait, one) for one in range(20)]
        wait_for(lambda: descriptors() >= before[1] + 20)
        while_waiting = threads(), descriptors(), anonymous_mb(daemon.pid)
        answered = library.like(cat)
        edited(cat, library.photos / "many.jpg", 200)
        told = [one.result() for one in waiting]
    wait_for(lambda: descriptors() <= before[1] + 2)

    assert told == [[bytes(library.photos / "many.jpg")]] * 20
    assert answered
    assert while_waiting[0] < before[0] + POOL  # one of them has run before
    assert while_waiting[1] <= before[1] + 25
    assert max(while_waiting[2], anonymous_mb(daemon.pid)) - before[2] < _GROWTH_MB
