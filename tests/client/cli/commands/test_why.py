"""`pixkin why`: what it asks, what it prints, and its exit status."""

import json
import subprocess
from collections.abc import Callable

import msgspec
import pytest

from pixkin.protocol import framing, replies, requests
from pixkin.protocol.explanations import About, Exclusion, Explanation, Fate

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
FOUND = Explanation(
    fate=Fate.FOUND,
    path=b"/p/a.jpg",
    what="queries find it",
    root=b"/p",
    content=b"c" * 16,
    network="lite0",
    read_s=1_700_000_000,
    copies=1,
)


def answering(
    told: Explanation, about: About | None = None, asked: list[requests.Request] | None = None
) -> Callable[[list[bytes]], list[list[bytes]]]:
    """Return a daemon that explains each photo so, and says so of it in each query."""

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        if asked is not None:
            asked.append(msgspec.structs.replace(request, id=0, until_ms=0))
        reply = replies.Matches(about=about) if isinstance(request, requests.Like) else told
        return [framing.pack(msgspec.structs.replace(reply, id=request.id))]

    return answer


@pytest.mark.parametrize(
    ("told", "status", "said"),
    [
        (
            FOUND,
            0,
            """\
/p/a.jpg: indexed: queries find it
  read 2023-11-14 22:13:20; network lite0; 1 other file shows the same picture
""",
        ),
        (
            Explanation(fate=Fate.WAITING, path=b"/p/a\x1b.jpg", what="it waits to be read", ahead=1200),
            1,
            "/p/a\\x1b.jpg: waiting: it waits to be read\n  1,200 photos are read before it\n",
        ),
        (
            Explanation(
                fate=Fate.FAILED, path=b"/p/a.jpg", what="torn\n", hint="copy it again", retry_at=1_700_000_000
            ),
            1,
            "/p/a.jpg: failed: torn\\n\n  it is tried again 2023-11-14 22:13:20\n  hint: copy it again\n",
        ),
        (
            Explanation(fate=Fate.LEFT_OUT, path=b"/p/a.jpg", what="left out by *.jpg (built in)"),
            1,
            "/p/a.jpg: left out by *.jpg (built in)\n",
        ),
    ],
    ids=lambda value: str(value.fate) if isinstance(value, Explanation) else "",
)
def test_each_fate_is_a_sentence_and_a_status(
    pixkin: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, told: Explanation, status: int, said: str
) -> None:
    """Only what queries find ends with 0; control characters are escaped."""
    monkeypatch.setenv("TZ", "UTC")
    done = pixkin("why", "/p/a.jpg", "--socket", serve(answering(told)))

    assert (done.returncode, done.stdout.decode(), done.stderr) == (status, said, b"")


@pytest.mark.parametrize(
    ("about", "status", "said"),
    [
        (About(0.5, 12.25, replies.Relation.ALIKE, place=3), 0, "score 0.500 (alike), distance 12.25: match 3"),
        (
            About(0.5, 12.25, place=1, behind=b"/p/b.jpg"),
            0,
            "score 0.500, distance 12.25: part of match 1, /p/b.jpg",
        ),
        (
            About(0.5, 12.25, short_of=("limit",)),
            1,
            "score 0.500, distance 12.25: no match, because 5 or more matches are nearer; -n shows more",
        ),
        (
            About(0.5, 12.25, short_of=("under", "taken_since_s", "taken_before_s", "min_band", "itself")),
            1,
            "score 0.500, distance 12.25: no match, because of --under and --taken and --min-score and --self",
        ),
        (None, 1, "it cannot be compared now: its vector is being made again"),
    ],
    ids=["a match", "a copy", "too far", "filters", "no vector"],
)
def test_its_place_in_a_query_is_said(pixkin: Run, serve: Serve, about: About | None, status: int, said: str) -> None:
    """With the options of `pixkin like`, in their names."""
    asked: list[requests.Request] = []
    words = ("--like", "/q.jpg", "-n", "5", "--under", "/p", "--taken", "2019", "--min-score", "alike")
    done = pixkin("why", "/p/a.jpg", *words, "--socket", serve(answering(FOUND, about, asked)))

    assert (done.returncode, done.stdout.decode().splitlines()[-1]) == (status, f"  {said}")
    assert asked[0] == requests.Why(path=b"/p/a.jpg")
    assert isinstance(asked[1], requests.Like)
    assert (asked[1].about, asked[1].limit, asked[1].under) == (b"/p/a.jpg", 5, b"/p")
    assert asked[1].images == (requests.Image(path=b"/q.jpg"),)


def test_what_queries_do_not_find_is_not_asked_about(pixkin: Run, serve: Serve) -> None:
    """It has no score. Several photos are explained one after the other."""
    asked: list[requests.Request] = []
    told = Explanation(fate=Fate.MISSING, path=b"/p/a.jpg", what="there is no such file")
    done = pixkin("why", "/p/a.jpg", "/p/b.jpg", "--like", "/q.jpg", "--socket", serve(answering(told, None, asked)))

    assert (done.returncode, done.stdout) == (1, b"/p/a.jpg: there is no such file\n" * 2)
    assert asked == [requests.Why(path=b"/p/a.jpg"), requests.Why(path=b"/p/b.jpg")]


def test_as_json_it_is_an_object_for_each_photo(pixkin: Run, serve: Serve) -> None:
    """With the rule that leaves it out, and its place in the query."""
    rule = Exclusion("*.jpg", b"/p/.pixkinignore", 3)
    told = msgspec.structs.replace(FOUND, fate=Fate.LEFT_OUT, exclusion=rule)
    about = About(0.5, 12.25, replies.Relation.ALIKE, short_of=("under",))
    done = pixkin("why", "/p/a.jpg", "--like", "/q.jpg", "--json", "--socket", serve(answering(told, about)))

    assert json.loads(done.stdout) == {
        "path": "/p/a.jpg",
        "fate": "left_out",
        "what": "queries find it",
        "hint": "",
        "root": "/p",
        "exclusion": {"pattern": "*.jpg", "file": "/p/.pixkinignore", "line": 3, "built_in": False},
        "content": (b"c" * 16).hex(),
        "network": "lite0",
        "read_at": 1_700_000_000,
        "taken_s": 0,
        "by_name": False,
        "retry_at": 0,
        "ahead": 0,
        "copies": 1,
        "like": {
            "score": 0.5,
            "distance": 12.25,
            "band": "alike",
            "place": 0,
            "behind": "",
            "short_of": ["under"],
        },
    }
