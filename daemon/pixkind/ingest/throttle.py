"""Whether indexing may send photos to the worker now, and if not, why, and when to ask again.

It holds because somebody paused it, because the machine runs on a battery that is not full enough, or because others
wait for memory or the disk; `boost` overrules the machine. Photos that the worker has are finished, and whatever needs
no worker goes on. The ingest thread asks; any thread may pause, resume, boost and read.

Whoever waits for a disk may do so for days, on another disk, or for us: ntfs-3g is a program like others. So what is
held for the disk is counted, and after HOLD_S of it indexing goes on for GO_S whatever the disk.
"""

import math
import os
import time
from collections.abc import Callable
from typing import Final

from pixkind.config import LimitsConfig
from pixkind.system import battery, pressure

ASK_S: Final = 5.0  # between two looks at the machine
HOLD_S: Final = 120.0  # held for the disk, in one go or in several
GO_S: Final = 120.0  # then not, in one go
SHORT: Final = "the machine is short of memory"
WAITS: Final = "other programs wait for the disk"
KEPT: Final = "PIXKIND_HOLD"  # in the environment, over a reload


def clock() -> float:
    """Return the time that this module goes by: s since boot, also those in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Throttle:
    """One daemon's reasons not to index."""

    def __init__(
        self,
        limits: LimitsConfig,
        *,
        boost: Callable[[bool], None] = lambda _: None,
        supplies: str = battery.SUPPLIES,
        pressures: str = pressure.PRESSURE,
        groups: str = pressure.GROUPS,
        own: str = pressure.OWN,
    ) -> None:
        """Begin without a reason; `boost` is told when a boost begins or ends. The paths are the kernel's."""
        self._limits = limits
        self._boost = boost
        self._is_boosted = False  # as was told
        self._supplies, self._pressures, self._groups, self._own = supplies, pressures, groups, own
        self._paused_until = 0.0  # inf: until `resume`
        self._boosted_until = 0.0
        self._asked_at = -math.inf
        self._machine = ""  # the machine's reason, as of then
        self._minds = False  # whether that counts now
        self._held_s = self._went_s = 0.0  # for the disk since it last went on for GO_S; without a hold since the last
        self._counted = -math.inf, ""  # until when, and why it held from then on

    def pause(self, now: float, for_s: float = 0.0) -> None:
        """Hold for so long; 0: until `resume`. It ends a boost."""
        self._boosted_until, self._paused_until = 0.0, now + for_s if for_s else math.inf

    def boost(self, now: float, for_s: float) -> None:
        """Index for so long whatever the machine says. It ends a pause."""
        self._paused_until, self._boosted_until = 0.0, now + for_s

    def resume(self) -> None:
        """End a pause or a boost."""
        self._paused_until = self._boosted_until = 0.0

    def is_paused(self, now: float) -> bool:
        """Return whether somebody paused it."""
        return now < self._paused_until

    def is_boosted(self, now: float) -> bool:
        """Return whether somebody wants it now."""
        return now < self._boosted_until

    def holds(self, now: float, *, is_busy: bool) -> bool:
        """Return whether no photo may be sent now. `is_busy`: there are some; else the machine is not asked."""
        if self._is_boosted != self.is_boosted(now):
            self._is_boosted = not self._is_boosted
            self._boost(self._is_boosted)
        self._count(now)
        self._minds = is_busy and not self._is_boosted
        if self._minds and not self.is_paused(now) and now >= self._asked_at + ASK_S:
            self._asked_at, self._machine = now, self._ask()
        self._counted = now, self.why(now)
        return bool(self._counted[1])

    def wait_s(self, now: float) -> float | None:
        """Return in how many seconds to ask again though nothing has come; None: never."""
        due = [end for end in (self._paused_until, self._boosted_until) if now < end < math.inf]
        if self._minds and self._machine and not self.is_paused(now):
            due.append(self._asked_at + ASK_S)
        return max(0.0, min(due) - now) if due else None

    def why(self, now: float) -> str:
        """Return why it holds, for people; empty if it does not."""
        if self.is_paused(now):
            return f"paused by pixkin pause{_for(self._paused_until - now)}"
        return f"paused: {self._machine}" if self._minds and self._machine else ""

    def boosted(self, now: float) -> str:
        """Return how long a boost goes on, for people; empty if there is none."""
        return f"boosted{_for(self._boosted_until - now)}" if self.is_boosted(now) else ""

    def keep(self) -> None:
        """Leave a pause or boost to the process that a reload makes of this one."""
        os.environ[KEPT] = f"{self._paused_until} {self._boosted_until}"

    def take(self) -> None:
        """Take what `keep` has left."""
        if kept := os.environ.pop(KEPT, ""):
            self._paused_until, self._boosted_until = map(float, kept.split())

    def _count(self, now: float) -> None:
        """Count the time since the last turn as held for the disk, as gone on, or as neither."""
        since, why = self._counted
        if not why:
            self._went_s += now - since
        elif why.endswith(WAITS):
            self._held_s, self._went_s = self._held_s + now - since, 0.0
        if self._went_s >= GO_S:
            self._held_s = 0.0

    def _ask(self) -> str:
        """Return the machine's reason to hold. A pressure that has begun a hold must fall by half to end it."""
        percent = self._limits.battery_percent
        if percent and (charge := battery.charge(self._supplies)) is not None and (charge <= percent):
            return f"on battery at {charge} %"
        if not self._limits.pressure_percent:
            return ""
        if pressure.memory(self._pressures) >= self._threshold(SHORT):
            return SHORT
        if self._held_s < HOLD_S and pressure.disk(self._groups, self._own) >= self._threshold(WAITS):
            return WAITS
        return ""

    def _threshold(self, reason: str) -> float:
        """Return from how much pressure on there is a reason to hold, in percent."""
        return self._limits.pressure_percent / (2 if self._machine == reason else 1)


def _for(seconds: float) -> str:
    """Return a span behind a verb: ` for 58 min`; nothing for an endless one."""
    if seconds == math.inf:
        return ", until pixkin resume"
    if seconds <= 90:
        return f" for {math.ceil(seconds)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " for " + " ".join(f"{n} {unit}" for n, unit in parts if n)
