"""Groups of which every pair is close: complete-link clusters of the pairs that score enough. Numbers only.

A chain of photos, each like the next, is no group: the ends of it may have nothing in common.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST: Final = 1 << 23  # pairs of open clusters that are kept, in 96 MiB; beyond, the weakest half goes
_SQUARE: Final = 4096  # rows of a cluster that may be grouped in a matrix, of 64 MiB
_MANY: Final = (
    20_000  # pairs from which on a matrix is faster than counting, which took 30 s for 3,000 rows that are alike
)
_COUNTABLE: Final = 8  # of MOST pairs one in so many may be of a cluster that is counted: it takes ten times the memory

Clique = tuple[list[int], float]  # members, sorted, and the lowest score of a pair of them


@dataclass(slots=True)
class Pairs:
    """Pairs of different rows, each at most once, in 12 bytes."""

    firsts: "array[int]" = field(default_factory=lambda: array("I"))
    seconds: "array[int]" = field(default_factory=lambda: array("I"))
    scores: "array[float]" = field(default_factory=lambda: array("f"))

    @classmethod
    def of(cls, firsts: NDArray[np.int64], seconds: NDArray[np.int64], scores: NDArray[np.float32]) -> "Pairs":
        """Return these, (n,) each."""
        one, other = (array("I", rows.astype(np.uint32).tobytes()) for rows in (firsts, seconds))
        return cls(one, other, array("f", scores.astype(np.float32).tobytes()))

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
        kept = np.asarray(self.scores) > score
        return Pairs.of(*(np.asarray(one)[kept] for one in (self.firsts, self.seconds, self.scores)))

    def best_first(self) -> Iterator[tuple[int, int, float]]:
        """Yield them by falling score; ties by their rows, so that the same pairs always make the same groups."""
        firsts, seconds, scores = (np.asarray(one) for one in (self.firsts, self.seconds, self.scores))
        order = np.lexsort((np.maximum(firsts, seconds), np.minimum(firsts, seconds), -scores))
        for at in range(0, len(order), 1 << 12):
            some = order[at : at + (1 << 12)]
            yield from zip(firsts[some].tolist(), seconds[some].tolist(), scores[some].tolist(), strict=True)


def complete_link(pairs: Pairs, beat: Callable[[], None] = lambda: None, *, many: int = _MANY) -> Iterator[Clique]:
    """Yield the complete-link clusters of two rows or more; a pair that is not among `pairs` is never in one.

    Args:
        pairs: of one cluster that hangs together, or of several.
        beat: called every 0.1 s or so; what it raises ends the work.
        many: pairs, from which on a matrix is used if it is not too large.
    """
    if len(pairs) >= many:
        rows = np.unique(np.concatenate([np.asarray(pairs.firsts), np.asarray(pairs.seconds)]))
        if len(rows) <= _SQUARE:
            yield from _chained(rows, pairs, beat)
            return
    yield from _counted(pairs, beat)


def _counted(pairs: Pairs, beat: Callable[[], None]) -> Iterator[Clique]:
    """Join two clusters when the last pair between them has come, the best pairs coming first.

    Then its score is the lowest of the two together. Counting suffices, so nothing is kept of pairs that have come.
    """
    members: dict[int, list[int]] = {}
    lowest: dict[int, float] = {}
    home: dict[int, int] = {}
    counts: defaultdict[int, dict[int, int]] = defaultdict(dict)  # of the pairs that have come between two clusters
    for number, (first, second, score) in enumerate(pairs.best_first()):
        if number % 10_000 == 0:
            beat()
        one, other = home.setdefault(first, first), home.setdefault(second, second)
        ours, theirs = members.setdefault(one, [one]), members.setdefault(other, [other])
        come = counts[one].get(other, 0) + 1
        if come < len(ours) * len(theirs):
            counts[one][other] = counts[other][one] = come
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


def _chained(rows: NDArray[np.uint32], pairs: Pairs, beat: Callable[[], None]) -> Iterator[Clique]:
    """Follow nearest neighbours from cluster to cluster, and join two that are each other's: the same clusters.

    Source: Murtagh, A survey of recent advances in hierarchical clustering algorithms, 1983.
    """
    gone, apart = -2.0, -1.0
    matrix = np.full((len(rows), len(rows)), apart, np.float32)
    firsts, seconds = (np.searchsorted(rows, np.asarray(one)) for one in (pairs.firsts, pairs.seconds))
    matrix[firsts, seconds] = matrix[seconds, firsts] = pairs.scores
    np.fill_diagonal(matrix, gone)
    members = {row: [row] for row in range(len(rows))}
    lowest: dict[int, float] = {}
    open_ = dict.fromkeys(members)  # clusters that may still be joined
    chain: list[int] = []
    for number in count():
        if number % 500 == 0:
            beat()
        if not chain:
            if not open_:
                break
            chain = [next(iter(open_))]
        one = chain[-1]
        other = int(matrix[one].argmax())
        score = float(matrix[one, other])
        if score < 0:  # only at the beginning of a chain: along it, scores rise
            del open_[chain.pop()]
        elif len(chain) > 1 and matrix[one, chain[-2]] >= score:
            other = chain[-2]
            del chain[-2:], open_[one]
            matrix[other] = matrix[:, other] = np.minimum(matrix[one], matrix[other])
            matrix[one] = matrix[:, one] = gone
            matrix[other, other] = gone
            members[other] += members.pop(one)
            lowest[other] = score
            lowest.pop(one, None)
        else:
            chain.append(other)
    for one, score in lowest.items():
        yield sorted(rows[members[one]].tolist()), score


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
                yield self._handy(part.pairs)
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

    def _handy(self, pairs: Pairs) -> Pairs:
        """Return the pairs of a cluster, or, where they are too many to be grouped, the best."""
        most = self._most // _COUNTABLE
        if len(pairs) <= most or len({*pairs.firsts, *pairs.seconds}) <= _SQUARE:
            return pairs
        self.is_thinned = True
        scores = np.asarray(pairs.scores)
        return pairs.over(float(np.partition(scores, -most)[-most]))

    def _thin(self) -> None:
        """Drop the weakest pairs: what is left still makes groups of which every pair is close, though smaller ones."""
        self.is_thinned = True
        scores = np.concatenate([np.asarray(part.pairs.scores) for part in self._parts.values()])
        cut = float(np.partition(scores, len(scores) // 2)[len(scores) // 2])
        for part in self._parts.values():
            part.pairs = part.pairs.over(cut)
        self._kept = sum(len(part.pairs) for part in self._parts.values())
