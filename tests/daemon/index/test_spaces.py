"""Which space answers, and which is filled."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.daemon.conftest import SCRIPTED, DaemonParts, Gate, descriptors, scripted
from tests.daemon.scripted_worker import content_of
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.replies import Code, Failure, Matches, Reply, Report, Spaces
from pixkin.protocol.requests import DropSpace, Image, Like, ListSpaces, Status
from pixkind.encoder.space import Space, resolve
from pixkind.encoder.supervisor import FRUITLESS, Encoder
from pixkind.fs.stamp import Stamp
from pixkind.index.spaces import PATIENCE_S, OpenSpace, OpenSpaces
from pixkind.index.vector_index import VectorIndex
from pixkind.ingest.throttle import clock
from pixkind.server.deferred import Deferred
from pixkind.server.like import LikeHandler
from pixkind.storage.spaces import ActiveSpace
from pixkind.storage.store import SLICE, Store
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, PhotoGone, WriteBatch

_STAMP = Stamp(mtime_ns=-5, size=10, ctime_ns=21, inode=30)
_VECTOR = b"\0\x3c" * 64


def _contents(count: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(1, count + 1)]


def _photo(content: bytes) -> PhotoFound:
    return PhotoFound(f"/p/{content.hex()}.jpg", _STAMP, content)


def _full(contents: list[bytes]) -> WriteBatch:
    return WriteBatch(photos=[_photo(one) for one in contents], vectors=dict.fromkeys(contents, _VECTOR))


@dataclass
class Model:
    """A daemon's spaces after a change of the configuration."""

    folder: Path
    read: bool = True  # the root can be read
    command: Sequence[str] = SCRIPTED  # of the workers
    posted: list[Callable[[], None]] = field(default_factory=list)  # to be called in the ingest thread

    def open(self, configured: str) -> OpenSpaces:
        """Open the store as a start with this model does; there are no weights of any."""
        self.store = Store(str(self.folder), configured, map_gb=1)
        encoder = Encoder(scripted(self.folder / "log"), keep_warm_s=1, command=self.command)
        open_space = OpenSpace(
            Space(configured, configured.rsplit("-", 2)[0], ""), self.store, VectorIndex(self.store), encoder
        )
        self.spaces = OpenSpaces(
            open_space,
            ["/p"],
            lambda _: self.read,
            str(self.folder),
            VectorIndex,
            lambda _: encoder,
            self.posted.append,
        )
        self.spaces.open()
        return self.spaces

    def commit(self, batch: WriteBatch) -> None:
        """Commit as the ingest thread does."""
        self.spaces.apply(self.store.commit(batch))
        self.spaces.turn(0.0, is_busy=False, is_still=True)

    def close(self) -> None:
        """Stop as the daemon does."""
        self.spaces.stop()
        self.store.close()


def asked(like_handler: LikeHandler, request: Like) -> Reply:
    return settled(like_handler.like(request, []))


@pytest.fixture
def many(library: DaemonParts) -> DaemonParts:
    """Return a library of two photos."""
    for name in ("a.jpg", "b.jpg"):
        library.write(name)
    library.start().sync()
    return library


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    """Yield spaces of which the first, `old`, has ten photos."""
    made = Model(tmp_path / "index")
    made.open("old")
    made.commit(_full(_contents(10)))
    made.close()
    yield made
    made.close()


def test_the_old_space_answers_until_the_new_one_finds_all_that_it_finds(model: Model) -> None:
    """Nine of ten are not enough; with the tenth the new one answers, of its own accord, and it stays so."""
    spaces = model.open("new")
    told: list[str] = []
    spaces.on_switch(lambda open_space: told.append(open_space.space.name))
    model.commit(_full(_contents(9)))
    before, progress, found = spaces.answering.space.name, spaces.progress(), len(spaces.answering.index)
    model.commit(_full(_contents(10)))
    after, found_after = spaces.answering.space.name, len(spaces.answering.index)
    model.close()
    restarted = model.open("new").answering.space.name

    assert (before, found, after, found_after, restarted) == ("old", 10, "new", 10, "new")
    assert progress is not None
    assert (progress.space, progress.found, progress.wanted, progress.away) == ("new", 9, 10, 0)
    assert (told, spaces.progress()) == (["new"], None)


def test_what_goes_for_a_moment_makes_no_space_complete(model: Model) -> None:
    """While changed paths wait, a folder may be on its way to another name; but the switch does not wait for ever."""
    spaces = model.open("new")
    lost = [PhotoGone(_photo(one).path, 5) for one in _contents(10)]
    spaces.apply(model.store.commit(WriteBatch(photos=list(lost))))
    answers = []
    for now, is_busy in ((0.0, False), (PATIENCE_S - 1, False), (PATIENCE_S, True), (PATIENCE_S + 1, False)):
        spaces.turn(now, is_busy=is_busy, is_still=False)
        answers.append(spaces.answering.space.name)
    spaces.turn(2 * PATIENCE_S + 1, is_busy=False, is_still=False)

    assert answers == ["old"] * 4
    assert spaces.answering.space.name == "new"


def test_going_back_is_free_and_at_once(model: Model) -> None:
    """A space that has everything answers from the first moment; one that lacks what came since waits for that alone."""
    model.open("new")
    model.commit(_full(_contents(10)))
    model.close()
    at_once = model.open("old").answering.space.name
    model.close()
    model.open("new")
    model.commit(_full(_contents(12)))
    model.close()
    lacking = model.open("old").answering.space.name
    model.commit(_full(_contents(12)))

    assert (at_once, lacking, model.spaces.answering.space.name) == ("old", "new", "old")


def test_what_goes_or_comes_while_a_space_is_filled_is_right_in_the_one_that_answers(model: Model) -> None:
    """A photo that is deleted leaves its index, one that is encoded for both appears in it."""
    spaces = model.open("new")
    first, *_, eleventh = _contents(11)
    model.commit(WriteBatch(photos=[PhotoGone(_photo(first).path, 5)]))
    without = len(spaces.answering.index)
    model.commit(
        WriteBatch(photos=[_photo(eleventh)], vectors={eleventh: _VECTOR}, beside={"old": {eleventh: _VECTOR}})
    )

    assert spaces.answering.space.name == "old"
    assert (without, len(spaces.answering.index), len(spaces.filling.index)) == (9, 10, 1)
    assert spaces.is_found(_photo(eleventh).path, _STAMP.mtime_ns)
    assert not spaces.is_found(_photo(eleventh).path, 0)
    assert not spaces.is_found(_photo(first).path, _STAMP.mtime_ns)


def test_a_photo_at_which_only_the_new_network_fails_is_found_until_the_switch_and_does_not_prevent_it(
    tmp_path: Path,
) -> None:
    """One of forty is an odd photo."""
    model = Model(tmp_path / "index")
    model.open("old")
    model.commit(_full(_contents(40)))
    model.close()
    spaces = model.open("new")
    odd, *rest = _contents(40)
    model.commit(WriteBatch(photos=[PhotoFailed(_photo(odd).path, _STAMP, odd, "too strange", 0)]))
    before = spaces.answering.store.count("/p"), len(spaces.answering.index), spaces.answering.space.name
    model.commit(_full(rest))
    after = spaces.answering.space.name, spaces.answering.store.count("/p")
    model.close()
    back = model.open("old").answering.store.count("/p")
    model.close()

    assert before == ((40, 0), 40, "old")
    assert after == ("new", (39, 1))
    assert back == (40, 0)


def test_a_network_that_fails_at_everything_never_answers(model: Model) -> None:
    """A user who configured wrong weights still finds photos with the old ones, and going back is free."""
    spaces = model.open("new")
    model.commit(
        WriteBatch(photos=[PhotoFailed(_photo(one).path, _STAMP, one, "no vector", 0) for one in _contents(10)])
    )
    during = spaces.answering.space.name, spaces.answering.store.count("/p"), len(spaces.answering.index)
    model.close()
    back = model.open("old")

    assert during == ("old", (10, 0), 10)
    assert (back.answering.space.name, back.filling.store.count("/p")) == ("old", (10, 0))
    assert back.filling.store.changed([(_photo(one).path, _STAMP) for one in _contents(10)], 0) == []


def test_whoever_chooses_a_space_has_it_until_the_configuration_means_another(model: Model) -> None:
    """However little it finds, and however complete the other is; without a name, the rule decides again."""
    spaces = model.open("new")
    spaces.use("new")
    little = spaces.answering.space.name
    spaces.use("old")
    model.commit(_full(_contents(10)))
    pinned = spaces.answering.space.name
    model.close()
    restarted = model.open("new").answering.space.name
    model.spaces.use("")
    model.spaces.turn(0.0, is_busy=False, is_still=True)
    free = model.spaces.answering.space.name
    model.spaces.use("old")
    model.close()
    other = model.open("third")
    other_answers = other.answering.space.name
    model.commit(_full(_contents(10)))
    with pytest.raises(KeyError):
        other.use("unknown")

    assert (little, pinned, restarted, free) == ("new", "old", "old", "new")
    assert (other_answers, other.answering.space.name) == ("old", "third")


def test_without_its_weights_a_space_answers_and_says_what_it_cannot_do(model: Model) -> None:
    """Its photos are found; nothing is encoded for it, and why not is known."""
    spaces = model.open("new")

    assert spaces.answering.encoder is None
    assert "old has no weights" in spaces.answering.why
    assert spaces.beside(_contents(11)[-1]) is None


def test_without_its_network_only_indexed_photos_can_be_asked_about(many: DaemonParts) -> None:
    """An image that is not in the library is refused, with the reason and the way out; nothing stays open."""
    images = replace(many.query_images, cannot_encode="its weights are gone")
    like_handler = replace(many.like_handler, query_images=images)
    indexed = asked(like_handler, Like(images=(Image(path=os.fsencode(many.root / "a.jpg")),)))
    (many.folder / "foreign.jpg").write_text("foreign")
    before = descriptors()
    foreign = asked(like_handler, Like(images=(Image(path=os.fsencode(many.folder / "foreign.jpg")),)))
    (many.folder / "copy.jpg").write_text("a.jpg")
    copy = asked(like_handler, Like(images=(Image(path=os.fsencode(many.folder / "copy.jpg")),)))

    assert isinstance(indexed, Matches)
    assert isinstance(copy, Matches)
    assert isinstance(foreign, Failure)
    assert (foreign.code, foreign.what) == (Code.REFUSED, "its weights are gone")
    assert "pixkin space use" in foreign.hint
    assert descriptors() == before


def test_an_encoder_that_cannot_be_loaded_any_more_ends_nothing(tmp_path: Path) -> None:
    """The old space goes on answering; that nothing can be encoded for it is told."""
    (tmp_path / "index/weights").mkdir(parents=True)
    (tmp_path / "index/weights/old.pth").write_bytes(b"weights")
    name = resolve("old", "", str(tmp_path / "index")).name
    model = Model(tmp_path / "index", command=(sys.executable, "-c", "raise SystemExit(1)"))
    model.open(name)
    model.commit(_full(_contents(3)))
    model.close()
    spaces, told = model.open("new"), list[OpenSpace]()
    spaces.on_switch(told.append)
    spaces.start()
    one = spaces.answering.encoder
    assert one is not None
    with (tmp_path / "photo").open("wb") as file:
        for _ in range(FRUITLESS):
            wait_for(one.encode(file.fileno()).done)
    wait_for(lambda: one.failure() is not None)
    failure = spaces.failure()
    model.posted[-1]()
    open_space = spaces.answering
    model.close()

    assert failure is None
    assert (open_space.space.name, open_space.encoder, len(open_space.index)) == (name, None, 3)
    assert "cannot start" in open_space.why
    assert told == [open_space]


def test_the_photos_of_a_root_that_cannot_be_read_are_counted(model: Model) -> None:
    """Who asks why the new space does not answer learns for how many photos it waits."""
    model.read = False
    progress = model.open("new").progress()

    assert progress is not None
    assert (progress.found, progress.wanted, progress.away) == (0, 10, 10)


def _changed(library: DaemonParts, *names: str, order: str = "") -> list[PhotoFound]:
    """Have the library answer from another space, which has these photos, while it fills its own."""
    paths = [library.write(name, name, order) for name in names]
    contents = list(map(content_of, names))
    library.store.spaces.choose(ActiveSpace("old", "space"))
    beside = library.store.beside("old")
    known = [PhotoFound(str(path), Stamp.of(path.stat()), one) for path, one in zip(paths, contents, strict=True)]
    library.store.commit(WriteBatch(photos=list(known), beside={"old": dict.fromkeys(contents, _VECTOR)}))
    beside.leave()
    library.spaces.open()
    return known


def test_an_answer_doubts_only_what_the_space_that_answers_does_not_find(library: DaemonParts) -> None:
    """Photos that wait to be encoded again are found, a new one is not; the report counts both."""
    _changed(library, "a.jpg", "b.jpg")
    library.write("new.jpg")
    library.ingest.throttle.pause(clock(), 0)
    status_handler = library.dispatcher.status_handler
    library.start()
    wait_for(lambda: library.ingest.pending == 3)
    report = status_handler.status(Status())

    assert status_handler.doubt().pending == 1
    assert isinstance(report, Report)
    assert report.pending == 3


def test_a_folder_that_is_renamed_while_a_space_is_filled_is_found_at_once_and_then_encoded(
    library: DaemonParts,
) -> None:
    """Its photos are recognised by what the other space has of them; the space that is filled gets a vector of each."""
    folder = library.root / "trip"
    known = _changed(library, "trip/a.jpg", "trip/b.jpg")
    folder.rename(library.root / "voyage")
    library.ingest.throttle.pause(clock(), 0)
    library.start()
    moved = [photo.path.replace("trip", "voyage") for photo in known]
    mtimes = [photo.stamp.mtime_ns for photo in known]
    wait_for(lambda: all(map(library.spaces.is_found, moved, mtimes)))
    encoded_before = library.jobs("encode")
    library.ingest.throttle.resume()
    library.sync()
    wait_for(lambda: library.spaces.progress() is None)

    assert encoded_before == []
    assert sorted(library.jobs("encode")) == ["trip/a.jpg", "trip/b.jpg"]
    assert library.store.count(str(library.root)) == (2, 0)


def test_a_copy_is_found_at_once_while_a_space_is_filled(library: DaemonParts) -> None:
    """It is read, and recorded with the picture that the other space has, before anything is encoded for it."""
    gate = Gate(library.folder)
    _changed(library, "a.jpg", order=f"encode gate {gate.path}")
    copy = library.write("copy.jpg", "a.jpg")
    library.start()
    wait_for(lambda: library.spaces.is_found(str(copy), copy.stat().st_mtime_ns))
    before = library.store.count(str(library.root))
    gate.open()
    wait_for(lambda: library.spaces.progress() is None)

    assert before == (0, 0)
    assert library.jobs("encode") == ["a.jpg"]
    assert library.store.count(str(library.root)) == (2, 0)


def test_a_large_space_is_dropped_between_everything_else(library: DaemonParts) -> None:
    """The loop turns between two slices; in the end its vectors are gone, and those of other spaces are kept."""
    contents = _contents(3000)
    old = library.store.beside("old")
    for at in range(0, 3000, 1000):
        some = contents[at : at + 1000]
        library.store.commit(WriteBatch(vectors={some[0]: _VECTOR}, beside={"old": dict.fromkeys(some, _VECTOR)}))
    old.leave()
    spaces = library.dispatcher.space_handler
    listed = spaces.answer(ListSpaces())
    parked = spaces.answer(DropSpace(name="old"))
    assert isinstance(parked, Deferred)
    library.start()
    (future,) = parked.futures
    wait_for(future.done)
    turns, reply = library.ingest.beat(), parked.resume()

    assert isinstance(listed, Spaces)
    assert [(one.name, one.vectors) for one in listed.spaces] == [("old", 3000), ("space", 3)]
    assert isinstance(reply, Spaces)
    assert [(one.name, one.vectors) for one in reply.spaces] == [("space", 3)]
    assert turns >= 3000 // SLICE
