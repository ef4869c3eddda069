"""How many photos there are, by root, kept up to date by the commits. Ingest writes, any thread reads whole numbers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pixkind.batch import Delta
from pixkind.record import Record


@dataclass(slots=True)
class Count:
    """Live photos of one root."""

    found: int = 0
    failed: int = 0

    @property
    def any(self) -> bool:
        """Whether there are photos at all."""
        return self.found + self.failed > 0


@dataclass(slots=True)
class Census:
    """The counts. `root_of` says to which configured root a path belongs; None: to none, so it is hidden."""

    root_of: Callable[[str], str | None]
    by_root: dict[str, Count] = field(default_factory=dict)

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
