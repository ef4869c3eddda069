"""Tells the log and systemd how far the indexing is and, once, what to try when it is through. Main thread."""

import logging
import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pixkin.protocol.replies import RootState
from pixkind.fs.roots import WatchedRoots
from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.counts import PhotoCounts
from pixkind.ingest.first_runs import FirstRuns
from pixkind.ingest.loop import IngestLoop
from pixkind.ingest.throttle import clock
from pixkind.search.first_query import with_kin
from pixkind.system import sd_notify
from pixkind.system.process import trim
from pixkind.system.threads import ServiceThread

_log = logging.getLogger(__name__)

BUSY_S: Final = 0.5  # between two turns while photos are indexed
SLOW_S: Final = 5.0  # the same while indexing is throttled
LINE_S: Final = 5.0  # between two lines of progress
STILL_S: Final = 3600.0  # the same at most, while nothing is indexed: a file may grow for days


@dataclass(slots=True)
class Progress:
    """What the main thread says between two signals."""

    ingest: IngestLoop
    counts: PhotoCounts
    spaces: OpenSpaces
    roots: WatchedRoots
    tells: bool  # whether to log, once, what to try: a command that names a photo
    first_runs: FirstRuns | None = None  # None: the desktop is not told of them
    _said_at: float = -STILL_S  # monotonic; the last line of progress
    _line_s: float = LINE_S  # until the next one; it doubles while the same photos are indexed
    _done: int = 0  # photos that are indexed
    _result: str = ""  # what was last logged of a time that is over
    _was_busy: bool = False
    _why: str = ""  # why indexing is throttled, as was last said

    def turn(self) -> float:
        """Say what there is to say and return how long to wait before the next turn, in s."""
        counts = [self.counts.of(root) for root in self.counts.roots]
        found, failed = sum(count.found for count in counts), sum(count.failed for count in counts)
        now = time.monotonic()
        said, self._why = self._why, self.ingest.throttle.why(clock())
        if self._why:
            self._was_busy = True
            self._say_throttled(said)
            return SLOW_S
        if self.ingest.doing != "idle":
            self._was_busy = True
            done = sum(map(sum, map(self.spaces.filling.store.count, self.counts.roots)))
            if done != self._done:
                self._done, self._line_s = done, LINE_S
            if now >= self._said_at + self._line_s:
                self._said_at, self._line_s = now, min(2 * self._line_s, STILL_S)
                self._say(done)
            return BUSY_S
        if self._was_busy or not (found or failed or self._result):
            self._was_busy = False
            trim()
            text = self._outcome(found, failed)
            sd_notify.status(text)
            if text != self._result:
                self._result = text
                _log.info("%s", text)
        if self.first_runs is not None:
            self.first_runs.look()
        if self.tells and found:
            self.tells = False
            if photo := self._suggestion():
                _log.info("try: %s", photo)
        return ServiceThread.BEAT_S

    def _say(self, done: int) -> None:
        pending, rate = self.ingest.pending, self.ingest.rate()
        left = f", {rate:.0f} a second, {pending / rate:.0f} s to go" if rate and pending else ""
        text = f"{self.ingest.doing}: {done} of {done + pending} photos{left}"
        sd_notify.status(text)
        _log.info("%s", text)

    def _say_throttled(self, said: str) -> None:
        if self._why != said:
            sd_notify.status(self._why)
        if self._why.partition(" for ")[0] != said.partition(" for ")[0]:  # not once a minute
            _log.info("%s; to index now: pixkin boost", self._why)

    def _suggestion(self) -> str:
        """Return a command that finds something, as it must be typed here; empty: the index is still being made."""
        program, known = str(Path(sys.executable).with_name("pixkin")), shutil.which("pixkin")
        if known and os.path.realpath(known) == os.path.realpath(program):  # and not another one, of another version
            program = known
        space = self.spaces.answering
        path = with_kin(space.store, space.index, self.counts.roots)
        return f"{shlex.quote(program)} like {shlex.quote(path)}" if path else ""

    def _outcome(self, found: int, failed: int) -> str:
        if not found and not failed:
            return self._nothing()
        return f"{found} photos can be found" + (f", {failed} failed: pixkin status --failed" if failed else "")

    def _nothing(self) -> str:
        """Return why no photo can be found. A folder whose drive is away is not empty."""
        gaps = self.ingest.coverage.gaps()
        known = [self.roots.root(root, gaps.get(root, "")) for root in self.counts.roots]
        whole = [os.fsdecode(one.path) for one in known if one.state is RootState.ONLINE]
        others = [
            f"{os.fsdecode(one.path)} is {one.state}: {one.reason}"
            for one in known
            if one.state is not RootState.ONLINE
        ]
        advice = "copy some there, or name another folder, as in `pixkind ~/Photos`"
        empty = [f"no photo is in {', '.join(whole)} yet: {advice}"] if whole else []
        return "; ".join([*others, *empty])
