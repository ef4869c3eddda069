"""PROTOCOL.md says what protocol/requests.py does."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from pixkin.client import Client
from pixkin.errors import PixkinError
from pixkin.protocol import explanations, framing, news, pictures, replies, requests

TEXT = (Path(__file__).parents[3] / "PROTOCOL.md").read_text()
REQUESTS = [
    requests.Hello,
    requests.Like,
    requests.Status,
    requests.Sync,
    requests.Pause,
    requests.Resume,
    requests.Boost,
    requests.Have,
    requests.Dupes,
    requests.Apart,
    requests.ListSpaces,
    requests.UseSpace,
    requests.DropSpace,
    requests.Forget,
    requests.Ignore,
    requests.Describe,
    requests.Browse,
    requests.Folders,
    requests.Timeline,
    requests.Thumbnail,
    requests.Watch,
    requests.Unwatch,
    requests.ListWatches,
    requests.Arrivals,
    requests.Changes,
    requests.Why,
    requests.Export,
]
REPLIES = [
    replies.Welcome,
    replies.Matches,
    replies.Report,
    replies.Synced,
    replies.Roots,
    replies.Holdings,
    replies.Groups,
    replies.Noted,
    replies.Spaces,
    replies.Forgotten,
    replies.Ignored,
    replies.Descriptions,
    replies.Library,
    replies.FolderList,
    replies.Months,
    replies.Thumb,
    news.Watches,
    news.Arrived,
    news.LibraryChanged,
    explanations.Explanation,
    replies.Exported,
    replies.Failure,
]
PARTS = [
    requests.Region,
    requests.Image,
    replies.Match,
    replies.Doubt,
    replies.Root,
    replies.Chance,
    replies.Failed,
    replies.Format,
    replies.Sandbox,
    replies.Holding,
    replies.Group,
    replies.Photo,
    replies.Filling,
    replies.SpaceState,
    replies.Folder,
    pictures.Picture,
    pictures.Description,
    pictures.File,
    pictures.Month,
    news.WatchState,
    news.WatchedImage,
    news.Arrival,
    explanations.Exclusion,
    explanations.About,
]
LINK = ["id", "until_ms"]  # keys that the messages share


def rows(section: str, first: str) -> list[list[str]]:
    """Return the cells of the table whose first column is headed `first` and which follows the heading `section`."""
    at = re.search(rf"^#+ {re.escape(section)}$", TEXT, re.MULTILINE)
    assert at, f"no section {section}"
    body = re.split(r"^#", TEXT[at.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    table = body.partition(f"\n| {first} |")[2].partition("\n\n")[0].strip()
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def span(kind: object, low: str, high: str) -> str:
    """Return a range in the document's words."""
    least, most = getattr(kind, low, None), getattr(kind, high, None)
    if most is None and getattr(kind, "lt", None) is not None:
        most = kind.lt - 1  # type: ignore[attr-defined]  # getattr found it
    if least is None and most is None:
        return ""
    if most is None:
        return f", {least:g} or more"
    if least is None:
        return f", at most {most} bytes"
    return f", {least:g} to {most:g}" if isinstance(most, float) else f", {least} to {most}"


def spell(kind: inspect.Type) -> str:
    """Return a type in the document's words."""
    match kind:
        case inspect.UnionType(types=(one, inspect.NoneType())):
            name, comma, rest = spell(one).partition(",")
            return f"{name} or nil{comma}{rest}"
        case inspect.VarTupleType(item_type=item):
            return f"array of {spell(item).partition(',')[0]}" + span(kind, "min_length", "max_length")
        case inspect.DictType(key_type=key, value_type=value):
            return f"map of {spell(key)} to {spell(value)}"
        case inspect.StructType(cls=cls) | inspect.EnumType(cls=cls):
            return cls.__name__
        case inspect.BytesType():
            return "bin" + span(kind, "min_length", "max_length")
        case _:  # IntType is `int`, and so on
            return type(kind).__name__.removesuffix("Type").lower() + span(kind, "ge", "le")


def default(field: inspect.Field) -> str:
    """Return a default in the document's words."""
    if field.required:
        return "required"
    if field.default is msgspec.NODEFAULT or field.default in (b"", "", (), replies.Doubt()):
        return "empty"
    if field.default is None or isinstance(field.default, bool):
        return {None: "nil", True: "true", False: "false"}[field.default]
    return field.default if isinstance(field.default, str) else f"{field.default:g}"


def fields(struct: type[msgspec.Struct]) -> list[list[str]]:
    """Return what the document's table must say: key, type, default."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return [[field.encode_name, spell(field.type), default(field)] for field in info.fields]


@pytest.mark.parametrize("struct", [*REQUESTS, *REPLIES, *PARTS], ids=lambda struct: struct.__name__)
def test_every_message_has_a_table_with_its_keys_types_and_defaults(struct: type[msgspec.Struct]) -> None:
    """A key, a type, a range or a default that changes in protocol/requests.py changes in PROTOCOL.md."""
    tag = struct.__struct_config__.tag
    own = [row for row in fields(struct) if not (tag and row[0] in LINK)]

    assert [row[:3] for row in rows(f"`{tag}`" if tag else struct.__name__, "key")] == own


def test_common_keys_have_their_tables() -> None:
    """The keys that all requests, or all replies, share are written once."""
    common = [row for row in fields(requests.Hello) if row[0] in LINK]

    assert [row[:3] for row in rows("Requests", "key")] == common
    assert [row[:3] for row in rows("Replies", "key")] == common[:1]


def test_no_message_is_forgotten() -> None:
    """The lists of this test are complete."""
    assert requests.Request.__args__ == tuple(REQUESTS)
    assert replies.Reply.__args__ == tuple(REPLIES)


def test_root_states_are_listed() -> None:
    """The table of states is that of `RootState`."""
    assert [row[0] for row in rows("Root", "RootState")] == [str(state) for state in replies.RootState]


def test_what_a_library_can_have_is_listed() -> None:
    """The table of answers is that of `Has`."""
    assert [row[0] for row in rows("Holding", "Has")] == [str(has) for has in replies.Has]


def test_reasons_why_a_picture_is_not_there_are_listed() -> None:
    """The table of reasons is that of `Unproven`."""
    assert [row[0] for row in rows("Holding", "Unproven")] == [str(known) for known in replies.Unproven]


def test_bands_are_listed() -> None:
    """The table of bands is that of `Band`."""
    assert [row[0] for row in rows("Group", "Band")] == [str(band) for band in replies.Band]


def test_sizes_are_listed() -> None:
    """The table of sizes is that of `Size`."""
    assert [row[0] for row in rows("`thumbnail`", "Size")] == [str(size) for size in requests.Size]


def test_fates_are_listed() -> None:
    """The table of what becomes of files is that of `Fate`."""
    assert [row[0] for row in rows("`explanation`", "Fate")] == [str(one) for one in explanations.Fate]


def test_relations_are_listed() -> None:
    """The table of what scores mean is that of `Relation`."""
    assert [row[0] for row in rows("Match", "Relation")] == [str(one) for one in replies.Relation]


def test_codes_and_their_exit_statuses_are_what_the_client_makes_of_them(serve: Callable[..., str]) -> None:
    """Each failure code ends `pixkin` with the status that the table says."""
    table = [(row[0], int(row[1])) for row in rows("`failure`", "Code")]
    codes = iter(replies.Code)
    client = Client(serve(lambda _: [framing.pack(replies.Failure(code=next(codes), what="no"))]))
    seen = []
    for code in replies.Code:
        with pytest.raises(PixkinError) as caught:
            client.hello()
        seen.append((str(code), caught.value.status))

    assert table == seen


def test_limits_are_those_of_the_code() -> None:
    """The sentence about limits names the real ones."""
    assert f"{requests.MAX_FRAMES} frames, {requests.MAX_BODY >> 20} MiB of body" in TEXT
    assert f"{requests.MAX_FRAMES - requests.MIN_FRAMES} images, and {requests.MAX_IMAGES >> 20} MiB for all" in TEXT
    assert f"at most {requests.MAX_REPLY >> 20} MiB" in TEXT
    assert TEXT.startswith(f"# The protocol of pixkin, version {requests.VERSION}\n")
    assert f"`{requests.GREETING.decode()}`" in TEXT


def hexed(section: str) -> list[bytes]:
    """Return the frames that a section of the document spells out."""
    body = TEXT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [bytes.fromhex(block) for block in re.findall(r"```\n(.*?)```", body, re.DOTALL)]


def test_worked_example_is_a_message() -> None:
    """The bytes of the example are the messages that the text says they are."""
    frames = hexed("An example, byte by byte")

    assert framing.unpack_request(frames[:2]) == (
        requests.Like(id=7, images=(requests.Image(path=b"/photos/a.jpg"),), limit=3),
        [],
    )
    match = replies.Match(path=b"/photos/b.jpg", score=0.8125, distance=12.5)
    assert framing.unpack_reply(frames[2:]) == replies.Matches(id=7, matches=(match,), doubt=replies.Doubt(pending=2))


def test_worked_example_with_bytes_is_a_message_with_an_image() -> None:
    """Frame 2 is the file itself, here a PNG."""
    request, images = framing.unpack_request(hexed("An example with the bytes of an image"))

    assert request == requests.Like(id=8, images=(requests.Image(path=b"/tmp/b.png", frame=2),), limit=3)
    assert [(image[:8], image[-8:-4]) for image in images] == [(b"\x89PNG\r\n\x1a\n", b"IEND")]


def run_client(folder: str, *words: str | bytes) -> "subprocess.CompletedProcess[bytes]":
    """Run the client in the document."""
    script = Path(folder, "client.py")
    script.write_text(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0])
    return subprocess.run([sys.executable, script, *words], capture_output=True, check=False)


def test_whole_client_works(serve: Callable[..., str], folder: str) -> None:
    """The client in the document asks for an image and prints what is like it."""

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        assert isinstance(request, requests.Like)
        copies = (b"/c" * 200,) * 20  # lengths of one and two bytes, arrays of 16 bits
        image = request.images[0].path
        found = tuple(replies.Match(path=image + b"%d" % i, score=-i / 4, distance=i, copies=copies) for i in range(20))
        return [framing.pack(replies.Matches(id=request.id, matches=found, doubt=replies.Doubt(pending=70_000)))]

    done = run_client(folder, serve(answer), b"/caf\xe9")

    assert done.stderr == b""
    assert done.stdout.splitlines()[:2] == [b"0.000 /caf\xe90", b"-0.250 /caf\xe91"]


def test_whole_client_sends_the_bytes_of_what_the_daemon_cannot_open(serve: Callable[..., str], folder: str) -> None:
    """After `unreadable` it asks again, with the file in frame 2 and an id of its own."""
    image = Path(folder, "a.jpg")
    image.write_bytes(b"image")
    seen: list[tuple[int, list[bytes]]] = []

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, images = framing.unpack_request(frames)
        seen.append((request.id, images))
        failure = replies.Failure(id=request.id, code=replies.Code.UNREADABLE, what="no such file")
        match = replies.Match(path=b"/b.jpg", score=0.5, distance=1)
        return [framing.pack(replies.Matches(id=request.id, matches=(match,)) if images else failure)]

    path = serve(answer)
    done, missing = (run_client(folder, path, name) for name in (str(image), "/none.jpg"))

    assert (done.stdout, done.stderr) == (b"0.500 /b.jpg\n", b"")
    assert missing.stderr.endswith(b"No such file or directory: b'/none.jpg'\n")
    assert seen == [(1, []), (2, [b"image"]), (1, [])]
