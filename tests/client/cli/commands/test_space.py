"""`pixkin space`: what it asks, and what it prints."""

import json
import subprocess
from collections.abc import Callable

import msgspec
import pytest

from pixkin.protocol import framing, replies, requests

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
SPACES = replies.Spaces(
    photos=12_000,
    spaces=(
        replies.SpaceState("lite-1-p2", "lite", vectors=11_000, photos=12_000, bytes=45_000_000, answers=True),
        replies.SpaceState("v\x1bit-2-p2", "vit", vectors=4_100, photos=4_999, bytes=17_000_000, fills=True),
    ),
)


def _answering(asked: list[requests.Request]) -> Callable[[list[bytes]], list[list[bytes]]]:
    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        asked.append(msgspec.structs.replace(request, id=0, until_ms=0))
        return [framing.pack(msgspec.structs.replace(SPACES, id=request.id))]

    return answer


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["list"], requests.ListSpaces()),
        (["use", "vit"], requests.UseSpace(name="vit")),
        (["use"], requests.UseSpace()),
        (["drop", "vit-2-p2"], requests.DropSpace(name="vit-2-p2")),
    ],
)
def test_words_become_the_request_and_the_spaces_are_printed(
    pixkin: Run, serve: Serve, words: list[str], request_: requests.Request
) -> None:
    """A line for each space, with tabs, and nothing in it that a terminal would act upon."""
    asked: list[requests.Request] = []
    done = pixkin("space", "--socket", serve(_answering(asked)), *words)

    assert (done.returncode, done.stderr, asked) == (0, b"", [request_])
    assert done.stdout.decode().splitlines() == [
        "12,000\t100 %\t11,000\t45.0 MB\tlite-1-p2\tin use",
        "4,999\t41 %\t4,100\t17.0 MB\tv\\x1bit-2-p2\tbeing built",
    ]


def test_spaces_as_json_are_an_object_a_line(pixkin: Run, serve: Serve) -> None:
    """With the share of the photos as a number; ASCII alone."""
    done = pixkin("space", "list", "--json", "--socket", serve(_answering([])))
    first, second = map(json.loads, done.stdout.splitlines())

    assert done.stdout.isascii()
    assert b"\x1b" not in done.stdout
    assert list(first) == ["name", "encoder", "vectors", "photos", "share", "bytes", "answers", "fills"]
    assert (first["name"], first["share"], first["answers"], first["fills"]) == ("lite-1-p2", 1.0, True, False)
    assert (second["photos"], second["share"]) == (4_999, pytest.approx(0.4166, abs=1e-4))


@pytest.mark.parametrize("words", [[], ["list", "vit"], ["drop"], ["forget", "vit"]])
def test_a_space_is_named_where_that_means_something(pixkin: Run, words: list[str]) -> None:
    """Wrong usage ends with 2, before a daemon is looked for."""
    done = pixkin("space", *words, env={"XDG_RUNTIME_DIR": "/nonexistent"})

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"error: " in done.stderr
