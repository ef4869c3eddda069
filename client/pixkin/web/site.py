"""What the answers share: the daemon, who is let in, and what the user has set."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.responses import Response

from pixkin.web.folder_ids import FolderPaths
from pixkin.web.group_decisions import GroupDecisions
from pixkin.web.pasted import PastedPhotos
from pixkin.web.readable import ReadableFiles
from pixkin.web.session import Sessions
from pixkin.web.settings import WebSettings
from pixkin.web.threads import ClientThreads

_NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Site:
    """One page and its daemon."""

    daemon: ClientThreads
    sessions: Sessions
    pasted: PastedPhotos
    decisions: GroupDecisions
    settings: WebSettings = field(default_factory=WebSettings)
    readable: ReadableFiles = field(default_factory=ReadableFiles)
    folders: FolderPaths = field(default_factory=FolderPaths)
    knows_peers: bool = True  # the kernel tells whose connection it is


def json(value: Any, status: int = 200, **headers: str) -> Response:  # noqa: ANN401  whatever msgspec encodes
    """Return a value as JSON; `_` in the name of a header stands for `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(msgspec.json.encode(value), status, {**_NO_STORE, **named}, "application/json")


def nothing(status: int = 204, **headers: str) -> Response:
    """Return an answer without a body."""
    return Response(None, status, {**_NO_STORE, **{name.replace("_", "-"): text for name, text in headers.items()}})
