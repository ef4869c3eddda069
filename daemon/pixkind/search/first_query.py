"""Which photo a new user is told to ask about: one that another picture is like, so that the first answer shows something."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from pixkin.mounts import lies_in
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.store import Store

LOOKED_AT: Final = 200  # photos: at 2 ms a query, that takes half a second once
# Contents whose vectors a query reads while there are no codes: with more it would take longer, and any photo must do.
_FEW: Final = 2000


def with_kin(store: Store, index: VectorIndex, roots: Sequence[str]) -> str:
    """Return the path of the photo, among the first ones in these roots, to which another picture is most alike.

    Args:
        store: of the space that answers.
        index: of the same space.
        roots: absolute paths.

    Returns:
        The path; while the index of a large library is being made, that of any photo. Empty: no photo can be found.
    """
    found = (one for one in store.records() if one.live and not one.failed)
    ours = (one for one in found if any(lies_in(one.path, root) for root in roots))
    # The order of records is that of hashes of their paths: the same at each start, and as good as any.
    most = 1 if index.is_making and len(index) > _FEW else LOOKED_AT
    looked_at = [(one.content, one.path) for one in islice(ours, most)]
    vectors = index.vectors([content for content, _ in looked_at])
    pages = store.pages.files

    def likeness(content: bytes) -> float:
        nearest = islice(index.rank(vectors[content][None]), 3)  # a file's own pages are no kin
        scores = {one: score for one, score, _ in nearest}
        return max((score for one, score in scores.items() if pages([one])[one] != content), default=-1.0)

    return max(((likeness(content), path) for content, path in looked_at if content in vectors), default=(0.0, ""))[1]
