"""How many photos there are, by root, kept up to date by the commits. Ingest writes, any thread reads whole numbers."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from pixkind.batch import Delta
from pixkind.record import Record

_log = logging.getLogger(__name__)

MANY: Final = (50, 0.2)  # photos, and share of a root: what vanishes beyond both is not tidying up


@dataclass(slots=True)
class Count:
    """Live photos of one root."""

    found: int = 0
    failed: int = 0
    most: int = field(default=0, compare=False)  # at once, since the scan before the last
    is_told: bool = field(default=False, compare=False)  # that many have vanished

    @property
    def any(self) -> bool:
        """Whether there are photos at all."""
        return self.all > 0

    @property
    def all(self) -> int:
        """How many photos there are, found or failed."""
        return self.found + self.failed

    def vanished(self) -> int:
        """Return how many photos have gone since the scan before the last, if they are many, else 0."""
        lost = self.most - self.all
        return lost if lost > max(MANY[0], MANY[1] * self.most) else 0

    def note(self) -> str:
        """Return what is to be said of the photos that have vanished; empty: nothing."""
        return f"{lost} of {self.most} photos have vanished; they are kept" if (lost := self.vanished()) else ""


@dataclass(slots=True)
class Census:
    """The counts. `root_of` says to which configured root a path belongs; None: to none, so it is hidden."""

    root_of: Callable[[str], str | None]
    by_root: dict[str, Count] = field(default_factory=dict)
    _at_scan: dict[str, int] = field(default_factory=dict)  # photos when a root was last scanned to its end

    def take(self, records: Iterable[Record]) -> None:
        """Count records that were there before."""
        for record in records:
            self._add(record, 1)

    def apply(self, delta: Delta) -> None:
        """Count what a commit changed."""
        for record in delta.before:
            self._add(record, -1)
        for record in delta.after:
            self._add(record, 1)

    def tell(self) -> None:
        """Log where many have vanished; to be called when nothing is on its way, for a folder that moved goes before it comes."""
        for root, count in self.by_root.items():
            lost = count.vanished()
            if lost and not count.is_told:
                _log.warning("root %s: %s", root, count.note())
            count.is_told = lost > 0

    def scanned(self, root: str) -> None:
        """Note that a root was scanned to its end: what had vanished before has been said for long enough."""
        count = self.of(root)
        count.most, self._at_scan[root] = max(count.all, self._at_scan.get(root, count.most)), count.all

    def of(self, root: str) -> Count:
        """Return the counts of a root."""
        return self.by_root.setdefault(root, Count())

    def _add(self, record: Record, sign: int) -> None:
        root = self.root_of(record.path) if record.live else None
        if root is None:
            return
        count = self.of(root)
        if record.failed:
            count.failed += sign
        else:
            count.found += sign
        count.most = max(count.most, count.all)
