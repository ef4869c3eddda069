"""`pixkin mcp` of a real daemon, driven by the official client over pipes: its tools, and what a misled agent tries."""

import base64
import json
import os
import shutil
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp_types import CallToolResult, ImageContent, TextContent, Tool
from PIL import Image
from tests.e2e.conftest import BIN, Home, children, new_home
from tests.e2e.test_offline import _sockets, _unix_sockets
from tests.waiting import wait_for
from watchdog.events import FileOpenedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

pytestmark = [pytest.mark.e2e]

LATIN = os.fsdecode(b"caf\xe9.jpg")
_Result = TypeVar("_Result")


def session(home: Home, use: Callable[[ClientSession], Awaitable[_Result]]) -> _Result:
    """Start `pixkin mcp` as an agent does, and return what `use` does with it."""

    async def run() -> _Result:
        with (home.folder / "mcp.log").open("a") as log:
            server = StdioServerParameters(command=str(BIN / "pixkin"), args=["mcp"], env=home.env)
            async with stdio_client(server, log) as (read, write), ClientSession(read, write) as made:
                await made.initialize()
                return await use(made)

    return anyio.run(run)


def called(home: Home, *calls: tuple[str, dict[str, Any]]) -> list[CallToolResult]:
    """Return what the tools answer, one after the other."""

    async def use(made: ClientSession) -> list[CallToolResult]:
        return [await made.call_tool(name, arguments) for name, arguments in calls]

    return session(home, use)


def text_of(result: CallToolResult) -> str:
    """Return the text of an answer without an image."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def answer(home: Home, tool: str, **arguments: object) -> dict[str, Any]:
    """Return the JSON of an answer."""
    (result,) = called(home, (tool, arguments))
    assert not result.is_error, result
    told: dict[str, Any] = json.loads(text_of(result))
    return told


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with photos in two watched folders, a copy in each, and much that is not watched, with links both ways."""
    with new_home() as home:
        outside, other = home.folder / "outside", home.folder / "photos-other"
        for folder in (outside, other, home.folder / "second"):
            folder.mkdir()
        home.configure(index={"folders": [str(home.photos), str(home.folder / "second")]})
        shutil.copyfile(photos[0], outside / "secret.jpg")
        shutil.copyfile(photos[0], other / "secret.jpg")
        (outside / "notes.txt").write_text("the password is 1234")
        shutil.copyfile(photos[5], home.folder / "second/copy.jpg")
        home.copy(photos[5], "album/first.jpg")
        home.copy(photos[6], f"album/{LATIN}")
        (home.photos / "link.jpg").symlink_to(outside / "secret.jpg")
        (home.photos / "linked").symlink_to(outside)
        (home.folder / "way-in").symlink_to(home.photos)
        (home.folder / "way-in.jpg").symlink_to(home.photos / photos[1].name)
        (home.photos / "letter.txt").write_text("dear")
        (home.photos / "torn.jpg").write_bytes(photos[0].read_bytes()[:2000])
        home.index(*photos[1:5])
        yield home


def test_every_tool_says_that_it_only_reads(library: Home) -> None:
    """There is no other one, and each says what it takes in plain sentences."""

    async def use(made: ClientSession) -> list[Tool]:
        return (await made.list_tools()).tools

    tools = session(library, use)

    assert [tool.name for tool in tools] == ["like", "dupes", "have", "status", "why", "thumbnail"]
    for tool in tools:
        assert tool.annotations is not None
        assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (True, False)
        assert (tool.annotations.idempotent_hint, tool.annotations.open_world_hint) == (True, False)
        assert tool.description
        assert tool.description.endswith(".")
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert all(one["description"] for one in tool.input_schema["properties"].values())


def test_an_agent_finds_photos_like_one_and_goes_on_by_content(library: Home, photos: list[Path]) -> None:
    """A name that is not UTF-8 needs no path: the content id of an answer names the picture."""
    found = answer(library, "like", photo=str(library.photos / photos[1].name), n=50)
    odd = next(one for one in found["matches"] if "path_b64" in one)
    again = answer(library, "like", photo=odd["content"], n=1, under=str(library.photos / "album"))
    none = answer(library, "like", photo=odd["content"], taken="july 2019")

    assert base64.b64decode(odd["path_b64"]) == os.fsencode(library.photos / "album" / LATIN)
    assert {"path", "content", "score", "band", "offline", "copies", "versions", "burst"} <= odd.keys()
    assert [one["path"] for one in again["matches"]] == [str(library.photos / "album/first.jpg")]
    assert none["matches"] == []
    assert "could not be indexed" in found["note"]


def test_an_agent_sees_a_photo(library: Home, photos: list[Path]) -> None:
    """As an image of MCP, without metadata, and small."""
    (result,) = called(library, ("thumbnail", {"photo": str(library.photos / photos[1].name), "size": "M"}))
    image, told = result.content

    assert isinstance(image, ImageContent)
    assert isinstance(told, TextContent)
    data = base64.b64decode(image.data)
    assert (image.mime_type, data[:3]) == ("image/jpeg", b"\xff\xd8\xff")
    assert json.loads(told.text)["height"] <= 512


def test_an_agent_finds_duplicates_and_copies(library: Home) -> None:
    """What `dupes` calls identical, and `have` has read just now in another watched folder."""
    first, copy = str(library.photos / "album/first.jpg"), str(library.folder / "second/copy.jpg")
    dupes = answer(library, "dupes", min_score=1)
    (held,) = answer(library, "have", photos=[first])["photos"]

    assert [sorted(photo["path"] for photo in group["photos"]) for group in dupes["groups"]] == [sorted([first, copy])]
    assert (dupes["complete"], dupes["groups"][0]["band"]) == (True, "identical")
    assert (held["path"], held["has"], held["copies"]) == (first, "there", [copy])
    assert answer(library, "dupes", folder=str(library.photos / "album"))["groups"] == []


def test_an_agent_asks_how_things_stand_and_why(library: Home) -> None:
    """What failed says why."""
    status = answer(library, "status")
    why = answer(library, "why", path=str(library.photos / "torn.jpg"))

    assert (status["photos"], status["failed"]) == (7, 1)
    assert [one["path"] for one in status["folders"]] == [str(library.photos), str(library.folder / "second")]
    assert (why["fate"], why["path"]) == ("failed", str(library.photos / "torn.jpg"))
    assert why["what"]


def _hostile(library: Home) -> list[str]:
    """Return paths that lead out of the watched folders, or in from outside."""
    home, photos = library.folder, library.photos
    return [
        *(f"{home}/outside/secret.jpg", f"{photos}/../outside/secret.jpg", f"{photos}/album/../../outside/secret.jpg"),
        *(f"{photos}/linked/secret.jpg", f"{photos}-other/secret.jpg", f"/{home}/outside/secret.jpg"),
        *(f"{home}/way-in/torn.jpg", f"{home}/way-in.jpg", f"{home}/way-in", str(home), "/", "/etc/passwd"),
        *(f"/proc/self/root{home}/outside/secret.jpg", f"/proc/{os.getpid()}/cwd", "/dev/stdin", "/dev/fd/0"),
    ]


def _asked(path: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a call of each tool that takes a path."""
    return [
        ("like", {"photo": path}),
        ("have", {"photos": [path]}),
        ("why", {"path": path}),
        ("thumbnail", {"photo": path, "size": "L"}),
        ("dupes", {"folder": path}),
    ]


def test_nothing_outside_of_the_watched_folders_is_told(library: Home, photos: list[Path]) -> None:
    """Of a file that exists the answer is the one of a file that does not, whatever way leads there."""
    inside = str(library.photos / photos[1].name)
    paths = [
        *_hostile(library),
        *(path.replace("secret", "none").replace("passwd", "none") for path in _hostile(library)),
    ]
    calls = [(path, call) for path in paths for call in (*_asked(path), ("like", {"photo": inside, "under": path}))]
    results = called(library, *(call for _, call in calls))
    told = [
        text_of(one).replace(os.path.normpath(path), "PATH", 1) for one, (path, _) in zip(results, calls, strict=True)
    ]
    there, missing = told[: len(told) // 2], told[len(told) // 2 :]
    watched = f"watched folders: {library.photos}, {library.folder}/second"

    assert all(one.is_error for one in results)
    assert there == missing
    assert set(told) == {
        f"PATH is in no watched folder, or a link leads there; {watched}.",
        "PATH is no folder with photos, or a link leads there.",  # by a link in a watched folder
    }


def test_a_link_in_a_watched_folder_is_not_followed(library: Home) -> None:
    """It is said to be a link, and not where it leads."""
    path = str(library.photos / "link.jpg")
    folder = f"{library.photos}/linked"
    like, have, why, thumbnail, dupes = called(library, *_asked(path)[:4], ("dupes", {"folder": folder}))

    assert json.loads(text_of(why))["fate"] == "no_photo"
    assert [one.is_error for one in (like, have, thumbnail, dupes)] == [True] * 4
    assert "outside" not in "".join(map(text_of, (like, have, why, thumbnail, dupes)))


def test_of_files_that_are_no_photos_nothing_is_told(library: Home) -> None:
    """Also in a watched folder: their names are enough for the answer."""
    paths = [str(library.photos / name) for name in ("letter.txt", "none.txt", ".hidden.jpg", "album")]
    results = called(library, *(("why", {"path": path}) for path in paths))

    assert {text_of(one).replace(path, "PATH") for one, path in zip(results, paths, strict=True)} == {
        "PATH is no photo by its name."
    }
    assert all(one.is_error for one in results)


_WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("like", {"photo": "a.jpg"}, "a.jpg is neither an absolute path nor a content id"),
    ("like", {"photo": "~/a.jpg"}, "~/a.jpg is neither an absolute path nor a content id"),
    ("like", {"photo": "file:///etc/passwd"}, "file:///etc/passwd is neither an absolute path nor a content id"),
    ("like", {"photo": "0" * 32}, "no photo in the library shows this picture"),
    ("like", {"photo": "/a\0b.jpg"}, "/a\\x00b.jpg is neither an absolute path nor a content id"),
    ("like", {"photo": "/" + "a" * 5000}, "the arguments are wrong: Expected `str` of length <= 4096"),
    ("like", {}, "the arguments are wrong: Object missing required field `photo`"),
    ("like", {"photo": "/a.jpg", "n": 51}, "the arguments are wrong: Expected `int` <= 50"),
    (
        "like",
        {"photo": "/a.jpg", "bytes": "aGk="},
        "the arguments are wrong: Object contains unknown field `bytes`",
    ),
    ("like", {"photo": "0" * 32, "taken": "soon"}, "soon is not a date such as 2019"),
    ("have", {"photos": ["/a.jpg"] * 9}, "the arguments are wrong: Expected `array` of length <= 8"),
    ("why", {"path": "a.jpg"}, "a.jpg is no absolute path"),
    ("thumbnail", {"photo": "/a.jpg", "size": "X"}, "the arguments are wrong: Invalid enum value 'X'"),
    ("forget", {"paths": ["/"]}, "there is no tool forget"),
    ("status", {"path": "/etc"}, "the arguments are wrong: Object contains unknown field `path`"),
]


def test_what_cannot_be_asked_is_a_sentence(library: Home) -> None:
    """For the model to read, and to ask better."""
    results = called(library, *((tool, arguments) for tool, arguments, _ in _WRONG))

    assert [one.is_error for one in results] == [True] * len(_WRONG)
    assert [text_of(one)[: len(said)] for one, (_, _, said) in zip(results, _WRONG, strict=True)] == [
        said for _, _, said in _WRONG
    ]


class _Opened(FileSystemEventHandler):
    """Notes what is opened."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take an event of inotify."""
        if isinstance(event, FileOpenedEvent):
            self.paths.append(os.fsdecode(event.src_path))


def test_no_file_outside_is_opened(library: Home) -> None:
    """The kernel tells of each file that any process opens there; at last of those that the test opens itself."""
    opened, observer = _Opened(), Observer()
    folders = [library.folder / name for name in ("outside", "photos-other")]
    for folder in folders:
        observer.schedule(opened, str(folder), event_filter=[FileOpenedEvent])
    observer.start()
    try:
        links = [f"{library.photos}/{name}" for name in ("link.jpg", "linked", "linked/../outside/secret.jpg")]
        calls = [call for path in (*_hostile(library), *links) for call in _asked(path)]
        called(library, *calls)
        last = [folder / "last.txt" for folder in folders]
        for file in last:
            file.touch()
        # The events of one folder come in their order, so those of the calls are there by then.
        wait_for(lambda: {*map(str, last)} <= {*opened.paths})
    finally:
        observer.stop()
        observer.join()

    assert sorted(opened.paths) == [*map(str, last)]


def _state(library: Home) -> dict[str, tuple[object, ...]]:
    """Return what stands in all folders but pixkin's own cache, and the index, which notes what it has read."""
    paths = (path for path in library.folder.rglob("*") if not path.is_symlink())
    left_out = {"cache_home", "state_home", "mcp.log", "log", "runtime_dir", "notify"}
    return {
        str(path): (st.st_mode, st.st_mtime_ns, st.st_size if stat.S_ISREG(st.st_mode) else 0)
        for path in paths
        if not left_out & {*path.relative_to(library.folder).parts}
        for st in [path.stat()]
    }


def test_no_tool_changes_anything(library: Home, photos: list[Path]) -> None:
    """No photo, no decision, no question, no space; nothing is encoded."""
    client, path = library.client(), str(library.photos / photos[2].name)
    before = (
        _state(library),
        client.status().photos,
        client.spaces().spaces,
        client.watches().watches,
        library.encodes(),
    )
    results = called(library, *_asked(path)[:4], ("dupes", {}), ("status", {}))
    after = _state(library), client.status().photos, client.spaces().spaces, client.watches().watches, library.encodes()

    assert [one.is_error for one in results] == [False] * 6
    assert after == before


def _is_server(pid: int) -> bool:
    return b"mcp" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def test_its_process_has_local_sockets_alone(library: Home) -> None:
    """After each tool has been used. The libraries of MCP know networks; nothing here asks them to."""

    async def use(made: ClientSession) -> list[bool]:
        for name, arguments in [*_asked(str(library.photos / "torn.jpg")), ("status", {})]:
            await made.call_tool(name, arguments)
        return [_sockets(pid) <= _unix_sockets(pid) for pid in children(os.getpid()) if _is_server(pid)]

    assert session(library, use) == [True]


def test_without_a_daemon_each_tool_says_so(home: Home) -> None:
    """The server starts anyway: agents start it when they start themselves."""
    results = called(home, ("status", {}), ("like", {"photo": "/a.jpg"}))

    assert all(one.is_error for one in results)
    assert all(text_of(one).startswith("no daemon listens on") for one in results)


def test_an_image_is_what_a_person_sees(library: Home, photos: list[Path]) -> None:
    """Pixels of the photo, not of another."""
    (result,) = called(library, ("thumbnail", {"photo": str(library.photos / photos[3].name)}))
    image = result.content[0]
    assert isinstance(image, ImageContent)
    small = library.folder / "small.jpg"
    small.write_bytes(base64.b64decode(image.data))
    with Image.open(small) as shown, Image.open(photos[3]) as photo:
        ratio = shown.width / shown.height

        assert ratio == pytest.approx(photo.width / photo.height, rel=0.02)
    small.unlink()
