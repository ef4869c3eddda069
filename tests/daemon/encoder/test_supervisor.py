import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.daemon.conftest import SCRIPTED, Gate, default_network, scripted
from tests.daemon.scripted_worker import content_of, vector_of
from tests.processes import ends_with
from tests.waiting import wait_for

from pixkin.protocol.requests import now_ms
from pixkind.encoder import deadlines, process
from pixkind.encoder.deadlines import TooSlow
from pixkind.encoder.messages import URGENT, Confined, Settings
from pixkind.encoder.process import WorkerProcess
from pixkind.encoder.queues import WINDOW
from pixkind.encoder.supervisor import WORKER, Encoder, WorkerDied
from pixkind.encoder.worker.jobs import NICE
from pixkind.errors import ConfigError, PhotoError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return the file in which a scripted worker says what it got."""
    return tmp_path / "log"


@pytest.fixture
def make(log: Path) -> Iterator[Callable[..., Encoder]]:
    """Yield a maker of encoders that are started, and stopped at the end; their worker does what the photos say."""
    made: list[Encoder] = []

    def start(settings: Settings | None = None, **options: Any) -> Encoder:  # noqa: ANN401  # handed through
        options = {"keep_warm_s": 60.0, "command": SCRIPTED, **options}
        made.append(Encoder(settings or scripted(log), **options))
        made[-1].start()
        return made[-1]

    yield start
    for encoder in made:
        encoder.stop()


@pytest.fixture
def real() -> Settings:
    """Return the settings of a real worker."""
    return default_network(decode_threads=1, cores=1)


def test_a_real_photo_becomes_a_vector(make: Callable[..., Encoder], real: Settings, photos: list[Path]) -> None:
    """The real worker passes the trial of its network, makes 1,280 finite dimensions, and goes on after `kill -9`."""
    encoder = make(real, command=WORKER)
    encoder.expect(0)
    with photos[0].open("rb") as file:
        seen = encoder.inspect(file.fileno()).result()
        vector = np.frombuffer(encoder.encode(file.fileno()).result().vector, "<f2")
        os.kill(encoder.pid, signal.SIGKILL)
        wait_for(lambda: encoder.pid == 0)
        again = encoder.inspect(file.fileno()).result()

    assert seen.content == again.content
    assert seen.width * seen.height > 0
    assert vector.shape == (1280,)
    assert np.isfinite(vector).all()
    assert vector.any()


def test_weights_that_do_not_fit_end_the_service(make: Callable[..., Encoder], real: Settings, tmp_path: Path) -> None:
    """A network that cannot be loaded is a matter of the configuration, not of the photo."""
    weights = tmp_path / "weights.pth"
    weights.write_text("no weights")
    settings = default_network(str(weights), decode_threads=1, cores=1)
    encoder = make(settings, command=WORKER)
    with weights.open("rb") as file:
        future = encoder.encode(file.fileno(), urgent=True)
        wait_for(lambda: encoder.failure() is not None)

    assert isinstance(encoder.failure(), ConfigError)
    assert real.model in str(encoder.failure())
    assert future.cancelled() or isinstance(future.exception(), (PhotoError, WorkerDied))


def test_a_job_has_the_outcome_that_the_worker_gave(make: Callable[..., Encoder], photo: Callable[..., int]) -> None:
    """Inspected, encoded and refused, each reaches the future of its own job."""
    encoder = make()
    inspected = [encoder.inspect(photo(name)) for name in ("red", "green")]
    encoded = encoder.encode(photo("blue"))
    refused = encoder.encode(photo("torn", "encode refuse it is torn"))

    assert [future.result().content for future in inspected] == [content_of("red"), content_of("green")]
    assert encoded.result().vector == vector_of("blue")
    with pytest.raises(PhotoError, match="it is torn"):
        refused.result()


def test_an_urgent_job_overtakes_the_queue(
    make: Callable[..., Encoder], photo: Callable[..., int], log: Path, tmp_path: Path
) -> None:
    """A query is behind what the worker already has, and ahead of everything that waits."""
    encoder, gate = make(), Gate(tmp_path)
    waiting = [encoder.inspect(photo("first", f"inspect gate {gate.path}"))]
    waiting += [encoder.inspect(photo("later")) for _ in range(2 * WINDOW)]
    query = encoder.inspect(photo("query"), urgent=True)
    gate.open()
    query.result()
    for future in waiting:
        future.result()
    order = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("inspect")]

    assert order.index("query") <= WINDOW


@pytest.mark.parametrize("alone", [True, False])
def test_a_photo_alone_has_no_company(
    make: Callable[..., Encoder], photo: Callable[..., int], log: Path, tmp_path: Path, *, alone: bool
) -> None:
    """While a photo that wants to be alone is in the worker nothing else is sent there, not even a query."""
    encoder, before, gate = make(), Gate(tmp_path, "before"), Gate(tmp_path)
    futures = [
        encoder.encode(photo("first", f"encode gate {before.path}")),
        encoder.encode(photo("lonely", f"encode gate {gate.path}"), alone=alone),
    ]
    before.open()
    futures[0].result()
    wait_for(lambda: "encode lonely" in log.read_text())
    futures += [encoder.encode(photo("later")), encoder.encode(photo("query"), urgent=True)]
    beats = encoder.beat()
    wait_for(lambda: encoder.beat() >= beats + 2)  # a whole turn, in which they would have been sent
    gate.open()
    for future in futures:
        future.result()

    assert ("company encode lonely" in log.read_text()) is not alone


@pytest.mark.parametrize("kind", ["inspect", "encode"])
@pytest.mark.parametrize(
    ("order", "blame"),
    [
        ("signal 11", "crashes the decoder (SIGSEGV)"),
        ("signal 7", "crashes the decoder (SIGBUS)"),
        ("signal 6", "crashes the decoder (SIGABRT)"),
        ("signal 9", ""),  # the kernel when memory is short, or somebody outside
        ("signal 15", ""),
        ("exit 3", ""),
        ("exit 0", ""),
        ("rubbish", "makes the decoder answer nonsense"),
        ("stranger", "makes the decoder answer nonsense"),
        ("short", "makes the decoder answer nonsense"),
    ],
)
def test_only_a_photo_alone_is_blamed_for_a_crash(
    make: Callable[..., Encoder], photo: Callable[..., int], kind: str, order: str, blame: str
) -> None:
    """The decoder's own crash is the doing of the photo that was alone with it; nothing else blames anybody."""
    encoder = make()
    job = getattr(encoder, kind)
    death = job(photo("bad", f"{kind} {order}"), alone=True).exception()
    company = [job(photo(name)) for name in ("one", "two")] + [job(photo("bad", f"{kind} {order}"))]
    deaths = [future.exception() for future in company]

    assert isinstance(death, WorkerDied)
    assert death.blame == blame
    assert isinstance(deaths[-1], WorkerDied)
    assert {one.blame for one in deaths if isinstance(one, WorkerDied)} == {""}
    assert job(photo("good")).exception() is None
    assert encoder.failure() is None


def test_an_answer_of_another_kind_is_nonsense(make: Callable[..., Encoder], photo: Callable[..., int]) -> None:
    """A vector is no answer to an inspection."""
    death = make().inspect(photo("bad", "inspect mistaken"), alone=True).exception()

    assert isinstance(death, WorkerDied)
    assert death.blame == "makes the decoder answer nonsense"


def test_a_picture_in_every_way_has_a_vector_of_each(make: Callable[..., Encoder], photo: Callable[..., int]) -> None:
    """One job gives eight vectors, no fewer; a photo of which one is asked for may not give eight either."""
    encoder = make()
    ways = encoder.encode(photo("picture"), urgent=True, every_way=True).result().vector
    one = encoder.encode(photo("picture"), urgent=True).result().vector
    death = encoder.encode(photo("bad", "encode mistaken"), urgent=True, every_way=True, alone=True).exception()

    assert len(ways) == 8 * len(one)
    assert ways.startswith(one)
    assert isinstance(death, WorkerDied)
    assert death.blame == "makes the decoder answer nonsense"


@pytest.mark.parametrize(
    ("order", "limits"), [("spin", {"slow_cpu_s": 0.1}), ("stall", {"wall_s": 0.9})], ids=["CPU time", "wall time"]
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "patient"])
def test_a_photo_that_hangs_is_ended_and_is_too_slow(
    make: Callable[..., Encoder], photo: Callable[..., int], order: str, limits: dict[str, float], *, alone: bool
) -> None:
    """A photo has so much CPU time, and so much time in which it does nothing."""
    encoder = make(**limits)
    encoder.encode(photo("good")).result()

    bad = encoder.encode(photo("bad", f"encode {order}"), alone=alone, is_patient=not alone)

    assert isinstance(bad.exception(), TooSlow)
    assert encoder.encode(photo("good")).exception() is None


@pytest.mark.parametrize(
    ("order", "limits"), [("spin", {"cpu_s": 0.1}), ("stall", {"wall_s": 0.9})], ids=["CPU time", "wall time"]
)
def test_the_others_go_on_when_a_photo_was_too_slow(
    make: Callable[..., Encoder], photo: Callable[..., int], order: str, limits: dict[str, float]
) -> None:
    """Its own thread tells which photo it is: the worker is ended for that one, and the next worker has the others."""
    encoder = make(**limits)
    encoder.encode(photo("good")).result()  # the network has its own, longer time to load
    bad = encoder.encode(photo("bad", f"encode {order}"))
    others = encoder.inspect(photo("good")), encoder.encode(photo("better"))

    assert (others[0].exception(), others[1].exception()) == (None, None)
    assert isinstance(bad.exception(), TooSlow)


def test_a_query_ends_with_its_asker(
    make: Callable[..., Encoder], photo: Callable[..., int], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow image is ended shortly before its asker gives up, so that it learns why; what still waits is dropped then."""
    monkeypatch.setattr(deadlines, "SLOW_S", 0.02)
    encoder = make()
    encoder.encode(photo("good")).result()
    until_ms = now_ms() + deadlines.ANSWER_MS + 5000
    bad = [encoder.inspect(photo("bad", "inspect spin"), urgent=True, until_ms=until_ms) for _ in range(URGENT)]
    dropped = encoder.inspect(photo("dropped"), urgent=True, until_ms=now_ms())

    assert isinstance(bad[0].exception(), TooSlow)
    assert now_ms() >= until_ms - deadlines.ANSWER_MS
    assert encoder.inspect(photo("good"), urgent=True).exception() is None
    with pytest.raises(CancelledError):
        dropped.result()
    assert "inspect dropped" not in log.read_text()


def test_a_slow_query_image_makes_room_for_others(
    make: Callable[..., Encoder], photo: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If others wait for it, it goes behind them; it is not refused, and its own asker decides how long it lasts."""
    monkeypatch.setattr(deadlines, "SLOW_S", 0.1)
    monkeypatch.setattr(deadlines, "WAIT_S", 0.3)
    encoder = make()
    encoder.encode(photo("good")).result()
    bad = encoder.inspect(photo("bad", "inspect spin"), urgent=True)
    others = [encoder.inspect(photo(name), urgent=True) for name in ("one", "two", "three")]

    assert [future.exception() for future in others] == [None] * 3
    assert not bad.done()


def test_a_query_joins_a_photo_alone_and_then_nobody_is_blamed(
    make: Callable[..., Encoder],
    photo: Callable[..., int],
    log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A query waits for such a photo only for a while; if the worker dies after that, both may have caused it."""
    monkeypatch.setattr(deadlines, "WAIT_S", 0.1)
    encoder, gate = make(), Gate(tmp_path)
    lonely = encoder.inspect(photo("lonely", f"inspect gate {gate.path}", "inspect signal 11"), alone=True)
    wait_for(lambda: log.exists() and "inspect lonely" in log.read_text())
    query = encoder.inspect(photo("query"), urgent=True)
    beats = encoder.beat()
    wait_for(lambda: encoder.beat() >= beats + 3)  # by then it has been sent
    gate.open()
    deaths = [lonely.exception(), query.exception()]

    assert [one.blame for one in deaths if isinstance(one, WorkerDied)] == ["", ""]


def test_a_worker_that_is_slow_but_steady_is_not_stuck(make: Callable[..., Encoder], photo: Callable[..., int]) -> None:
    """The last of many waits longer than the limit, and yet nothing hangs: outcomes keep coming."""
    encoder = make(wall_s=3.0)
    futures = [encoder.inspect(photo("slow", "inspect linger 0.5")) for _ in range(8)]

    assert [future.exception() for future in futures] == [None] * 8


def test_a_worker_that_waits_for_a_processor_is_not_stuck(
    make: Callable[..., Encoder], photo: Callable[..., int]
) -> None:
    """On a busy machine a photo takes long: a worker that waits for a processor is stuck only after its CPU time."""
    encoder = make(wall_s=0.9, cpu_s=2.2)  # it is looked at every second
    encoder.encode(photo("good")).result()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    death = encoder.encode(photo("bad", "encode spin")).exception()

    assert isinstance(death, TooSlow)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before >= 2.2


def test_a_worker_that_cannot_start_ends_the_service(make: Callable[..., Encoder], photo: Callable[..., int]) -> None:
    """If three workers in a row end before they take a job, no photo is blamed, and the error is a sentence."""
    encoder = make(command=(sys.executable, "-c", "raise SystemExit(3)"))
    deaths = [encoder.inspect(photo("good")).exception() for _ in range(2)]
    last = encoder.inspect(photo("good"))
    wait_for(lambda: encoder.failure() is not None)

    assert [type(death) for death in deaths] == [WorkerDied] * 2
    assert str(encoder.failure()) == "the worker cannot start: it ended with status 3, 3 times in a row"
    assert last.cancelled()


def test_a_photo_that_makes_the_worker_give_up_does_not_end_the_service(
    make: Callable[..., Encoder], photo: Callable[..., int]
) -> None:
    """A worker that has taken its job could start, however often it then fails."""
    encoder = make()
    deaths = [encoder.inspect(photo("bad", "inspect exit 70"), alone=True).exception() for _ in range(5)]

    assert [type(death) for death in deaths] == [WorkerDied] * 5
    assert encoder.inspect(photo("good")).exception() is None


def test_an_idle_worker_goes_and_comes_back(make: Callable[..., Encoder], photo: Callable[..., int]) -> None:
    """After `keep_warm_s` without work its memory is given back; the next job starts another."""
    encoder = make(keep_warm_s=0.05)
    encoder.encode(photo("one")).result()
    wait_for(lambda: encoder.pid == 0)
    again = encoder.encode(photo("two"))

    assert again.result().vector == vector_of("two")


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[WorkerProcess]:
    """Return a list of the workers that are started."""
    started: list[WorkerProcess] = []
    start = WorkerProcess.start

    def noted(*arguments: Any) -> WorkerProcess:  # noqa: ANN401  handed through
        started.append(start(*arguments))
        return started[-1]

    monkeypatch.setattr(WorkerProcess, "start", noted)
    return started


@pytest.mark.parametrize(("limit", "value"), [("MOST_OUTCOMES", 20), ("MOST_AGE_S", 0.0)])
def test_a_worker_is_renewed_between_two_jobs(
    make: Callable[..., Encoder],
    photo: Callable[..., int],
    starts: list[WorkerProcess],
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: float,
) -> None:
    """After so many jobs, or so long, another one goes on; no photo is lost or blamed, and none sees two workers."""
    monkeypatch.setattr(process, limit, value)
    encoder = make()
    # With no age at all, each photo has a worker of its own.
    pictures = [f"picture {number}" for number in range(2 * WINDOW if value else 3)]
    futures = [encoder.encode(photo(picture)) for picture in pictures]
    vectors = [future.result().vector for future in futures]
    query = encoder.encode(photo("query"), urgent=True).result().vector

    assert vectors == [vector_of(picture) for picture in pictures]
    assert query == vector_of("query")
    assert len(starts) > 1
    encoder.stop()
    assert {one.process.returncode for one in starts} == {0}


def test_a_worker_that_only_answers_is_renewed_when_it_is_idle(
    make: Callable[..., Encoder], photo: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No query waits for the end of a worn worker."""
    monkeypatch.setattr(process, "MOST_OUTCOMES", 2)
    encoder = make()
    encoder.encode(photo("query"), urgent=True).result()  # the network is loaded, and the photo encoded
    wait_for(lambda: encoder.pid == 0)

    assert encoder.encode(photo("next"), urgent=True).result().vector == vector_of("next")


def test_a_worker_is_not_renewed_early(
    make: Callable[..., Encoder], photo: Callable[..., int], starts: list[WorkerProcess]
) -> None:
    """The loading of the network costs much: a few photos are no reason for another worker."""
    encoder = make()
    for _ in range(3):
        encoder.encode(photo("one")).result()

    assert len(starts) == 1


def test_a_worker_has_nothing_of_the_environment(
    make: Callable[..., Encoder], photo: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has taken a worker over finds no token, no address of a service and no folder there."""
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/0/bus")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    encoder = make()
    encoder.inspect(photo("one")).result()
    environment = Path(f"/proc/{encoder.pid}/environ").read_bytes()

    assert {entry.partition(b"=")[0].decode() for entry in environment.split(b"\0")[:-1]} == process.ENVIRONMENT.keys()


def test_the_file_of_the_threads_cannot_grow(
    make: Callable[..., Encoder], photo: Callable[..., int], starts: list[WorkerProcess]
) -> None:
    """A worker may write to it, but could not fill the memory with it."""
    make().inspect(photo("one")).result()
    with pytest.raises(PermissionError):
        os.ftruncate(starts[0].work, 1 << 20)


def test_what_a_worker_writes_is_logged_up_to_a_bound(
    make: Callable[..., Encoder], photo: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    """Its standard error is a pipe: each line is a warning, too many are dropped, and the worker goes on."""
    encoder = make()
    encoder.inspect(photo("few", "inspect mutter 2")).result()
    wait_for(lambda: len(caplog.messages) == 2)
    few = list(caplog.messages)
    pid = encoder.pid
    encoder.inspect(photo("many", "inspect mutter 199")).result()
    encoder.stop()

    assert few == [f"worker pid={pid}: line {number}" for number in range(2)]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert len(caplog.messages) == process.LOGGED_LINES + 1
    assert caplog.messages[-1] == f"worker pid={pid} wrote too many lines; the next ones are not logged"


def test_the_last_words_of_a_worker_are_logged(
    make: Callable[..., Encoder], photo: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that writes and ends at once is heard before its end is told."""
    death = make().inspect(photo("bad", "inspect mutter 1", "inspect exit 70"), alone=True).exception()

    assert isinstance(death, WorkerDied)
    assert [message.partition(" ")[2].partition(" ")[2] for message in caplog.messages] == (
        ["line 0", "died of status 70 with 1 photos in it"]
    )


def test_only_the_first_message_says_what_the_sandbox_lacks(
    make: Callable[..., Encoder], photo: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    """It is sent before the first photo, kept and logged. Later a photo could have sent it."""
    encoder = make()
    encoder.inspect(photo("first", "inspect confined")).result()
    confined, said = encoder.confined, list(caplog.messages)
    death = encoder.inspect(photo("bad", "inspect confined"), alone=True).exception()

    assert confined == Confined((), ("all of it",))
    assert said == ["the sandbox of the worker is incomplete: all of it"]
    assert isinstance(death, WorkerDied)
    assert death.blame == "makes the decoder answer nonsense"


def classes(pid: int) -> list[tuple[int, int]]:
    """Return nice value and I/O class of each thread of a process. Source: proc_pid_stat(5), ioprio_set(2)."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    ioprio_get = {"x86_64": 252, "aarch64": 31}.get(os.uname().machine, 252)
    nices = [int((thread / "stat").read_text().rpartition(")")[2].split()[16]) for thread in threads]
    file_system = [ctypes.CDLL(None).syscall(ioprio_get, 1, int(thread.name)) >> 13 for thread in threads]
    return sorted(zip(nices, file_system, strict=True))


def test_indexing_gives_way_unless_it_is_boosted(
    make: Callable[..., Encoder], real: Settings, photos: list[Path]
) -> None:
    """Of a real worker's threads those that index claim little, and those that answer do not; boosted, none gives way."""
    low, high = (NICE, 3), (os.nice(0), 0)  # 3: the idle class of the disk
    encoder = make(real, command=WORKER)
    with photos[0].open("rb") as file:
        encoder.inspect(file.fileno()).result()
        wait_for(lambda: classes(encoder.pid).count(low) == real.decode_threads + 2)  # one reads, one computes
        polite = encoder.pid, classes(encoder.pid)
        encoder.boost(True)
        encoder.inspect(file.fileno(), urgent=True).result()
        kept = encoder.pid
        encoder.inspect(file.fileno()).result()
        wait_for(lambda: len(classes(encoder.pid)) == len(polite[1]))
        boosted = encoder.pid, classes(encoder.pid)
        encoder.boost(False)
        encoder.inspect(file.fileno()).result()
        wait_for(lambda: classes(encoder.pid) == polite[1])

    assert set(polite[1]) == {low, high}
    assert kept == polite[0]  # a query does not wait for another worker
    assert set(boosted[1]) == {high}
    assert len({polite[0], boosted[0], encoder.pid}) == 3


def test_a_boost_waits_for_what_is_in_the_worker(
    make: Callable[..., Encoder], photo: Callable[..., int], tmp_path: Path
) -> None:
    """A worker is exchanged when it is empty: no photo in it is lost, and the later ones go to its successor."""
    encoder, gate = make(), Gate(tmp_path)
    first = encoder.inspect(photo("first", f"inspect gate {gate.path}"))
    wait_for(lambda: encoder.pid > 0)
    before = encoder.pid
    encoder.boost(True)
    later = encoder.inspect(photo("later"))
    beats = encoder.beat()
    wait_for(lambda: encoder.beat() >= beats + 2)  # a whole turn, in which it would have been exchanged
    held = encoder.pid
    gate.open()

    assert held == before
    assert first.result().content == content_of("first")
    assert later.result().content == content_of("later")
    assert encoder.pid != before


class Overtaken(Encoder):
    """An encoder that is boosted right after it took the photo that follows `armed`."""

    armed = False

    def _take(self) -> Any:  # noqa: ANN401  its own
        task = super()._take()
        if task is not None and self.armed:
            self.armed = False
            self.boost(True)
        return task


def test_a_boost_between_two_steps_loses_no_photo(log: Path, photo: Callable[..., int], tmp_path: Path) -> None:
    """Whenever a boost comes between taking a photo and sending it, the worker stays until its jobs have outcomes."""
    encoder, gate = Overtaken(scripted(log), keep_warm_s=60.0, command=SCRIPTED), Gate(tmp_path)
    encoder.start()
    try:
        first = encoder.inspect(photo("first", f"inspect gate {gate.path}"))
        wait_for(lambda: encoder.pid > 0)
        before = encoder.pid
        encoder.armed = True
        later = encoder.inspect(photo("later"))
        wait_for(lambda: not encoder.armed)
        beats = encoder.beat()
        wait_for(lambda: encoder.beat() >= beats + 2)
        assert encoder.pid == before  # before the gate: without a worker nobody stands there
        gate.open()

        assert [future.result().content for future in (first, later)] == [content_of("first"), content_of("later")]
    finally:
        encoder.stop()


def test_stop_cancels_what_waits(
    make: Callable[..., Encoder], photo: Callable[..., int], log: Path, tmp_path: Path
) -> None:
    """In the worker, in the queue, or submitted later: every future ends, so no caller waits for ever."""
    encoder, gate = make(), Gate(tmp_path)
    futures = [encoder.inspect(photo("first", f"inspect gate {gate.path}"), alone=True), encoder.inspect(photo("two"))]
    wait_for(lambda: log.exists() and "inspect first" in log.read_text())
    encoder.stop()
    futures.append(encoder.inspect(photo("three"), urgent=True))

    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)
    assert encoder.pid == 0
    assert encoder.failure() is None


_DAEMON = """\
import sys, threading
from pixkind.encoder.supervisor import Encoder
from pixkind.encoder.messages import Settings
settings = Settings(socket=-1, model="any", weights=__file__, limit_mp=1, decode_threads=1, network_threads=1)
encoder = Encoder(settings, keep_warm_s=60)
encoder.start()
encoder.inspect(sys.stdin.fileno()).exception()
print(encoder.pid, flush=True)
threading.Event().wait()
"""


def test_no_worker_outlives_its_daemon(tmp_path: Path) -> None:
    """After `kill -9` of the daemon the real worker ends by itself."""
    program = tmp_path / "daemon.py"
    program.write_text(_DAEMON)
    with (
        program.open() as no_photo,
        subprocess.Popen([sys.executable, program], stdin=no_photo, stdout=subprocess.PIPE) as daemon,
    ):
        assert ends_with(daemon) == (False, True)
