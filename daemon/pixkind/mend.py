"""What is done about vectors that have rotted on the disk. Runs in the ingest thread."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from pixkind.store import Store, StoreFull
from pixkind.visit import Owner

_log = logging.getLogger(__name__)


def mend(store: Store, owner: Owner, contents: Sequence[bytes]) -> None:
    """Forget the vectors of these contents, and have their photos looked at: they are encoded again."""
    with suppress(StoreFull):  # whoever comes across them next tells again
        owner.changed(store.drop_vectors(contents))
    for record in (record for content in contents for record in store.photos_of(content)):
        _log.error("the vector of %s had rotted on the disk; it is made again", record.path)
        owner.look_at(record.path, time.monotonic())
