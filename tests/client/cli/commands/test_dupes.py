"""`pixkin dupes` as people meet it, and `Client.dupes`: what is asked, and what is printed of the answers."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path

import msgspec
import pytest
from tests.client.terminal import all_of

from pixkin.client import Client
from pixkin.errors import DaemonBusy
from pixkin.protocol import framing, replies, requests

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

LATIN = b"/p/caf\xe9.jpg"
PAIR = replies.Group(
    replies.Band.SAME_SHOT,
    0.9,
    (
        replies.Photo(b"/p/a.jpg", bytes(16), 4000, 3000, 3_200_000),
        replies.Photo(LATIN, b"\xff" * 16, 1000, 750, 90_000, spare=True, notes=("GPS only here",)),
        replies.Photo(b"/q/away.jpg", b"\xfe" * 16, 800, 600, 5000, offline=True),
    ),
)
COPIES = replies.Group(
    replies.Band.IDENTICAL,
    1.0,
    (
        replies.Photo(b"/p/b.jpg", bytes(16), 40, 30, 900),
        replies.Photo(b"/p/c.jpg", bytes(16), 40, 30, 900, spare=True),
    ),
)
WAITING = replies.Groups()
FIRST = replies.Groups(search=5, groups=(PAIR,), compared=1, pictures=9)
LAST = replies.Groups(search=5, groups=(COPIES,), done=True, compared=9, pictures=9, doubt=replies.Doubt(pending=2))
NONE = replies.Groups(search=5, done=True)


def in_turn(
    *told: replies.Reply, log: list[requests.Request] | None = None
) -> Callable[[list[bytes]], list[list[bytes]]]:
    """Return what answers with these, one after the other, and then with the last again."""
    left = chain(told, repeat(told[-1]))

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        if log is not None:
            log.append(msgspec.structs.replace(request, id=0, until_ms=0))
        return [framing.pack(msgspec.structs.replace(next(left), id=request.id))]

    return answer


def test_client_asks_until_the_last_groups(serve: Serve) -> None:
    """It waits its turn, goes on with the number that it was given, and tells each reply to who wants to know."""
    log: list[requests.Request] = []
    told: list[replies.Groups] = []
    client = Client(serve(in_turn(WAITING, FIRST, LAST, log=log)))
    groups = list(client.dupes("/p/", min_score=0.9, told=told.append))
    asked = requests.Dupes(folder=b"/p", min_score=0.9)

    assert groups == [PAIR, COPIES]
    assert log == [asked, asked, msgspec.structs.replace(asked, search=5)]
    assert [reply.compared for reply in told] == [0, 1, 9]


def test_groups_that_came_are_there_before_the_next_are_asked_for(serve: Serve) -> None:
    """A search that ends badly has given what it had found."""
    failure = replies.Failure(code=replies.Code.EXPIRED, what="given up")
    groups = Client(serve(in_turn(FIRST, failure))).dupes()

    assert next(groups) == PAIR
    with pytest.raises(DaemonBusy):
        next(groups)


def test_apart_and_together_name_two_photos(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """By absolute paths, and with nothing to print."""
    log: list[requests.Request] = []
    path = serve(in_turn(replies.Noted(), log=log))
    with Client(path) as client:
        client.apart("/p/a.jpg", b"/p/caf\xe9.jpg".decode(errors="surrogateescape"))
        client.together("/p/a.jpg", "/p/b.jpg")
    done = pixkin("--socket", path, "dupes", "--apart", "/p/a.jpg", LATIN)
    undone = pixkin("--socket", path, "dupes", "--together", "/p/a.jpg", "/p/b.jpg")
    both = [
        requests.Apart(one=b"/p/a.jpg", other=LATIN),
        requests.Apart(one=b"/p/a.jpg", other=b"/p/b.jpg", together=True),
    ]

    assert log == both * 2
    assert [(one.returncode, one.stdout, one.stderr) for one in (done, undone)] == [(0, b"", b"")] * 2


def test_groups_end_with_0_and_none_with_1(pixkin: Run, serve: Serve) -> None:
    """With tabs where no terminal is; doubts go to standard error."""
    some = pixkin("dupes", "--socket", serve(in_turn(FIRST, LAST)))
    none = pixkin("dupes", "--socket", serve(in_turn(NONE)))

    assert some.stdout.splitlines() == [
        b"1\tsame shot\t0.900\t4000 x 3000\t3.2 MB\t/p/a.jpg",
        b"1\tsame shot\t0.900\t1000 x 750\t90.0 kB\t/p/caf\\xe9.jpg\tspare\tGPS only here",
        b"1\tsame shot\t0.900\t800 x 600\t5.0 kB\t/q/away.jpg\toffline",
        b"2\tidentical\t1.000\t40 x 30\t900 bytes\t/p/b.jpg",
        b"2\tidentical\t1.000\t40 x 30\t900 bytes\t/p/c.jpg\tspare",
    ]
    assert (some.returncode, some.stderr) == (
        0,
        b"pixkin: 2 groups; 2 photos are spare: 90.9 kB\npixkin: 2 photos are still waiting to be indexed\n",
    )
    assert (none.returncode, none.stdout, none.stderr) == (1, b"", b"")


@pytest.mark.parametrize("form", [(), ("--paths",), ("-0",), ("--json",)])
def test_a_group_that_is_cut_says_so(pixkin: Run, serve: Serve, form: tuple[str, ...]) -> None:
    """In every form; a script reads it in the JSON, too."""
    cut = msgspec.structs.replace(PAIR, more=9996)
    done = pixkin("dupes", *form, "--socket", serve(in_turn(replies.Groups(groups=(cut,), done=True))))

    assert done.stderr.splitlines()[0] == b"pixkin: group 1 has 9,996 more photos, not listed here"
    assert form != ("--json",) or json.loads(done.stdout)["more"] == 9996


def test_formats_for_programs(pixkin: Run, serve: Serve) -> None:
    """`--paths` and `-0` give raw bytes, `--json` a line a group."""
    paths, null, lines = (
        pixkin("--socket", serve(in_turn(FIRST, LAST)), "dupes", flag).stdout for flag in ("--paths", "-0", "--json")
    )
    first, second = map(json.loads, lines.splitlines())

    assert paths == b"/p/a.jpg\n" + LATIN + b"\n/q/away.jpg\n/p/b.jpg\n/p/c.jpg\n"
    assert null == paths.replace(b"\n", b"\0")
    assert (first["band"], first["score"], second["band"]) == ("same shot", 0.9, "identical")
    assert first["photos"][1] == {
        "path": "/p/caf\\xe9.jpg",
        "path_b64": "L3AvY2Fm6S5qcGc=",
        "width": 1000,
        "height": 750,
        "size": 90_000,
        "content": "ff" * 16,
        "offline": False,
        "spare": True,
        "notes": ["GPS only here"],
    }


def test_all_but_the_best_is_what_could_be_deleted(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """Only photos that the daemon calls spare, and that are there: the others of a group are in no other photo, or away."""
    best, spare, other = (os.fsencode(tmp_path) + b"/" + name for name in (b"a.jpg", b"caf\xe9.jpg", b"c.jpg"))
    for path in (best, spare, other):
        Path(os.fsdecode(path)).touch()
    away, gone = (
        msgspec.structs.replace(PAIR.photos[2], path=path, spare=True) for path in (b"/q/away.jpg", b"/q/gone")
    )
    photos = (
        replies.Photo(best, bytes(16)),
        replies.Photo(spare, bytes(16), spare=True),
        replies.Photo(other, bytes(16), notes=("has a video",)),
        away,
        msgspec.structs.replace(gone, offline=False),
    )
    told = replies.Groups(groups=(replies.Group(replies.Band.IDENTICAL, 1.0, photos),), done=True)
    some = pixkin("dupes", "--but-best", "-0", "--socket", serve(in_turn(told)))
    none = pixkin("dupes", "--but-best", "-0", "--socket", serve(in_turn(FIRST, LAST)))

    assert (some.returncode, some.stdout) == (0, spare + b"\0")
    assert b"1 photo stays: on drives that are not connected\n" in some.stderr
    assert b"/q/gone: " in some.stderr
    assert (none.returncode, none.stdout) == (1, b"")


def test_groups_are_thinned_out_loud(pixkin: Run, serve: Serve) -> None:
    """That some may have come apart is said, with the way out."""
    done = pixkin("dupes", "--socket", serve(in_turn(replies.Groups(groups=(COPIES,), done=True, thinned=True))))

    assert b"some groups may be split" in done.stderr
    assert b"--min-score" in done.stderr


def test_terminal_gets_a_table_and_the_progress(serve: Serve) -> None:
    """A heading for each group, a line for each photo; how far it is, on a line that is wiped."""
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "pixkin", "--socket", serve(in_turn(WAITING, FIRST, LAST)), "dupes"]
    env = {"NO_COLOR": "1", "TERM": "dumb", "HOME": "/nonexistent"}
    done = subprocess.run(words, stdout=slave, stderr=subprocess.PIPE, env=env, timeout=240, check=False)
    os.close(slave)
    shown = all_of(master).decode().replace("\r\n", "\n")
    master, slave = pty.openpty()
    words[4] = serve(in_turn(WAITING, FIRST, NONE))
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=slave, env=env, timeout=240, check=False)
    os.close(slave)
    progress = all_of(master).decode()

    assert done.returncode == 0
    assert shown == (
        "same shot  0.900\n"
        "  4000 x 3000    3.2 MB  /p/a.jpg\n"
        "   1000 x 750   90.0 kB  /p/caf\\xe9.jpg  spare  GPS only here\n"
        "    800 x 600    5.0 kB  /q/away.jpg  offline\n"
        "\n"
        "identical  1.000\n"
        "      40 x 30  900 bytes  /p/b.jpg\n"
        "      40 x 30  900 bytes  /p/c.jpg  spare\n"
        "\n"
    )
    assert "waiting for another search for duplicates to end" in progress
    assert "1 of 9 pictures compared" in progress
    assert progress.endswith("\r\x1b[Kpixkin: 1 group; 1 photo is spare: 90.0 kB\r\n")


def test_what_wastes_the_most_space_comes_first(pixkin: Run, serve: Serve) -> None:
    """Whatever was found first; a summary ends the list."""
    done = pixkin("dupes", "--paths", "--socket", serve(in_turn(replies.Groups(groups=(COPIES, PAIR), done=True))))

    assert done.stdout.splitlines()[0] == b"/p/a.jpg"
    assert done.stderr == b"pixkin: 2 groups; 2 photos are spare: 90.9 kB\n"


def test_photos_that_were_left_out_are_named_and_end_with_75(pixkin: Run, serve: Serve) -> None:
    """A script that deletes must not believe that all was looked at. Ten names are enough."""
    left_out = tuple(replies.Failed(b"/p/%d.jpg" % number, "it has changed") for number in range(12))
    told = in_turn(msgspec.structs.replace(FIRST, left_out=left_out), LAST)
    done = pixkin("dupes", "--paths", "--socket", serve(told))
    lines = done.stderr.splitlines()

    assert (done.returncode, done.stdout) == (75, b"/p/a.jpg\n" + LATIN + b"\n/q/away.jpg\n/p/b.jpg\n/p/c.jpg\n")
    assert lines[1] == b"pixkin: /p/0.jpg: it has changed"
    assert lines[11] == b"pixkin: 12 photos were left out, 10 of which are named above; ask again in a moment"
