"""Accepts another drive in the place of a root's own. Ingest thread only."""

import shlex
from collections.abc import Iterator

from pixkin.protocol.replies import Code
from pixkind.fs.roots import WatchedRoots
from pixkind.ingest.counts import PhotoCounts
from pixkind.search.errors import RequestError
from pixkind.watching.root_monitor import RootMonitor


def accept_drive(
    root: str, roots: WatchedRoots, root_monitor: RootMonitor, counts: PhotoCounts, *, even_empty: bool
) -> Iterator[None]:
    """Accept the drive that is mounted at a root, a folder a step.

    Raises:
        RequestError: it has no photo although the index has some, except with `even_empty`.
    """
    if not even_empty and not root_monitor.check(root) and (count := counts.of(root).all):
        for photos in roots.count_photos(root):
            if photos:
                break
            yield
        else:
            name = shlex.quote(root)
            raise RequestError(
                Code.REFUSED,
                f"no photo is in {root}; to accept it would hide all photos that the index has of it: {count:,}",
                root,
                f"connect the drive with the photos; to hide them: pixkin sync {name} --accept-drive --accept-drive",
            )
    roots.accept(root, even_empty=even_empty)
