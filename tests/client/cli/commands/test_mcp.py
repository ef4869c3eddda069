"""`pixkin mcp` against a daemon that says what the test tells it to: bounds, and what is never done whatever the daemon says."""

import json
import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest
from mcp_types import TextContent

from pixkin import Client, installing
from pixkin.cli.agent import server
from pixkin.cli.agent.arguments import DupesArguments, HaveArguments, LikeArguments, ThumbnailArguments, WhyArguments
from pixkin.cli.agent.library import AgentLibrary
from pixkin.errors import PixkinError
from pixkin.protocol import framing, replies, requests
from pixkin.protocol.explanations import Explanation, Fate

Serve = Callable[..., str]
CONTENT = b"c" * 16
FOUND = Explanation(fate=Fate.FOUND, path=b"/p/a.jpg", root=b"/p", content=CONTENT, network="lite")
LONG = b"/p/" + b"x" * 4000
KNOWN: dict[type[requests.Request], replies.Reply] = {
    requests.Hello: replies.Welcome(version="9", pid=1, suffixes=("jpg",)),
    requests.Folders: replies.FolderList(folders=(replies.Folder(b"/p"),)),
    requests.Why: FOUND,
}


def answering(
    *said: replies.Reply, asked: list[tuple[requests.Request, list[bytes]]] | None = None
) -> Callable[[list[bytes]], list[list[bytes]]]:
    """Return a daemon that knows /p/a.jpg, and answers everything else with these replies, the last one again and again."""
    queue = list(said)

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, images = framing.unpack_request(frames)
        if asked is not None:
            asked.append((msgspec.structs.replace(request, id=0, until_ms=0), images))
        reply = KNOWN.get(type(request)) or (queue.pop(0) if len(queue) > 1 else queue[0])
        if isinstance(request, requests.Why) and isinstance(queue[0], Explanation):
            reply = queue[0]
        return [framing.pack(msgspec.structs.replace(reply, id=request.id))]

    return answer


def test_answers_are_bounded(serve: Serve) -> None:
    """However much the library has: a few paths of each picture, and how many more there are."""
    match = replies.Match(LONG, 0.5, 1.0, copies=(LONG,) * 90, versions=(LONG,) * 90, burst=(LONG,) * 90, frames=90)
    photo = replies.Photo(LONG, CONTENT, notes=("a video",))
    group = replies.Group(replies.Band.SIMILAR, 0.9, (photo,) * 300, more=7)
    holding = replies.Holding(b"/p/a.jpg", replies.Has.NEAR, 0.9, (LONG,) * 100)
    like, dupes, have = (
        AgentLibrary(Client(serve(answering(reply))))
        for reply in (
            replies.Matches(matches=(match,) * 50),
            replies.Groups(search=1, groups=(group,) * 30),
            replies.Holdings(holdings=(holding,)),
        )
    )
    matched = like.like(LikeArguments("/p/a.jpg", n=50))
    grouped = dupes.dupes(DupesArguments(n=20))
    held = have.have(HaveArguments(("/p/a.jpg",)))

    assert [one["copies"] for one in matched["matches"]] == [90] * 50
    assert len(json.dumps(matched)) < 50 * 5000
    assert [(len(one["photos"]), one["more"]) for one in grouped["groups"]] == [(10, 297)] * 20
    assert grouped["complete"] is False
    assert [(len(one["copies"]), one["more"]) for one in held["photos"]] == [(10, 90)]


@pytest.mark.parametrize(
    ("holding", "has"),
    [
        (replies.Holding(b"/p/a.jpg", replies.Has.THERE, seen=True), "there"),
        (replies.Holding(b"/p/a.jpg", replies.Has.THERE), "unseen"),
        (replies.Holding(b"/p/a.jpg", replies.Has.NEW, known=replies.Unproven.ONLY_HERE), "only_here"),
        (replies.Holding(b"/p/a.jpg", replies.Has.NEAR), "near"),
    ],
)
def test_a_copy_counts_only_if_it_was_read_just_now(serve: Serve, holding: replies.Holding, has: str) -> None:
    """Somebody may delete photos because of the answer."""
    library = AgentLibrary(Client(serve(answering(replies.Holdings(holdings=(holding,))))))

    assert [one["has"] for one in library.have(HaveArguments(("/p/a.jpg",)))["photos"]] == [has]


def test_a_search_that_takes_long_is_answered_with_what_is_found(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent gives up after a minute."""
    monkeypatch.setattr("pixkin.cli.agent.library._SEARCH_S", -1.0)
    group = replies.Group(replies.Band.SIMILAR, 0.9, (replies.Photo(b"/p/a.jpg", CONTENT),) * 2)
    path = serve(answering(replies.Groups(search=5, groups=(group,), compared=3, pictures=9)))
    answer = AgentLibrary(Client(path)).dupes(DupesArguments())

    assert (len(answer["groups"]), answer["complete"], answer["compared"], answer["pictures"]) == (1, False, 3, 9)


def test_a_search_goes_on_until_it_has_all(serve: Serve) -> None:
    """With the number of the first reply."""
    asked: list[tuple[requests.Request, list[bytes]]] = []
    group = replies.Group(replies.Band.SIMILAR, 0.9, (replies.Photo(b"/p/a.jpg", CONTENT),) * 2)
    parts = (replies.Groups(search=5, groups=(group,)), replies.Groups(search=5, groups=(group,), done=True))
    answer = AgentLibrary(Client(serve(answering(*parts, asked=asked)))).dupes(DupesArguments("/p", min_score=0.9))

    assert (len(answer["groups"]), answer["complete"]) == (2, True)
    assert [request for request, _ in asked if isinstance(request, requests.Dupes)] == [
        requests.Dupes(folder=b"/p", min_score=0.9),
        requests.Dupes(folder=b"/p", min_score=0.9, search=5),
    ]


@pytest.mark.parametrize("code", [replies.Code.UNREADABLE, replies.Code.REFUSED])
def test_no_file_is_ever_read_here(serve: Serve, code: replies.Code) -> None:
    """The client of a person sends the bytes of what the daemon cannot open. An agent's never does."""
    asked: list[tuple[requests.Request, list[bytes]]] = []
    failure = replies.Failure(code=code, what="no", path=b"/p/a.jpg")
    library = AgentLibrary(Client(serve(answering(failure, asked=asked))))
    with pytest.raises(PixkinError):
        library.like(LikeArguments("/p/a.jpg"))
    with pytest.raises(PixkinError):
        library.thumbnail(ThumbnailArguments("/p/a.jpg"))
    with pytest.raises(PixkinError):
        library.have(HaveArguments(("/p/a.jpg",)))
    unreadable = replies.Holdings(holdings=(replies.Holding(b"/p/a.jpg", replies.Has.UNREADABLE, reason="no"),))
    held = AgentLibrary(Client(serve(answering(unreadable, asked=asked)))).have(HaveArguments(("/p/a.jpg",)))

    assert held["photos"][0]["has"] == "unreadable"
    assert not any(images for _, images in asked)
    assert {type(request) for request, _ in asked} == {*KNOWN, requests.Like, requests.Thumbnail, requests.Have}


def test_pictures_are_asked_about_by_content(serve: Serve) -> None:
    """So nothing can come into the place of a path between two requests."""
    asked: list[tuple[requests.Request, list[bytes]]] = []
    library = AgentLibrary(Client(serve(answering(replies.Matches(), asked=asked))))
    library.like(LikeArguments("/p/a.jpg", n=3, under="/p/b", taken="2019"))
    library.like(LikeArguments(CONTENT.hex()))
    whole, bare = (request for request, _ in asked if isinstance(request, requests.Like))

    assert whole == requests.Like(
        images=(requests.Image(content=CONTENT),),
        limit=3,
        under=b"/p/b",
        taken_since_s=1_546_300_800,
        taken_before_s=1_577_836_800,
        pictures=True,
    )
    assert bare == requests.Like(images=(requests.Image(content=CONTENT),), pictures=True)


@pytest.mark.parametrize("explained", [b"/etc/passwd", b"/p/other.jpg", b""])
def test_a_photo_that_the_daemon_knows_under_another_path_is_not_told(serve: Serve, explained: bytes) -> None:
    """A link led there, and the answer would say where."""
    told = msgspec.structs.replace(FOUND, path=explained)
    library = AgentLibrary(Client(serve(answering(told))))
    with pytest.raises(PixkinError, match=r"^/p/a\.jpg is in no watched folder, or a link leads there$"):
        library.why(WhyArguments("/p/a.jpg"))
    with pytest.raises(PixkinError, match=r"^/p/a\.jpg is in no watched folder, or a link leads there$"):
        library.like(LikeArguments("/p/a.jpg"))


def test_a_defect_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Its traceback may name files."""
    told = server._called(None, "status", {})  # type: ignore[arg-type]  # the defect

    assert told.is_error
    assert told.content == [TextContent(text="internal error: standard error of pixkin mcp has the details.")]
    assert "AttributeError" in caplog.text


def test_without_the_extra_it_says_what_to_install() -> None:
    """As the other commands do."""
    code = "import sys; sys.modules['mcp_types'] = None; from pixkin.cli.main import main; sys.exit(main(['mcp']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "pixkin: error: `pixkin mcp` needs the package mcp_types, which is not installed",
        "",
        f"hint: {installing.command('mcp')}",
    ]


def test_the_help_imports_none_of_its_packages() -> None:
    """`pixkin --help` starts as fast as before."""
    code = (
        "import sys; from pixkin.cli.main import main\n"
        "try: main(['mcp', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'mcp', 'mcp_types', 'anyio', 'pydantic', 'pyarrow', 'msgspec', 'zmq'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
