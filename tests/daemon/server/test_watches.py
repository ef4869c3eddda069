"""Standing questions: each new picture that is like one is told once, whatever becomes of its file, the daemon or the store."""

import json
import os
import shutil
import stat
from pathlib import Path
from typing import TypeVar

import pytest
from tests.daemon.conftest import DaemonParts
from tests.daemon.scripted_worker import content_of, vector_of
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.bands import Relation
from pixkin.protocol.news import Arrived, LibraryChanged, Watches, WatchState
from pixkin.protocol.replies import Code, Failure, Forgotten, Matches, Reply
from pixkin.protocol.requests import (
    Arrivals,
    Changes,
    Forget,
    Image,
    Like,
    ListWatches,
    Request,
    Unwatch,
    Watch,
    now_ms,
)
from pixkind.server import polls
from pixkind.server.deferred import Deferred
from pixkind.storage.environment import StoreFull
from pixkind.storage.questions import KEPT, MOST, AskedImage, Matched, Questions

_Kind = TypeVar("_Kind", bound=Reply)


def ask(library: DaemonParts, request: Request, *frames: bytes) -> Reply:
    """Return the reply to a request."""
    return settled(library.dispatcher.answer(request, frames))


def got(kind: type[_Kind], reply: Reply) -> _Kind:
    """Return the reply, which is of this kind."""
    assert isinstance(reply, kind), reply
    return reply


def watch(library: DaemonParts, *images: Path, min_score: float = -1.0, name: str = "") -> int:
    """Begin a question, and return its number."""
    asked = tuple(Image(path=os.fsencode(image)) for image in images)
    return got(Watches, ask(library, Watch(images=asked, min_score=min_score, name=name))).watch


def state(library: DaemonParts, number: int = 1) -> WatchState:
    """Return a question as it is listed."""
    return {one.id: one for one in got(Watches, ask(library, ListWatches())).watches}[number]


def arrived(library: DaemonParts, number: int = 0, after: int = 0, *, peek: bool = False) -> Arrived:
    """Return what has come, without waiting."""
    return got(Arrived, ask(library, Arrivals(watch=number, after=after, peek=peek, wait=False)))


def names(library: DaemonParts, number: int = 0, after: int = 0) -> list[str]:
    """Return the names of the photos that have come."""
    return [os.path.basename(os.fsdecode(one.path)) for one in arrived(library, number, after).arrivals]


def no_room(_: object) -> None:
    """Refuse to store anything."""
    raise StoreFull("no room")


@pytest.fixture
def asked(library: DaemonParts) -> DaemonParts:
    """Return a library with two photos, of which one is asked about, with any score."""
    library.write("a.jpg")
    library.write("b.jpg")
    library.start().sync()
    watch(library, library.root / "a.jpg")
    return library


def again(library: DaemonParts) -> DaemonParts:
    """Stop a library, and start it again."""
    library.stop()
    return DaemonParts(library.folder).start()


def test_a_new_picture_is_told_with_the_scores_of_like(asked: DaemonParts) -> None:
    """Also those of several questions; each has its own matches, and one sequence numbers them all."""
    both = got(
        Watches,
        ask(
            asked,
            Watch(
                images=(Image(path=bytes(asked.root / "a.jpg")), Image(path=bytes(asked.root / "b.jpg"), weight=-0.5)),
                min_score=-1,
                name="both",
            ),
        ),
    ).watch
    path = asked.write("c.jpg")
    asked.sync()
    first, second = arrived(asked).arrivals
    found = {}
    for number, images in ((1, ("a.jpg",)), (both, ("a.jpg", "b.jpg"))):
        like = Like(
            images=tuple(Image(path=bytes(asked.root / one), weight=(1, -0.5)[at]) for at, one in enumerate(images))
        )
        matches = got(Matches, ask(asked, like)).matches
        found[number] = next(one for one in matches if one.path == bytes(path))

    assert [first.watch, second.watch] == [1, both]
    assert second.seq > first.seq > 0
    assert first.path == second.path == bytes(path)
    assert first.picture.content == content_of("c.jpg")
    for one in (first, second):
        assert one.score == pytest.approx(found[one.watch].score, abs=1e-6)
        assert one.distance == pytest.approx(found[one.watch].distance, abs=1e-6)
        assert one.band is found[one.watch].band


def test_what_scores_less_is_not_told(asked: DaemonParts) -> None:
    """The bound is a score, or a band. With too few photos for bands it is that of `same shot`."""
    asked.write("c.jpg")
    asked.sync()
    score = arrived(asked).arrivals[0].score
    image = asked.root / "a.jpg"
    just = watch(asked, image, min_score=min(1, score + 1e-3))
    band = got(Watches, ask(asked, Watch(images=(Image(path=bytes(image)),)))).watch
    exact = watch(asked, image, min_score=0.99)
    asked.write("c2.jpg")
    asked.write("stranger.jpg", "a.jpg", "inspect lie a picture with the vector of a")
    asked.sync()

    assert state(asked, band).min_band is Relation.ALIKE
    assert "c2.jpg" in names(asked, 1)
    assert names(asked, exact) == names(asked, band) == ["stranger.jpg"]
    assert just != exact


def test_a_picture_is_new_once(asked: DaemonParts) -> None:
    """Not if it was there before, as a copy, after a rename, when it was gone and is back, or is read once more."""
    asked.write("copy of b.jpg", "b.jpg")
    new = asked.write("new.jpg")
    asked.sync()
    first = names(asked)
    new.rename(asked.root / "renamed.jpg")
    asked.write("new copy.jpg", "new.jpg")
    (asked.root / "b.jpg").unlink()
    (asked.root / "copy of b.jpg").unlink()
    asked.sync()
    asked.write("b again.jpg", "b.jpg")
    os.utime(asked.root / "renamed.jpg", (1, 1))
    asked.sync()
    asked.inbox.rotten(asked.store, [content_of("new.jpg")])
    asked.sync()
    wait_for(lambda: asked.store.has_vector(content_of("new.jpg")))

    assert first == ["new.jpg"]
    assert len(arrived(asked).arrivals) == 1
    assert names(asked)[0] in {"renamed.jpg", "new copy.jpg"}


def test_what_came_is_told_after_a_restart(asked: DaemonParts) -> None:
    """Also what came while no daemon ran. What a client has acknowledged is told no more."""
    asked.write("one.jpg")
    asked.sync()
    (one,) = arrived(asked).arrivals
    later = again(asked)
    try:
        later.sync()
        kept = arrived(later, 1, state(later).told).arrivals
        later.stop()
        later.write("two.jpg")
        later = DaemonParts(later.folder).start()
        later.sync()
        both = arrived(later, 1, state(later).told)
        nothing = arrived(later, 1, both.last)
        told = state(later)
        later = again(later)

        assert kept == (one,)
        assert [os.path.basename(entry.path) for entry in both.arrivals] == [b"one.jpg", b"two.jpg"]
        assert nothing == Arrived(last=both.last)
        assert (told.new, told.told, told.last) == (0, both.last, both.last)
        assert state(later) == told
        assert len(arrived(later, 1, 0).arrivals) == 2  # for a client that asks for all
    finally:
        later.stop()


def test_a_client_that_only_looks_acknowledges_nothing(asked: DaemonParts) -> None:
    """A page in the background must not take matches away from the one that runs a command for each."""
    asked.write("c.jpg")
    asked.sync()
    last = arrived(asked, peek=True).last
    arrived(asked, 0, last, peek=True)
    before = state(asked).new
    arrived(asked, 0, last)

    assert (before, state(asked).new) == (1, 0)


def test_a_lost_store_tells_nothing_again(asked: DaemonParts) -> None:
    """All photos are indexed again, and only one that came meanwhile is new."""
    asked.write("c.jpg")
    asked.sync()
    last = arrived(asked).last
    arrived(asked, 0, last)
    asked.stop()
    shutil.rmtree(asked.folder / "index")
    asked.write("d.jpg")
    later = DaemonParts(asked.folder).start()
    try:
        later.sync()

        assert len(later.jobs("encode")) == 3 + 4
        assert names(later, 0, last) == ["d.jpg"]
        assert state(later).images[0].path == bytes(later.root / "a.jpg")
    finally:
        later.stop()


def test_a_file_of_several_pages_is_one_new_picture(asked: DaemonParts) -> None:
    """It is told once, with the score of its best page; and so are the changes of the library."""
    generation = got(LibraryChanged, ask(asked, Changes())).generation
    asked.write("scan.jpg", "a.jpg", "pages 4")  # the picture that is asked about, in another file
    asked.write("other.jpg", "other", "pages 3")
    asked.sync()
    (arrival,) = arrived(asked).arrivals
    changed = got(LibraryChanged, ask(asked, Changes(after=generation)))
    like = Like(images=(Image(path=bytes(asked.root / "a.jpg")),))
    scores = {one.path: one.score for one in got(Matches, ask(asked, like)).matches}

    assert arrival.path == bytes(asked.root / "other.jpg")
    assert arrival.score == pytest.approx(scores[arrival.path], abs=1e-6)
    assert [one.content for one in changed.came] == [content_of("other")]
    assert (changed.more, changed.gone) == (0, 0)


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_crash_loses_no_match_and_tells_none_twice(
    asked: DaemonParts, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The daemon ends between the commit and the note of a match, or between that and the note that it was seen."""
    seen = Path(asked.folder / "data_home/watches.seen").read_bytes()
    if where == "before":
        monkeypatch.setattr(asked.daemon.matching.questions, "match", no_room)
    asked.write("c.jpg")
    asked.sync()
    told = names(asked)
    asked.stop()
    Path(asked.folder / "data_home/watches.seen").write_bytes(seen + b"torn")
    later = DaemonParts(asked.folder).start()
    try:
        wait_for(lambda: bool(names(later)))
        later.write("d.jpg")
        later.sync()

        assert told == ([] if where == "before" else ["c.jpg"])
        assert names(later) == ["c.jpg", "d.jpg"]
    finally:
        later.stop()


def test_matches_that_find_no_room_are_told_later(asked: DaemonParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next commit tries again."""
    monkeypatch.setattr(asked.daemon.matching.questions, "match", no_room)
    asked.write("c.jpg")
    asked.sync()
    before = names(asked)
    monkeypatch.undo()
    asked.write("d.jpg")
    asked.sync()

    assert before == []
    assert sorted(names(asked)) == ["c.jpg", "d.jpg"]


def test_an_image_that_is_not_indexed_asks_too(library: DaemonParts, tmp_path: Path) -> None:
    """By path or as bytes. It is in no folder that is watched; its vector is kept."""
    outside = tmp_path / "outside.jpg"
    outside.write_text("outside")
    library.write("a.jpg")
    library.start().sync()
    number = watch(library, outside)
    sent = Watch(images=(Image(frame=2),), min_score=0.99)
    other = got(Watches, ask(library, sent, b"bytes")).watch
    library.write("new.jpg")
    library.write("exact.jpg", "bytes")
    library.sync()
    outside.unlink()
    later = again(library)
    try:
        later.write("newer.jpg")
        later.sync()

        assert sorted(names(later, number)) == ["exact.jpg", "new.jpg", "newer.jpg"]
        assert names(later, other) == ["exact.jpg"]
        assert state(later, number).images[0].path == bytes(outside)
        assert state(later, number).why == ""
    finally:
        later.stop()


def test_the_same_question_is_asked_once(asked: DaemonParts) -> None:
    """Whoever asks it again goes on with it. Another name or bound makes another question."""
    image = asked.root / "a.jpg"

    assert watch(asked, image) == watch(asked, asked.write("copy.jpg", "a.jpg")) == 1
    assert watch(asked, image, name="x") == 2
    assert watch(asked, image, min_score=0.5) == 3


def test_a_question_that_ends_leaves_nothing(asked: DaemonParts) -> None:
    """No line, no content. Its number, and the numbers of its matches, are never used again."""
    asked.write("c.jpg")
    asked.sync()
    last = arrived(asked).last
    left = got(Watches, ask(asked, Unwatch(watch=1)))
    file = asked.folder / "data_home/watches.jsonl"
    kept = file.read_text()
    later = again(asked)
    try:
        number = watch(later, later.root / "a.jpg")
        later.write("d.jpg")
        later.sync()

        assert left.watches == ()
        assert [json.loads(line)["kind"] for line in kept.splitlines()] == ["used"]
        assert "a.jpg" not in kept
        assert not (asked.folder / "data_home/watches.seen").exists() or number
        assert number == 2
        assert [one.seq for one in arrived(later).arrivals] == [last + 1]
    finally:
        later.stop()


def test_wrong_requests_are_refused(asked: DaemonParts) -> None:
    """With a sentence; nothing is stored."""
    image = Image(path=bytes(asked.root / "a.jpg"))
    opposite = Image(path=bytes(asked.root / "a.jpg"), weight=-1)
    for number in range(2, MOST + 1):
        watch(asked, asked.root / "a.jpg", name=str(number))
    refused = [
        ask(asked, Watch(images=(Image(path=bytes(asked.root / "a.jpg")),), name="one more")),
        ask(asked, Watch(images=(image, opposite))),
        ask(asked, Unwatch(watch=99)),
        ask(asked, Unwatch(watch=0)),
        ask(asked, Arrivals(watch=99)),
    ]
    missing = ask(asked, Watch(images=(Image(path=b"/nowhere.jpg"),)))

    assert [got(Failure, one).code for one in refused] == [Code.REFUSED] * 5
    assert got(Failure, missing).code is Code.UNREADABLE
    assert len(got(Watches, ask(asked, ListWatches())).watches) == MOST
    assert watch(asked, asked.root / "a.jpg", name="7") == 7


def test_what_is_forgotten_is_in_no_question(asked: DaemonParts, tmp_path: Path) -> None:
    """Not as an image, not as a match, not among what was seen; a question without an image ends."""
    secret = asked.write("secret/secret.jpg", "secret picture")
    asked.sync()
    alone = watch(asked, secret)
    both = watch(asked, secret, asked.root / "b.jpg", name="both")
    found = asked.write("secret/found.jpg", "found picture")
    asked.sync()
    folder = asked.folder / "data_home"
    traces = [
        trace
        for picture in ("secret picture", "found picture")
        for content in (content_of(picture),)
        for trace in (content[:8], content.hex().encode(), vector_of(picture))
    ]
    traces.append(b"secret/")

    def left() -> list[tuple[str, bytes]]:
        import base64

        data = [(file.name, file.read_bytes()) for file in folder.iterdir()]
        return [
            (name, one) for name, all_ in data for one in traces if one in all_ or base64.b64encode(one)[:10] in all_
        ]

    before = left()
    shutil.rmtree(secret.parent)
    forgotten = ask(asked, Forget(paths=(bytes(secret.parent),)))
    after = left()
    asked.write("found again.jpg", "found picture")
    asked.sync()

    assert {name for name, _ in before} == {"watches.jsonl", "watches.seen"}
    assert forgotten == Forgotten(photos=2)
    assert after == []
    assert [one.id for one in got(Watches, ask(asked, ListWatches())).watches] == [1, both]
    assert [one.content for one in state(asked, both).images] == [content_of("b.jpg")]
    assert got(Failure, ask(asked, Arrivals(watch=alone))).code is Code.REFUSED
    assert names(asked, 1) == ["found again.jpg"]  # it was forgotten, so it is new
    assert not found.exists()


def test_a_stranger_that_is_forgotten_ends_its_question(library: DaemonParts, tmp_path: Path) -> None:
    """Its file was never indexed, but the question keeps its name and its vector."""
    outside = tmp_path / "outside.jpg"
    outside.write_text("outside")
    library.write("a.jpg")
    library.start().sync()
    watch(library, outside)
    ask(library, Forget(paths=(bytes(outside),)))
    file = library.folder / "data_home/watches.jsonl"

    assert got(Watches, ask(library, ListWatches())).watches == ()
    assert "outside" not in file.read_text()
    assert not (library.folder / "data_home/watches.seen").exists()


def test_the_file_can_be_read_without_pixkin(asked: DaemonParts) -> None:
    """Lines that are not understood are kept, and broken ones are skipped. Nobody else can read it."""
    asked.write("c.jpg")
    asked.sync()
    file = asked.folder / "data_home/watches.jsonl"
    asked.stop()
    begun, told, match = (json.loads(line) for line in file.read_text().splitlines())
    with file.open("a") as lines:
        lines.write('{"format": 1, "kind": "later", "watch": 1}\n{"format": 1, "kind": "match"}\n{"for')
    later = DaemonParts(asked.folder).start()
    try:
        later.write("d.jpg")
        later.sync()
        end = file.read_text().splitlines()[-3:]

        assert names(later) == ["c.jpg", "d.jpg"]
        assert (begun["kind"], begun["images"][0]["content"]) == ("watch", content_of("a.jpg").hex())
        assert (told["kind"], match["kind"], match["content"]) == ("told", "match", content_of("c.jpg").hex())
        assert [line[:20] for line in end] == ['{"format": 1, "kind"', '{"for', '{"format": 1, "kind"']
        assert {stat.S_IMODE(one.stat().st_mode) for one in file.parent.iterdir() if "watch" in one.name} == {0o600}
    finally:
        later.stop()


def test_questions_that_cannot_be_read_are_not_lost(asked: DaemonParts, caplog: pytest.LogCaptureFixture) -> None:
    """The daemon runs without them, says so, and begins none. When the file can be read again, all is as it was."""
    file = asked.folder / "data_home/watches.jsonl"
    asked.stop()
    aside = file.rename(file.with_name("aside"))
    file.mkdir()
    without = DaemonParts(asked.folder).start()
    try:
        without.write("c.jpg")
        without.sync()
        listed = ask(without, ListWatches())
        refused = ask(without, Watch(images=(Image(path=bytes(without.root / "a.jpg")),)))
        traces = ask(without, Forget(paths=(b"/nowhere",)))
    finally:
        without.stop()
    file.rmdir()
    aside.rename(file)
    later = DaemonParts(asked.folder).start()
    try:
        wait_for(lambda: bool(names(later)))

        assert listed == Watches()
        assert got(Failure, refused).code is got(Failure, traces).code is Code.BUSY
        assert "cannot be read" in caplog.text
        assert names(later) == ["c.jpg"]
    finally:
        later.stop()


def test_a_file_of_matches_stays_small(tmp_path: Path) -> None:
    """The oldest are dropped, and lines that no longer matter go at a start."""
    folder = str(tmp_path / "home")
    questions = Questions(folder)
    image = AskedImage("00" * 16)
    number = questions.begin([image])
    one = Matched(number, 0, questions.all[number].begun.time, "11" * 16, 0.5, 1.0)
    questions.match([one] * (KEPT + 2000))
    questions.tell(number, 1500)
    before = len(Path(folder, "watches.jsonl").read_bytes())
    later = Questions(folder)

    assert len(later.all[number].matched) == KEPT
    assert (later.last, later.all[number].told, later.all[number].untold) == (KEPT + 2000, 1500, KEPT)
    assert len(Path(folder, "watches.jsonl").read_bytes()) < before * 0.8
    assert Questions(folder).all == later.all


def test_waiting_clients_are_told_and_bounded(asked: DaemonParts) -> None:
    """Each gets the match, however many wait; beyond the limit the oldest is sent away, and its turn is over."""
    until_ms = now_ms() + 600_000
    last = arrived(asked).last
    waiting = [asked.dispatcher.answer(Arrivals(after=last, until_ms=until_ms), ()) for _ in range(polls.MOST + 3)]
    assert all(isinstance(one, Deferred) for one in waiting)
    handler = asked.dispatcher.watch_handler
    sent_away, waiting = waiting[:3], waiting[3:]
    empty = [settled(one) for one in sent_away]
    held = len(handler.polls)
    asked.write("c.jpg")
    asked.sync()
    told = [got(Arrived, settled(one)) for one in waiting]

    assert empty == [Arrived(last=last)] * 3
    assert held == polls.MOST
    assert {len(one.arrivals) for one in told} == {1}
    assert len(handler.polls) == 0


def test_the_changes_of_the_library_are_told(library: DaemonParts) -> None:
    """Which pictures came, the newest first, and how many went; a client that is far behind is told so."""
    library.write("a.jpg")
    library.start().sync()
    begin = got(LibraryChanged, ask(library, Changes()))
    waiting = library.dispatcher.answer(Changes(after=begin.generation), ())
    for number in range(25):
        library.write(f"{number}.jpg")
    library.sync()
    first = got(LibraryChanged, settled(waiting))
    all_ = got(LibraryChanged, ask(library, Changes(after=begin.generation)))
    (library.root / "a.jpg").unlink()
    library.sync()
    gone = got(LibraryChanged, ask(library, Changes(after=all_.generation)))
    quiet = library.dispatcher.answer(Changes(after=gone.generation), ())
    (library.root / "0.jpg").rename(library.root / "z.jpg")
    library.sync()
    lost = got(LibraryChanged, ask(library, Changes(after=10**9)))

    assert begin.came == ()
    assert not begin.missed
    assert first.came
    assert (len(all_.came), all_.more, all_.gone, all_.missed) == (20, 5, 0, False)
    assert {one.content for one in all_.came} <= {content_of(f"{number}.jpg") for number in range(25)}
    assert all_.came[0].width == 4
    assert (gone.came, gone.gone) == ((), 1)
    assert isinstance(quiet, Deferred)  # it knows of no rename
    assert lost.missed


def test_the_generation_of_an_empty_library_is_told_at_once(library: DaemonParts) -> None:
    """It is not 0, for with 0 a client asks for it; after it, the first picture is waited for."""
    library.start().sync()
    empty = got(LibraryChanged, ask(library, Changes()))
    waiting = library.dispatcher.answer(Changes(after=empty.generation), ())
    library.write("a.jpg")
    library.sync()

    assert empty == LibraryChanged(generation=empty.generation)
    assert isinstance(waiting, Deferred)
    assert [one.content for one in got(LibraryChanged, settled(waiting)).came] == [content_of("a.jpg")]


def test_the_changes_since_a_restart_are_not_known(asked: DaemonParts) -> None:
    """A generation outlives the daemon; what changed since does not, and that is said."""
    asked.write("b2.jpg")
    asked.sync()
    before = got(LibraryChanged, ask(asked, Changes())).generation
    later = again(asked)
    try:
        later.sync()
        same = later.dispatcher.answer(Changes(after=before), ())
        later.write("c.jpg")
        later.sync()

        assert isinstance(same, Deferred)
        assert got(LibraryChanged, settled(same)).came
        assert got(LibraryChanged, ask(later, Changes(after=before - 1))).missed
    finally:
        later.stop()
