import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts
from tests.daemon.scripted_worker import content_of
from tests.daemon.settled import settled

from pixkin.protocol.replies import Descriptions, FolderList, Library, Months, Reply
from pixkin.protocol.requests import Browse, Describe, Folders, Request, Timeline

DAY = 86_400


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonParts]:
    """Yield a library of 12 pictures, a day apart, and one with copies, that no test changes."""
    made = DaemonParts(tmp_path_factory.mktemp("many"))
    for number in range(12):
        made.write(f"{'abc'[number % 3]}/{number}.jpg", f"picture {number}", mtime_s=(number + 1) * DAY)
    for folder, day in (("a", 90), ("b", 60), ("b/deep", 100)):
        made.write(f"{folder}/copy.jpg", "copied", mtime_s=day * DAY)
    made.start().sync()
    yield made
    made.stop()


def _ask(library: DaemonParts, request: Request) -> Reply:
    return settled(library.dispatcher.answer(request, []))


def _library(library: DaemonParts, **options: object) -> Library:
    fields = {name: os.fsencode(value) if isinstance(value, Path) else value for name, value in options.items()}
    reply = _ask(library, Browse(**fields))  # type: ignore[arg-type]  # of any field
    assert isinstance(reply, Library), reply
    return reply


def test_pictures_come_newest_first_and_a_picture_of_many_copies_once(many: DaemonParts) -> None:
    """Without a date the time of the file counts: of copies, the earliest one."""
    reply = _library(many)

    assert [one.content for one in reply.pictures] == [
        content_of(name) for name in ("copied", *(f"picture {number}" for number in reversed(range(12))))
    ]
    assert reply.total == 13
    assert reply.paths[0] == os.fsencode(many.root / "b/copy.jpg")
    assert reply.next == b""


def test_folders_months_and_files_are_told(many: DaemonParts) -> None:
    """Each has its request."""
    folders, months = _ask(many, Folders(parent=os.fsencode(many.root))), _ask(many, Timeline())
    described = _ask(many, Describe(contents=(content_of("copied"), bytes(16))))
    assert isinstance(folders, FolderList)
    assert isinstance(months, Months)
    assert isinstance(described, Descriptions)

    assert [(os.path.basename(one.path), one.photos, one.folders) for one in folders.folders] == [
        (b"a", 5, False),
        (b"b", 6, True),
        (b"c", 4, False),
    ]
    assert [(one.year, one.month, one.photos) for one in months.months] == [(1970, 3, 1), (1970, 1, 12)]
    assert [len(one.files) for one in described.descriptions] == [3, 0]
    assert [bool(one.why) for one in described.descriptions] == [False, True]
