import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.daemon.conftest import DaemonParts, Gate, descriptors
from tests.daemon.scripted_worker import content_of, vector_of
from tests.daemon.search.duplicate_store import rot
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.replies import Code, Failure, Match, Matches, Reply
from pixkin.protocol.requests import Image, Like, Region
from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.search.errors import RequestError
from pixkind.server.deferred import Deferred
from pixkind.server.like import LikeHandler
from pixkind.storage.write_batch import PhotoFound, WriteBatch


def _ask(like_handler: LikeHandler, request: Like, frames: Sequence[bytes] = ()) -> Reply:
    """Return the reply, after as many waits as it takes."""
    try:
        reply = like_handler.like(request, frames)
    except RequestError as error:
        return error.failure
    return settled(reply)


def _by_path(*paths: Path | str) -> tuple[Image, ...]:
    return tuple(Image(path=os.fsencode(path)) for path in paths)


def _like(library: DaemonParts, *paths: Path | str, **options: object) -> tuple[Match, ...]:
    """Return the matches of photos."""
    fields = {name: os.fsencode(value) if isinstance(value, Path) else value for name, value in options.items()}
    reply = _ask(library.like_handler, Like(images=_by_path(*paths), **fields))  # type: ignore[arg-type]  # of any field
    assert isinstance(reply, Matches), reply
    return reply.matches


def _names(library: DaemonParts, matches: Sequence[Match]) -> list[str]:
    return [os.path.relpath(os.fsdecode(match.path), library.root) for match in matches]


def fill(library: DaemonParts) -> DaemonParts:
    """Index 12 pictures in three folders, and a thirteenth with copies."""
    for number in range(12):
        library.write(f"{'abc'[number % 3]}/{number}.jpg", f"picture {number}", mtime_s=1_000_000 + number)
    for folder, mtime_s in (("a", 5_000), ("b", 4_000), ("c", 6_000), ("b/deep", 7_000)):
        library.write(f"{folder}/copy.jpg", "copied", mtime_s=mtime_s)
    library.start().sync()
    return library


def test_an_indexed_photo_costs_no_worker(many: DaemonParts) -> None:
    """Its vector is read. The photo is among its own matches only if the request wants that."""
    before = (many.log.read_text(), descriptors())
    path = many.root / "a/0.jpg"
    without, itself = _like(many, path, limit=100), _like(many, path, limit=100, itself=True)

    assert (many.log.read_text(), descriptors()) == before
    assert len(itself) == len(without) + 1 == 13
    assert itself[0].path == os.fsencode(path)
    assert itself[0].score == pytest.approx(1, abs=1e-5)
    assert itself[0].distance == 0
    assert os.fsencode(path) not in {match.path for match in without}
    assert [match.score for match in without] == sorted((match.score for match in without), reverse=True)


def test_score_and_distance_are_those_of_the_vectors(many: DaemonParts) -> None:
    """The distance is Euclidean between the vectors as the encoder gave them."""
    here, there = (np.frombuffer(vector_of(f"picture {number}"), "<f2").astype(float) for number in (0, 4))
    matches = _like(many, many.root / "a/0.jpg", limit=100)
    distances = {name: match.distance for name, match in zip(_names(many, matches), matches, strict=True)}

    assert distances["b/4.jpg"] == pytest.approx(np.linalg.norm(here - there), rel=1e-5)


@pytest.mark.parametrize(
    ("asked", "first"), [("a/copy.jpg", "b/copy.jpg"), ("b/0.jpg", "b/copy.jpg"), ("c/2.jpg", "c/copy.jpg")]
)
def test_copies_fold_into_the_one_in_the_querys_folder_else_the_oldest(
    many: DaemonParts, asked: str, first: str
) -> None:
    """Copies are one match. A copy of the query itself is the best match."""
    if not (many.root / asked).exists():
        asked = "b/1.jpg"
    matches = _like(many, many.root / asked, limit=100)
    folded = next(match for match, name in zip(matches, _names(many, matches), strict=True) if name == first)
    others = {"a/copy.jpg", "b/copy.jpg", "c/copy.jpg", "b/deep/copy.jpg"} - {first, asked}

    assert {os.path.relpath(os.fsdecode(path), many.root) for path in folded.copies} == others
    assert (matches[0] is folded) is (asked == "a/copy.jpg")


def test_without_folding_every_copy_is_a_match(many: DaemonParts) -> None:
    """The limit then counts photos; with folding it counts pictures."""
    apart = _like(many, many.root / "a/copy.jpg", limit=3, fold=False)
    folded = _like(many, many.root / "a/copy.jpg", limit=3)

    assert sorted(_names(many, apart)) == ["b/copy.jpg", "b/deep/copy.jpg", "c/copy.jpg"]
    assert len(folded) == 3
    assert len(folded[0].copies) == 2


@pytest.mark.parametrize("under", ["a", "b", "b/deep", "c", "."])
def test_a_search_under_a_folder_finds_what_is_there(many: DaemonParts, under: str) -> None:
    """The matches are those of the whole library that lie below the folder."""
    folder = many.root / under
    folded = _like(many, many.root / "a/0.jpg", under=folder, limit=100)
    everywhere = {match.path: match.score for match in _like(many, many.root / "a/0.jpg", limit=100, fold=False)}
    below = os.fsencode(folder.resolve()) + b"/"
    apart = {
        match.path: match.score for match in _like(many, many.root / "a/0.jpg", under=folder, limit=100, fold=False)
    }

    assert apart == pytest.approx({path: score for path, score in everywhere.items() if path.startswith(below)})
    assert {match.path for match in folded} <= apart.keys()
    assert folded


def test_dates_leave_out_what_was_not_taken_then(own: DaemonParts) -> None:
    """Only photos with a date remain: from `since` on, and before `before`."""
    dates = {"b/1.jpg": 100, "b/4.jpg": 200, "b/7.jpg": -50}
    own.ingest.stop()  # it alone writes while it runs
    own.store.commit(WriteBatch(photos=[_dated(own, name, Details(at)) for name, at in dates.items()]))
    photo = own.root / "a/0.jpg"
    found = [
        sorted(_names(own, _like(own, photo, limit=100, **options)))
        for options in (
            {"taken_since_s": 100},
            {"taken_before_s": 100},
            {"taken_since_s": -50, "taken_before_s": 101},
            {"taken_since_s": 201},
        )
    ]

    assert found == [["b/1.jpg", "b/4.jpg"], ["b/7.jpg"], ["b/1.jpg", "b/7.jpg"], []]


def test_several_folders_are_all_meant(many: DaemonParts) -> None:
    """A photo below one of them passes; each must be a folder of the library, and all together may leave nothing."""
    query, unders = many.root / "a/0.jpg", [os.fsencode(many.root / one) for one in ("a", "b/deep")]
    both = _like(many, query, under=unders[0], also_under=(unders[1],), limit=100, fold=False)
    apart = [_like(many, query, under=one, limit=100, fold=False) for one in unders]
    reply = _ask(many.like_handler, Like(images=_by_path(query), under=unders[0], also_under=(b"/nowhere",)))

    assert {one.path for one in both} == {one.path for some in apart for one in some}
    assert all(apart)
    assert isinstance(reply, Failure)
    assert reply.code is Code.UNKNOWN_FOLDER


def test_a_filter_that_leaves_nothing_is_told(own: DaemonParts) -> None:
    """The first that leaves nothing alone; or all, where only together they leave nothing."""
    own.ingest.stop()  # it alone writes while it runs
    photos = [_dated(own, f"b/{number}.jpg", Details(number * 100, "Acme")) for number in (1, 4)]
    own.store.commit(WriteBatch(photos=[*photos]))
    a, deep, above = (os.fsencode(folder) for folder in (own.root / "a", own.root / "b/deep", own.folder))
    dates = ("taken_since_s", "taken_before_s")
    images = _by_path(own.root / "a/0.jpg")
    asked = {
        Like(images=images, limit=1): (),
        Like(images=images, camera="leica"): ("camera",),
        Like(images=images, max_distance=0.0): ("max_distance",),
        Like(images=images, not_under=(above,)): ("not_under",),
        Like(images=images, min_score=1.0, under=a): ("min_score",),
        Like(images=images, taken_since_s=500, camera="acme"): dates,
        Like(images=images, camera="acme", under=a): ("under", "camera"),
        Like(images=images, taken_since_s=100, taken_before_s=101, under=deep): ("under", *dates),
    }
    for request, keys in asked.items():
        reply = _ask(own.like_handler, request)
        assert isinstance(reply, Matches)

        assert (reply.emptied_by, bool(reply.matches)) == (keys, not keys), request


def test_without_other_photos_no_filter_is_to_blame(library: DaemonParts) -> None:
    """The only photo is the query itself."""
    photo = library.write("a.jpg")
    library.start().sync()
    reply = _ask(library.like_handler, Like(images=_by_path(photo), camera="leica"))

    assert reply == Matches()


_BY = {"a/0.jpg": "Canon EOS 5D", "b/1.jpg": "NIKON D90", "c/2.jpg": "Canon EOS 6D", "a/3.jpg": "Straßenkamera"}


@pytest.mark.parametrize("copies", [0, 300])
def test_filters_leave_out_what_a_slow_reader_would(library: DaemonParts, copies: int) -> None:
    """Filters by camera, date and folder, alone and together, give what filtering one by one gives, with codes and without."""
    fill(library)
    library.ingest.stop()  # it alone writes while it runs
    names = [*(f"{'abc'[number % 3]}/{number}.jpg" for number in range(12))]
    said = {name: Details(number * 10, _BY.get(name, "")) for number, name in enumerate(names)}
    batch = WriteBatch(photos=[_dated(library, name, details) for name, details in said.items()])
    for number in range(copies):  # enough for codes
        content = content_of(f"another {number}")
        batch.photos.append(PhotoFound(f"{library.root}/z/{number}.jpg", Stamp(1, 2, 3, 4), content))
        batch.vectors[content] = vector_of(f"another {number}")
    library.index.apply(library.store.commit(batch))
    wait_for(lambda: not library.index.is_making)
    query = library.write("d/query.jpg", "picture 0")
    asked = [
        (camera, span, apart)
        for camera in ("", "canon", "EOS 5", "STRASSEN", "leica")
        for span in ((None, None), (10, None), (None, 35), (30, 80))
        for apart in ((), ("a",), ("b", "c"))
    ]
    for camera, (since, before), apart in asked:
        folders = tuple(os.fsencode(library.root / name) for name in apart)
        options = {"camera": camera, "taken_since_s": since, "taken_before_s": before, "not_under": folders}
        found = {*_names(library, _like(library, query, limit=1000, fold=False, **options))} & {*names}
        expected = {
            name
            for name, details in said.items()
            if camera.casefold() in details.camera.casefold()
            and (since is None or details.taken_s >= since)
            and (before is None or details.taken_s < before)
            and (details.taken_s or (since, before) == (None, None))
            and name[0] not in apart
        }

        assert found == expected, (camera, since, before, apart)


def _dated(library: DaemonParts, name: str, details: Details) -> PhotoFound:
    """Return a change that gives an indexed photo these details."""
    record = library.store.record(str(library.root / name))
    assert record is not None
    return PhotoFound(record.path, record.stamp, record.content, details)


@pytest.mark.parametrize("copies", [0, 300])
def test_of_the_copies_of_a_picture_only_those_that_pass_are_told(library: DaemonParts, copies: int) -> None:
    """Each has a date and a camera of its own, and no filter takes the date of one and the camera of another."""
    paths = [library.write(name, "picture") for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg")]
    for number in range(copies):  # enough for codes
        library.write(f"z/{number}.jpg")
    library.start().sync()
    library.ingest.stop()  # it alone writes while it runs
    said = {"a/1.jpg": Details(100, "Canon"), "a/2.jpg": Details(200, "Nikon"), "b/3.jpg": Details(200, "Canon")}
    changes = [_dated(library, name, details) for name, details in said.items()]
    library.index.apply(library.store.commit(WriteBatch(photos=[*changes])))
    wait_for(lambda: not library.index.is_making)

    def told(**options: object) -> set[str]:
        return {*_names(library, _like(library, paths[0], limit=1000, itself=True, fold=False, **options))} & {*said}

    assert told() == {*said}
    assert told(taken_before_s=150) == {"a/1.jpg"}
    assert told(taken_since_s=150) == {"a/2.jpg", "b/3.jpg"}
    assert told(taken_since_s=150, camera="canon") == {"b/3.jpg"}
    assert told(taken_since_s=150, camera="canon", under=os.fsencode(library.root / "a")) == set()
    assert told(camera="canon", under=os.fsencode(library.root / "a")) == {"a/1.jpg"}


def test_a_folder_to_leave_out_is_checked_as_one_to_search(many: DaemonParts) -> None:
    """A folder that is not watched, or does not exist, is refused. A folder above all roots leaves nothing."""
    reply = _ask(many.like_handler, Like(images=_by_path(many.root / "a/0.jpg"), not_under=(b"/nowhere",)))

    assert isinstance(reply, Failure)
    assert (reply.code, reply.path) == (Code.UNKNOWN_FOLDER, b"/nowhere")
    assert _like(many, many.root / "a/0.jpg", not_under=(os.fsencode(many.folder),)) == ()
    assert _like(many, many.root / "a/0.jpg", not_under=(os.fsencode(many.root / "a"),), under=many.root / "a") == ()


def test_online_leaves_out_what_is_not_there(two: DaemonParts) -> None:
    """Photos of a root that is away are marked. With `online` they are left out."""
    here, away = two.folders
    for root in two.folders:
        for number in range(3):
            (root / f"{number}.jpg").write_text(f"{root.name} {number}")
    two.start().sync()
    away.rename(two.folder / "elsewhere")
    two.ingest.recheck()
    wait_for(lambda: not two.roots.is_online(str(away)))
    everywhere, online = (_like(two, here / "0.jpg", limit=100, online=online) for online in (False, True))

    assert sorted(match.offline for match in everywhere) == [False] * 2 + [True] * 3
    assert {match.path for match in online} == {match.path for match in everywhere if not match.offline}


def test_a_folder_may_be_named_through_a_link(many: DaemonParts) -> None:
    """Roots are resolved, so the folder of a request is resolved too. A slash at the end does not matter."""
    link = many.folder / "link"
    link.symlink_to(many.root)
    direct = _like(many, many.root / "a/0.jpg", under=many.root / "b")

    assert _like(many, link / "a/0.jpg", under=link / "b") == direct
    assert _like(many, many.root / "a/0.jpg", under=os.fsencode(many.root / "b") + b"/") == direct
    assert _like(many, many.root / "a/0.jpg", under=many.folder) == _like(many, many.root / "a/0.jpg")


def test_thresholds_leave_out_what_is_beyond_them(many: DaemonParts) -> None:
    """`min_score` and `max_distance` cut exactly at their values."""
    path = many.root / "a/0.jpg"
    matches = _like(many, path, limit=100)
    score = matches[5].score
    distance = sorted(match.distance for match in matches)[5]

    assert _like(many, path, limit=100, min_score=score - 1e-6) == matches[:6]
    near = _like(many, path, limit=100, max_distance=distance)
    assert near == tuple(match for match in matches if match.distance <= distance)
    assert len(near) == 6
    assert _like(many, path, limit=100, min_score=1.0) == ()


def test_any_other_image_is_encoded_ahead_of_the_queue(many: DaemonParts, tmp_path: Path) -> None:
    """By path and by bytes the answer is the same. Nothing is stored, and nothing stays open."""
    other = tmp_path / "other.jpg"
    other.write_text("picture 200")
    before = descriptors()
    by_path = _like(many, other, limit=3)
    reply = _ask(many.like_handler, Like(images=(Image(frame=2),), limit=3), [b"picture 200"])

    assert isinstance(reply, Matches)
    assert by_path == reply.matches
    assert len(by_path) == 3
    assert descriptors() == before
    assert len(many.index) == 13
    assert many.jobs("encode").count("picture 200") == 2


def test_an_image_that_the_library_has_is_not_encoded_again(many: DaemonParts, tmp_path: Path) -> None:
    """Its content is known, so an inspection is enough. Its indexed copies are the best match."""
    other = tmp_path / "other.jpg"
    other.write_text("copied")
    matches = _like(many, other)

    assert _names(many, matches)[0] == "b/copy.jpg"
    assert len(matches[0].copies) == 3
    assert many.jobs("encode").count("copied") == 1


def test_a_rotten_vector_that_an_image_needs_is_reported(library: DaemonParts, tmp_path: Path) -> None:
    """This holds for a photo that is gone as well, which no ranking reads. The image is encoded, and the vector is dropped."""
    for name in ("stays", "gone"):
        library.write(f"{name}.jpg")
    library.start().sync()
    (library.root / "gone.jpg").unlink()
    library.sync()
    rot(library.store, vector_of("gone.jpg"))
    copy = tmp_path / "copy.jpg"
    copy.write_text("gone.jpg")
    matches = _like(library, copy)
    wait_for(lambda: not library.store.has_vector(content_of("gone.jpg")))

    assert _names(library, matches) == ["stays.jpg"]
    assert library.jobs("encode").count("gone.jpg") == 2


def test_several_images_are_combined(many: DaemonParts, tmp_path: Path) -> None:
    """Some are indexed, others are not. None is among the matches, and the distance is that to the nearest one."""
    other = tmp_path / "other.jpg"
    other.write_text("picture 100")
    paths = [many.root / "a/0.jpg", other, many.root / "b/1.jpg"]
    together = _like(many, *paths, limit=100)
    alone = [{one.path: one.distance for one in _like(many, path, limit=100)} for path in paths]

    assert len(together) == 11
    assert {"a/0.jpg", "b/1.jpg"}.isdisjoint(_names(many, together))
    for match in together:
        assert match.distance == pytest.approx(min(one[match.path] for one in alone if match.path in one), rel=1e-5)


def test_without_its_network_a_space_answers_no_part_of_a_photo(own: DaemonParts, tmp_path: Path) -> None:
    """No other network encodes it, and nothing stays open. A query with a whole indexed photo still succeeds."""
    own.sync()
    own.query_images.cannot_encode = "its weights are gone"
    before, open_before = len(own.jobs("encode")), descriptors()
    (tmp_path / "new.jpg").write_text("picture 0 at 0.3")
    images = [
        (Image(path=os.fsencode(own.root / "a/0.jpg"), region=Region(0, 0, 0.5, 0.5)),),
        (Image(path=os.fsencode(tmp_path / "new.jpg")), Image(path=os.fsencode(own.root / "a/0.jpg"))),
    ]
    refused = [_ask(own.like_handler, Like(images=one)) for one in images]

    assert [answer.what for answer in refused if isinstance(answer, Failure)] == ["its weights are gone"] * 2
    assert (len(own.jobs("encode")), descriptors()) == (before, open_before)
    assert _like(own, own.root / "a/0.jpg")


def test_a_region_is_encoded_even_of_a_photo_that_is_known(own: DaemonParts, tmp_path: Path) -> None:
    """The stored vector is of the whole photo, so it is no use. The photo itself is still left out of the matches."""
    own.write("parts/10.jpg", "picture 0 at 0.25")
    there = tmp_path / "copy.jpg"
    own.sync()
    there.write_text("picture 0")
    before, inspected = own.jobs("encode").count("picture 0"), len(own.jobs("inspect"))
    region = Region(0.25, 0, 0.5, 0.5)
    answers = [
        _ask(own.like_handler, Like(images=(Image(path=os.fsencode(path), region=region),), limit=100))
        for path in (own.root / "a/0.jpg", there)
    ]
    jobs, open_at_the_end = len(own.jobs("inspect")), descriptors()
    whole = _like(own, own.root / "a/0.jpg", limit=100)

    assert all(isinstance(answer, Matches) for answer in answers)
    known, foreign = (_names(own, answer.matches) for answer in answers if isinstance(answer, Matches))
    assert known[0] == foreign[0] == "parts/10.jpg"
    assert "a/0.jpg" not in known
    assert "a/0.jpg" in foreign
    assert own.jobs("encode").count("picture 0") == before + 2
    assert jobs == inspected
    assert descriptors() == open_at_the_end
    assert _names(own, whole)[0] != "parts/10.jpg"


def test_rotate_counts_the_best_way_of_each_photo(many: DaemonParts) -> None:
    """One encoding gives eight vectors. Each photo gets the score and distance of the orientation that it is most like."""
    path = many.root / "a/0.jpg"
    before = many.jobs("encode").count("picture 0")
    vectors = [
        np.frombuffer(vector_of(name), "<f2").astype(np.float32)
        for name in ("picture 0", *(f"picture 0 way {way}" for way in range(1, 8)))
    ]
    alone = [
        {content: (score, distance) for content, score, distance in many.index.rank(vector[None])} for vector in vectors
    ]
    best = {content: max(one[content] for one in alone) for content in alone[0]}
    reply = _ask(many.like_handler, Like(images=_by_path(path), limit=100, rotate=True, itself=True))
    assert isinstance(reply, Matches)
    found = [(match.score, match.distance) for match in reply.matches]

    assert many.jobs("encode").count("picture 0") == before + 1
    np.testing.assert_allclose(found, sorted(best.values(), reverse=True), atol=1e-5)
    assert reply.matches[0].path == os.fsencode(path)
    assert path not in [Path(os.fsdecode(match.path)) for match in _like(many, path, limit=100, rotate=True)]


def test_an_unwanted_image_moves_what_is_like_it_back(many: DaemonParts, tmp_path: Path) -> None:
    """Its weight is below 0. Photos like it rank lower."""
    unwanted = Image(path=os.fsencode(many.root / "b/4.jpg"), weight=-0.5)
    images = (*_by_path(many.root / "a/0.jpg"), unwanted)
    reply = _ask(many.like_handler, Like(images=images, limit=100, itself=True))
    assert isinstance(reply, Matches)
    without = _names(many, _like(many, many.root / "a/0.jpg", limit=100, itself=True))
    scores = dict(zip(_names(many, reply.matches), reply.matches, strict=True))

    assert [*scores][-1] == "b/4.jpg" or [*scores].index("b/4.jpg") > without.index("b/4.jpg")
    assert scores["a/0.jpg"].distance == 0
    assert scores["b/4.jpg"].distance > 0


def test_images_that_cancel_each_other_out_are_refused(many: DaemonParts, tmp_path: Path) -> None:
    """The reply is a sentence, never a ranking by noise, and nothing stays open. This holds for known and new images."""
    other = tmp_path / "other.jpg"
    other.write_text("picture 300")
    _like(many, other)
    for path in (many.root / "a/0.jpg", other):
        images = (Image(path=os.fsencode(path), weight=0.3), Image(path=os.fsencode(path), weight=-0.3))

        assert "cancel" in _fails(many, Code.REFUSED, *images).what


def test_a_photo_that_changed_since_is_asked_as_it_is_now(own: DaemonParts) -> None:
    """Its stored vector is that of another picture."""
    path = own.write("a/0.jpg", "picture 4")
    matches = _like(own, path)

    assert _names(own, matches)[0] == "b/4.jpg"
    assert matches[0].score == pytest.approx(1, abs=1e-5)


def test_the_photos_of_an_offline_root_still_answer(own: DaemonParts) -> None:
    """They are marked, and a query may name them: their stored vectors are used."""
    own.root.rename(own.folder / "away")
    own.sync()
    matches = _like(own, own.root / "a/0.jpg", under=own.root / "b", limit=100)

    assert len(matches) == 5
    assert all(match.offline for match in matches)


def _fails(library: DaemonParts, code: Code, *images: Image, frames: Sequence[bytes] = ()) -> Failure:
    """Return the failure that a request must end with, after which nothing may stay open."""
    before = descriptors()
    reply = _ask(library.like_handler, Like(images=images), frames)
    assert isinstance(reply, Failure)
    assert reply.code is code
    assert descriptors() == before
    return reply


def test_whatever_fails_leaves_no_descriptor_open(many: DaemonParts, tmp_path: Path) -> None:
    """Each kind of failure names its image, and closes the images that were opened before."""
    good, torn, bad, large = (tmp_path / f"{name}.jpg" for name in ("good", "torn", "bad", "large"))
    good.write_text("good")
    torn.write_text("torn\nencode refuse it is torn")
    bad.write_text("bad\nencode signal 11")
    large.touch()
    os.truncate(large, (many.query_images.query_mb << 20) + 1)
    fifo = tmp_path / "fifo.jpg"
    os.mkfifo(fifo)
    _like(many, good)  # starts the worker, whose socket stays open
    first = _by_path(good)

    for path in (tmp_path / "missing", fifo, tmp_path, good / "below"):
        assert _fails(many, Code.UNREADABLE, *first, *_by_path(path)).path == os.fsencode(path)
    part = Image(path=os.fsencode(torn), region=Region(0, 0, 1, 1))
    assert _fails(many, Code.REFUSED, *first, part).path == os.fsencode(torn)
    assert "over the limit" in _fails(many, Code.REFUSED, *first, *_by_path(large)).what
    refused = _fails(many, Code.REFUSED, *first, *_by_path(torn), *_by_path(many.root / "a/0.jpg"))
    assert (refused.path, refused.what) == (os.fsencode(torn), "it is torn")
    in_bytes = Image(path=os.fsencode(torn), frame=2)
    assert _fails(many, Code.REFUSED, *first, in_bytes, frames=[torn.read_bytes()]).path == os.fsencode(torn)
    before = descriptors()
    dead = _ask(many.like_handler, Like(images=(*first, *_by_path(bad))))
    _like(many, good)  # starts the worker again
    assert isinstance(dead, Failure)
    assert dead.code is Code.BUSY
    assert descriptors() == before


@pytest.mark.parametrize("kind", ["inspect", "encode"])
def test_a_request_that_is_given_up_closes_its_images(many: DaemonParts, tmp_path: Path, kind: str) -> None:
    """The images of a client that no longer waits are closed, at either step."""
    path = tmp_path / "other.jpg"
    path.write_text("other")
    before = descriptors()
    deferred = many.like_handler.like(Like(images=_by_path(path)), [])
    while isinstance(deferred, Deferred):
        for future in deferred.futures:
            wait_for(future.done)
        if kind == "inspect" or many.jobs("encode")[-1] == "other":
            break
        deferred = deferred.resume()
    assert isinstance(deferred, Deferred)
    during = descriptors()
    deferred.abandon()

    assert (during, descriptors()) == (before + 1, before)


def test_a_stop_is_told_to_waiting_clients(own: DaemonParts, tmp_path: Path) -> None:
    """A request that waits for the worker, and one that comes after its end, both hear `stopping`."""
    gate = Gate(tmp_path)
    path = tmp_path / "other.jpg"
    path.write_text(f"other\ninspect gate {gate.path}")
    before = descriptors()
    deferred = own.like_handler.like(Like(images=_by_path(path)), [])
    assert isinstance(deferred, Deferred)
    wait_for(lambda: own.jobs("inspect")[-1] == "other")
    own.encoder.stop()
    stopped = deferred.resume()
    late = _ask(own.like_handler, Like(images=_by_path(path)))

    assert isinstance(stopped, Failure)
    assert isinstance(late, Failure)
    assert [stopped.code, late.code] == [Code.STOPPING] * 2
    assert descriptors() < before  # the worker's socket is closed too


def test_a_photo_that_has_failed_is_refused_without_the_worker(library: DaemonParts) -> None:
    """A photo that crashed the decoder must not crash it again for every query."""
    path = library.write("bad.jpg", "bad", "encode signal 11")
    library.start().sync()
    jobs, before = library.log.read_text(), descriptors()
    reply = _ask(library.like_handler, Like(images=_by_path(path)))

    assert isinstance(reply, Failure)
    assert reply.what == "crashes the decoder (SIGSEGV)"
    assert reply.code is Code.REFUSED
    assert library.log.read_text() == jobs
    assert descriptors() == before


@pytest.mark.parametrize("folder", ["/nowhere", "/", "photos-2", "photos/missing"])
def test_a_folder_that_is_not_watched_is_told(many: DaemonParts, folder: str) -> None:
    """This holds for a name that only begins like a root's as well. A folder above the roots means all of them."""
    (many.folder / "photos-2").mkdir(exist_ok=True)
    under = os.path.join(many.folder, folder)
    reply = _ask(many.like_handler, Like(images=_by_path(many.root / "a/0.jpg"), under=os.fsencode(under)))

    if folder == "/":
        assert isinstance(reply, Matches)
    else:
        assert isinstance(reply, Failure)
        assert (reply.code, reply.path) == (Code.UNKNOWN_FOLDER, os.fsencode(under))
