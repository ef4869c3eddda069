"""Groups of which every pair is close: complete-link clusters of the pairs that score enough. Numbers only.

A chain of photos, each like the next, is no group: the ends of it may have nothing in common.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

MOST: Final = 1 << 21  # pairs of open clusters that are kept; beyond, the weakest half goes: 25 MB, and 400 MB to group

Clique = tuple[list[int], float]  # members, sorted, and the lowest score of a pair of them


@dataclass(slots=True)
class Pairs:
    """Pairs of different rows, each at most once, in 12 bytes."""

    firsts: "array[int]" = field(default_factory=lambda: array("I"))
    seconds: "array[int]" = field(default_factory=lambda: array("I"))
    scores: "array[float]" = field(default_factory=lambda: array("f"))

    def __len__(self) -> int:
        return len(self.scores)

    def add(self, first: int, second: int, score: float) -> None:
        """Add one."""
        self.firsts.append(first)
        self.seconds.append(second)
        self.scores.append(score)

    def extend(self, other: "Pairs") -> None:
        """Add those of another."""
        self.firsts.extend(other.firsts)
        self.seconds.extend(other.seconds)
        self.scores.extend(other.scores)

    def over(self, score: float) -> "Pairs":
        """Return those that score more."""
        kept = np.frombuffer(self.scores, np.float32) > score if self else np.zeros(0, bool)
        return Pairs(
            *(array(one.typecode, np.asarray(one)[kept].tobytes()) for one in (self.firsts, self.seconds, self.scores))
        )

    def best_first(self, beat: Callable[[], None]) -> Iterator[tuple[int, int, float]]:
        """Yield them by falling score; ties by their rows, so that the same pairs always make the same groups."""
        firsts, seconds, scores = (np.asarray(one) for one in (self.firsts, self.seconds, self.scores))
        order = np.lexsort((np.maximum(firsts, seconds), np.minimum(firsts, seconds), -scores))
        for at in range(0, len(order), 1 << 16):
            beat()
            some = order[at : at + (1 << 16)]
            yield from zip(firsts[some].tolist(), seconds[some].tolist(), scores[some].tolist(), strict=True)


def cliques(pairs: Pairs, beat: Callable[[], None] = lambda: None) -> Iterator[Clique]:
    """Yield the complete-link clusters of two rows or more; a pair that is not among `pairs` is never in one.

    Two clusters are joined when the last pair between them has come, the best pairs coming first: then its score is the
    lowest of the two together. Counting suffices, so no matrix is kept. `beat` is called every 0.1 s or so; what it raises
    ends the work.
    """
    members: dict[int, list[int]] = {}
    lowest: dict[int, float] = {}
    home: dict[int, int] = {}
    counts: defaultdict[int, dict[int, int]] = defaultdict(dict)  # of the pairs that have come between two clusters
    for first, second, score in pairs.best_first(beat):
        one, other = home.setdefault(first, first), home.setdefault(second, second)
        ours, theirs = members.setdefault(one, [one]), members.setdefault(other, [other])
        count = counts[one].get(other, 0) + 1
        if count < len(ours) * len(theirs):
            counts[one][other] = counts[other][one] = count
            continue
        if len(counts[one]) < len(counts[other]):
            one, other = other, one
        for row in members[other]:
            home[row] = one
        members[one] += members.pop(other)
        lowest[one] = score
        lowest.pop(other, None)
        counts[one].pop(other, None)
        for third, between in counts.pop(other).items():
            if third != one:
                del counts[third][other]
                counts[one][third] = counts[third][one] = counts[one].get(third, 0) + between
    for one, score in lowest.items():
        yield sorted(members[one]), score


@dataclass(slots=True)
class _Part:
    waiting: int = 0  # rows whose pairs are not all known
    pairs: Pairs = field(default_factory=Pairs)


class Clusters:
    """Rows that hang together. A cluster is closed, and given away, as soon as all pairs of all its rows are known."""

    def __init__(self, most: int = MOST) -> None:
        """Begin with none, to keep at most so many pairs."""
        self.is_thinned = False  # pairs were dropped: groups may have come apart
        self.waiting: dict[int, None] = {}  # rows of open clusters whose pairs are not all known, the oldest first
        self._most = most
        self._above: dict[int, int] = {}
        self._parts: dict[int, _Part] = {}
        self._kept = 0  # pairs

    def __contains__(self, row: int) -> bool:
        """Return whether a row is, or was, in a cluster."""
        return row in self._above

    def close(self, rows: Iterable[int], pairs: Pairs) -> Iterator[Pairs]:
        """Take in `pairs`, with which all of `rows` are known, and yield the pairs of each cluster that is closed by it."""
        known = set(rows)
        for row in known & self.waiting.keys():
            del self.waiting[row]
            self._parts[self._top(row)].waiting -= 1
        touched = known & self._above.keys()
        for first, second, score in zip(pairs.firsts, pairs.seconds, pairs.scores, strict=True):
            one, other = self._joined(first, known), self._joined(second, known)
            if one != other:
                one = self._merged(one, other)
            self._parts[one].pairs.add(first, second, score)
            touched.add(first)
        self._kept += len(pairs)
        for top in sorted({self._top(row) for row in touched}):
            if not self._parts[top].waiting:
                part = self._parts.pop(top)
                self._kept -= len(part.pairs)
                yield part.pairs
        if self._kept > self._most:
            self._thin()

    def _joined(self, row: int, known: set[int]) -> int:
        """Return the top of a row's cluster; a new one if it has none."""
        if row not in self._above:
            self._above[row] = row
            self._parts[row] = _Part()
            if row not in known:
                self._parts[row].waiting = 1
                self.waiting[row] = None
        return self._top(row)

    def _top(self, row: int) -> int:
        above = self._above
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    def _merged(self, one: int, other: int) -> int:
        if len(self._parts[one].pairs) < len(self._parts[other].pairs):
            one, other = other, one
        self._above[other] = one
        gone = self._parts.pop(other)
        self._parts[one].waiting += gone.waiting
        self._parts[one].pairs.extend(gone.pairs)
        return one

    def _thin(self) -> None:
        """Drop the weakest pairs: what is left still makes groups of which every pair is close, though smaller ones."""
        self.is_thinned = True
        scores = np.concatenate(
            [np.frombuffer(part.pairs.scores, np.float32) for part in self._parts.values() if part.pairs]
        )
        cut = float(np.partition(scores, len(scores) // 2)[len(scores) // 2])
        for part in self._parts.values():
            part.pairs = part.pairs.over(cut)
        self._kept = sum(len(part.pairs) for part in self._parts.values())
