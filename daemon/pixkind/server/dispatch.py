"""Gives each request to its handler, and puts the doubt on the answer. Knows no sockets and no threads."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import msgspec

import pixkin
from pixkin.protocol.replies import Exported, Groups, Holdings, Library, Matches, Reply, Welcome
from pixkin.protocol.requests import (
    Apart,
    Arrivals,
    Boost,
    Browse,
    Changes,
    Describe,
    DropSpace,
    Dupes,
    Export,
    Folders,
    Forget,
    Have,
    Hello,
    Ignore,
    Like,
    ListSpaces,
    ListWatches,
    Pause,
    Request,
    Resume,
    Status,
    Sync,
    Thumbnail,
    Timeline,
    Unwatch,
    UseSpace,
    Watch,
    Why,
)
from pixkind.config import Config
from pixkind.fs.rules import NOT_WALKED
from pixkind.search.errors import RequestError
from pixkind.server.control import ControlHandler
from pixkind.server.deferred import Deferred
from pixkind.server.dupes import DupesHandler
from pixkind.server.forget import ForgetHandler
from pixkind.server.have import HaveHandler
from pixkind.server.ignore import IgnoreHandler
from pixkind.server.library import LibraryHandler
from pixkind.server.like import LikeHandler
from pixkind.server.spaces import SpaceHandler
from pixkind.server.status import StatusHandler
from pixkind.server.thumbnails import ThumbnailHandler
from pixkind.server.watches import WatchHandler
from pixkind.server.why import WhyHandler


@dataclass(slots=True)
class Dispatcher:
    """The handlers of all requests. Any thread may call, several at once.

    Those that search are replaced when another space answers.
    """

    config: Config
    status_handler: StatusHandler
    control_handler: ControlHandler
    like_handler: LikeHandler
    have_handler: HaveHandler
    dupes_handler: DupesHandler
    space_handler: SpaceHandler
    forget_handler: ForgetHandler
    ignore_handler: IgnoreHandler
    library_handler: LibraryHandler
    thumbnail_handler: ThumbnailHandler
    watch_handler: WatchHandler
    why_handler: WhyHandler

    def answer(self, request: Request, images: Sequence[bytes]) -> Reply | Deferred:
        """Return the reply, or a Deferred. `images` are the frames that follow the request."""
        try:
            reply = self._answer(request, images)
        except RequestError as error:
            return error.failure
        return reply.then(self._with_doubt) if isinstance(reply, Deferred) else self._with_doubt(reply)

    def _answer(self, request: Request, images: Sequence[bytes]) -> Reply | Deferred:  # noqa: C901, PLR0911, PLR0912  one for each request
        match request:
            case Hello():
                suffixes = tuple(sorted(self.config.index.suffixes))
                skipped = tuple(sorted(NOT_WALKED))
                return Welcome(version=pixkin.__version__, pid=os.getpid(), suffixes=suffixes, skipped=skipped)
            case Like():
                return self.like_handler.like(request, images)
            case Have():
                return self.have_handler.have(request, images)
            case Status():
                return self.status_handler.status(request)
            case Sync() | Pause() | Resume() | Boost():
                return self.control_handler.answer(request)
            case Dupes() | Apart():
                return self.dupes_handler.answer(request)
            case ListSpaces() | UseSpace() | DropSpace():
                return self.space_handler.answer(request)
            case Forget():
                return self.forget_handler.answer(request)
            case Ignore():
                return self.ignore_handler.answer(request)
            case Describe() | Browse() | Export() | Folders() | Timeline():
                return self.library_handler.answer(request)
            case Thumbnail():
                return self.thumbnail_handler.thumbnail(request, images)
            case Watch() | Unwatch() | ListWatches() | Arrivals() | Changes():
                return self.watch_handler.answer(request, images)
            case Why():
                return self.why_handler.why(request)
            case _:
                assert_never(request)

    def _with_doubt(self, reply: Reply) -> Reply:
        """Return a reply with what it cannot vouch for, if its kind tells that."""
        if isinstance(reply, Matches):
            photos = self.status_handler.photos()
            return msgspec.structs.replace(reply, doubt=self.status_handler.told_doubt(), searched=photos)
        if isinstance(reply, Holdings | Library | Exported) or (isinstance(reply, Groups) and reply.done):
            return msgspec.structs.replace(reply, doubt=self.status_handler.told_doubt())
        return reply
