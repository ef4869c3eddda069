"""Groups in which every pair is alike: the complete-link clusters of the pairs that score enough. Knows only numbers.

A chain of photos, each like the next, is no group: its ends may have nothing in common.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST: Final = 1 << 23  # pairs of open clusters that are kept, in 96 MiB; if there are more, the weakest half is dropped
_SQUARE: Final = 4096  # rows: a larger cluster is not grouped in a matrix, which takes 64 MiB for so many
_MANY: Final = (
    20_000  # pairs: for more a matrix is faster than counting, which took 30 s for 3,000 rows that are all alike
)
_COUNTABLE: Final = (
    8  # a cluster that is counted may have MOST / 8 pairs: counting takes ten times the memory of a pair
)

Cluster = tuple[list[int], float]  # the rows, sorted, and the lowest score of a pair of them


@dataclass(slots=True)
class Pairs:
    """Pairs of different rows with their scores, each pair at most once, in 12 bytes."""

    firsts: "array[int]" = field(default_factory=lambda: array("I"))
    seconds: "array[int]" = field(default_factory=lambda: array("I"))
    scores: "array[float]" = field(default_factory=lambda: array("f"))

    @classmethod
    def of(cls, firsts: NDArray[np.int64], seconds: NDArray[np.int64], scores: NDArray[np.float32]) -> "Pairs":
        """Return pairs from three arrays, (n,) each."""
        one, other = (array("I", rows.astype(np.uint32).tobytes()) for rows in (firsts, seconds))
        return cls(one, other, array("f", scores.astype(np.float32).tobytes()))

    def __len__(self) -> int:
        return len(self.scores)

    def add(self, first: int, second: int, score: float) -> None:
        """Add a pair."""
        self.firsts.append(first)
        self.seconds.append(second)
        self.scores.append(score)

    def extend(self, other: "Pairs") -> None:
        """Add the pairs of another."""
        self.firsts.extend(other.firsts)
        self.seconds.extend(other.seconds)
        self.scores.extend(other.scores)

    def over(self, score: float) -> "Pairs":
        """Return the pairs that score more."""
        kept = np.asarray(self.scores) > score
        return Pairs.of(*(np.asarray(one)[kept] for one in (self.firsts, self.seconds, self.scores)))

    def best_first(self) -> Iterator[tuple[int, int, float]]:
        """Yield the pairs by falling score, and ties by their rows, so that the same pairs always make the same groups."""
        firsts, seconds, scores = (np.asarray(one) for one in (self.firsts, self.seconds, self.scores))
        order = np.lexsort((np.maximum(firsts, seconds), np.minimum(firsts, seconds), -scores))
        for at in range(0, len(order), 1 << 12):
            some = order[at : at + (1 << 12)]
            yield from zip(firsts[some].tolist(), seconds[some].tolist(), scores[some].tolist(), strict=True)


def complete_link(pairs: Pairs, beat: Callable[[], None] = lambda: None, *, many: int = _MANY) -> Iterator[Cluster]:
    """Yield the complete-link clusters of two rows or more. Two rows that are not in `pairs` are never in one cluster.

    Args:
        pairs: of one cluster or of several, as `Clusters` links them.
        beat: called about every 0.1 s; an exception of it ends the work.
        many: with so many pairs or more a matrix is used, if it is not too large.
    """
    if len(pairs) >= many:
        rows = np.unique(np.concatenate([np.asarray(pairs.firsts), np.asarray(pairs.seconds)]))
        if len(rows) <= _SQUARE:
            yield from _chained(rows, pairs, beat)
            return
    yield from _counted(pairs, beat)


def _counted(pairs: Pairs, beat: Callable[[], None]) -> Iterator[Cluster]:
    """Take the pairs best first, and merge two clusters when the last pair between them has come.

    The score of this pair is the lowest of the merged cluster. It is enough to count the pairs that have come.
    """
    members: dict[int, list[int]] = {}
    lowest: dict[int, float] = {}
    home: dict[int, int] = {}
    counts: defaultdict[int, dict[int, int]] = defaultdict(dict)  # pairs between two clusters that have come
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


def _chained(rows: NDArray[np.uint32], pairs: Pairs, beat: Callable[[], None]) -> Iterator[Cluster]:
    """Follow nearest neighbours from cluster to cluster, and merge two that are each other's nearest neighbour.

    This gives the same clusters as counting. fastcluster 1.3.0 is as fast, but has no wheel for Python 3.14.

    Source: Murtagh, A survey of recent advances in hierarchical clustering algorithms, 1983.
    """
    gone, apart = -2.0, -1.0
    matrix = np.full((len(rows), len(rows)), apart, np.float32)
    firsts, seconds = (np.searchsorted(rows, np.asarray(one)) for one in (pairs.firsts, pairs.seconds))
    matrix[firsts, seconds] = matrix[seconds, firsts] = pairs.scores
    np.fill_diagonal(matrix, gone)
    members = {row: [row] for row in range(len(rows))}
    lowest: dict[int, float] = {}
    open_ = dict.fromkeys(members)  # clusters that may still be merged
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
        if score < 0:  # happens only at the start of a chain: along a chain the scores rise
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
class _OpenCluster:
    waiting: int = 0  # rows whose pairs are not all known
    pairs: Pairs = field(default_factory=Pairs)


class Clusters:
    """Rows that pairs link to clusters. A cluster is closed as soon as all pairs of all its rows are known."""

    def __init__(self, most: int = MOST) -> None:
        """Begin without clusters. `most` is the number of pairs that are kept."""
        self.is_thinned = False  # pairs were dropped, so a group may have been split
        self.waiting: dict[int, None] = {}  # rows of open clusters whose pairs are not all known, the oldest first
        self._most = most
        self._above: dict[int, int] = {}  # union-find: a row of the same cluster; the top of a cluster has itself
        self._open: dict[int, _OpenCluster] = {}
        self._kept = 0  # pairs

    def __contains__(self, row: int) -> bool:
        """Return whether a row is, or was, in a cluster."""
        return row in self._above

    def close(self, rows: Iterable[int], pairs: Pairs) -> Iterator[Pairs]:
        """Take in the pairs of a batch, and yield the pairs of each cluster that is now closed.

        Args:
            rows: the batch; with `pairs` all pairs of these rows are known.
            pairs: that were found for the batch.
        """
        known = set(rows)
        for row in known & self.waiting.keys():
            del self.waiting[row]
            self._open[self._top(row)].waiting -= 1
        touched = known & self._above.keys()
        for first, second, score in zip(pairs.firsts, pairs.seconds, pairs.scores, strict=True):
            one, other = self._top_of(first, known), self._top_of(second, known)
            if one != other:
                one = self._merged(one, other)
            self._open[one].pairs.add(first, second, score)
            touched.add(first)
        self._kept += len(pairs)
        for top in sorted({self._top(row) for row in touched}):
            if not self._open[top].waiting:
                cluster = self._open.pop(top)
                self._kept -= len(cluster.pairs)
                yield self._groupable(cluster.pairs)
        if self._kept > self._most:
            self._thin()

    def _top_of(self, row: int, known: set[int]) -> int:
        """Return the top of a row's cluster. A row without one becomes a new cluster."""
        if row not in self._above:
            self._above[row] = row
            self._open[row] = _OpenCluster()
            if row not in known:
                self._open[row].waiting = 1
                self.waiting[row] = None
        return self._top(row)

    def _top(self, row: int) -> int:
        above = self._above
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    def _merged(self, one: int, other: int) -> int:
        if len(self._open[one].pairs) < len(self._open[other].pairs):
            one, other = other, one
        self._above[other] = one
        gone = self._open.pop(other)
        self._open[one].waiting += gone.waiting
        self._open[one].pairs.extend(gone.pairs)
        return one

    def _groupable(self, pairs: Pairs) -> Pairs:
        """Return the pairs of a cluster; only the best, if it has too many to be grouped."""
        most = self._most // _COUNTABLE
        if len(pairs) <= most or len({*pairs.firsts, *pairs.seconds}) <= _SQUARE:
            return pairs
        self.is_thinned = True
        scores = np.asarray(pairs.scores)
        return pairs.over(float(np.partition(scores, -most)[-most]))

    def _thin(self) -> None:
        """Drop the weakest half of the pairs. In the remaining groups every pair is still alike, but groups may be smaller."""
        self.is_thinned = True
        scores = np.concatenate([np.asarray(cluster.pairs.scores) for cluster in self._open.values()])
        cut = float(np.partition(scores, len(scores) // 2)[len(scores) // 2])
        for cluster in self._open.values():
            cluster.pairs = cluster.pairs.over(cut)
        self._kept = sum(len(cluster.pairs) for cluster in self._open.values())
