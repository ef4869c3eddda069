"""The guard in front of the daemon, and the answers of the tools. The docstring of the package has the rules.

Raises of all methods: PixkinError, with a sentence for the model.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from pixkin.cli import fields, output
from pixkin.cli.agent.arguments import (
    Arguments,
    DupesArguments,
    HaveArguments,
    LikeArguments,
    ThumbnailArguments,
    WhyArguments,
)
from pixkin.client import Client
from pixkin.errors import InputUnreadable, PixkinError, Refused
from pixkin.mounts import lies_in
from pixkin.protocol.explanations import Explanation, Fate
from pixkin.protocol.replies import Doubt, Group, Groups, Has, Holding, Holdings, Match, Thumb, Unproven
from pixkin.protocol.requests import Dupes, Have, Image, Size
from pixkin.query_images import Indexed
from pixkin.reply_errors import expect
from pixkin.tiles import answers

_CONTENT: Final = re.compile(r"[0-9a-f]{32}")
_PATHS: Final = 10  # of one group or picture that are named
_SEARCH_S: Final = 20.0  # for duplicates: most agents wait a minute for a tool

Answer = dict[str, Any]


class AgentLibrary:
    """The library as an agent may see it. Any thread may call."""

    def __init__(self, client: Client) -> None:
        """Remember the client."""
        self._client = client

    def like(self, asked: LikeArguments) -> Answer:
        """Return the photos most like one."""
        content, under = self._content(asked.photo), self._folder(asked.under)
        with _below(asked.under):
            reply = self._client.like(
                Indexed(content), n=asked.n, under=under, taken=asked.taken or None, pictures=True
            )
        return {"matches": [_match(one, reply.chance) for one in reply.matches], "note": _note(reply.doubt)}

    def dupes(self, asked: DupesArguments) -> Answer:
        """Return the groups of near-duplicates that are found in some seconds."""
        folder, until = self._folder(asked.folder), time.monotonic() + _SEARCH_S
        request = Dupes(folder=b"" if folder is None else os.fsencode(folder), min_score=asked.min_score)
        groups: list[Group] = []
        while True:
            with _below(asked.folder):
                reply = expect(Groups, self._client.ask(request))
            groups += reply.groups
            if reply.done or len(groups) >= asked.n or time.monotonic() > until:
                break
            request = msgspec.structs.replace(request, search=reply.search)
        return {
            "groups": [_group(one) for one in groups[: asked.n]],
            "complete": reply.done and len(groups) <= asked.n,
            "compared": reply.compared,
            "pictures": reply.pictures,
            "note": _note(reply.doubt),
        }

    def have(self, asked: HaveArguments) -> Answer:
        """Return of each photo whether a copy in another watched folder was read just now."""
        images = tuple(Image(path=self._found(path).path) for path in asked.photos)
        # Not by `Client.have`, which reads a file itself that the daemon cannot open.
        reply = expect(Holdings, self._client.ask(Have(images=images)))
        return {"photos": [_holding(one) for one in reply.holdings], "note": _note(reply.doubt)}

    def status(self, _: Arguments) -> Answer:
        """Return how many photos there are, and what the daemon does."""
        report = self._client.status()
        return {
            "photos": report.photos,
            "pending": report.pending,
            "failed": report.failed,
            "offline": report.offline,
            "doing": report.doing,
            "model": report.encoder,
            "folders": [output.root_fields(root) for root in report.roots],
        }

    def why(self, asked: WhyArguments) -> Answer:
        """Return what has become of a photo."""
        return fields.explanation_fields(self._explained(asked.path), None)

    def thumbnail(self, asked: ThumbnailArguments) -> Thumb:
        """Return a small copy of a photo."""
        return self._client.thumbnail(content=self._content(asked.photo), size=Size(asked.size))

    # The guard.

    def _content(self, photo: str) -> bytes:
        """Return the content id of a photo that queries find."""
        if _CONTENT.fullmatch(photo):
            return bytes.fromhex(photo)
        if not _is_path(photo):
            raise Refused(f"{photo} is neither an absolute path nor a content id")
        return self._found(photo).content

    def _found(self, path: str) -> Explanation:
        """Return what is known of a photo that queries find."""
        explained = self._explained(path)
        if explained.fate is not Fate.FOUND:
            raise Refused(f"{path}: {explained.what or explained.fate}", "the tool `why` says more")
        return explained

    def _explained(self, asked: str) -> Explanation:
        """Return what is known of a path in a watched folder that ends as a photo does."""
        path = self._path(asked)
        name, _, suffix = os.path.basename(path).rpartition(".")
        if not name or name.startswith(".") or suffix.lower() not in self._client.hello().suffixes:
            raise Refused(f"{path} is no photo by its name")
        explained = self._client.why(path)
        if explained.path != os.fsencode(path):
            raise self._elsewhere(path)
        return explained

    def _folder(self, asked: str) -> str | None:
        """Return a folder that lies in a watched one by its name; None: none is asked for."""
        return self._path(asked) if asked else None

    def _path(self, asked: str) -> str:
        """Return a path without `..` that lies in a watched folder by its name."""
        if not _is_path(asked):
            raise Refused(f"{asked} is no absolute path")
        path = os.path.normpath(asked)
        if not any(lies_in(path, root) for root in self._roots()):
            raise self._elsewhere(path)
        return path

    def _roots(self) -> list[str]:
        return [os.fsdecode(one.path) for one in self._client.folders().folders]

    def _elsewhere(self, path: str) -> PixkinError:
        return Refused(
            f"{os.path.normpath(path)} is in no watched folder, or a link leads there",
            f"watched folders: {', '.join(self._roots())}",
        )


@contextmanager
def _below(folder: str) -> Iterator[None]:
    """Say of a folder that the daemon refuses the same, whether it is missing or a link leads out of the watched folders."""
    try:
        yield
    except InputUnreadable as error:
        raise Refused(f"{folder} is no folder with photos, or a link leads there") from error


def _is_path(asked: str) -> bool:
    """Return whether a text can be an absolute path."""
    try:
        return asked.startswith("/") and "\0" not in asked and bool(os.fsencode(asked))
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _note(doubt: Doubt) -> str:
    """Return which photos an answer may miss: each one says it, since an agent may have forgotten the one before."""
    return output.doubts(msgspec.structs.replace(doubt, newly_failed=doubt.failed))


def _match(match: Match, chance: float | None) -> Answer:
    picture = match.picture
    return {
        **output.path_fields("path", match.path),
        "content": picture.content.hex() if picture else "",
        "score": round(match.score, 4),
        "band": answers.band(match, chance) or None,
        "offline": match.offline,
        "taken_s": picture.taken_s or None if picture else None,
        "taken_by_name": bool(picture and picture.by_name),
        "copies": len(match.copies),
        "versions": len(match.versions),
        "burst": match.frames,
    }


def _group(group: Group) -> Answer:
    told = fields.group_fields(group, group.photos[:_PATHS])
    return {**told, "more": group.more + max(0, len(group.photos) - _PATHS)}


def _holding(holding: Holding) -> Answer:
    # An older daemon looks at no copy.
    is_believed = holding.has is Has.THERE and not holding.seen
    return {
        **output.path_fields("path", holding.path),
        "has": str(Unproven.UNSEEN if is_believed else holding.known or holding.has),
        **output.paths_fields("copies", holding.paths[:_PATHS]),
        "more": max(0, len(holding.paths) - _PATHS),
        "reason": holding.reason,
    }
