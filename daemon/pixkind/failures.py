"""The photos that failed, as they are told to people."""

import os

from pixkin.wire import Failed
from pixkind.mounts import lies_in
from pixkind.store import Store
from pixkind.sync import MOST
from pixkind.territory import Territory


def failures(store: Store, territory: Territory, top: str = "") -> tuple[Failed, ...]:
    """Return the photos of the roots at and below `top` (empty: all) that have no vector, with the reasons; not too many."""
    found = store.failures(MOST, lambda path: territory.root_of(path) is not None and lies_in(path, top))
    return tuple(Failed(os.fsencode(record.path), reason, record.retry_s) for record, reason in found)
