"""`why`, and `about` of `like`: what has become of a file, and how a photo does in a query."""

import os
import time
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, Gate
from tests.daemon.scripted_worker import content_of
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.explanations import About, Exclusion, Explanation, Fate
from pixkin.protocol.replies import Matches, Relation
from pixkin.protocol.requests import Image, Like, Pause, Resume, Why


def fill(library: DaemonParts) -> DaemonParts:
    """Index photos, two of one picture, and files that cannot be found, each for a reason of its own."""
    for number in range(12):
        library.write(f"{number}.jpg", f"picture {number}", mtime_s=1_000_000 + number)
    library.write("a/copy.jpg", "picture 0")
    library.write("failed.jpg", "failed", "encode refuse it is torn")
    library.write("paged.jpg", "paged", "pages 3")
    library.write("node_modules/icon.jpg", "icon")
    library.write("mine/.pixkinignore", "# not these", "secret*")
    library.write("mine/secret.jpg", "secret")
    library.write("closed/.nomedia")
    library.write("closed/a.jpg", "closed")
    library.write(".trash/a.jpg", "trash")
    library.write("@Recycle/a.jpg", "bin")
    library.write(".a.jpg", "hidden")
    library.write("a.txt", "no photo")
    library.write("closed/a.txt", "no photo")
    (library.root / "link.jpg").symlink_to(library.root / "0.jpg")
    library.start().sync()
    return library


def why(library: DaemonParts, path: "str | Path") -> Explanation:
    """Ask about a file; `path` may be relative to the root."""
    reply = settled(library.dispatcher.answer(Why(path=os.fsencode(library.root / path)), ()))
    assert isinstance(reply, Explanation), reply
    return reply


def about(library: DaemonParts, name: str, *images: str, **options: object) -> About | None:
    """Ask how a photo does in a query by others."""
    asked = tuple(Image(path=os.fsencode(library.root / image)) for image in images)
    request = Like(images=asked, about=os.fsencode(library.root / name), **options)  # type: ignore[arg-type]  # of any field
    reply = settled(library.dispatcher.answer(request, ()))
    assert isinstance(reply, Matches), reply
    return reply.about


def matches(library: DaemonParts) -> Matches:
    """Ask what is like 5.jpg, for all that there is."""
    asked = Like(images=(Image(path=os.fsencode(library.root / "5.jpg")),), limit=20)
    reply = settled(library.dispatcher.answer(asked, ()))
    assert isinstance(reply, Matches)
    return reply


def test_an_indexed_photo_says_when_it_was_read_by_which_network_and_its_copies(many: DaemonParts) -> None:
    """The path is as the index has it, also if the folder is named by a link."""
    (many.folder / "link").symlink_to(many.root)
    told = why(many, "../link/0.jpg")

    assert (told.fate, told.path) == (Fate.FOUND, os.fsencode(many.root / "0.jpg"))
    assert (told.root, told.content) == (os.fsencode(many.root), content_of("picture 0"))
    assert (told.network, told.copies, told.hint) == ("scripted", 1, "")
    assert time.time() - 600 < told.read_s <= time.time()


@pytest.mark.parametrize(
    ("name", "fate", "what"),
    [
        ("failed.jpg", Fate.FAILED, "it is torn"),
        ("node_modules/icon.jpg", Fate.LEFT_OUT, "left out by node_modules/ (built in)"),
        ("mine/secret.jpg", Fate.LEFT_OUT, "left out by secret* (ROOT/mine/.pixkinignore, line 2)"),
        ("closed/a.jpg", Fate.LEFT_OUT, "left out by ROOT/closed/.nomedia"),
        (".trash/a.jpg", Fate.LEFT_OUT, "not indexed: .trash has a dot in front"),
        ("@Recycle/a.jpg", Fate.LEFT_OUT, "not indexed: @Recycle is a bin, a snapshot or another folder of the system"),
        (".a.jpg", Fate.LEFT_OUT, "not indexed: .a.jpg has a dot in front"),
        ("closed/a.txt", Fate.NO_PHOTO, "not a photo: index.suffixes does not have the end of its name"),
        ("a.txt", Fate.NO_PHOTO, "not a photo: index.suffixes does not have the end of its name"),
        ("link.jpg", Fate.NO_PHOTO, "a symbolic link, which pixkin does not follow"),
        ("mine", Fate.NO_PHOTO, "a folder: ask about a photo in it"),
        ("none.jpg", Fate.MISSING, "there is no such file"),
        ("0.jpg/a.jpg", Fate.MISSING, "there is no such file"),
        ("../log", Fate.UNWATCHED, "it lies in no watched folder"),
    ],
)
def test_a_file_that_queries_do_not_find_says_why(many: DaemonParts, name: str, fate: Fate, what: str) -> None:
    """Each has a fate for programs, and a sentence for people."""
    told = why(many, name)

    assert (told.fate, told.what) == (fate, what.replace("ROOT", str(many.root)))
    assert told.network == ""


def test_the_rule_that_leaves_a_photo_out_is_named_with_its_file_and_line(many: DaemonParts) -> None:
    """A program need not take a sentence apart."""
    assert why(many, "mine/secret.jpg").exclusion == Exclusion(
        "secret*", os.fsencode(many.root / "mine/.pixkinignore"), 2
    )
    assert why(many, "closed/a.jpg").exclusion == Exclusion("", os.fsencode(many.root / "closed/.nomedia"), 0)
    assert why(many, "node_modules/icon.jpg").exclusion == Exclusion("node_modules/", b"", 0, built_in=True)
    assert why(many, ".trash/a.jpg").exclusion is None


def test_a_photo_that_failed_says_when_it_is_tried_again(library: DaemonParts) -> None:
    """It is young: it may still have been copied."""
    library.write("failed.jpg", "failed", "encode refuse it is torn")
    library.start().sync()

    assert why(library, "failed.jpg").retry_at > time.time() - 1


def test_a_photo_that_waits_says_at_which_place(library: DaemonParts, tmp_path: Path) -> None:
    """It is in the worker, or nobody has noticed it."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"inspect gate {gate.path}", mtime_s=2_000_000)
    library.start()
    wait_for(lambda: library.ingest.counters()["inspects"] > 0)
    read = why(library, "slow.jpg")
    library.write("unseen.jpg", "unseen")
    unseen = why(library, "unseen.jpg")
    gate.open()
    library.sync()

    assert (read.fate, read.what) == (Fate.WAITING, "it is being read")
    assert (unseen.fate, unseen.what) == (Fate.WAITING, "pixkind has not noticed it yet")
    assert unseen.hint == f"pixkin sync {library.root}/unseen.jpg"
    assert {why(library, name).fate for name in ("slow.jpg", "unseen.jpg")} == {Fate.FOUND}


def test_a_photo_that_rests_says_when_it_is_looked_at(library: DaemonParts) -> None:
    """The folder above it may be what waits; the earlier of the two counts."""
    library.start().sync()
    path = library.write("new/a.jpg", "new")
    later = time.monotonic() + 200
    library.inbox.post(lambda: library.ingest.look_at(str(path.parent), later))
    by_folder = why(library, "new/a.jpg")
    library.inbox.post(lambda: library.ingest.look_at(str(path), later - 100))
    by_itself = why(library, "new/a.jpg")
    words = "it changed a moment ago, or a program still writes to it: pixkind looks at it again in "
    seconds = [float(told.what.removeprefix(words).removesuffix(" s")) for told in (by_folder, by_itself)]

    assert {by_folder.fate, by_itself.fate} == {Fate.WAITING}
    assert 100 < seconds[0] <= 200
    assert 0 < seconds[1] <= 100


def test_photos_that_indexing_holds_say_how_many_come_first(library: DaemonParts) -> None:
    """The newest is read first."""
    library.start().sync()
    library.dispatcher.answer(Pause(), ())
    for number in range(5):
        library.write(f"{number}.jpg", f"picture {number}", mtime_s=1_000_000 + number)
    library.sync()
    held = [why(library, f"{number}.jpg") for number in range(5)]
    library.dispatcher.answer(Resume(), ())
    library.sync()

    assert [one.ahead for one in held] == [4, 3, 2, 1, 0]
    assert {one.what for one in held} == {"it waits to be read: paused by pixkin pause, until pixkin resume"}
    assert {one.fate for one in held} == {Fate.WAITING}
    assert why(library, "0.jpg").fate is Fate.FOUND


def test_a_photo_that_was_overwritten_is_found_as_it_was_until_it_is_read(library: DaemonParts) -> None:
    """Both are said."""
    library.write("a.jpg", "before")
    library.start().sync()
    library.write("a.jpg", "after")
    told = why(library, "a.jpg")
    library.sync()
    later = why(library, "a.jpg")

    assert told.fate is Fate.WAITING
    assert told.what == "pixkind has not noticed it yet; until then queries find it as it was"
    assert (later.fate, later.content) == (Fate.FOUND, content_of("after"))


def test_photos_of_a_drive_that_is_away_are_found_or_not_known(own: DaemonParts) -> None:
    """The state of the drive is said, and how it ends."""
    own.root.rename(own.folder / "away")
    own.sync()
    known, failed, new = (why(own, name) for name in ("0.jpg", "failed.jpg", "new.jpg"))

    assert (known.fate, known.network) == (Fate.FOUND, "scripted")
    assert known.what == f"queries find it; nobody can open it now: {own.root} is offline: missing"
    assert (failed.fate, failed.what.partition(";")[0]) == (Fate.FAILED, "it is torn")
    assert (new.fate, new.network) == (Fate.UNKNOWN, "")
    assert new.what == f"the index does not know it, and cannot look at it now: {own.root} is offline: missing"


def test_a_paused_folder_is_not_looked_at(own: DaemonParts) -> None:
    """It says with which command it may be read again."""
    settled(own.dispatcher.answer(Pause(root=os.fsencode(own.root)), ()))
    known, new = why(own, "0.jpg"), why(own, "none.jpg")

    assert known.fate is Fate.FOUND
    assert new.fate is Fate.UNKNOWN
    assert {known.hint, new.hint} == {f"when it may be read again: pixkin resume {own.root}"}


def test_a_photo_that_was_deleted_is_gone(own: DaemonParts) -> None:
    """The index knew it, and says so."""
    (own.root / "3.jpg").unlink()
    before = why(own, "3.jpg")
    own.sync()
    after = why(own, "3.jpg")

    assert {before.what, after.what} == {"it is gone: there is no such file now"}
    assert {before.fate, after.fate} == {Fate.MISSING}


def test_a_match_says_its_place_and_what_it_stands_behind(many: DaemonParts) -> None:
    """A copy is part of the match of the photo that stands for all."""
    reply = matches(many)
    third = reply.matches[2]
    told = about(many, os.fsdecode(third.path), "5.jpg", limit=20)
    with_copy = next(match for match in reply.matches if match.copies)
    copy = about(many, os.fsdecode(with_copy.copies[0]), "5.jpg", limit=20)

    assert told is not None
    assert (told.place, told.behind, told.short_of) == (3, b"", ())
    assert [told.score, told.distance] == pytest.approx([third.score, third.distance])
    assert copy is not None
    assert (copy.place, copy.behind) == (reply.matches.index(with_copy) + 1, with_copy.path)
    assert copy.score == pytest.approx(with_copy.score)


@pytest.mark.parametrize(
    ("options", "short_of"),
    [
        ({"limit": 1}, ("limit",)),
        ({"min_score": 1.0}, ("min_score",)),
        ({"min_band": Relation.SAME_PHOTO}, ("min_band",)),
        ({"max_distance": 0.0}, ("max_distance",)),
        ({"under": b"ROOT/a"}, ("under",)),
        ({"not_under": (b"ROOT",)}, ("not_under",)),
        ({"camera": "leica"}, ("camera",)),
        ({"taken_since_s": 0}, ("taken_since_s",)),
        ({"under": b"ROOT/a", "min_score": 1.0, "camera": "leica"}, ("under", "camera", "min_score")),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_photo_that_is_no_match_says_what_it_falls_short_of(
    many: DaemonParts, options: dict[str, object], short_of: tuple[str, ...]
) -> None:
    """Each filter and limit that leaves it out is named, as the request calls it."""

    def placed(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(map(placed, value))
        return value.replace(b"ROOT", os.fsencode(many.root)) if isinstance(value, bytes) else value

    asked = {key: placed(value) for key, value in options.items()}
    reply = matches(many)
    last = next(one for one in reversed(reply.matches) if not one.copies)
    told = about(many, os.fsdecode(last.path), "5.jpg", **asked)

    assert told is not None
    assert (told.place, told.short_of) == (0, short_of)
    assert told.score == pytest.approx(last.score)


def test_the_query_photo_itself_and_a_drive_that_is_away_are_named(own: DaemonParts) -> None:
    """`itself` and `online` leave photos out, too."""
    itself = about(own, "5.jpg", "5.jpg")
    own.root.rename(own.folder / "away")
    own.sync()
    away = about(own, "4.jpg", "5.jpg", online=True)

    assert itself is not None
    assert (itself.short_of, itself.band) == (("itself",), Relation.SAME_PHOTO)
    assert away is not None
    assert away.short_of == ("online",)


def test_of_a_file_with_pages_the_best_one_counts_and_what_has_no_vector_has_no_score(many: DaemonParts) -> None:
    """As in the matches themselves."""
    reply = matches(many)
    paged = next(one for one in reply.matches if one.path.endswith(b"paged.jpg"))
    told = about(many, "paged.jpg", "5.jpg", limit=20)

    assert told is not None
    assert [told.score, told.distance] == pytest.approx([paged.score, paged.distance])
    assert about(many, "failed.jpg", "5.jpg") is None
    assert about(many, "none.jpg", "5.jpg") is None


def test_a_link_into_the_library_names_its_photo(many: DaemonParts) -> None:
    """Both questions find it; it is called by its own path."""
    (many.folder / "linked.jpg").symlink_to(many.root / "7.jpg")

    assert why(many, "../linked.jpg").path == os.fsencode(many.root / "7.jpg")
    assert about(many, "../linked.jpg", "5.jpg") == about(many, "7.jpg", "5.jpg")


def test_turned_images_and_several_ones_score_as_in_the_matches(many: DaemonParts) -> None:
    """The best orientation counts; unwanted images and weights, too."""
    images = (
        Image(path=os.fsencode(many.root / "5.jpg"), weight=2.0),
        Image(path=os.fsencode(many.root / "6.jpg"), weight=-0.5),
    )
    name = os.fsencode(many.root / "7.jpg")
    for asked in (
        Like(images=images, limit=20, about=name),
        Like(images=images[:1], rotate=True, limit=20, about=name),
    ):
        reply = settled(many.dispatcher.answer(asked, ()))
        assert isinstance(reply, Matches)
        match = next(one for one in reply.matches if one.path == name)
        assert reply.about is not None
        assert reply.about.score == pytest.approx(match.score)
        assert reply.about.place == reply.matches.index(match) + 1
