"""What the socket does with clients that are wrong, slow, late or many. Asked without our own client."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from tests.e2e.conftest import Home, children, new_home
from tests.fuzz.mutation import generator, make_odd, mutated
from tests.processes import anonymous_mb
from tests.waiting import wait_for
from zmq.utils.monitor import recv_monitor_message

from pixkin.protocol.requests import now_ms

pytestmark = [pytest.mark.e2e]

_FUZZ = int(os.environ.get("PIXKIN_MESSAGES", "2000"))  # 1,000,000 before a release
_AT_ONCE = 50  # messages before their replies are read: the daemon keeps 100 for a client

_MORE_MB = 60  # of the daemon after many messages

_pack = msgspec.msgpack.encode


class _Peer:
    """A client in a few lines."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", home: Home) -> None:
        self.dealer = context.socket(zmq.DEALER)
        self.dealer.linger, self.dealer.rcvtimeo = 0, 60_000
        self.monitor = self.dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.dealer.connect(f"ipc://{home.socket}")

    def send(self, body: object, *images: bytes) -> None:
        self.dealer.send_multipart([b"pixkin/1", _pack(body), *images])

    def receive(self) -> dict[str, Any]:
        greeting, body = self.dealer.recv_multipart()
        assert greeting == b"pixkin/1"
        reply: dict[str, Any] = msgspec.msgpack.decode(body)
        return reply

    def ask(self, body: object, *images: bytes) -> dict[str, Any]:
        self.send(body, *images)
        return self.receive()


@contextmanager
def _peers(home: Home, count: int) -> Iterator[list[_Peer]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield [_Peer(context, home) for _ in range(count)]
    finally:
        context.destroy(linger=0)


def _like(path: "str | os.PathLike[str]", **keys: object) -> dict[str, object]:
    return {"type": "like", "images": [{"path": os.fsencode(path)}], **keys}


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with three indexed photos; images of up to 1 MiB may be sent, and the worker never stays."""
    with new_home() as home:
        home.configure(limits={"query_mb": 1}, encoder={"keep_warm_s": 0.3})
        home.index(*photos[:3])
        yield home


@pytest.fixture
def indexed(library: Home, photos: list[Path]) -> Path:
    """Return an indexed photo."""
    return library.photos / photos[0].name


@contextmanager
def _stopped_worker(home: Home, peer: _Peer, body: object, *images: bytes) -> Iterator[None]:
    """Ask what starts the worker, and yield while that stands still."""
    daemon = home.daemons[-1].process.pid
    wait_for(lambda: not children(daemon))
    peer.send(body, *images)
    wait_for(lambda: bool(children(daemon)))
    worker = children(daemon)[0]
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


# Wrong


def _hopeless(chance: random.Random) -> list[bytes]:
    """Return frames that are no request and show no id."""
    pick, noise, greeting = chance.choice, chance.randbytes, b"pixkin/1"
    return pick(
        [
            [noise(chance.randrange(20))],
            [b"", noise(20)],
            [greeting],
            [greeting, noise(chance.randrange(200))],
            [greeting, _pack(_like("/a.jpg", id=7))[: chance.randrange(1, 30)]],
            [greeting, b"\x91" * chance.randrange(100, 100_000) + b"\xc0"],  # arrays in arrays
            [greeting, b"\xc1" * chance.randrange(1, 9)],  # a byte that MessagePack never uses
            [greeting, _pack({"type": "hello", "id": pick([-1, 1 << 63, "7", 7.5, None])})],
            [greeting, _pack(pick([None, 7, "hello", [], {}, {"id": "x"}]))],
            [greeting, b"\x81\xa4type\xa4" + bytes([chance.randrange(0x80, 0xC0)] * 4)],  # no UTF-8
        ]
    )


def _named(chance: random.Random) -> list[bytes]:
    """Return frames that are no request but show the id 7."""
    pick, frames = chance.choice, [b"pixkin/1"]
    nan, inf = float("nan"), float("inf")
    body: dict[str, object] = pick(
        [
            {"type": "hello"},  # wrong only with frames behind it
            {"type": "hello", "pad": bytes((1 << 20) + chance.randrange(100))},
            {"type": pick(["", "LIKE", "welcome", "drop"])},
            {"type": "like", "images": pick([[], [{}], [{"path": "/a"}], [{"path": b"/a"}] * 9, 1])},
            {"type": "like", "images": [{"frame": pick([1, 2, 3, 9, 10])}]},
            _like(pick(["a.jpg", "./a", "/a\0b", "/" * 5000])),
            _like("/a", limit=pick([0, -1, 10_001, 1 << 60, 2.5, "3", None])),
            _like("/a", min_score=pick([-2, 1.1, float("inf"), "0"])),
            _like("/a", max_distance=pick([-0.1, "far", []])),
            _like("/a", **{pick(["fold", "itself"]): pick([0, 1, "no"])}),
            _like("/a", images=[{"path": b"/a", "weight": pick([0, -1, 1e300, -1e300, nan, inf, "1"])}]),
            _like(
                "/a",
                images=[{"path": b"/a", "region": pick([[], {"x": 0}, _region(nan), _region(-1e300), _region(0.6)])}],
            ),
            _like(
                "/a", images=[{"path": b"/a", "region": _region(0, **{pick(["width", "height"]): pick([0, -1, nan])})}]
            ),
            _like("/a", images=[{"path": b"/a"}] * 2, rotate=True),
            _like("/a", **{pick(["not_under", "camera"]): pick([b"/a", [b"a"], [b""], [b"/a"] * 33, "x" * 101, 1])}),
            {"type": "sync", "path": pick([b"a", "a", 1, [b"/"]])},
            {"type": "like", "images": [{"content": pick([bytes(15), bytes(17), "x" * 16, bytes(16)]), "path": b"/a"}]},
            {"type": "describe", "contents": pick([[], [b""], [bytes(15)], [bytes(16)] * 501, bytes(16), [1]])},
            {"type": "browse", pick(["after", "under", "limit"]): pick([bytes(16), b"photos", -1, "", 10_001])},
            {"type": "watch", "images": pick([[], [{"path": b"a"}], [{"path": b"/a", "weight": -1}], 1])},
            {
                "type": "watch",
                "images": [{"path": b"/a"}],
                pick(["min_score", "min_band", "name"]): pick([2, nan, [], "x" * 101]),
            },
            {"type": pick(["unwatch", "arrivals"]), "watch": pick([-1, "1", 1 << 63, nan]), "after": 0},
            {"type": pick(["arrivals", "changes"]), "after": pick([-1, "1", 1 << 63, nan, None])},
            {"type": pick(["folders", "timeline"]), "parent": 1, "under": pick(["/a", b"a", b"/\0", 1])},
            {"type": "thumbnail", "image": {"path": b"/a", "weight": 2.0}},
            {"type": "thumbnail", "image": pick([[], {}, {"frame": 2}, {"content": bytes(15)}, {"path": b"a"}])},
            {"type": "thumbnail", "image": {"path": b"/a"}, "size": pick(["XL", "", 1, None])},
        ]
    )
    frames.append(_pack({**body, "id": 7}))
    return frames + [b"x"] * chance.randrange(1, 30) if body == {"type": "hello"} else frames


def _region(x: float, **keys: object) -> dict[str, object]:
    return {"x": x, "y": 0, "width": 0.5, "height": 0.5, **keys}


_OTHER_VERSIONS = [
    b"pixkin/",
    b"pixkin/0",
    b"pixkin/2",
    b"pixkin/1 ",
    b"pixkin/01",
    b"pixkin/\xff",
    b"pixkin/" + b"9" * 99,
]


def test_every_malformed_message_is_answered(library: Home, indexed: Path) -> None:
    """Whatever frames come, one failure goes back, with the id if it could be read, and the next query is served."""
    chance = generator("malformed")
    wrong: list[tuple[object, dict[str, Any]]] = []
    with _peers(library, 1) as [peer]:
        for number in range(_FUZZ):
            is_named = number % 2 == 0
            frames = (_named if is_named else _hopeless)(chance)
            peer.dealer.send_multipart(frames)
            reply = peer.receive()
            if (reply["type"], reply["code"], reply.get("id", 0)) != ("failure", "malformed", 7 if is_named else 0):
                wrong.append(([frame[:100] for frame in frames], reply))
        last = peer.ask(_like(indexed, id=8))

    assert wrong == []
    assert (last["type"], last["id"], len(last["matches"])) == ("matches", 8, 2)


def test_damaged_requests_are_answered(library: Home, indexed: Path) -> None:
    """A request with a few bytes changed may still be one; there is a reply of some kind to each."""
    chance = generator("damaged")
    kinds = set()
    with _peers(library, 1) as [peer]:
        for _ in range(_FUZZ // 4):
            body = bytearray(_pack(_like(indexed, id=7, limit=3, min_score=0.5, fold=True)))
            for _ in range(chance.randrange(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            peer.dealer.send_multipart([b"pixkin/1", bytes(body)])
            kinds.add(peer.receive()["type"])

    assert kinds == {"failure", "matches"}


def _requests(indexed: Path) -> list[dict[str, Any]]:
    """Return a request of each kind, with nearly every key. None may hide a photo, whatever is changed in it."""
    path, folder = os.fsencode(indexed), os.fsencode(indexed.parent)
    # Not there, so that the worker is seldom needed.
    image = {"path": b"/a", "weight": 2.0, "region": {"x": 0, "y": 0, "width": 0.5, "height": 0.5, "pixels": False}}
    like = {"limit": 5, "min_score": 0.1, "max_distance": 9.0, "related": True, "min_band": "alike", "under": folder}
    dates = {"not_under": [b"/a"], "camera": "x", "taken_since_s": 1, "taken_before_s": 1 << 40, "online": True}
    return [
        {"type": "hello"},
        {"type": "like", "images": [image, {"path": path}], **like, "fold": False},
        {"type": "like", "images": [{"path": path}], **dates, "rotate": False, "itself": True},
        {"type": "status", "failed": True, "formats": True},
        {"type": "sync", "path": path},
        {"type": "pause", "root": folder, "for_s": 0},
        {"type": "pause", "for_s": 1},
        {"type": "resume", "root": folder},
        {"type": "boost", "for_s": 1},
        {"type": "have", "images": [{"path": b"/a"}], "within": [folder]},
        {"type": "list_spaces"},
        {"type": "use_space", "name": "x"},
        {"type": "drop_space", "name": "x"},
        {"type": "like", "images": [{"content": bytes(16), "weight": 2.0}, {"path": path}], "pictures": True},
        {"type": "describe", "contents": [bytes(16), b"x" * 16]},
        {"type": "browse", "under": folder, "taken_since_s": 1, "taken_before_s": 9, "after": bytes(24), "limit": 3},
        {"type": "browse", "after": b"\x7f" + b"\xff" * 23},
        {"type": "folders", "parent": folder},
        {"type": "timeline", "under": folder},
        {"type": "watch", "images": [{"path": path}], "name": "x", "min_score": 0.9},
        {"type": "watch", "images": [{"content": bytes(16)}], "min_band": "same shot"},
        {"type": "unwatch", "watch": 1},
        {"type": "list_watches"},
        {"type": "arrivals", "watch": 0, "after": 1, "peek": False, "wait": False},
        {"type": "changes", "after": 0},
        {"type": "thumbnail", "image": {"path": path}, "size": "X"},
        {"type": "thumbnail", "image": {"content": bytes(16)}},
        {"type": "dupes", "folder": folder, "min_score": 0.9, "search": 1},
        {"type": "apart", "one": path, "other": path, "together": True},
    ]


def _mutated(chance: random.Random, requests: list[dict[str, Any]]) -> list[bytes]:
    """Return the frames of a request in which something was changed."""
    request = msgspec.msgpack.decode(_pack(chance.choice(requests)))
    request |= {"id": chance.randrange(1 << 20), "until_ms": now_ms() + 2000}
    body = _pack(request)
    try:
        if chance.random() < 0.5:
            make_odd(request, chance)
            body = _pack(request)
        else:
            body = mutated(body, chance, [_pack(one) for one in requests])
    except (UnicodeEncodeError, OverflowError):  # MessagePack has no such value
        body = b"\xc6\xff\xff\xff\xff" + body
    frames = [b"pixkin/1", body]
    if chance.random() < 0.03:
        frames += [chance.randbytes(9)] * chance.choice((1, 2, 9, 300))
    return frames


def test_mutated_requests_of_every_kind_end_nothing(library: Home, indexed: Path) -> None:
    """No reply speaks of a bug, the connection lives on, and so does the daemon; its memory is what it was."""
    chance, requests = generator("mutated"), _requests(indexed)
    daemon = library.daemons[-1].process
    bugs: list[str] = []
    with _peers(library, 1) as [peer]:
        before_mb = anonymous_mb(daemon.pid)
        for start in range(0, _FUZZ // 2, _AT_ONCE):
            for _ in range(_AT_ONCE):
                peer.dealer.send_multipart(_mutated(chance, requests))
            peer.send({"type": "hello", "id": (1 << 30) + start})
            while (reply := peer.receive()).get("id") != (1 << 30) + start:
                if reply.get("code") == "internal":
                    bugs.append(f"after {start}: {reply}")
        peer.ask({"type": "resume", "id": 1})
        after_mb = anonymous_mb(daemon.pid)
    with _peers(library, 1) as [other]:
        last = other.ask(_like(indexed, id=8))

    assert bugs == []
    assert daemon.poll() is None
    assert after_mb - before_mb < _MORE_MB
    assert (last["type"], last["id"], len(last["matches"])) == ("matches", 8, 2)


@pytest.mark.parametrize("greeting", _OTHER_VERSIONS)
def test_another_version_is_told_so(library: Home, greeting: bytes) -> None:
    """The failure `version` has the id, stands behind our own greeting, and comes whatever the body is."""
    with _peers(library, 1) as [peer]:
        peer.dealer.send_multipart([greeting, _pack({"type": "of the future", "id": 7}), b"more"])
        reply = peer.receive()

    assert (reply["type"], reply["code"], reply["id"]) == ("failure", "version", 7)


def test_an_oversized_frame_closes_only_its_own_connection(library: Home, indexed: Path) -> None:
    """The one request without a reply: the connection ends, and another client on the way does not notice."""
    with _peers(library, 2) as [other, peer]:
        assert other.ask({"type": "hello"})["type"] == "welcome"
        peer.send({"type": "like", "id": 7, "images": [{"frame": 2}]}, bytes(130 << 20))
        assert peer.monitor.poll(20_000)
        event = recv_monitor_message(peer.monitor)

        assert event["event"] == zmq.EVENT_DISCONNECTED
        assert not peer.dealer.poll(0)
        assert other.ask(_like(indexed))["type"] == "matches"
        assert not other.monitor.poll(0)


def test_bytes_that_are_no_image_are_refused(library: Home) -> None:
    """A well-formed request with a bad picture is refused, with its path, and not called malformed."""
    with _peers(library, 1) as [peer]:
        reply = peer.ask({"type": "like", "id": 7, "images": [{"path": b"/some.jpg", "frame": 2}]}, b"no image")

    assert (reply["code"], reply["id"], reply["path"]) == ("refused", 7, b"/some.jpg")


# Late, slow, many


def test_an_expired_request_is_not_worked_on(library: Home, indexed: Path) -> None:
    """A deadline that has passed: `expired`, whatever is asked."""
    requests: list[dict[str, object]] = [_like(indexed), {"type": "hello"}, {"type": "status"}, {"type": "sync"}]
    with _peers(library, 1) as [peer]:
        replies = [peer.ask({**request, "id": 7, "until_ms": 1}) for request in requests]

    assert [(reply["code"], reply["id"]) for reply in replies] == [("expired", 7)] * 4


def test_a_slow_query_blocks_nobody(library: Home, indexed: Path, photos: list[Path]) -> None:
    """While one client's query waits for the worker, which stands still, others are served."""
    requests = ({"type": "hello"}, {"type": "status"}, _like(indexed))
    with _peers(library, 2) as [slow, quick]:
        with _stopped_worker(library, slow, _like(photos[-1], id=1)):
            kinds = [quick.ask(request)["type"] for request in requests * 10]
            was_answered = slow.dealer.poll(0)
        reply = slow.receive()

    assert kinds == ["welcome", "report", "matches"] * 10
    assert not was_answered
    assert (reply["type"], reply["id"], len(reply["matches"])) == ("matches", 1, 3)


def test_many_clients_at_once_all_get_their_answer(library: Home, indexed: Path, photos: list[Path]) -> None:
    """64 clients, half of them with a photo that must be encoded first: each gets the matches of its own question."""
    with _peers(library, 64) as peers:
        for number, peer in enumerate(peers):
            peer.send(_like(photos[3 + number % 8] if number % 2 else indexed, id=number + 1))
        replies = [peer.receive() for peer in peers]

    assert [reply["id"] for reply in replies] == list(range(1, 65))
    assert [len(reply.get("matches", ())) for reply in replies] == [2, 3] * 32


def test_only_a_few_images_are_held_at_once(library: Home, photos: list[Path]) -> None:
    """Of ten clients that send bytes while the worker is cold, four are served and six are told to ask again."""
    request, image = {"type": "like", "images": [{"frame": 2}]}, photos[3].read_bytes()
    with _peers(library, 10) as peers:
        with _stopped_worker(library, peers[0], request, image):
            for peer in peers[1:]:
                peer.send(request, image)
            wait_for(lambda: sum(bool(peer.dealer.poll(0)) for peer in peers) >= 6)
        replies = [peer.receive() for peer in peers]

    assert sorted(reply.get("code", reply["type"]) for reply in replies) == ["busy"] * 6 + ["matches"] * 4


def test_an_image_over_the_configured_limit_is_refused_in_a_sentence(library: Home) -> None:
    """What the protocol allows and the configuration does not gets an answer that names the key."""
    done = library.pixkin("like", "-", stdin=bytes(3 << 20))

    assert done.returncode == 70
    assert b"limits.query_mb" in done.stderr
