import logging
import math
import os
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, Gate
from tests.waiting import wait_for

from pixkind.config import LimitsConfig
from pixkind.ingest.progress import SLOW_S, Progress
from pixkind.ingest.throttle import ASK_S, GO_S, KEPT, THROTTLED_S, Throttle, clock
from pixkind.system.threads import ServiceThread


class Machine:
    """The kernel's files of a machine, and a hold that reads them; the time is 1000 s at first."""

    def __init__(self, folder: Path, limits: LimitsConfig | None = None, ask_s: float = ASK_S) -> None:
        self.folder = folder
        self.now = 1000.0
        self.boosts: list[bool] = []
        (folder / "groups/ours").mkdir(parents=True)
        (folder / "groups/other").mkdir()
        (folder / "own").write_text("0::/ours\n")
        self.throttle = Throttle(
            limits or LimitsConfig(),
            boost=self.boosts.append,
            supplies=str(folder / "supplies"),
            pressures=str(folder / "pressures"),
            groups=str(folder / "groups"),
            own=str(folder / "own"),
            ask_s=ask_s,
        )

    def battery(self, percent: int, status: str = "Discharging") -> None:
        """Run on battery, or not."""
        folder = self.folder / "supplies/BAT0"
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in (("type", "Battery"), ("capacity", percent), ("status", status)):
            (folder / key).write_text(f"{value}\n")

    def pressure(self, *, memory: float = 0, disk: float = 0) -> None:
        """Have others wait, in percent of their time."""
        (self.folder / "pressures").mkdir(exist_ok=True)
        for file in ("pressures/memory", "groups/other/io.pressure"):
            share = memory if file.endswith("memory") else disk
            (self.folder / file).write_text(f"some avg10={share:.2f} avg60=0\nfull avg10={share:.2f} avg60=0\n")

    def later(self, seconds: float = ASK_S, *, is_busy: bool = True) -> bool:
        """Return whether it holds after some seconds."""
        self.now += seconds
        return self.throttle.is_throttled(self.now, is_busy=is_busy)

    @property
    def why(self) -> str:
        """Return why it holds."""
        return self.throttle.why(self.now)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine that has nothing against indexing."""
    return Machine(tmp_path)


def test_without_a_reason_it_does_not_hold(machine: Machine) -> None:
    """Nor is it asked again before something comes."""
    assert (machine.later(), machine.why, machine.throttle.wait_s(machine.now)) == (False, "", None)


@pytest.mark.parametrize(
    ("limit", "percent", "holds"),
    [(50, 50, True), (50, 51, False), (0, 0, False), (100, 100, True), (1, 1, True), (1, 2, False)],
)
def test_on_battery_it_holds_at_the_limit_and_below(tmp_path: Path, limit: int, percent: int, holds: bool) -> None:  # noqa: FBT001
    """0 means never, 100 always."""
    machine = Machine(tmp_path, LimitsConfig(battery_percent=limit))
    machine.battery(percent)

    assert machine.later() is holds
    assert machine.why == (f"paused: on battery at {percent} %" if holds else "")


def test_it_goes_on_when_the_machine_is_plugged_in(machine: Machine) -> None:
    """At its next look."""
    machine.battery(34)
    held = machine.later()
    machine.battery(34, "Charging")

    assert (held, machine.later(ASK_S - 1), machine.later(1)) == (True, True, False)


@pytest.mark.parametrize(
    ("kind", "why"),
    [("memory", "paused: the machine is short of memory"), ("disk", "paused: other programs wait for the disk")],
)
def test_under_pressure_it_holds_until_that_is_half_the_limit(machine: Machine, kind: str, why: str) -> None:
    """So it does not flap about the limit."""
    seen = []
    for share in (19, 20, 15, 10, 9.5, 15, 20):
        machine.pressure(**{kind: share})
        seen.append((machine.later(), machine.why))

    assert seen == [(False, ""), (True, why), (True, why), (True, why), (False, ""), (False, ""), (True, why)]


def test_a_disk_that_others_never_leave_alone_holds_half_of_the_time(machine: Machine) -> None:
    """A torrent client or a backup, perhaps on another disk, goes on for days; indexing gets its turns all the same."""
    machine.pressure(disk=99)
    first = [machine.later() for _ in range(int(THROTTLED_S / ASK_S))]
    told = machine.throttle.wait_s(machine.now)
    turn = [machine.later() for _ in range(int(GO_S / ASK_S))]
    why = machine.why
    hours = [machine.later() for _ in range(1440)]

    assert (all(first), any(turn), told, why) == (True, False, ASK_S, "")
    assert hours[0]
    assert 0.45 <= sum(hours) / len(hours) <= THROTTLED_S / (THROTTLED_S + GO_S)


def test_a_pressure_of_our_own_making_leaves_most_of_the_time(machine: Machine) -> None:
    """The driver of an NTFS drive is a program in a group beside ours: it waits for what we read, and only then."""
    share, held = 0.0, [False]
    for _ in range(1440):
        share = (share - (goal := 80 * (not held[-1]))) * math.exp(-ASK_S / 10) + goal  # the kernel's avg10
        machine.pressure(disk=share)
        held.append(machine.later())

    assert 0 < sum(held) / len(held) < 0.5  # without turns: 0.75


def test_only_what_was_held_for_the_disk_of_late_brings_a_turn(machine: Machine) -> None:
    """Neither memory, battery nor a pause does, nor what lies before a time without a hold; and they hold in a turn."""
    machine.pressure(memory=99, disk=99)
    memory = [machine.later() for _ in range(720)]
    machine.battery(34)
    battery = [machine.later() for _ in range(720)]
    machine.battery(90)
    machine.pressure(disk=99)
    before = machine.later()
    machine.throttle.pause(machine.now, 3600)
    paused = machine.later(0), machine.later(3599)
    after = [machine.later() for _ in range(int(THROTTLED_S / ASK_S) - 1)]
    machine.pressure()
    rest = [machine.later() for _ in range(int(GO_S / ASK_S) + 1)]
    machine.pressure(disk=99)
    again = [machine.later() for _ in range(int(THROTTLED_S / ASK_S))]
    turn = machine.later()
    machine.pressure(memory=99, disk=99)
    in_turn = machine.later()

    assert all((*memory, *battery, before, *paused, *after, *again, in_turn))
    assert not any((*rest, turn))


def test_the_pressure_can_be_left_out(tmp_path: Path) -> None:
    """0 is off."""
    machine = Machine(tmp_path, LimitsConfig(pressure_percent=0))
    machine.pressure(memory=99, disk=99)

    assert not machine.later()


def test_the_machine_is_asked_seldom_and_only_while_there_are_photos(machine: Machine) -> None:
    """An idle daemon wakes for nothing; a busy one looks every few seconds."""
    machine.battery(34)
    idle = machine.later(is_busy=False), machine.why, machine.throttle.wait_s(machine.now)
    busy = machine.later(0), machine.throttle.wait_s(machine.now)
    machine.battery(90)
    soon = machine.later(1), machine.throttle.wait_s(machine.now)
    idle_again = machine.later(0, is_busy=False), machine.why, machine.throttle.wait_s(machine.now)

    assert idle == idle_again == (False, "", None)
    assert busy == (True, ASK_S)
    assert soon == (True, ASK_S - 1)
    assert not machine.later()


@pytest.mark.parametrize(
    ("for_s", "said"),
    [
        (0, ", until pixkin resume"),
        (1, " for 1 s"),
        (90, " for 90 s"),
        (91, " for 2 min"),
        (58 * 60 - 1, " for 58 min"),
        (7200, " for 2 h"),
        (7260, " for 2 h 1 min"),
        (90000, " for 1 d 1 h"),
    ],
)
def test_a_pause_holds_for_its_time(machine: Machine, for_s: int, said: str) -> None:
    """Photos or not; its end needs no event, and without a time it never comes."""
    machine.throttle.pause(machine.now, for_s)
    why, waits = machine.why, machine.throttle.wait_s(machine.now)
    holds = machine.later(0), machine.later(0, is_busy=False)
    later = machine.later(for_s or 1e9)

    assert why == f"paused by pixkin pause{said}"
    assert waits == (for_s or None)
    assert (holds, later) == ((True, True), not for_s)


def test_a_boost_overrules_the_machine_and_is_told(machine: Machine) -> None:
    """Once at its beginning and once at its end; then the machine is asked at once."""
    machine.battery(34)
    machine.pressure(memory=99)
    before = machine.later()
    machine.throttle.boost(machine.now, 60)
    during = [machine.later(0), machine.later(30)]
    said, waits = machine.throttle.boosted(machine.now), machine.throttle.wait_s(machine.now)
    after = machine.later(30)

    assert (before, during, after) == (True, [False, False], True)
    assert (said, waits) == ("boosted for 30 s", 30)
    assert machine.boosts == [True, False]
    assert machine.throttle.boosted(machine.now) == ""


def test_the_last_word_counts(machine: Machine) -> None:
    """A boost ends a pause, a pause a boost, and `resume` either; to repeat one is no mistake."""
    seen = []
    for say in ("pause", "boost", "pause", "pause", "resume", "boost", "resume", "resume"):
        {
            "pause": lambda: machine.throttle.pause(machine.now, 60),
            "boost": lambda: machine.throttle.boost(machine.now, 60),
            "resume": machine.throttle.resume,
        }[say]()
        seen.append((machine.later(1), machine.throttle.is_boosted(machine.now)))

    held, boosted, neither = (True, False), (False, True), (False, False)
    assert seen == [held, boosted, held, held, neither, boosted, neither, neither]
    assert machine.boosts == [True, False, True, False]


def test_a_reload_keeps_what_was_said(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the process after it begins without."""
    monkeypatch.setenv(KEPT, "")
    holds = []
    for until in (0.0, 60.0, math.inf):
        if until:
            machine.throttle.pause(machine.now, 0 if until == math.inf else until)
        machine.throttle.keep()
        after, later = (Machine(tmp_path / f"{until} {which}") for which in "ab")
        after.throttle.take()
        later.throttle.take()
        holds.append((after.later(0), after.later(61), later.later(0)))

    assert holds == [(False, False, False), (True, False, False), (True, True, False)]
    assert KEPT not in os.environ


def test_while_it_holds_only_the_worker_is_spared(library: DaemonParts) -> None:
    """What it has is finished, what is gone is hidden at once, and the rest comes after the pause."""
    library.write("goes.jpg")
    library.write("stays.jpg")
    library.start().sync()
    library.ingest.throttle.pause(clock())
    (library.root / "goes.jpg").unlink()
    library.write("new.jpg")
    synced = library.sync()
    found, jobs = library.found(), library.jobs("inspect")
    library.ingest.throttle.pause(clock(), 0.3)
    library.inbox.post(lambda: None)
    wait_for(lambda: "new.jpg" in library.found())  # nobody says that the time is over
    wait_for(lambda: library.ingest.doing == "idle")

    assert (synced.photos, synced.held, synced.failed) == (2, 1, ())
    assert found == {"stays.jpg"}
    assert sorted(jobs) == ["goes.jpg", "stays.jpg"]


def test_what_the_worker_has_is_finished(library: DaemonParts) -> None:
    """Also what it has inspected is encoded only later."""
    gates = [library.folder / name for name in ("a", "b")]
    for gate in gates:
        os.mkfifo(gate)
    library.write("encoded.jpg", "encoded", f"encode gate {gates[0]}", mtime_s=2)
    library.start()
    wait_for(lambda: library.jobs("encode") == ["encoded"])
    library.write("inspected.jpg", "inspected", f"inspect gate {gates[1]}")
    library.inbox.dirty(str(library.root / "inspected.jpg"))
    gates[0].open("w").close()
    wait_for(lambda: "inspected" in library.jobs("inspect"))
    library.ingest.throttle.pause(clock())
    gates[1].open("w").close()
    synced = library.sync()

    assert synced.held == 1
    assert library.found() == {"encoded.jpg"}
    library.ingest.throttle.resume()
    assert library.sync().held == 0
    assert library.found() == {"encoded.jpg", "inspected.jpg"}


def test_a_sync_waits_for_what_the_worker_has(library: DaemonParts) -> None:
    """It is only left alone with what is held back."""
    gate = Gate(library.folder)
    library.write("in.jpg", "in", f"encode gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("encode") == ["in"])
    library.ingest.throttle.pause(clock())
    library.write("out.jpg")
    sync = library.ingest.sync("", 0)
    wait_for(lambda: library.ingest.pending == 2)
    turns = library.ingest.beat()
    for turn in (turns + 1, turns + 2):  # when the second has begun, the first, which had them both, is over
        library.inbox.post(lambda: None)
        wait_for(lambda: library.ingest.beat() >= turn)  # noqa: B023  # called at once
    was_done = sync.done()
    gate.open()

    assert not was_done
    assert sync.result().held == 1
    assert library.found() == {"in.jpg"}


def test_the_machine_alone_ends_what_it_began(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On battery photos wait, which is said once, with the way out; plugged in they are indexed, and nobody says a word."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    machine = Machine(tmp_path / "machine", ask_s=0.1)
    machine.battery(34)
    library = DaemonParts(tmp_path, throttle=machine.throttle)
    library.write("a.jpg")
    library.start()
    synced = library.sync()
    progress = Progress(library.ingest, library.counts, library.spaces, library.roots, tells=False)
    patience = [progress.turn(), progress.turn()]
    machine.battery(34, "Charging")
    wait_for(lambda: library.found() == {"a.jpg"})
    wait_for(lambda: progress.turn() == ServiceThread.BEAT_S)
    library.stop()

    assert (synced.held, synced.why) == (1, "paused: on battery at 34 %")
    assert patience == [SLOW_S, SLOW_S]
    assert [line for line in caplog.messages if "battery" in line] == [f"{synced.why}; to index now: pixkin boost"]
    assert caplog.messages[-1] == "1 photos can be found"


def test_a_held_daemon_sleeps(library: DaemonParts) -> None:
    """Nothing turns its loop but the next look at the machine, seconds later."""
    library.start().sync()
    library.ingest.throttle.pause(clock(), 3600)
    library.write("new.jpg")
    library.sync()
    before = library.ingest.beat()
    with pytest.raises(TimeoutError):
        wait_for(lambda: library.ingest.beat() > before + 2, 2)
