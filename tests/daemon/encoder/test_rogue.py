"""A photo has taken the worker over: the daemon lives, believes nothing of it, and indexes all other photos."""

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.conftest import DaemonParts, descriptors, scripted
from tests.daemon.scripted_worker import DIMS, content_of, vector_of
from tests.waiting import wait_for

from pixkind.encoder.belief import NONSENSE
from pixkind.encoder.deadlines import STUCK, Deadlines, EncoderTask, TooSlow
from pixkind.encoder.messages import MOST_TEXT, WAYS, Inspect, Inspected, Size
from pixkind.encoder.process import WorkerProcess
from pixkind.encoder.supervisor import Encoder, WorkerDied
from pixkind.errors import ConfigError, PhotoError
from pixkind.search.duplicates import DuplicateSearch

ROGUE = (sys.executable, str(Path(__file__).with_name("rogue_worker.py")))
# What the worker is taken over to do, as which job, and what then becomes of the photo; empty: it is not blamed.
NONE = [
    *(("inspect", how) for how in ("garbage", "huge", "empty", "deep", "unheard_of", "odd_types", "no_text")),
    *(("encode", how) for how in ("loaded_twice", "loaded_with_no_dimension", "loaded_with_all_dimensions")),
    *(("encode", how) for how in ("loaded_with_two_dimensions", "loaded_without_end", "unusable_after_it_was_loaded")),
    *(("inspect", how) for how in ("loaded_twice", "loaded_without_end", "unusable")),  # nobody asked for the network
    *(("encode", how) for how in ("nan", "infinite", "zero", "short", "odd_length", "eight_for_one")),
    *(("encode", how) for how in ("before_it_was_loaded", "content_for_a_vector", "stranger", "of_the_past")),
    *(("inspect", how) for how in ("vector_for_an_inspection", "content_that_means_unknown", "below_zero")),
    *(("inspect", how) for how in ("strangers_without_end", "stranger")),
    *(("draw", how) for how in ("no_jpeg", "with_exif", "with_comment", "with_long_jfif", "with_second_file")),
    *(("draw", how) for how in ("without_end", "too_wide", "without_shape", "progressive", "parts_without_end")),
    *(("draw", how) for how in ("vector_for_an_inspection", "content_for_a_vector", "colour_that_is_none")),
    *(("encode", how) for how in ("thumbnail_for_a_vector", "thumbnail_that_nobody_wants")),
]
SLOW = [
    ("encode", "silence"),
    *(("inspect", how) for how in ("spin_since_no_time", "spin_since_the_end_of_time", "spin_with_others")),
    ("inspect", "sleep_in_a_thread_that_is_none"),
]
REFUSED = [("inspect", how) for how in ("refused_twice", "long_reason", "with_descriptors", "torn_file")]
MOST_LOG = 1000  # characters of one worker's life


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    """Yield an encoder whose worker is taken over again and again; it must not die."""
    settings = scripted(tmp_path_factory.mktemp("rogue") / "log")
    made = Encoder(settings, keep_warm_s=0.01, slow_cpu_s=0.4, wall_s=0.9, command=ROGUE)
    made.expect(DIMS)
    made.start()
    yield made
    made.stop()
    assert made.failure() is None


def _taken_over(encoder: Encoder, photo: Callable[..., int], kind: str, how: str, **options: Any) -> "Future[Any]":  # noqa: ANN401
    """Let a photo take the worker over, a new one, and alone in it."""
    wait_for(lambda: encoder.pid == 0)
    options |= {"size": Size.S} if kind == "draw" else {}
    future: Future[Any] = getattr(encoder, kind)(photo("bad", f"{kind} take {how}"), alone=True, **options)
    return future


def _is_well(encoder: Encoder, photo: Callable[..., int]) -> bool:
    """Return whether an honest photo then gets its content id and its vector, and none of another.

    If it was in the worker with the other photo, and died with it, it is tried again, as the pipeline does.
    """
    good = photo("good")
    inspected, encoded = (_retried(partial(job, good)) for job in (encoder.inspect, encoder.encode))
    return (inspected.content, encoded.vector) == (content_of("good"), vector_of("good"))


def _retried(job: "Callable[[], Future[Any]]") -> Any:  # noqa: ANN401  of any job
    while isinstance(death := (future := job()).exception(), WorkerDied):
        assert not death.blame
    return future.result()


@pytest.mark.parametrize(("kind", "how"), NONE)
def test_a_worker_that_says_what_cannot_be_is_ended(
    encoder: Encoder, photo: Callable[..., int], caplog: pytest.LogCaptureFixture, kind: str, how: str
) -> None:
    """The photo that was alone in it has failed, whatever it sent and however much; the log stays small."""
    death = _taken_over(encoder, photo, kind, how).exception()

    assert isinstance(death, WorkerDied)
    assert death.blame == NONSENSE
    assert _is_well(encoder, photo)
    assert len(caplog.text) < MOST_LOG


@pytest.mark.parametrize(("kind", "how"), SLOW)
def test_a_worker_cannot_hide_its_time(encoder: Encoder, photo: Callable[..., int], kind: str, how: str) -> None:
    """It may say in the file of its threads what it wants: a photo has so much time, and a thread that does not exist has none."""
    death = _taken_over(encoder, photo, kind, how).exception()

    assert isinstance(death, TooSlow) or (isinstance(death, WorkerDied) and death.blame in ("", STUCK))
    assert _is_well(encoder, photo)


@pytest.mark.parametrize("began_s", [float("nan"), float("inf"), float("-inf"), -1.0, 1e9])
def test_a_time_that_cannot_be_hides_no_time(began_s: float) -> None:
    """A thread whose job began at no time, in the future or before itself has worked at it all its life."""
    with subprocess.Popen(["sleep", "60"]) as process:
        work = os.memfd_create("work")
        worker = Thread7(process, socket.socket(), errors=-1, work=work, polite=True, heard_at=0.0, started_at=0.0)
        tasks = {number: EncoderTask(Inspect(number), 0, alone=False) for number in (1, 2)}
        os.pwrite(worker.work, struct.pack("=QQdQQd", 1, 7, began_s, 2, 7, 2.0), 0)
        Deadlines(1.0, 1.0, 1.0, 1).look(worker, tasks, 0.0)
        process.kill()
        worker.reap(60)

    assert [task.cpu_s for task in tasks.values()] == [5.0, 3.0]


class Thread7(WorkerProcess):
    """A worker with a thread that has computed for five seconds."""

    def thread(self, thread: int) -> tuple[bool, float]:
        """Return as a worker does."""
        return (True, 5.0) if thread == 7 else (False, 0.0)


@pytest.mark.parametrize(("kind", "how"), REFUSED)
def test_a_refusal_is_a_short_sentence_and_comes_once(
    encoder: Encoder, photo: Callable[..., int], caplog: pytest.LogCaptureFixture, kind: str, how: str
) -> None:
    """It goes to the store, the log and users; descriptors that come with it are closed."""
    wait_for(lambda: encoder.pid == 0)
    turns = encoder.beat()
    encoder.boost(on=False)  # wakes it
    wait_for(lambda: encoder.beat() > turns)  # the descriptors of its last worker are closed now
    before = descriptors()
    refusal = _taken_over(encoder, photo, kind, how).exception()

    assert isinstance(refusal, PhotoError)
    assert len(refusal.reason) <= MOST_TEXT
    assert refusal.reason.isprintable()
    wait_for(lambda: descriptors() == before + 1)  # the photo of this test
    assert _is_well(encoder, photo)
    assert len(caplog.text) < MOST_LOG


def test_the_name_of_a_camera_has_no_control_characters(encoder: Encoder, photo: Callable[..., int]) -> None:
    """It goes to filters and to the terminal."""
    seen = _taken_over(encoder, photo, "inspect", "camera_with_escapes").result()

    assert isinstance(seen, Inspected)
    assert "gpj" in seen.details.camera
    assert seen.details.camera.isprintable()


@pytest.mark.parametrize("how", ["nan", "zero", "short"])
def test_each_way_of_a_picture_must_be_a_vector(encoder: Encoder, photo: Callable[..., int], how: str) -> None:
    """A query gets no vector that is none, either; here seven of eight are right."""
    death = _taken_over(encoder, photo, "encode", f"{how}_in_a_way", urgent=True, every_way=True).exception()
    good = encoder.encode(photo("good"), urgent=True, every_way=True)

    assert isinstance(death, WorkerDied)
    assert death.blame == NONSENSE
    assert len(good.result().vector) == WAYS * 2 * DIMS


@contextmanager
def _started(folder: Path, dims: int, command: Sequence[str] = ROGUE) -> Iterator[Encoder]:
    made = Encoder(scripted(folder / "log"), keep_warm_s=60, wall_s=0.9, command=command)
    made.expect(dims)
    made.start()
    yield made
    made.stop()


def test_a_photo_cannot_say_that_the_network_is_unusable(tmp_path: Path, photo: Callable[..., int]) -> None:
    """The network is tried without a photo; only what that says counts. Nobody is blamed: memory may have been short."""
    with _started(tmp_path, DIMS) as encoder:
        death = _taken_over(encoder, photo, "encode", "unusable").exception()
        is_well = _is_well(encoder, photo)

    assert isinstance(death, WorkerDied)
    assert not death.blame
    assert is_well
    assert encoder.failure() is None


@pytest.mark.parametrize("how", ["loaded_with_two_dimensions", "unusable"])
def test_a_new_space_has_the_dimensions_of_its_network(tmp_path: Path, photo: Callable[..., int], how: str) -> None:
    """They are not known yet, and the first photo of all takes the worker over; the network was tried before."""
    with _started(tmp_path, 0) as encoder:
        death = _taken_over(encoder, photo, "encode", how).exception()
        is_well = _is_well(encoder, photo)

    assert isinstance(death, WorkerDied)
    assert death.blame == NONSENSE
    assert is_well
    assert encoder.failure() is None


@pytest.mark.parametrize("dims", [0, DIMS])
def test_a_network_that_is_unusable_without_a_photo_ends_the_service(
    tmp_path: Path, photo: Callable[..., int], dims: int
) -> None:
    """Then the configuration is wrong. What the worker says of it is cut, too."""
    program = tmp_path / "worker.py"
    program.write_text(_UNUSABLE)
    with _started(tmp_path, dims, (sys.executable, str(program))) as encoder:
        future = encoder.encode(photo("good"))
        wait_for(lambda: encoder.failure() is not None)

    assert isinstance(encoder.failure(), ConfigError)
    assert len(str(encoder.failure())) < MOST_TEXT + 100
    assert future.cancelled() or isinstance(future.exception(), WorkerDied)


def test_a_network_that_ends_the_worker_without_a_photo_ends_the_service(
    tmp_path: Path, photo: Callable[..., int]
) -> None:
    """It is tried three times, whether or not the worker takes the job: no photo is to blame."""
    program = tmp_path / "worker.py"
    program.write_text(_CRASHES)
    with _started(tmp_path, 0, (sys.executable, str(program))) as encoder:
        future = encoder.inspect(photo("good"))
        wait_for(lambda: encoder.failure() is not None)

    assert str(encoder.failure()) == "the worker cannot start: it ended with SIGKILL, 3 times in a row"
    assert future.cancelled()


_CRASHES = """\
import os, signal, socket, sys
import msgspec
from pixkind.encoder.messages import JobRefused, Settings, receive_job, send_outcome
settings = msgspec.json.decode(sys.argv[1], type=Settings)
with socket.socket(fileno=settings.socket) as daemon:
    job, _ = receive_job(daemon)
    send_outcome(daemon, JobRefused(job.job, "an empty file"))
    os.kill(os.getpid(), signal.SIGKILL)
"""
_UNUSABLE = """\
import socket, sys
import msgspec
from pixkind.encoder.messages import Settings, Unusable, receive_job, send_outcome
settings = msgspec.json.decode(sys.argv[1], type=Settings)
with socket.socket(fileno=settings.socket) as daemon:
    receive_job(daemon)
    send_outcome(daemon, Unusable("no such layer\\n" * 999))
    sys.exit(1)
"""


def test_a_library_full_of_such_photos_is_indexed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All honest photos are found with their own vectors, all others have failed, and nothing else is stored."""
    library = DaemonParts(tmp_path, command=ROGUE, slow_cpu_s=0.4, cpu_s=0.4, wall_s=0.9)
    rows = [*dict.fromkeys(NONE[::3]), *REFUSED[:2]]
    bad = [library.write(f"bad {kind} {how}.jpg", f"{kind} {how}", f"{kind} take {how}") for kind, how in rows]
    good = [library.write(f"good {number}.jpg") for number in range(5)]
    library.start().sync()
    failed, vectors = library.failed(), dict(library.store.vectors())
    library.stop()

    assert library.ingest.failure() is None
    assert library.encoder.failure() is None
    assert failed.keys() == {path.name for path in bad}
    assert all(len(reason) <= MOST_TEXT and reason.isprintable() for reason in failed.values())
    assert {content: value[:-4] for content, value in vectors.items()} == {
        content_of(path.name): vector_of(path.name) for path in good
    }
    assert len(caplog.text) < 20 * MOST_LOG


def _content(library: DaemonParts, name: str) -> bytes:
    record = library.store.record(str(library.root / name))
    assert record is not None
    return record.content


def test_photos_that_all_have_one_content_are_no_copies_and_are_read_again(tmp_path: Path) -> None:
    """A worker that was taken over says that each photo is a copy of the first. Nothing is offered for deletion."""
    library = DaemonParts(tmp_path, command=ROGUE)
    bad = library.write("bad.jpg", "bad", "inspect take one_content_for_all")
    library.start().sync()
    names = ["a.jpg", "b.jpg", "c.jpg"]
    for name in names:
        library.write(name)
    library.sync()
    before = {record.content for record in library.store.records()}
    bad.unlink()
    library.sync()
    os.kill(library.encoder.pid, signal.SIGKILL)
    search = DuplicateSearch(library.store, library.index, library.roots, "", 1, dirty=library.inbox.dirty)
    groups = list(search.groups())
    wait_for(lambda: {_content(library, name) for name in names} == {content_of(name) for name in names})
    library.sync()
    vectors = {name: library.store.vector(content_of(name)) for name in names}
    library.stop()

    assert before == {content_of("first")}
    assert not groups
    assert sorted(os.path.basename(one.path).decode() for one in search.left_out) == names
    assert {name: value and value[:-4] for name, value in vectors.items()} == {name: vector_of(name) for name in names}
