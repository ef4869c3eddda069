import os
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts
from tests.daemon.scripted_worker import content_of
from tests.daemon.settled import settled

from pixkin.protocol.pictures import Description, Month
from pixkin.protocol.replies import (
    Code,
    Descriptions,
    Failure,
    Folder,
    FolderList,
    Library,
    Months,
    Reply,
    RootState,
)
from pixkin.protocol.requests import Browse, Describe, Folders, Request, Timeline

DAY = 86_400
HOSTILE = (b"caf\xe9.jpg", b"<script>alert(1)<script>\n\x1b[31m.jpg", "\u202egpj.exe.jpg".encode())


def fill(library: DaemonParts) -> DaemonParts:
    """Index 12 pictures, a day apart, one with three copies, and one at which the network fails."""
    for number in range(12):
        library.write(f"{'abc'[number % 3]}/{number}.jpg", f"picture {number}", mtime_s=(number + 1) * DAY)
    for folder, day in (("a", 90), ("b", 60), ("b/deep", 100)):
        library.write(f"{folder}/copy.jpg", "copied", mtime_s=day * DAY)
    library.write("d/failed.jpg", "failed", "encode refuse it is torn")
    library.start().sync()
    return library


def _ask(library: DaemonParts, request: Request) -> Reply:
    return settled(library.dispatcher.answer(request, []))


def _browse(library: DaemonParts, **options: object) -> Library:
    fields = {name: os.fsencode(value) if isinstance(value, Path) else value for name, value in options.items()}
    reply = _ask(library, Browse(**fields))  # type: ignore[arg-type]  # of any field
    assert isinstance(reply, Library), reply
    assert len(reply.pictures) == len(reply.paths) == len(reply.offline)
    return reply


def _names(library: DaemonParts, reply: Library) -> list[str]:
    return [os.path.relpath(os.fsdecode(path), library.root) for path in reply.paths]


def _folders(library: DaemonParts, parent: "Path | str" = "") -> tuple[Folder, ...]:
    reply = _ask(library, Folders(parent=os.fsencode(parent)))
    assert isinstance(reply, FolderList), reply
    return reply.folders


def _months(library: DaemonParts, under: "Path | str" = "") -> tuple[Month, ...]:
    reply = _ask(library, Timeline(under=os.fsencode(under)))
    assert isinstance(reply, Months), reply
    return reply.months


def _describe(library: DaemonParts, *pictures: str) -> tuple[Description, ...]:
    reply = _ask(library, Describe(contents=tuple(map(content_of, pictures))))
    assert isinstance(reply, Descriptions), reply
    return reply.descriptions


def test_pictures_come_newest_first_and_a_picture_of_many_copies_once(many: DaemonParts) -> None:
    """Without a date the time of the file counts: of copies, the earliest one. What failed is not there."""
    reply = _browse(many)

    assert [one.content for one in reply.pictures] == [
        content_of(name) for name in ("copied", *(f"picture {number}" for number in reversed(range(12))))
    ]
    assert {(one.width, one.height, one.taken_s) for one in reply.pictures} == {(4, 3, 0)}
    assert _names(many, reply)[0] == "b/copy.jpg"
    assert (reply.total, reply.next, reply.doubt.failed) == (13, b"", 1)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"under": "c"}, ["c/11.jpg", "c/8.jpg", "c/5.jpg", "c/2.jpg"]),
        ({"under": "b/deep"}, ["b/deep/copy.jpg"]),
        ({"under": "a", "limit": 2}, ["a/copy.jpg", "a/9.jpg"]),
        ({"under": "d"}, []),
        ({"taken_since_s": 12 * DAY}, ["b/copy.jpg", "c/11.jpg"]),
        ({"taken_before_s": 2 * DAY}, ["a/0.jpg"]),
        ({"taken_since_s": 4 * DAY, "taken_before_s": 7 * DAY, "under": "a"}, ["a/3.jpg"]),
        ({"taken_since_s": 1 << 62}, []),
        ({"taken_since_s": -(1 << 62), "taken_before_s": 1 << 62, "limit": 1}, ["b/copy.jpg"]),
    ],
)
def test_a_folder_and_dates_narrow_the_library(many: DaemonParts, options: dict[str, object], names: list[str]) -> None:
    """The dates are those of the photos in the folder: a copy elsewhere does not count."""
    if "under" in options:
        options = {**options, "under": many.root / str(options["under"])}

    assert _names(many, _browse(many, **options)) == names


def test_months_are_those_of_the_pictures(many: DaemonParts) -> None:
    """Each picture counts once; in a folder, with its photos there."""
    assert _months(many) == (Month(1970, 3, 1), Month(1970, 1, 12))
    assert _months(many, many.root / "b/deep") == (Month(1970, 4, 1),)
    assert _months(many, many.root / "d") == ()


def test_folders_have_counts_and_the_state_of_their_root(many: DaemonParts) -> None:
    """Those right below one; the roots below nothing, and below what lies above them."""
    root = os.fsencode(many.root)
    (state,) = (one.state for one in _folders(many))

    assert _folders(many, many.root) == (
        Folder(root + b"/a", 5, state=state),
        Folder(root + b"/b", 6, folders=True, state=state),
        Folder(root + b"/c", 4, state=state),
        Folder(root + b"/d", 0, failed=1, state=state),
    )
    assert _folders(many, many.root / "b") == (Folder(root + b"/b/deep", 1, state=state),)
    assert _folders(many, many.root / "c") == ()
    assert _folders(many) == _folders(many, "/") == (Folder(root, 15, 1, folders=True, state=state),)


@pytest.mark.parametrize(
    ("path", "what"), [("photos/none", "no such folder"), ("elsewhere", "not in a watched folder")]
)
@pytest.mark.parametrize("kind", ["browse", "folders", "timeline"])
def test_an_unknown_folder_is_a_sentence(many: DaemonParts, kind: str, path: str, what: str) -> None:
    """As it is for `like`."""
    folder = os.fsencode(many.folder / path)
    requests: dict[str, Request] = {
        "browse": Browse(under=folder),
        "folders": Folders(parent=folder),
        "timeline": Timeline(under=folder),
    }
    reply = _ask(many, requests[kind])

    assert isinstance(reply, Failure)
    assert (reply.code, reply.what, reply.path) == (Code.UNKNOWN_FOLDER, what, folder)


def test_a_picture_is_described_with_all_its_files(many: DaemonParts) -> None:
    """In the order of the request, also twice. A failed one says why, an unknown one that there is none."""
    copied, failed, unknown, again = _describe(many, "copied", "failed", "unknown", "copied")
    st = (many.root / "b/copy.jpg").stat()

    assert copied == again
    assert [os.path.relpath(os.fsdecode(one.path), many.root) for one in copied.files] == [
        "b/copy.jpg",
        "a/copy.jpg",
        "b/deep/copy.jpg",
    ]
    assert (copied.files[0].size, copied.files[0].mtime_ns) == (st.st_size, st.st_mtime_ns)
    assert (copied.picture.content, copied.picture.width, copied.picture.height) == (content_of("copied"), 4, 3)
    assert (copied.camera, copied.pages, copied.more, copied.why) == ("Brownie", 1, 0, "")
    assert (len(failed.files), failed.why) == (1, "it is torn")
    assert (unknown.files, unknown.why) == ((), "no photo in the library shows this picture")


def test_a_few_of_very_many_files_are_described(many: DaemonParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are counted."""
    monkeypatch.setattr("pixkind.server.library._FILES", 2)
    (copied,) = _describe(many, "copied")

    assert (len(copied.files), copied.more) == (2, 1)


def test_what_is_gone_is_hidden_and_what_is_away_is_marked(own: DaemonParts) -> None:
    """Of a picture whose copies are gone but one, that one is shown."""
    for name in ("5.jpg", "11.jpg"):
        (own.root / "c" / name).unlink()
    for name in ("a/copy.jpg", "b/copy.jpg"):
        (own.root / name).unlink()
    own.sync()
    here = _browse(own)
    own.root.rename(own.folder / "away")
    own.sync()
    away = _browse(own)
    five, copied = _describe(own, "picture 5", "copied")

    assert _names(own, here)[0] == "b/deep/copy.jpg"
    assert _names(own, here) == _names(own, away)
    assert (here.total, {*here.offline}) == (11, {False})
    assert (away.total, {*away.offline}, away.doubt.offline) == (11, {True}, 11)
    assert (five.files, bool(five.why)) == ((), True)
    assert [(one.offline, os.path.basename(one.path)) for one in copied.files] == [(True, b"copy.jpg")]
    assert [(one.photos, one.state) for one in _folders(own)] == [(11, RootState.OFFLINE)]
    assert [one.photos for one in _folders(own, own.root)] == [4, 5, 2, 0]
    assert sum(one.photos for one in _months(own)) == 11


def test_a_cursor_stays_right_while_photos_come_and_go(own: DaemonParts) -> None:
    """The photo of the cursor goes, newer and older ones come: what was there the whole time comes once."""
    first = _browse(own, limit=5)
    (own.root / os.fsdecode(first.paths[-1])).unlink()
    own.write("a/newest.jpg", mtime_s=200 * DAY)
    own.write("a/between.jpg", mtime_s=5 * DAY - 1)
    own.sync()
    names = _names(own, first)
    reply = first
    while reply.next:
        reply = _browse(own, limit=2, after=reply.next)
        names += _names(own, reply)

    assert " ".join(names) == (
        "b/copy.jpg c/11.jpg b/10.jpg a/9.jpg c/8.jpg b/7.jpg a/6.jpg c/5.jpg "
        "b/4.jpg a/between.jpg a/3.jpg c/2.jpg b/1.jpg a/0.jpg"
    )
    assert reply.total == 14


def test_two_roots_have_one_order_and_each_its_state(two: DaemonParts) -> None:
    """A copy on a connected drive stands for one on a drive that is away."""
    for at, folder in enumerate(two.folders):
        (folder / f"{at}.jpg").write_text(f"picture {at}")
        (folder / "both.jpg").write_text("both")
        os.utime(folder / "both.jpg", (DAY * (at + 1), DAY * (at + 1)))
    two.start().sync()
    before = _browse(two)
    two.folders[0].rename(two.folder / "away")
    two.sync()
    after = _browse(two)

    assert (before.paths[-1], after.paths[-1]) == tuple(os.fsencode(folder / "both.jpg") for folder in two.folders)
    assert sorted(zip(after.paths, after.offline, strict=True)) == [
        (os.fsencode(two.folders[0] / "0.jpg"), True),
        (os.fsencode(two.folders[1] / "1.jpg"), False),
        (os.fsencode(two.folders[1] / "both.jpg"), False),
    ]
    assert [(one.path, one.state) for one in _folders(two, two.folder)] == [
        (os.fsencode(two.folders[0]), RootState.OFFLINE),
        (os.fsencode(two.folders[1]), _folders(two)[1].state),
    ]


def test_names_are_bytes_whatever_they_say(library: DaemonParts) -> None:
    """They come as the kernel has them; nothing in a name is text."""
    folder = os.fsencode(library.root) + b"/\xff<b>\n"
    os.mkdir(folder)
    for at, name in enumerate(HOSTILE):
        with open(folder + b"/" + name, "w", encoding="ascii") as file:
            file.write(f"picture {at}")
    library.start().sync()
    described = _describe(library, *(f"picture {at}" for at in range(len(HOSTILE))))

    assert {os.path.basename(path) for path in _browse(library, under=folder).paths} == {*HOSTILE}
    assert tuple(os.path.basename(one.files[0].path) for one in described) == HOSTILE
    assert [(one.path, one.photos) for one in _folders(library, library.root)] == [(folder, len(HOSTILE))]


def test_a_large_library_whose_first_index_is_made_is_busy(many: DaemonParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records are not all read for each request."""
    monkeypatch.setattr("pixkind.index.vector_index._MANY", 12)
    replies = [_ask(many, request) for request in (Browse(), Timeline())]

    assert [reply.code for reply in replies if isinstance(reply, Failure)] == [Code.BUSY] * 2
