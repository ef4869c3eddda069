"""Complete-link groups, compared with a slow implementation that tries everything."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixkind.search.clustering import Clusters, Pairs, complete_link

Scores = dict[tuple[int, int], float]


def _pairs(scores: Scores) -> Pairs:
    pairs = Pairs()
    for (one, other), score in scores.items():
        pairs.add(one, other, score)
    return pairs


def _grouped(scores: Scores, many: int = 1000) -> list[tuple[list[int], float]]:
    return sorted(complete_link(_pairs(scores), many=many))


def _lowest(one: list[int], other: list[int], scores: Scores) -> float:
    return min(scores.get((min(a, b), max(a, b)), -1) for a in one for b in other)


def _slowly(scores: Scores) -> list[tuple[list[int], float]]:
    """Merge the two clusters whose worst pair is best, until every two clusters lack a pair."""
    clusters = [[row] for row in sorted({row for pair in scores for row in pair})]
    while len(clusters) > 1:
        best, one, other = max((_lowest(a, b, scores), a, b) for a, b in combinations(clusters, 2))
        if best < 0:
            break
        clusters = [*(cluster for cluster in clusters if cluster not in (one, other)), sorted(one + other)]
    found = [cluster for cluster in clusters if len(cluster) > 1]
    return sorted((cluster, min(scores[pair] for pair in combinations(cluster, 2))) for cluster in found)


@st.composite
def graphs(draw: st.DrawFn) -> Scores:
    """Draw some pairs of a few rows, no two with the same score."""
    rows = draw(st.integers(2, 9))
    every = list(combinations(range(rows), 2))
    chosen = draw(st.lists(st.sampled_from(every), unique=True, max_size=len(every)))
    return {pair: place / 64 for place, pair in enumerate(chosen, start=1)}


@pytest.mark.parametrize("many", [0, 1000], ids=["few", "many"])
@given(scores=graphs())
@settings(max_examples=300)
def test_groups_are_those_of_complete_link(many: int, scores: Scores) -> None:
    """Counting pairs and following neighbours both give exactly the clusters and lowest scores of the slow implementation."""
    assert _grouped(scores, many) == _slowly(scores)


@pytest.mark.parametrize("many", [0, 1000], ids=["few", "many"])
@given(scores=graphs(), random=st.randoms(use_true_random=False))
def test_order_in_which_pairs_were_found_does_not_matter(many: int, scores: Scores, random: object) -> None:
    """The same pairs make the same groups, whichever batch found them, even where scores are equal."""
    level = {pair: round(score * 4) / 4 for pair, score in scores.items()}
    shuffled = list(level.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    turned = {pair[::-1]: score for pair, score in shuffled}

    assert _grouped(dict(shuffled), many) == _grouped(level, many)
    assert _grouped(turned, many) == _grouped(level, many)


def test_chain_is_no_group() -> None:
    """Of a hundred rows that are each like their neighbours only, no three are in one group."""
    chain = {(row, row + 1): 0.9 for row in range(100)}

    assert max(len(members) for members, _ in _grouped(chain)) == 2


def test_beat_can_end_the_work() -> None:
    """An exception of `beat` is passed on."""

    def stop() -> None:
        raise InterruptedError

    for many in (0, 1000):
        with pytest.raises(InterruptedError):
            list(complete_link(_pairs({(0, 1): 0.9}), stop, many=many))


@st.composite
def batches(draw: st.DrawFn) -> tuple[Scores, list[list[int]]]:
    """Draw pairs, and batches of their rows in some order."""
    scores = draw(graphs())
    rows = draw(st.permutations(sorted({row for pair in scores for row in pair})))
    size = draw(st.integers(1, 4))
    return scores, [rows[at : at + size] for at in range(0, len(rows), size)]


def _run(clusters: Clusters, scores: Scores, rounds: list[list[int]]) -> list[tuple[int, Scores]]:
    """Return the pairs that were yielded, each with its round."""
    left, closed = dict(scores), []
    for number, rows in enumerate(rounds):
        known = {pair: left.pop(pair) for pair in list(left) if not {*pair}.isdisjoint(rows)}
        for part in clusters.close(rows, _pairs(known)):
            given = zip(part.firsts, part.seconds, part.scores, strict=True)
            closed.append((number, {(one, other): score for one, other, score in given}))
    return closed


@given(batches())
def test_cluster_is_given_away_once_and_as_soon_as_all_its_rows_are_known(
    sample: tuple[Scores, list[list[int]]],
) -> None:
    """No row of it waits, no pair of it is lost or comes later, and no closed cluster is kept."""
    scores, rounds = sample
    clusters = Clusters()
    closed = _run(clusters, scores, rounds)
    when = {row: number for number, rows in enumerate(rounds) for row in rows}
    given = [{row for pair in part for row in pair} for _, part in closed]

    assert not clusters.waiting
    assert {pair: score for _, part in closed for pair, score in part.items()} == scores
    assert sum(map(len, given)) == len(set().union(*given))
    assert [number for number, _ in closed] == [max(when[row] for row in rows) for rows in given]


def test_rows_that_open_clusters_wait_for_come_first() -> None:
    """The rows that a batch found are compared in the next one."""
    clusters = Clusters()

    assert list(clusters.close([5], _pairs({(5, 9): 0.9, (5, 7): 0.9}))) == []
    assert list(clusters.waiting) == [9, 7]
    assert len(list(clusters.close([7, 9], Pairs()))) == 1


def test_too_many_pairs_are_thinned_from_the_weakest() -> None:
    """Memory is bounded: the strongest half of the pairs of open clusters stays, and the search reports that."""
    clusters = Clusters(most=10)
    found = {(0, row): row / 64 for row in range(1, 21)}
    list(clusters.close([0], _pairs(found)))
    (part,) = clusters.close(range(1, 21), Pairs())

    assert clusters.is_thinned
    assert min(part.scores) > 10 / 64
    assert 5 <= len(part) <= 10


def test_cluster_too_large_for_a_matrix_is_thinned_before_it_is_counted() -> None:
    """The memory for grouping a single cluster is bounded, too."""
    clusters = Clusters(most=16_000)
    chain = {(row, row + 1): row / 8192 for row in range(5000)}
    (part,) = clusters.close(range(5001), _pairs(chain))

    assert clusters.is_thinned
    assert 1000 < len(part) <= 2000
    assert min(part.scores) > 2900 / 8192
