"""Says how one photo does in a query: its score, its place among the matches, or what leaves it out."""

import os

import msgspec
import numpy as np
from numpy.typing import NDArray

from pixkin.protocol.explanations import About
from pixkin.protocol.replies import Matches, Relation
from pixkin.protocol.requests import Like
from pixkind.index.chance import Bounds, least, relation
from pixkind.index.rescoring import Rescorer
from pixkind.search.photo_search import PLACES, PhotoQuery, PhotoSearch, values
from pixkind.storage.record import Record


def about(photo_search: PhotoSearch, query: PhotoQuery, queries: NDArray[np.float32], answer: Matches) -> About | None:
    """Return how the photo does that a request names; None: it has no vector.

    Args:
        photo_search: where the matches come from.
        query: the request.
        queries: (k, dims) float32, as for `PhotoSearch.rank`.
        answer: what that returned.
    """
    path = photo_search.roots.find_watched(os.fsdecode(query.request.about))
    record = photo_search.store.record(path)
    if record is None or not record.live:
        return None
    vectors = photo_search.index.vectors([record.content, *photo_search.store.pages.further(record.content)])
    if not vectors:
        return None
    weights = photo_search.weights(query)
    each = [queries] if weights is not None else [vector[None] for vector in queries]
    _, score, distance = max(_best(photo_search, one, weights, np.stack([*vectors.values()])) for one in each)
    bounds = photo_search.bounds(query, queries)
    told = About(score, distance, relation(score, bounds))
    for place, match in enumerate(answer.matches, 1):
        if os.fsencode(path) in (match.path, *match.copies, *match.versions, *match.burst):
            behind = match.path if match.path != os.fsencode(path) else b""
            return msgspec.structs.replace(told, place=place, behind=behind)
    return msgspec.structs.replace(told, short_of=_short_of(photo_search, query, record, told, bounds) or ("limit",))


def _best(
    photo_search: PhotoSearch,
    queries: NDArray[np.float32],
    weights: NDArray[np.float64] | None,
    vectors: NDArray[np.float32],
) -> tuple[float, float, float]:
    """Return merit, score and distance of the best of these vectors, (n, dims)."""
    index = photo_search.index
    merits, scores, distances = Rescorer(queries, index.centering(), index.metric, weights).measures(vectors)
    best = int(np.argmax(merits))
    return float(merits[best]), float(scores[best]), float(distances[best])


def _short_of(
    photo_search: PhotoSearch, query: PhotoQuery, record: Record, told: About, bounds: Bounds | None
) -> tuple[str, ...]:
    request = query.request
    place = record.place(photo_search.store.facts(record.content))
    short = [] if request.itself or record.path not in query.asked else ["itself"]
    for keys in PLACES:
        alone = Like(images=request.images, **values(request, keys))
        if not photo_search.query(alone).wanted.passes(place):
            short += [key for key in keys if getattr(request, key) is not None]
    if request.min_score is not None and told.score < request.min_score:
        short.append("min_score")
    if told.score < least(request.min_band, bounds):
        short.append("min_band")
    if request.related and told.score < least(Relation.LOOSELY, bounds):
        short.append("related")
    if request.max_distance is not None and told.distance > request.max_distance:
        short.append("max_distance")
    return tuple(short)
