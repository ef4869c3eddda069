"""The client against a daemon that behaves, one that does not, and none."""

import itertools
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zmq

from pixkin import Client
from pixkin.errors import DaemonAbsent, DaemonBusy, InputUnreadable, PixkinError, Refused, UsageError, VersionsDiffer
from pixkin.protocol import framing, replies, requests

Serve = Callable[..., str]
FOUND = replies.Match(path=b"/p/b.jpg", score=0.5, distance=12.0)


def welcome(frames: list[bytes]) -> list[list[bytes]]:
    """Answer as a daemon that is well does a `hello`."""
    return [framing.pack(replies.Welcome(id=framing.unpack_request(frames)[0].id, version="9", pid=1))]


def record(
    log: list[tuple[requests.Request, list[bytes]]], *answers: replies.Reply
) -> Callable[[list[bytes]], list[list[bytes]]]:
    """Return what logs each request and answers with the next reply, the last one again and again."""
    queue = itertools.chain(answers, itertools.repeat(answers[-1]))

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        log.append(framing.unpack_request(frames))
        return [framing.pack(msgspec.structs.replace(next(queue), id=log[-1][0].id))]

    return answer


def test_no_socket_means_no_daemon_at_once(folder: str) -> None:
    """Without a daemon the client says so, after milliseconds of work and without waiting, and how to start one."""
    before = time.process_time()
    with pytest.raises(DaemonAbsent, match="no daemon listens") as caught:
        Client(f"{folder}/none.sock", reply_s=600).hello()  # whoever waited so long would meet the test's own limit

    assert time.process_time() - before < 0.1
    assert "systemctl --user start pixkind" in caught.value.hint
    assert "pixkind FOLDER" in caught.value.hint


def test_socket_that_outlived_its_daemon_means_no_daemon(folder: str) -> None:
    """A stale socket file is told from a daemon."""
    path = f"{folder}/stale.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)

    with pytest.raises(DaemonAbsent):
        Client(path).hello()


def test_socket_of_another_kind_is_no_daemon(folder: str) -> None:
    """Whatever else keeps the client from connecting is said in the kernel's words."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(f"{folder}/datagrams.sock")

        with pytest.raises(DaemonAbsent, match="Protocol wrong type"):
            Client(f"{folder}/datagrams.sock").hello()


@pytest.mark.parametrize("path", ["", "/tmp/" + "x" * 103, "/tmp/a\0b"])
def test_path_that_no_socket_can_have_is_a_usage_error(path: str) -> None:
    """107 bytes are the most that AF_UNIX takes; more is said in a sentence."""
    with pytest.raises(UsageError, match="1 to 107 bytes"):
        Client(path).hello()


def test_longest_path_works(serve: Serve, folder: str) -> None:
    """A socket path of 107 bytes is served."""
    path = serve(welcome)
    longest = f"{folder}/".ljust(107, "x")
    os.rename(path, longest)

    assert Client(longest).hello().version == "9"


def test_socket_path_need_not_be_utf8(serve: Serve, folder: str) -> None:
    """A folder with a name in Latin-1 can hold the socket."""
    odd = os.fsdecode(os.fsencode(folder) + b"/caf\xe9.sock")
    os.rename(serve(welcome), odd)

    assert Client(odd).hello().pid == 1


def test_silent_daemon_is_busy_after_the_deadline(serve: Serve) -> None:
    """A daemon that takes the request and says nothing costs `reply_s`, not for ever."""
    began = time.monotonic()
    with pytest.raises(DaemonBusy, match="in time"):
        Client(serve(lambda _: []), reply_s=0.2).hello()

    assert time.monotonic() - began >= 0.2


def test_stopped_daemon_is_busy_after_the_deadline(folder: str) -> None:
    """A process that is stopped, or is no daemon at all, holds up nobody: its socket connects and never shakes hands."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/deaf.sock")
        listener.listen()

        with pytest.raises(DaemonBusy, match="in time"):
            Client(f"{folder}/deaf.sock", reply_s=0.2).hello()


def test_daemon_with_a_full_queue_is_not_taken_for_absent(folder: str) -> None:
    """A listener whose backlog is full is there."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(f"{folder}/full.sock")
        listener.listen(0)
        other.connect(f"{folder}/full.sock")

        with pytest.raises(DaemonBusy):
            Client(f"{folder}/full.sock", reply_s=0.1).hello()


def test_garbage_instead_of_a_handshake_is_noticed(folder: str) -> None:
    """Whatever talks another language on the socket ends the question at once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/http.sock")
        listener.listen()

        def talk() -> None:
            listener.accept()[0].close()  # the probe
            peer = listener.accept()[0]
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nX: " + b"x" * 100 + b"\r\n\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(DaemonBusy):
            Client(f"{folder}/http.sock", reply_s=600).hello()
        thread.join()


def test_another_user_who_comes_after_the_probe_gets_no_request(
    folder: str, stranger: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that carries the request is checked itself: only the greeting of ZeroMQ has passed it."""
    monkeypatch.setattr("pixkin.asking.check_listening", lambda _: None)
    with pytest.raises(DaemonAbsent, match=r"another user \(number 12345\) listens on"):
        Client(f"{folder}/pixkin/d.sock", reply_s=60).hello()
    with socket.socket(socket.AF_UNIX) as last:  # maybe ZeroMQ was closed before it said anything
        last.connect(f"{folder}/pixkin/d.sock")
        last.send(b"the end")

    assert stranger.stdout is not None
    assert "pixkin" not in stranger.stdout.readline()


def test_death_in_the_middle_of_a_request_is_noticed(serve: Serve) -> None:
    """A daemon that dies with the request in hand is absent at once, not after the deadline."""
    with pytest.raises(DaemonAbsent):
        Client(serve(lambda _: [], requests=1), reply_s=600).sync()


def test_last_words_are_heard(serve: Serve) -> None:
    """A reply that comes right before the end of the connection is not lost."""
    for _ in range(20):
        assert Client(serve(welcome, requests=1, linger_ms=1000), reply_s=600).hello().pid == 1


def test_replies_to_others_are_discarded(serve: Serve) -> None:
    """A late reply with another id is not taken for the answer."""

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        right = framing.unpack_request(frames)[0].id
        return [
            framing.pack(replies.Welcome(id=number, version=str(number == right), pid=1)) for number in (0, 999, right)
        ]

    assert Client(serve(answer)).hello().version == "True"


def test_answers_to_nobody_do_not_extend_the_deadline(serve: Serve) -> None:
    """The deadline is for the whole question, however many replies to others arrive."""
    strange = framing.pack(replies.Welcome(id=999, version="", pid=1))

    with pytest.raises(DaemonBusy):
        Client(serve(lambda _: [strange] * 100), reply_s=0.2).hello()


def test_failure_without_id_answers_the_question(serve: Serve) -> None:
    """A daemon that could not read the request cannot know its id."""
    failure = framing.pack(replies.Failure(code=replies.Code.MALFORMED, what="no"))

    with pytest.raises(Refused, match="no"):
        Client(serve(lambda _: [failure])).hello()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (framing.pack(replies.Failure(code=replies.Code.MALFORMED, what="Invalid value 'pause'")), Refused),
        ([b"pixkin/2", b"\x80"], VersionsDiffer),
        ([b"pixkin/1", b"\xc1"], Refused),
        ([b"HTTP/1.1 200 OK"], Refused),
        (framing.pack(replies.Failure(code=replies.Code.VERSION, what="no")), VersionsDiffer),
    ],
)
def test_reply_that_makes_no_sense_is_an_error_with_a_sentence(
    serve: Serve, reply: list[bytes], error: type[PixkinError]
) -> None:
    """Another version and garbage are told apart, and neither is a traceback."""
    with pytest.raises(error):
        Client(serve(lambda _: [reply])).hello()


def test_reply_of_another_kind_is_refused(serve: Serve) -> None:
    """A `welcome` is no answer to a `status`."""
    with pytest.raises(Refused, match="Welcome instead of Report"):
        Client(serve(welcome)).status()


def test_request_carries_its_deadline(serve: Serve) -> None:
    """The daemon is told when the client stops waiting, and that `sync` waits for ever."""
    log: list[tuple[requests.Request, list[bytes]]] = []
    client = Client(serve(record(log, replies.Report(), replies.Synced(), replies.Synced())), reply_s=300)
    client.status()
    client.sync()
    client.sync("/p", timeout_s=900)
    now = requests.now_ms()
    left = [request.until_ms - now for request, _ in log]

    assert 200_000 < left[0] <= 300_000
    assert log[1][0].until_ms == 0
    assert 800_000 < left[2] <= 900_000
    assert len({request.id for request, _ in log}) == 3


def test_pause_resume_and_sync_say_what_was_asked(serve: Serve) -> None:
    """Roots are absolute, as bytes and without a slash at the end; a pause has a deadline of its own."""
    log: list[tuple[requests.Request, list[bytes]]] = []
    paused = replies.Roots(roots=(replies.Root(path=b"/p", state=replies.RootState.PAUSED),))
    client = Client(serve(record(log, *[paused] * 6, replies.Synced())), reply_s=600)
    answers = [client.pause(), client.pause(Path("x"), timeout_s=60), client.pause(for_s=60)]
    answers += [client.boost(60), client.resume(), client.resume("/p/")]
    client.sync("/p/", accept_drive=True, accept_empty=True)
    now = requests.now_ms()
    asked = [msgspec.structs.replace(request, id=0, until_ms=0) for request, _ in log]
    left = [request.until_ms - now for request, _ in log[:2]]

    assert answers == [msgspec.structs.replace(paused, id=request.id) for request, _ in log[:6]]
    assert asked == [
        requests.Pause(),
        requests.Pause(root=os.fsencode(os.getcwd()) + b"/x"),
        requests.Pause(for_s=60),
        requests.Boost(for_s=60),
        requests.Resume(),
        requests.Resume(root=b"/p"),
        requests.Sync(path=b"/p", accept_drive=True, accept_empty=True),
    ]
    assert 0 < left[0] <= 10_000
    assert 30_000 < left[1] <= 60_000


def test_what_an_older_daemon_takes_for_malformed_names_the_way_out(serve: Serve) -> None:
    """The client checks what it sends, so that only another release of the daemon can say so."""
    malformed = replies.Failure(code=replies.Code.MALFORMED, what="Invalid value 'pause'")
    with pytest.raises(Refused, match="Invalid value 'pause'") as caught:
        Client(serve(record([], malformed))).pause()

    assert "restart" in caught.value.hint


def test_like_says_what_was_asked(serve: Serve) -> None:
    """Every argument arrives, paths absolute and as bytes."""
    log: list[tuple[requests.Request, list[bytes]]] = []
    client = Client(serve(record(log, replies.Matches(matches=(FOUND,)))))
    latin = os.fsdecode(b"/p/caf\xe9.jpg")
    reply = client.like(
        latin,
        Path("b.jpg"),
        b"bytes",
        n=3,
        min_score=-0.5,
        max_distance=20,
        under=["../x", Path("/y")],
        itself=True,
        fold=False,
    )
    request, frames = log[0]
    assert isinstance(request, requests.Like)

    assert reply.matches == (FOUND,)
    here = os.fsencode(os.getcwd())
    assert [image.path for image in request.images] == [b"/p/caf\xe9.jpg", here + b"/b.jpg", b""]
    assert [image.frame for image in request.images] == [0, 0, 2]
    assert frames == [b"bytes"]
    assert (request.limit, request.min_score, request.max_distance) == (3, -0.5, 20)
    assert (request.under, request.also_under) == (os.path.dirname(here) + b"/x", (b"/y",))
    assert (request.itself, request.fold) == (True, False)


def test_like_says_how_images_count(serve: Serve, tmp_path: Path) -> None:
    """Weights, regions and what is not wanted arrive, also when the bytes must follow."""
    (tmp_path / "a.jpg").write_bytes(b"a")
    path = os.fsencode(tmp_path / "a.jpg")
    log: list[tuple[requests.Request, list[bytes]]] = []
    unreadable = replies.Failure(code=replies.Code.UNREADABLE, what="cannot open", path=path)
    client = Client(serve(record(log, unreadable, replies.Matches(), replies.Matches())))
    region = requests.Region(0, 0, 0.5, 0.5)
    client.like((0.5, tmp_path / "a.jpg"), minus=["/b.jpg", (3, b"bytes")], region=region, not_under=["/q"], camera="X")
    client.like(b"bytes", rotate=True)
    _, weighed, turned = (request for request, _ in log)
    assert isinstance(weighed, requests.Like)
    assert isinstance(turned, requests.Like)

    assert weighed.images == (
        requests.Image(path, 3, 0.5, region),
        requests.Image(b"/b.jpg", weight=-1),
        requests.Image(frame=2, weight=-3),
    )
    assert (weighed.not_under, weighed.camera, weighed.rotate, turned.rotate) == ((b"/q",), "X", False, True)
    assert [frames for _, frames in log] == [[b"bytes"], [b"bytes", b"a"], [b"bytes"]]


def test_bytes_follow_a_path_that_the_daemon_cannot_open(serve: Serve, tmp_path: Path) -> None:
    """Only the image that the daemon names is read, and it keeps its path."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    log: list[tuple[requests.Request, list[bytes]]] = []
    blamed = os.fsencode(tmp_path / "b.jpg")
    unreadable = replies.Failure(code=replies.Code.UNREADABLE, what="cannot open", path=blamed)
    client = Client(serve(record(log, unreadable, replies.Matches())))
    client.like(b"first", tmp_path / "a.jpg", tmp_path / "b.jpg")
    first, second = (request for request, _ in log)
    assert isinstance(first, requests.Like)
    assert isinstance(second, requests.Like)

    assert [image.frame for image in first.images] == [2, 0, 0]
    assert [image.frame for image in second.images] == [2, 0, 3]
    assert second.images[2].path == blamed
    assert log[1][1] == [b"first", b"b.jpg"]
    assert first.until_ms == second.until_ms


def test_bytes_are_sent_once(serve: Serve, tmp_path: Path) -> None:
    """A daemon that cannot read the bytes either gets no third request."""
    (tmp_path / "a.jpg").write_bytes(b"a")
    log: list[tuple[requests.Request, list[bytes]]] = []
    client = Client(serve(record(log, replies.Failure(code=replies.Code.UNREADABLE, what="cannot open"))))
    with pytest.raises(InputUnreadable, match="cannot open"):
        client.like(tmp_path / "a.jpg")

    assert len(log) == 2


def test_have_sends_the_bytes_of_what_the_daemon_cannot_open(serve: Serve, tmp_path: Path) -> None:
    """Each for itself, once; what cannot be read here either, or is refused, fails in its place."""
    names = ("a.jpg", "b.jpg", "missing.jpg", "c.jpg")
    a, b, missing, c = (os.fsencode(tmp_path / name) for name in names)
    for path in (a, b, c):
        Path(os.fsdecode(path)).write_bytes(os.path.basename(path))
    log: list[tuple[requests.Request, list[bytes]]] = []
    first = replies.Holdings(
        holdings=(
            replies.Holding(a, replies.Has.NEW),
            *(replies.Holding(one, replies.Has.UNREADABLE) for one in (b, missing, c)),
        ),
        doubt=replies.Doubt(pending=1),
    )
    there = replies.Holdings(holdings=(replies.Holding(b, replies.Has.THERE, 1.0, (b"/p/b.jpg",)),))
    refused = replies.Failure(code=replies.Code.REFUSED, what="over the limit")
    reply = Client(serve(record(log, first, there, refused))).have(*(tmp_path / name for name in names))

    assert reply.doubt == first.doubt
    assert reply.holdings == (
        first.holdings[0],
        there.holdings[0],
        replies.Holding(missing, replies.Has.FAILED, reason="no such file or directory"),
        replies.Holding(c, replies.Has.FAILED, reason="over the limit"),
    )
    assert [frames for _, frames in log] == [[], [b"b.jpg"], [b"c.jpg"]]
    assert [request.images for request, _ in log[1:] if isinstance(request, requests.Have)] == [
        (requests.Image(path=b, frame=2),),
        (requests.Image(path=c, frame=2),),
    ]


def test_have_refuses_a_reply_about_other_images(serve: Serve, tmp_path: Path) -> None:
    """A card must not be erased because an answer was shifted."""
    client = Client(serve(record([], replies.Holdings(holdings=(replies.Holding(b"/a", replies.Has.THERE),) * 3))))

    with pytest.raises(Refused, match="3 images instead of 2"):
        client.have(tmp_path / "a.jpg", tmp_path / "b.jpg")


def test_photo_on_an_unplugged_drive_can_be_asked_about(serve: Serve) -> None:
    """A path that does not exist here is the daemon's to know."""
    assert Client(serve(record([], replies.Matches(matches=(FOUND,))))).like("/mnt/gone/a.jpg").matches == (FOUND,)


def sparse(path: Path) -> None:
    """Make a file one byte too large, which takes no space."""
    with path.open("wb") as file:
        file.truncate(requests.MAX_IMAGES + 1)


UNUSABLE: list[tuple[Callable[[Path], object], str]] = [
    (lambda _: None, "no such file"),
    (lambda path: path.mkdir(), "is a directory"),
    (os.mkfifo, "not a regular file"),
    (lambda path: path.write_bytes(b""), "empty"),
    (sparse, "at most 128 MiB"),
]


@pytest.mark.parametrize(("make", "words"), UNUSABLE, ids=["missing", "folder", "fifo", "empty", "too large"])
def test_path_that_nobody_can_read_is_an_error_with_its_name(
    serve: Serve, tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    """When neither the daemon nor the client can read it, the sentence says which and why."""
    path = tmp_path / "a.jpg"
    make(path)
    client = Client(serve(record([], replies.Failure(code=replies.Code.UNREADABLE, what="cannot open"))))

    with pytest.raises(InputUnreadable, match=rf"a\.jpg: .*{words}"):
        client.like(path)


def test_pipe_of_our_own_is_read_here(serve: Serve) -> None:
    """`/dev/fd/N` means another file in the daemon's process, so its bytes are sent."""
    log: list[tuple[requests.Request, list[bytes]]] = []
    client = Client(serve(record(log, replies.Matches())))
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    client.like(f"/dev/fd/{reader}")
    os.close(reader)

    assert log[0][1] == [b"from a pipe"]


def test_images_over_the_limit_are_not_sent(serve: Serve) -> None:
    """128 MiB together are allowed, one byte more is told before anything is sent."""
    log: list[tuple[requests.Request, list[bytes]]] = []
    client = Client(serve(record(log, replies.Matches())))
    half = bytes(requests.MAX_IMAGES // 2)
    with pytest.raises(InputUnreadable, match="128 MiB"):
        client.like(half, half, b"x")
    client.like(half, half)

    assert [len(frames) for _, frames in log] == [2]


def test_image_without_bytes_is_told_without_asking(serve: Serve) -> None:
    """Nothing looks like nothing."""
    with pytest.raises(InputUnreadable, match="no bytes"):
        Client(serve(welcome)).like(b"")


def test_frame_that_the_daemon_will_not_take_ends_the_question(serve: Serve) -> None:
    """The one request without a reply, a frame over the daemon's limit, is noticed by its closed connection."""
    with pytest.raises(DaemonBusy, match="closed the connection"):
        Client(serve(welcome, maxmsgsize=1000), reply_s=600).like(bytes(100_000))


@pytest.mark.parametrize("path", ["", "/a\0b", "/" + "x" * 5000])
def test_what_is_no_path_is_unreadable_input(serve: Serve, path: str) -> None:
    """A name that no file can have is told without asking."""
    with pytest.raises(InputUnreadable):
        Client(serve(welcome)).like(path)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.like(),
        lambda client: client.like(*["/a"] * 9),
        lambda client: client.like("/a", n=0),
        lambda client: client.like("/a", n=10_001),
        lambda client: client.like("/a", min_score=1.5),
        lambda client: client.like("/a", minus=["/b"] * 8),
        lambda client: client.like((-1, "/a")),
        lambda client: client.like("/a", minus=[(0, "/b")]),
        lambda client: client.like((float("nan"), "/a")),
        lambda client: client.like("/a", "/b", rotate=True),
        lambda client: client.like("/a", "/b", region=requests.Region(0, 0, 1, 1)),
        lambda client: client.like("/a", region=requests.Region(0, 0, 1, 0)),
        lambda client: client.like("/a", max_distance=float("nan")),
        lambda client: client.ask(requests.Sync(path=b"relative")),
        lambda client: client.sync(accept_drive=True),
    ],
)
def test_request_that_breaks_a_rule_is_a_usage_error(serve: Serve, ask: Callable[[Client], object]) -> None:
    """The protocol's rules are checked before anything is sent."""
    with pytest.raises(UsageError, match=r"invalid request|too many images|one image only"):
        ask(Client(serve(welcome)))


def test_ask_returns_the_reply_or_raises(serve: Serve) -> None:
    """`ask` takes any request; a failure is never returned."""
    assert isinstance(Client(serve(welcome)).ask(requests.Hello()), replies.Welcome)
    with pytest.raises(DaemonBusy):
        Client(serve(record([], replies.Failure(code=replies.Code.STOPPING, what="going")))).ask(requests.Hello())


def test_one_client_serves_many_threads(serve: Serve) -> None:
    """Threads may share a client, and none gets the answer of another."""

    def echo(frames: list[bytes]) -> list[list[bytes]]:
        request, images = framing.unpack_request(frames)
        return [
            framing.pack(replies.Matches(id=request.id, matches=(replies.Match(path=images[0], score=1, distance=0),)))
        ]

    client = Client(serve(echo))
    wrong: list[bytes] = []

    def ask(name: bytes) -> None:
        wrong.extend(name for _ in range(20) if client.like(name).matches[0].path != name)

    threads = [threading.Thread(target=ask, args=(b"%d" % i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_client_survives_a_restart_of_the_daemon(folder: str) -> None:
    """Between two questions the daemon may be another one."""
    path = f"{folder}/again.sock"
    client = Client(path, reply_s=600)
    for _ in range(2):
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.bind(f"ipc://{path}")
            thread = threading.Thread(target=client.hello)
            thread.start()
            peer, *frames = router.recv_multipart()
            router.send_multipart([peer, *welcome(frames)[0]])
            thread.join()
        with pytest.raises(DaemonAbsent):
            client.hello()
