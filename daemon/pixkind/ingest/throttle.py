"""Whether indexing may send photos to the worker now, and if not, why, and when to ask again.

Indexing is throttled because a user paused it, because the machine runs on a battery that is not full enough, or because
other programs wait for memory or the disk. `boost` overrules the machine. Photos that the worker has are finished, and
whatever needs no worker goes on. The ingest thread asks; any thread may pause, resume, boost and read.

A program may wait for a disk for days, may wait for another disk, or may wait for us: ntfs-3g is a program like others.
So the time that is lost to the disk is counted. After THROTTLED_S of it, indexing goes on for GO_S whatever the disk says.
"""

import math
import os
import time
from collections.abc import Callable
from typing import Final

from pixkind.config import LimitsConfig
from pixkind.system import battery, pressure

ASK_S: Final = 5.0  # between two looks at the machine
THROTTLED_S: Final = 120.0  # throttled for the disk, in one go or in several
GO_S: Final = 120.0  # then not throttled for it, in one go
SHORT: Final = "the machine is short of memory"
WAITS: Final = "other programs wait for the disk"
KEPT: Final = "PIXKIND_HOLD"  # in the environment, over a reload


def clock() -> float:
    """Return the time that this module uses: seconds since boot, those in which the machine slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Throttle:
    """The reasons of one daemon not to index."""

    def __init__(
        self,
        limits: LimitsConfig,
        *,
        boost: Callable[[bool], None] = lambda _: None,
        supplies: str = battery.SUPPLIES,
        pressures: str = pressure.PRESSURE,
        groups: str = pressure.GROUPS,
        own: str = pressure.OWN,
        ask_s: float = ASK_S,
    ) -> None:
        """Begin without a reason.

        Args:
            limits: from which battery charge and pressure on indexing is throttled.
            boost: called with whether a boost has begun or ended.
            supplies: of the kernel, see system/battery.py.
            pressures: of the kernel, see system/pressure.py.
            groups: likewise.
            own: likewise.
            ask_s: how long the machine's state is believed.
        """
        self._limits = limits
        self._boost = boost
        self._is_boosted = False  # what `boost` was last called with
        self._supplies, self._pressures, self._groups, self._own = supplies, pressures, groups, own
        self._ask_s = ask_s
        self._paused_until = 0.0  # inf: until `resume`
        self._boosted_until = 0.0
        self._asked_at = -math.inf
        self._machine = ""  # the machine's reason at that time
        self._heeds_machine = False  # whether that reason counts now
        self._throttled_s = 0.0  # for the disk, since indexing last went on for GO_S
        self._went_s = 0.0  # without being throttled, since it last was
        self._counted = -math.inf, ""  # until when both are counted, and the reason from then on

    def pause(self, now: float, for_s: float = 0.0) -> None:
        """Pause indexing for so long; 0: until `resume`. It ends a boost."""
        self._boosted_until, self._paused_until = 0.0, now + for_s if for_s else math.inf

    def boost(self, now: float, for_s: float) -> None:
        """Index for so long whatever the machine says. It ends a pause."""
        self._paused_until, self._boosted_until = 0.0, now + for_s

    def resume(self) -> None:
        """End a pause or a boost."""
        self._paused_until = self._boosted_until = 0.0

    def is_paused(self, now: float) -> bool:
        """Return whether a user paused indexing."""
        return now < self._paused_until

    def is_boosted(self, now: float) -> bool:
        """Return whether a user boosted indexing."""
        return now < self._boosted_until

    def is_throttled(self, now: float, *, is_busy: bool) -> bool:
        """Return whether no photo may be sent now; to be asked once a turn.

        Args:
            now: as of `clock`.
            is_busy: some photos are on their way; else the machine is not asked.
        """
        if self._is_boosted != self.is_boosted(now):
            self._is_boosted = not self._is_boosted
            self._boost(self._is_boosted)
        self._count(now)
        self._heeds_machine = is_busy and not self._is_boosted
        if self._heeds_machine and not self.is_paused(now) and now >= self._asked_at + self._ask_s:
            self._asked_at, self._machine = now, self._ask()
        self._counted = now, self.why(now)
        return bool(self._counted[1])

    def wait_s(self, now: float) -> float | None:
        """Return in how many seconds to ask again although nothing has happened; None: never."""
        due = [end for end in (self._paused_until, self._boosted_until) if now < end < math.inf]
        if self._heeds_machine and self._machine and not self.is_paused(now):
            due.append(self._asked_at + self._ask_s)
        return max(0.0, min(due) - now) if due else None

    def why(self, now: float) -> str:
        """Return why indexing is throttled, for people; empty if it is not."""
        if self.is_paused(now):
            return f"paused by pixkin pause{_for(self._paused_until - now)}"
        return f"paused: {self._machine}" if self._heeds_machine and self._machine else ""

    def boosted(self, now: float) -> str:
        """Return how long a boost still lasts, for people; empty if there is none."""
        return f"boosted{_for(self._boosted_until - now)}" if self.is_boosted(now) else ""

    def keep(self) -> None:
        """Leave a pause or boost to the process that a reload makes of this one."""
        os.environ[KEPT] = f"{self._paused_until} {self._boosted_until}"

    def take(self) -> None:
        """Take what `keep` has left."""
        if kept := os.environ.pop(KEPT, ""):
            self._paused_until, self._boosted_until = map(float, kept.split())

    def _count(self, now: float) -> None:
        """Count the time since the last turn as throttled for the disk, as not throttled, or as neither."""
        since, why = self._counted
        if not why:
            self._went_s += now - since
        elif why.endswith(WAITS):
            self._throttled_s, self._went_s = self._throttled_s + now - since, 0.0
        if self._went_s >= GO_S:
            self._throttled_s = 0.0

    def _ask(self) -> str:
        """Return the machine's reason to throttle. A pressure that is one already must fall by half to be none."""
        percent = self._limits.battery_percent
        if percent and (charge := battery.charge(self._supplies)) is not None and (charge <= percent):
            return f"on battery at {charge} %"
        if not self._limits.pressure_percent:
            return ""
        if pressure.memory(self._pressures) >= self._threshold(SHORT):
            return SHORT
        if self._throttled_s < THROTTLED_S and pressure.disk(self._groups, self._own) >= self._threshold(WAITS):
            return WAITS
        return ""

    def _threshold(self, reason: str) -> float:
        """Return from how much pressure on there is a reason to throttle, in percent."""
        return self._limits.pressure_percent / (2 if self._machine == reason else 1)


def _for(seconds: float) -> str:
    """Return a span of time to follow a verb: ` for 58 min`; of an endless one, the command that ends it."""
    if seconds == math.inf:
        return ", until pixkin resume"
    if seconds <= 90:
        return f" for {math.ceil(seconds)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " for " + " ".join(f"{n} {unit}" for n, unit in parts if n)
