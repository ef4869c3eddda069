"""Frames in, messages out, and nothing but ProtocolError between them."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixkin.protocol import bands, framing, news, pictures, replies, requests

paths = st.binary(max_size=64).map(lambda tail: b"/" + tail.replace(b"\0", b"x"))
numbers = st.integers(0, (1 << 63) - 1)
spans = st.integers(1, 365 * 86400)  # s
floats = st.floats(allow_nan=False, allow_infinity=False)
contents = st.binary(min_size=16, max_size=16)
times = st.integers(-(1 << 62), 1 << 62)
found_pictures = st.builds(
    pictures.Picture, content=contents, width=numbers, height=numbers, colour=st.integers(-1, 0xFFFFFF), taken_s=times
)
failed = st.builds(replies.Failed, path=paths, reason=st.text(), retry_at=numbers)
roots = st.builds(replies.Root, path=paths, state=st.sampled_from(replies.RootState), reason=st.text(), hint=st.text())
matches = st.builds(
    replies.Match,
    path=paths,
    score=floats,
    distance=floats,
    offline=st.booleans(),
    copies=st.lists(paths).map(tuple),
    versions=st.lists(paths).map(tuple),
    burst=st.lists(paths).map(tuple),
    frames=numbers,
    band=st.sampled_from(replies.Relation),
    damaged=st.booleans(),
    picture=st.none() | found_pictures,
)
files = st.builds(pictures.File, path=paths, size=numbers, mtime_ns=times, offline=st.booleans(), camera=st.text())
descriptions = st.builds(
    pictures.Description, picture=found_pictures, files=st.lists(files).map(tuple), camera=st.text(), why=st.text()
)
folders = st.builds(
    replies.Folder, path=paths, photos=numbers, folders=st.booleans(), state=st.sampled_from(replies.RootState)
)
months = st.builds(pictures.Month, year=st.integers(-9999, 9999), month=st.integers(1, 12), photos=numbers)
fillings = st.builds(
    replies.Filling,
    encoder=st.text(),
    space=st.text(),
    found=numbers,
    wanted=numbers,
    away=numbers,
    failed=numbers,
    pinned=st.booleans(),
)
spaces = st.builds(
    replies.SpaceState,
    name=st.text(),
    encoder=st.text(),
    vectors=numbers,
    photos=numbers,
    bytes=numbers,
    answers=st.booleans(),
    fills=st.booleans(),
)
holdings = st.builds(
    replies.Holding,
    path=paths,
    has=st.sampled_from(replies.Has),
    score=floats,
    paths=st.lists(paths).map(tuple),
    reason=st.text(),
)
doubts = st.builds(
    replies.Doubt, pending=numbers, failed=numbers, offline=numbers, unwatched=st.lists(paths).map(tuple)
)
chances = st.builds(replies.Chance, median=floats, one_in_20=floats, one_in_1000=floats, best=floats)
words = st.lists(st.text()).map(tuple)
sandboxes = st.builds(replies.Sandbox, enforced=words, missing=words)
photos = st.builds(replies.Photo, path=paths, content=st.binary(), width=numbers, size=numbers, offline=st.booleans())
groups = st.builds(replies.Group, band=st.sampled_from(replies.Band), score=floats, photos=st.lists(photos).map(tuple))
any_reply = st.one_of(
    st.builds(
        replies.Welcome,
        id=numbers,
        version=st.text(),
        pid=numbers,
        suffixes=st.lists(st.text()).map(tuple),
        skipped=st.lists(st.text()).map(tuple),
    ),
    st.builds(replies.Holdings, id=numbers, holdings=st.lists(holdings).map(tuple), doubt=doubts),
    st.builds(
        replies.Matches, id=numbers, matches=st.lists(matches).map(tuple), doubt=doubts, chance=st.none() | floats
    ),
    st.builds(
        replies.Report,
        id=numbers,
        doing=st.text(),
        photos=numbers,
        filling=st.none() | fillings,
        rate=floats,
        chance=st.none() | chances,
        roots=st.lists(roots).map(tuple),
        counters=st.dictionaries(st.text(), numbers),
        failures=st.lists(failed).map(tuple),
        sandbox=st.none() | sandboxes,
    ),
    st.builds(
        replies.Synced,
        id=numbers,
        photos=numbers,
        failed=st.lists(failed).map(tuple),
        open=st.lists(paths).map(tuple),
        roots=st.lists(roots).map(tuple),
        held=numbers,
        why=st.text(),
    ),
    st.builds(replies.Spaces, id=numbers, spaces=st.lists(spaces).map(tuple), photos=numbers),
    st.builds(replies.Roots, id=numbers, roots=st.lists(roots).map(tuple), doing=st.text()),
    st.builds(
        replies.Groups,
        id=numbers,
        search=numbers,
        groups=st.lists(groups).map(tuple),
        done=st.booleans(),
        compared=numbers,
        doubt=doubts,
    ),
    st.builds(replies.Noted, id=numbers),
    st.builds(replies.Descriptions, id=numbers, descriptions=st.lists(descriptions).map(tuple)),
    st.builds(
        replies.Library,
        id=numbers,
        pictures=st.lists(found_pictures).map(tuple),
        paths=st.lists(paths).map(tuple),
        offline=st.lists(st.booleans()).map(tuple),
        total=numbers,
        next=st.binary(max_size=24),
        doubt=doubts,
    ),
    st.builds(replies.FolderList, id=numbers, folders=st.lists(folders).map(tuple)),
    st.builds(replies.Months, id=numbers, months=st.lists(months).map(tuple)),
    st.builds(
        news.Watches,
        id=numbers,
        watches=st.lists(
            st.builds(
                news.WatchState,
                id=numbers,
                name=st.text(),
                images=st.lists(
                    st.builds(news.WatchedImage, content=st.binary(), path=paths, weight=st.floats(-1000, 1000))
                ).map(tuple),
                min_score=st.none() | st.floats(-1, 1),
                min_band=st.sampled_from(bands.Relation),
                new=numbers,
                why=st.text(),
            )
        ).map(tuple),
        watch=numbers,
        last=numbers,
    ),
    st.builds(
        news.Arrived,
        id=numbers,
        arrivals=st.lists(
            st.builds(news.Arrival, seq=numbers, watch=numbers, picture=found_pictures, path=paths, at_s=numbers)
        ).map(tuple),
        last=numbers,
    ),
    st.builds(
        news.LibraryChanged,
        id=numbers,
        generation=numbers,
        came=st.lists(found_pictures).map(tuple),
        more=numbers,
        gone=numbers,
        missed=st.booleans(),
    ),
    st.builds(replies.Thumb, id=numbers, content=st.binary(), data=st.binary(), width=numbers, height=numbers),
    st.builds(
        replies.Failure, id=numbers, code=st.sampled_from(replies.Code), what=st.text(), hint=st.text(), path=paths
    ),
)


weights = st.floats(-1000, 1000).filter(bool)
shares = st.floats(1e-9, 0.5)
lengths = st.floats(1e-9, 1e9)
regions = st.one_of(
    st.builds(requests.Region, shares, shares, shares, shares),
    st.builds(requests.Region, lengths, lengths, lengths, lengths, st.just(True)),
)
turns = st.one_of(
    st.builds(requests.Pause, root=st.just(b"") | paths),
    st.builds(requests.Pause, for_s=spans),
    st.builds(requests.Resume, root=st.just(b"") | paths),
    st.builds(requests.Boost, for_s=spans),
    st.builds(requests.ListSpaces),
    st.builds(requests.UseSpace, name=st.text()),
    st.builds(requests.DropSpace, name=st.text()),
    st.builds(requests.Dupes, folder=st.just(b"") | paths, min_score=st.floats(0.5, 1), search=numbers),
    st.builds(requests.Apart, one=paths, other=paths, together=st.booleans()),
    st.builds(requests.Forget, paths=st.lists(paths, min_size=1, max_size=3).map(tuple), dry_run=st.booleans()),
    st.builds(requests.Describe, contents=st.lists(contents, min_size=1, max_size=3).map(tuple)),
    st.builds(
        requests.Browse,
        under=st.just(b"") | paths,
        taken_since_s=st.none() | times,
        taken_before_s=st.none() | times,
        after=st.just(b"") | st.binary(min_size=24, max_size=24),
        limit=st.integers(1, 10_000),
    ),
    st.builds(requests.Folders, parent=st.just(b"") | paths),
    st.builds(requests.Timeline, under=st.just(b"") | paths),
    st.builds(requests.Unwatch, watch=numbers),
    st.builds(requests.ListWatches),
    st.builds(requests.Arrivals, watch=numbers, after=numbers, peek=st.booleans(), wait=st.booleans()),
    st.builds(requests.Changes, after=numbers),
    st.builds(
        requests.Watch,
        images=st.lists(st.builds(requests.Image, path=paths, weight=weights.map(abs)), min_size=1, max_size=8).map(
            tuple
        ),
        name=st.text(max_size=100),
        min_band=st.sampled_from(bands.Relation),
    ),
)


@st.composite
def any_request(draw: st.DrawFn) -> tuple[requests.Request, list[bytes]]:  # noqa: PLR0911  one for each kind
    """A request of any kind and the images behind it."""
    common: dict[str, Any] = {"id": draw(numbers), "until_ms": draw(numbers)}
    kind = draw(st.sampled_from(["hello", "like", "have", "status", "sync", "turn", "thumbnail"]))
    if kind == "hello":
        return requests.Hello(**common), []
    if kind == "status":
        return requests.Status(**common, failed=draw(st.booleans()), formats=draw(st.booleans())), []
    if kind == "sync":
        path = draw(st.just(b"") | paths)
        accepts = bool(path) and draw(st.booleans())
        empty = accepts and draw(st.booleans())
        return requests.Sync(**common, path=path, accept_drive=accepts, accept_empty=empty), []
    if kind == "turn":
        return msgspec.structs.replace(draw(turns), **common), []
    frames: list[bytes] = []
    images: list[requests.Image] = []
    for image in draw(st.lists(st.binary(min_size=1) | st.none(), min_size=1, max_size=8)):
        if image is not None:
            frames.append(image)
        weight = draw(weights if images else weights.map(abs))
        frame = 0 if image is None else len(frames) + 1
        images.append(requests.Image(draw(paths), frame, weight, draw(st.none() | regions)))
    if kind == "like" and draw(st.booleans()) and len(images) < 8:
        images.append(requests.Image(weight=draw(weights), content=draw(contents)))
    if kind == "thumbnail":
        shown, size = images[0], draw(st.sampled_from(requests.Size))
        thumbnail = requests.Thumbnail(**common, image=requests.Image(shown.path, shown.frame), size=size)
        return thumbnail, frames[: 1 if shown.frame else 0]
    if kind == "have":
        within = tuple(draw(st.lists(paths, max_size=32)))
        whole = tuple(requests.Image(one.path, one.frame) for one in images)
        return requests.Have(**common, images=whole, within=within), frames
    like = requests.Like(
        **common,
        images=tuple(images),
        limit=draw(st.integers(1, 10_000)),
        pictures=draw(st.booleans()),
        min_score=draw(st.none() | st.floats(-1, 1)),
        max_distance=draw(st.none() | st.floats(0, 1e9)),
        rotate=len(images) == 1 and draw(st.booleans()),
        related=draw(st.booleans()),
        min_band=draw(st.sampled_from(replies.Relation)),
        under=draw(st.just(b"") | paths),
        not_under=tuple(draw(st.lists(paths, max_size=32))),
        camera=draw(st.text(max_size=100)),
        taken_since_s=draw(st.none() | times),
        taken_before_s=draw(st.none() | times),
        online=draw(st.booleans()),
        itself=draw(st.booleans()),
        fold=draw(st.booleans()),
    )
    return like, frames


@given(any_request())
def test_request_survives_the_wire(sent: tuple[requests.Request, list[bytes]]) -> None:
    """What was packed is what is unpacked, frames included."""
    request, images = sent

    assert framing.unpack_request(framing.pack(request, images)) == (request, images)


@given(any_reply)
def test_reply_survives_the_wire(reply: replies.Reply) -> None:
    """What was packed is what is unpacked."""
    assert framing.unpack_reply(framing.pack(reply)) == reply


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
keys = ["type", "id", "until_ms", "images", "path", "frame", "limit", "min_score", "under", "code", "what", "matches"]
maps = st.dictionaries(st.sampled_from(keys), json | st.sampled_from(["like", "sync", "status", "failure", "matches"]))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The body of a real message with some bytes changed."""
    body = bytearray(framing.pack(draw(any_reply | any_request().map(lambda sent: sent[0])))[1])
    for at in draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[at] = draw(st.integers(0, 255))
    return bytes(body[: draw(st.integers(0, len(body)))])


bodies = st.binary() | maps.map(msgspec.msgpack.encode) | damaged()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.binary(), max_size=12)
    | st.tuples(bodies).map(lambda one: [requests.GREETING, *one])
    | st.tuples(bodies, st.lists(st.binary(), max_size=10)).map(lambda two: [requests.GREETING, two[0], *two[1]])
)
def test_random_frames_raise_protocol_error_or_nothing(frames: list[bytes]) -> None:
    """No frames whatever raise anything but ProtocolError: the daemon's loop survives them."""
    with contextlib.suppress(framing.ProtocolError):
        framing.unpack_request(frames)
    with contextlib.suppress(framing.ProtocolError):
        framing.unpack_reply(frames)


LIKE = requests.Like(images=(requests.Image(path=b"/a.jpg"),))
HOSTILE = {
    "no frames": [],
    "empty delimiter of a REQ socket": [b"", *framing.pack(LIKE)],
    "no body": [requests.GREETING],
    "100,000 arrays one in the other": [requests.GREETING, b"\x82\xa4type\xa5hello\xa1x" + b"\x91" * 100_000],
    "body too large": [requests.GREETING, b"\x82\xa4type\xa5hello\xa1x\xc6\x00\x10\x00\x00" + bytes(1 << 20)],
    "more frames than images": framing.pack(LIKE, [b"image"]),
    "frame that is not there": framing.pack(requests.Like(images=(requests.Image(frame=2),))),
    "frame 1 as an image": framing.pack(requests.Like(images=(requests.Image(frame=1),))),
    "one frame for two images": framing.pack(
        requests.Like(images=(requests.Image(frame=2), requests.Image(frame=2))), [b"image"]
    ),
    "image that is nowhere": framing.pack(requests.Like(images=(requests.Image(),))),
    "nothing to have": framing.pack(requests.Have(images=())),
    "relative path to have": framing.pack(requests.Have(images=(requests.Image(path=b"a.jpg"),))),
    "frame to have that is not there": framing.pack(requests.Have(images=(requests.Image(frame=2),))),
    "empty folder to have": framing.pack(requests.Have(images=LIKE.images, within=(b"",))),
    "relative folder to have": framing.pack(requests.Have(images=LIKE.images, within=(b"card",))),
    "nine images to have": framing.pack(requests.Have(images=LIKE.images * 9)),
    "relative path": framing.pack(requests.Like(images=(requests.Image(path=b"a.jpg"),))),
    "zero byte in a path": framing.pack(requests.Sync(path=b"/a\0b")),
    "relative root to pause": framing.pack(requests.Pause(root=b"photos")),
    "a time for a root's pause": framing.pack(requests.Pause(root=b"/p", for_s=60)),
    "zero byte in a root to resume": framing.pack(requests.Resume(root=b"/p\0")),
    "drive to accept for no root": framing.pack(requests.Sync(accept_drive=True)),
    "empty drive that is not to be accepted": framing.pack(requests.Sync(path=b"/p", accept_empty=True)),
    "relative folder of duplicates": framing.pack(requests.Dupes(folder=b"photos")),
    "score of duplicates below 0.5": framing.pack(requests.Dupes(min_score=0.4)),
    "photo apart from none": framing.pack(requests.Apart(one=b"/a", other=b"")),
    "relative photo to be apart": framing.pack(requests.Apart(one=b"/a", other=b"b")),
    "request of another release": [requests.GREETING, msgspec.msgpack.encode({"type": "stop"})],
    "a part of an image to have": framing.pack(
        requests.Have(images=(requests.Image(b"/a.jpg", region=requests.Region(0, 0, 1, 1)),))
    ),
    "relative folder": framing.pack(requests.Like(images=LIKE.images, under=b"photos")),
    "no space to drop": [requests.GREETING, msgspec.msgpack.encode({"type": "drop_space"})],
    "no images": framing.pack(requests.Like(images=())),
    "nine images": framing.pack(requests.Like(images=LIKE.images * 9)),
    "limit 0": framing.pack(requests.Like(images=LIKE.images, limit=0)),
    "limit 10,001": framing.pack(requests.Like(images=LIKE.images, limit=10_001)),
    "content id of 15 bytes": framing.pack(requests.Like(images=(requests.Image(content=bytes(15)),))),
    "content id of 17 bytes": framing.pack(requests.Like(images=(requests.Image(content=bytes(17)),))),
    "content id with a path": framing.pack(requests.Like(images=(requests.Image(b"/a.jpg", content=bytes(16)),))),
    "content id with a frame": framing.pack(
        requests.Like(images=(requests.Image(frame=2, content=bytes(16)),)), [b"image"]
    ),
    "content id to have": framing.pack(requests.Have(images=(requests.Image(content=bytes(16)),))),
    "nothing to describe": framing.pack(requests.Describe(contents=())),
    "empty content id to describe": framing.pack(requests.Describe(contents=(bytes(16), b""))),
    "501 pictures to describe": framing.pack(requests.Describe(contents=(bytes(16),) * 501)),
    "relative folder to browse": framing.pack(requests.Browse(under=b"photos")),
    "25 bytes to go on from": framing.pack(requests.Browse(after=bytes(25))),
    "a content id to go on from": framing.pack(requests.Browse(after=bytes(16))),
    "no pictures to browse": framing.pack(requests.Browse(limit=0)),
    "relative parent of folders": framing.pack(requests.Folders(parent=b"photos")),
    "no images to watch": framing.pack(requests.Watch(images=())),
    "a part of an image to watch": framing.pack(
        requests.Watch(images=(requests.Image(b"/a.jpg", region=requests.Region(0, 0, 1, 1)),))
    ),
    "unwanted images alone to watch": framing.pack(requests.Watch(images=(requests.Image(b"/a.jpg", weight=-1),))),
    "a relative path to watch": framing.pack(requests.Watch(images=(requests.Image(b"a.jpg"),))),
    "a frame to watch that is missing": framing.pack(requests.Watch(images=(requests.Image(frame=2),))),
    "two limits to watch": framing.pack(
        requests.Watch(images=LIKE.images, min_score=0.5, min_band=bands.Relation.ALIKE)
    ),
    "a name of 101 characters": framing.pack(requests.Watch(images=LIKE.images, name="x" * 101)),
    "a negative position": framing.pack(requests.Arrivals(after=-1)),
    "zero byte in the folder of a timeline": framing.pack(requests.Timeline(under=b"/a\0b")),
    "score that is no number": framing.pack(requests.Like(images=LIKE.images, min_score=float("nan"))),
    **{
        f"weight {weight}": framing.pack(
            requests.Like(images=(requests.Image(path=b"/a", weight=weight), *LIKE.images))
        )
        for weight in (0.0, -0.0, float("nan"), float("inf"), 1e300, -1000.5)
    },
    "nothing that is wanted": framing.pack(requests.Like(images=(requests.Image(path=b"/a", weight=-1),))),
    "several images to rotate": framing.pack(requests.Like(images=LIKE.images * 2, rotate=True)),
    **{
        f"region {numbers}": framing.pack(
            requests.Like(images=(requests.Image(path=b"/a", region=requests.Region(*numbers)),))
        )
        for numbers in (
            (0, 0, 0, 1),
            (0, 0, 1, 0, True),
            (-0.1, 0, 0.5, 0.5),
            (0.6, 0, 0.5, 0.5),
            (0, 1.0, 0.5, 0.5),
            (float("nan"), 0, 0.5, 0.5),
            (0, 0, float("nan"), 0.5),
            (0, 0, float("inf"), 0.5, True),
            (1e300, 0, 1, 1, True),
        )
    },
    "another folder of no name": framing.pack(requests.Like(images=LIKE.images, under=b"/p", also_under=(b"",))),
    "another folder alone": framing.pack(requests.Like(images=LIKE.images, also_under=(b"/p",))),
    "a folder of no name": framing.pack(requests.Like(images=LIKE.images, not_under=(b"/p", b""))),
    "relative folder to leave out": framing.pack(requests.Like(images=LIKE.images, not_under=(b"p",))),
    "33 folders to leave out": framing.pack(requests.Like(images=LIKE.images, not_under=(b"/p",) * 33)),
    "camera of 101 characters": framing.pack(requests.Like(images=LIKE.images, camera="x" * 101)),
    "reply as a request": framing.pack(replies.Matches()),
    "path as text": [requests.GREETING, msgspec.msgpack.encode({"type": "sync", "path": "/a"})],
    "images over 128 MiB": framing.pack(
        requests.Like(images=(requests.Image(frame=2),)), [bytes(requests.MAX_IMAGES + 1)]
    ),
}


@pytest.mark.parametrize("frames", HOSTILE.values(), ids=HOSTILE.keys())
def test_request_that_breaks_a_rule_is_malformed(frames: list[bytes]) -> None:
    """Each rule of PROTOCOL.md about requests is checked."""
    with pytest.raises(framing.ProtocolError) as caught:
        framing.unpack_request(frames)

    assert caught.value.code is replies.Code.MALFORMED


def test_other_version_is_told_apart_from_garbage() -> None:
    """A message of another version says so, with both versions, whatever its body is."""
    with pytest.raises(framing.ProtocolError, match="2 there, 1 here") as caught:
        framing.unpack_request([b"pixkin/2", b"\xc1"])

    assert caught.value.code is replies.Code.VERSION


def test_text_that_is_not_utf8_is_malformed() -> None:
    """A sentence that is no text is no reply."""
    body = msgspec.msgpack.encode({"type": "failure", "code": "busy", "what": "##"}).replace(b"##", b"\xff\xfe")

    with pytest.raises(framing.ProtocolError):
        framing.unpack_reply([requests.GREETING, body])


def test_a_name_that_is_not_utf8_can_be_part_of_any_sentence() -> None:
    """A file's name ends up in reasons and hints: it is escaped there, and the daemon goes on; paths stay as they are."""
    name, path = "caf\udce9.jpg", b"/caf\xe9.jpg"
    roots = (replies.Root(path=path, state=replies.RootState.PAUSED, reason=f"cannot see {name}", hint="é"),)
    sent = replies.Report(
        id=7, roots=roots, counters={name: 1}, failures=(replies.Failed(path, name, 1 << 40),), rate=0.5
    )
    got = framing.unpack_reply(framing.pack(sent))
    assert isinstance(got, replies.Report)

    assert got.roots == (replies.Root(path, replies.RootState.PAUSED, "cannot see caf\\udce9.jpg", "é"),)
    assert got.counters == {"caf\\udce9.jpg": 1}
    assert got.failures == (replies.Failed(path, "caf\\udce9.jpg", 1 << 40),)
    assert (got.id, got.rate) == (7, 0.5)


def test_unknown_keys_are_ignored_and_absent_keys_have_their_default() -> None:
    """An older side understands a newer one."""
    body = msgspec.msgpack.encode({"type": "sync", "novelty": [1, {"deep": b"\xff"}]})

    assert framing.unpack_request([requests.GREETING, body]) == (requests.Sync(), [])


def test_an_older_client_takes_nothing_unproven_for_there() -> None:
    """It does not know the key that says why."""

    class OlderHolding(msgspec.Struct):
        path: bytes
        has: replies.Has

    class OlderHoldings(msgspec.Struct, tag_field="type", tag="holdings"):
        holdings: tuple[OlderHolding, ...]

    held = tuple(replies.Holding(b"/a", replies.Has.NEW, 1.0, (b"/b",), known=known) for known in replies.Unproven)
    body = framing.pack(replies.Holdings(holdings=held))[1]

    assert [one.has for one in msgspec.msgpack.decode(body, type=OlderHoldings).holdings] == [replies.Has.NEW] * 4


def test_largest_group_fits() -> None:
    """10,000 photos with the longest paths pass."""
    photo = replies.Photo(b"/" + b"x" * 4095, bytes(16), 1 << 16, 1 << 16, 1 << 40, offline=True)
    group = replies.Group(replies.Band.SIMILAR, 0.8, (photo,) * 11_000)
    reply = replies.Groups(search=1, groups=(group,))

    assert framing.unpack_reply(framing.pack(reply)) == reply


def test_largest_honest_reply_fits() -> None:
    """10,000 matches with the longest paths pass."""
    picture = pictures.Picture(bytes(16), 1 << 16, 1 << 16, 0xFFFFFF, 1 << 40)
    match = replies.Match(path=b"/" + b"x" * 4095, score=1, distance=0, copies=(b"/c",), picture=picture)
    reply = replies.Matches(matches=(match,) * 10_000)

    assert framing.unpack_reply(framing.pack(reply)) == reply
