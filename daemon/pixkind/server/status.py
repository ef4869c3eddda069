"""Answers `status`, and says of every answer what it cannot vouch for.

Knows no socket. Any thread may call.
"""

import os
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from pixkin.locations import config_file
from pixkin.protocol.replies import Doubt, Exclusion, Format, Report, Root, RootState
from pixkin.protocol.requests import Status
from pixkind.encoder.formats import FORMATS
from pixkind.fs.exclusions import BUILT_IN_NAME, Rule
from pixkind.fs.roots import NEVER_SEEN, WatchedRoots
from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.counts import FailedPhotos, PhotoCounts
from pixkind.ingest.loop import IngestLoop
from pixkind.ingest.throttle import clock
from pixkind.server.deferred import Deferred
from pixkind.watching.sync import MOST


@dataclass(slots=True)
class StatusHandler:
    """Answers `status`."""

    roots: WatchedRoots
    counts: PhotoCounts
    failed: FailedPhotos
    ingest: IngestLoop
    spaces: OpenSpaces
    about: Callable[[], Report]  # returns what a report says of the process itself
    _telling: threading.Lock = field(default_factory=threading.Lock)  # guards all below
    _told: frozenset[tuple[str, int]] = frozenset()  # path and mtime of failures of which an answer has told
    _told_count: int = 0  # how many there were then
    _told_at: int = -1  # after which change of the store

    def status(self, request: Status) -> Report | Deferred:
        """Return the report, after the roots were checked whose state no event reports."""
        # The ingest thread and the helper processes check them; each check ends soon, if only by a timeout.
        checks = self.ingest.refresh()
        return Deferred(checks, lambda: self._report(request)) if checks else self._report(request)

    def doubt(self) -> Doubt:
        """Return what an answer cannot vouch for now."""
        counts = [(self.roots.is_online(root), self.counts.of(root)) for root in self.roots.paths]
        missed, found = self.spaces.gaps()  # most photos that wait for the filling space are found by the answering one
        return Doubt(
            pending=max(0, self.ingest.pending - max(found, self.ingest.reread)) + missed,
            failed=max(0, sum(count.failed for _, count in counts) - self.counts.ignored),
            offline=sum(count.found for online, count in counts if not online),
            unwatched=tuple(os.fsencode(root) for root in self.roots.paths if self._is_doubtful(root)),
        )

    def told_doubt(self) -> Doubt:
        """Return the doubt of an answer: it tells once of each photo that has failed."""
        changes, doubt = self.counts.changes, self.doubt()
        with self._telling:
            if changes == self._told_at:
                return doubt
            # Of very many, only their number is compared: reading all of them would hold up each answer.
            is_many = doubt.failed > MOST
            found = self.failed.found(self.spaces.answering.store) if doubt.failed and not is_many else []
            failing = frozenset((record.path, record.stamp.mtime_ns) for record, _ in found)
            new = doubt.failed - self._told_count if is_many else len(failing - self._told)
            self._told, self._told_count, self._told_at = failing, doubt.failed, changes
        return msgspec.structs.replace(doubt, newly_failed=max(0, new))

    def photos(self) -> int:
        """Return how many photos can be found."""
        return sum(self.counts.of(root).found for root in self.roots.paths)

    def root(self, root: str) -> Root:
        """Return what is known of one root, with the command that ends its state, if there is one."""
        known = self.roots.root(root, self.ingest.coverage.gaps().get(root, ""))
        if known.state in (RootState.ONLINE, RootState.DEGRADED) and self.ingest.coverage.is_unscanned(root):
            return Root(known.path, RootState.SCANNING, "not all of it is known yet")
        if known.state is RootState.ONLINE:
            notes = (self.counts.of(root).note, self.roots.note(root))
            return Root(known.path, known.state, "; ".join(filter(None, notes)))
        return with_hint(known)

    def doing(self) -> str:
        """Return in a few words what the daemon is busy with, or why it is not."""
        return ", ".join(filter(None, (self.ingest.doing, self.ingest.throttle.boosted(clock()))))

    def _is_doubtful(self, root: str) -> bool:
        return self.root(root).state in (RootState.SCANNING, RootState.DEGRADED, RootState.PAUSED)

    def _with_links(self, root: str) -> Root:
        return msgspec.structs.replace(self.root(root), links=self.ingest.coverage.links(root))

    def _report(self, request: Status) -> Report:
        doubt, pending, rate = self.doubt(), self.ingest.pending, self.ingest.rate()
        answering = self.spaces.answering.store
        return msgspec.structs.replace(
            self.about(),
            doing=self.doing(),
            photos=self.photos(),
            pending=pending,
            failed=doubt.failed,
            ignored=self.counts.ignored,
            offline=doubt.offline,
            roots=tuple(map(self._with_links, self.roots.paths)),
            store_bytes=answering.size,
            rate=rate,
            eta_s=pending / rate if rate else 0.0,
            failures=self.failed.named(answering).named if request.failed else (),
            formats=_formats() if request.formats else (),
            exclusions=tuple(map(exclusion_of, self.roots.exclusions.rules())) if request.exclusions else (),
        )


def with_hint(root: Root) -> Root:
    """Return the root with the command that ends its state, if there is one."""
    name = shlex.quote(os.fsdecode(root.path))
    if root.state is RootState.PAUSED:
        return msgspec.structs.replace(root, hint=f"when it may be read again: pixkin resume {name}")
    if root.state is RootState.OFFLINE and root.reason.startswith("another drive"):  # identity.mismatch
        hint = f"if this drive takes the place of the other: pixkin sync {name} --accept-drive"
        return msgspec.structs.replace(root, hint=hint)
    if root.reason == NEVER_SEEN:
        return msgspec.structs.replace(root, hint=f"connect its drive, or correct index.folders in {config_file()}")
    return root


def exclusion_of(rule: Rule) -> Exclusion:
    """Return a rule as replies tell it."""
    is_built_in = rule.file == BUILT_IN_NAME
    pattern = rule.pattern if rule.line or not os.path.isabs(rule.file) else ""
    return Exclusion(pattern, b"" if is_built_in else os.fsencode(rule.file), rule.line, is_built_in)


def _formats() -> tuple[Format, ...]:
    """Return which package reads each format, or would read it."""
    rows = [(one, one.version()) for one in FORMATS]
    return tuple(
        Format(
            one.name,
            decoder=f"{one.package} {version}".rstrip(),
            live=bool(version),
            hint="" if version else one.install,
            licence=one.licence,
        )
        for one, version in rows
    )
