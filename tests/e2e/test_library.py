"""What the page and the terminal program ask: an indexed picture, pictures by date, folders, months. A real daemon answers."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Home, new_home, picture
from tests.waiting import wait_for

from pixkin.errors import InputUnreadable, Refused, UsageError
from pixkin.protocol.requests import Region
from pixkin.query_images import Indexed

pytestmark = [pytest.mark.e2e]

_EXIF, _TAKEN, _MODEL = 0x8769, 0x9003, 0x0110
_HOSTILE = b"caf\xe9 <script>alert(1)\n\x1b[31m.jpg"
_JUNE_S = 1_561_939_199  # 2019-06-30 23:59:59, UTC


def _taken(number: int, when: str) -> bytes:
    """Return a photo by a camera."""
    exif = Image.Exif()
    exif[_MODEL], exif.get_ifd(_EXIF)[_TAKEN] = "Brownie", when
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(number))).save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.fixture(scope="module")
def library() -> Iterator[Home]:
    """Yield a home with two photos with a date, three without, a copy, and a file that is no photo."""
    with new_home() as home:
        for name, data, mtime_s in (
            ("june.jpg", _taken(1, "2019:06:30 23:59:59"), 5),
            ("july.jpg", _taken(2, "2019:07:01 00:01:00"), 6),
            ("album/2018.jpg", picture(3), 1_514_764_800),
            ("album/copy.jpg", picture(3), 1_600_000_000),
            ("album/deep/old.jpg", picture(4), 1_000_000),
            ("broken.jpg", b"no photo", 7),
        ):
            path = home.photos / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (mtime_s, mtime_s))
        hostile = os.fsencode(home.photos) + b"/\xff/" + _HOSTILE
        os.mkdir(os.path.dirname(hostile))
        with open(hostile, "wb") as file:
            file.write(picture(5))
        os.utime(hostile, (2_000_000, 2_000_000))
        home.start()
        with home.client() as client:
            client.sync()
        yield home


def test_a_hop_from_picture_to_picture_reads_no_file(library: Home) -> None:
    """Browse, take a picture, ask by it, and go on from the best match: three hops, and the worker is asked nothing."""
    client = library.client()
    before = client.status().counters
    content = client.browse().pictures[0].content
    for _ in range(3):
        reply = client.like(Indexed(content), n=1, pictures=True)
        (match,) = reply.matches
        assert match.picture is not None
        assert (match.picture.content == content, reply.searched) == (False, 6)
        content = match.picture.content
    after = client.status().counters

    assert (after["inspects"], after["encodes"]) == (before["inspects"], before["encodes"])


def test_an_indexed_picture_answers_as_its_file_does(library: Home) -> None:
    """Also a part of it, and with another picture."""
    client = library.client()
    june, july = library.photos / "june.jpg", library.photos / "july.jpg"
    by_path = {one.path: one for one in client.like(june, july, itself=True, pictures=True).matches}
    one, other = (by_path[os.fsencode(path)].picture for path in (june, july))
    assert one is not None
    assert other is not None
    again = {one.path: one for one in client.like(Indexed(one.content), Indexed(other.content), itself=True).matches}
    part = Region(0, 0, 0.5, 1)
    parts = [
        [(match.path, match.score) for match in client.like(source, region=part, itself=True).matches]
        for source in (Indexed(one.content), june)
    ]

    assert {path: match.score for path, match in again.items()} == pytest.approx(
        {path: match.score for path, match in by_path.items()}
    )
    assert (one.width, one.height, one.taken_s) == (64, 48, _JUNE_S)
    assert parts[0] == parts[1]


def test_what_cannot_be_asked_is_a_sentence(library: Home) -> None:
    """An unknown picture, a broken content id, a folder that is none."""
    client = library.client()

    with pytest.raises(Refused, match="no photo in the library shows this picture"):
        client.like(Indexed(bytes(16)))
    with pytest.raises(UsageError, match="content id"):
        client.like(Indexed(b"short"))
    for ask in (client.browse, client.folders, client.timeline):
        with pytest.raises(InputUnreadable, match="no such folder"):
            ask(library.photos / "none")
        with pytest.raises(InputUnreadable, match="not in a watched folder"):
            ask("/proc")


def test_pictures_come_by_date_and_by_pages(library: Home) -> None:
    """Dates first of all, then the times of files; the name of a photo is bytes."""
    client = library.client()
    whole, names, reply = client.browse(), list[bytes](), client.browse(n=2)
    while reply.next:
        names += map(os.path.basename, reply.paths)
        reply = client.browse(n=2, after=reply.next)
    names += map(os.path.basename, reply.paths)
    july = client.browse(taken_since_s=_JUNE_S + 1)

    assert names == [b"july.jpg", b"june.jpg", b"2018.jpg", _HOSTILE, b"old.jpg"]
    assert [os.path.basename(path) for path in whole.paths] == names
    assert (whole.total, whole.doubt.failed, whole.next) == (5, 1, b"")
    assert [os.path.basename(path) for path in july.paths] == [b"july.jpg"]
    assert [os.path.basename(path) for path in client.browse(library.photos / "album").paths] == [
        b"2018.jpg",
        b"old.jpg",
    ]


def test_folders_and_months_count(library: Home) -> None:
    """As they are on the disk and in the calendar."""
    client = library.client()
    root = os.fsencode(library.photos)
    folders = {one.path: (one.photos, one.failed, one.folders) for one in client.folders(library.photos).folders}

    assert [(one.path, one.photos, one.failed) for one in client.folders().folders] == [(root, 6, 1)]
    assert folders == {root + b"/album": (3, 0, True), root + b"/\xff": (1, 0, False)}
    assert [(one.year, one.month, one.photos) for one in client.timeline().months] == [
        *((2019, 7, 1), (2019, 6, 1), (2018, 1, 1)),
        (1970, 1, 2),
    ]
    assert [one.photos for one in client.timeline(os.fsdecode(root + b"/\xff")).months] == [1]


def test_a_picture_is_described(library: Home) -> None:
    """With the facts of its files, whatever their names are."""
    client = library.client()
    contents = [one.content for one in client.browse().pictures]
    july, _, copied, hostile, _, none = client.describe(*contents, bytes(16)).descriptions

    assert (july.camera, july.picture.taken_s, july.why) == ("Brownie", _JUNE_S + 61, "")
    assert [os.path.basename(one.path) for one in copied.files] == [b"2018.jpg", b"copy.jpg"]
    assert [(os.path.basename(one.path), one.size, one.mtime_ns) for one in hostile.files] == [
        (_HOSTILE, len(picture(5)), 2_000_000 * 10**9)
    ]
    assert (none.files, bool(none.why)) == ((), True)


def test_a_photo_that_comes_or_goes_is_seen_and_a_restart_changes_nothing(home: Home, tmp_path: Path) -> None:
    """The order is kept in the snapshot of the index, with the times of files."""
    for number in range(3):
        path = home.photos / f"{number}.jpg"
        path.write_bytes(picture(number))
        os.utime(path, (1000 + number, 1000 + number))
    daemon = home.start()
    home.sync()
    client = home.client()
    first = client.browse()
    (home.photos / "1.jpg").unlink()
    (tmp_path / "new.jpg").write_bytes(picture(9))
    os.utime(tmp_path / "new.jpg", (1001, 1001))
    (tmp_path / "new.jpg").rename(home.photos / "new.jpg")
    wait_for(lambda: [os.path.basename(path) for path in client.browse().paths] == [b"2.jpg", b"new.jpg", b"0.jpg"])
    before = client.browse()
    daemon.stop()
    home.start()
    home.sync()
    after = client.browse()

    assert [os.path.basename(path) for path in first.paths] == [b"2.jpg", b"1.jpg", b"0.jpg"]
    assert (after.pictures, after.paths) == (before.pictures, before.paths)
