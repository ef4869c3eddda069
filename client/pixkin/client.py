"""The client: one question to the daemon, and its answer or the reason why there is none.

Every question has a connection of its own (0.75 ms, measured on two cores at 2.4 GHz), so a `Client` holds nothing open:
threads may share it, a daemon may restart between two questions, and a late answer has nowhere to arrive.
It knows nothing of how answers look.
"""

import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Literal, Self

import msgspec
import zmq

from pixkin import locations
from pixkin.connection import Link
from pixkin.errors import InputUnreadable, Refused, UsageError
from pixkin.listening import check_listening
from pixkin.protocol import framing, requests
from pixkin.protocol.replies import (
    Code,
    Failure,
    Group,
    Groups,
    Has,
    Holding,
    Holdings,
    Matches,
    Noted,
    Reply,
    Report,
    Roots,
    Spaces,
    Synced,
    Welcome,
)
from pixkin.protocol.requests import Region, Request
from pixkin.query_images import Path, Source, Weighted, absolute, by_bytes, image_of, images_of, is_by_path, sent
from pixkin.reply_errors import error_of, expect, unpacked


class Client:
    """A running `pixkind`, asked over its socket."""

    def __init__(self, socket_path: str | None = None, *, reply_s: float = 30.0) -> None:
        """Say where the daemon listens; nothing is opened yet.

        Args:
            socket_path: the daemon's socket; None: where it is by default.
            reply_s: seconds until a question without an answer ends in `DaemonBusy`.
        """
        self._socket_path = locations.socket_file() if socket_path is None else socket_path
        self._reply_s = reply_s
        self._ids = itertools.count(1)  # 0 is what the daemon echoes if it could not read the id

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no connection outlives its question."""

    def like(
        self,
        *images: Weighted,
        minus: Sequence[Weighted] = (),
        region: Region | None = None,
        rotate: bool = False,
        n: int = 10,
        min_score: float | Literal["auto"] | None = None,
        max_distance: float | None = None,
        under: Path | None = None,
        not_under: Sequence[Path] = (),
        camera: str = "",
        taken_since_s: int | None = None,
        taken_before_s: int | None = None,
        online: bool = False,
        itself: bool = False,
        fold: bool = True,
    ) -> Matches:
        """Return the photos most like the images.

        Args:
            *images: one to eight; `str` and path objects say where the image is, `bytes` are the image's file itself;
                with a weight: `(0.5, image)`.
            minus: further images, likewise: what is like them is not wanted.
            region: only this part of the one image, as it is shown.
            rotate: the one image in each of its eight orientations: the best score counts.
            n: at most so many matches, 1 to 1,000.
            min_score: only matches that score at least this, -1 to 1; "auto": only those that score better than chance.
            max_distance: only matches at most this far away.
            under: only photos beneath this folder.
            not_under: only photos that are beneath none of these.
            camera: only photos whose camera's make and model contain this, in any case.
            taken_since_s: only photos taken then or later, in s since the epoch, the camera's clock as if it were UTC.
            taken_before_s: only photos taken earlier than that.
            online: only photos whose drive is there now.
            itself: also the query photo itself.
            fold: exact copies of one picture, and other versions of the same shot, are one match.

        Returns:
            The matches, best first, and what the daemon cannot vouch for.

        Raises:
            PixkinError: as `ask` does.
        """
        frames: list[bytes] = []
        request = requests.Like(
            images=images_of(images, minus, region, frames),
            rotate=rotate,
            limit=n,
            min_score=None if min_score == "auto" else min_score,
            related=min_score == "auto",
            max_distance=max_distance,
            under=b"" if under is None else absolute(under),
            not_under=tuple(map(absolute, not_under)),
            camera=camera,
            taken_since_s=taken_since_s,
            taken_before_s=taken_before_s,
            online=online,
            itself=itself,
            fold=fold,
        )
        until_ms = self._until(self._reply_s)
        reply = self._exchange(request, frames, until_ms)
        while isinstance(reply, Failure) and reply.code is Code.UNREADABLE and is_by_path(request, reply):
            request = by_bytes(request, reply, frames)
            reply = self._exchange(request, frames, until_ms)
        return expect(Matches, reply)

    def have(self, *images: Source) -> Holdings:
        """Return, for each image, whether the library has it, has something near, or it is new. Nothing is kept of it.

        Args:
            *images: one to eight, as in `like`; one that cannot be used is named in its place, and is no error.

        Raises:
            PixkinError: as `ask` does.
        """
        frames: list[bytes] = []
        request = requests.Have(images=tuple(image_of(source, frames) for source in images))
        reply = expect(Holdings, self._exchange(request, frames, self._until(self._reply_s)))
        if len(reply.holdings) != len(images):
            raise Refused(f"the daemon says something of {len(reply.holdings)} images instead of {len(images)}")
        holdings = [
            self._sent(image) if held.has is Has.UNREADABLE and not image.frame else held
            for image, held in zip(request.images, reply.holdings, strict=True)
        ]
        return msgspec.structs.replace(reply, holdings=tuple(holdings))

    def _sent(self, image: requests.Image) -> Holding:
        """Return what the daemon says to the bytes of an image that it cannot open."""
        frames: list[bytes] = []
        try:
            request = requests.Have(images=(sent(image, frames),))
        except InputUnreadable as error:
            return Holding(image.path, Has.FAILED, reason=error.what.removeprefix(f"{os.fsdecode(image.path)}: "))
        reply = self._exchange(request, frames, self._until(self._reply_s))
        if isinstance(reply, Failure) and reply.code is Code.REFUSED:  # too many bytes
            return Holding(image.path, Has.FAILED, reason=reply.what)
        if len(held := expect(Holdings, reply).holdings) != 1:
            raise Refused(f"the daemon says something of {len(held)} images instead of 1")
        return held[0]

    def status(self, *, failed: bool = False, formats: bool = False) -> Report:
        """Return how the daemon is; with `failed`, also the photos that failed, with reasons; with `formats`, what it reads.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Report, self.ask(requests.Status(failed=failed, formats=formats)))

    def sync(self, path: Path | None = None, timeout_s: float | None = None, *, accept_drive: bool = False) -> Synced:
        """Return when every file that stands under `path` (None: every root) now has an outcome.

        Args:
            path: a photo or a folder.
            timeout_s: seconds until this ends in `DaemonBusy`; None: never.
            accept_drive: `path` is a root; if another drive stands there, it is the root's from now on.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Sync(path=absolute(path) if path is not None else b"", accept_drive=accept_drive)
        return expect(Synced, self._exchange(request, (), self._until(timeout_s)))

    def pause(self, root: Path | None = None, *, for_s: int = 0, timeout_s: float = 10.0) -> Roots:
        """Stop all indexing; or return when nothing under a root is open any more: until `resume` nothing will be.

        The pause of a root also ends when the drive was away and is back. All end with the daemon.

        Args:
            root: a folder that is watched.
            for_s: without `root`: index again after so many seconds, up to a year; 0: after `resume`.
            timeout_s: seconds until this ends in `DaemonBusy`.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Pause(root=absolute(root) if root is not None else b"", for_s=for_s)
        return expect(Roots, self._exchange(request, (), self._until(timeout_s)))

    def resume(self, root: Path | None = None) -> Roots:
        """End the pause of a root; None: every pause, and a boost.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Roots, self.ask(requests.Resume(root=absolute(root) if root is not None else b"")))

    def boost(self, for_s: int = 3600) -> Roots:
        """Index now, for so many seconds, whatever battery and pressure say; it ends a pause of all indexing.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Roots, self.ask(requests.Boost(for_s=for_s)))

    def dupes(
        self,
        folder: Path | None = None,
        *,
        min_score: float = requests.SIMILAR,
        told: Callable[[Groups], object] = lambda _: None,
    ) -> Iterator[Group]:
        """Yield groups of near-duplicates as they are found; a photo is in one at most.

        The daemon stands still while none is asked for, and gives up after ten minutes.

        Args:
            folder: only photos in it, or below.
            min_score: the lowest score of a pair in a group, 0.5 to 1; 1: exact copies alone.
            told: called with each reply of the daemon, which says how far it is.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Dupes(folder=absolute(folder) if folder is not None else b"", min_score=min_score)
        while True:
            reply = expect(Groups, self.ask(request))
            told(reply)
            yield from reply.groups
            if reply.done:
                return
            request = msgspec.structs.replace(request, search=reply.search)

    def apart(self, one: Path, other: Path) -> Noted:
        """Say that two indexed photos are no duplicates of each other: no group holds both, whatever they are called later.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Noted, self.ask(requests.Apart(one=absolute(one), other=absolute(other))))

    def together(self, one: Path, other: Path) -> Noted:
        """Undo `apart`.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Noted, self.ask(requests.Apart(one=absolute(one), other=absolute(other), together=True)))

    def spaces(self) -> Spaces:
        """Return which spaces there are.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Spaces, self.ask(requests.ListSpaces()))

    def use_space(self, name: str = "", timeout_s: float | None = None) -> Spaces:
        """Have questions answered from a space from now on; of a million photos it may take a minute to open it.

        Args:
            name: of the space, or of its encoder; empty: the configured one, once it finds as much as the other.
            timeout_s: seconds until this ends in `DaemonBusy`; None: never.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Spaces, self._exchange(requests.UseSpace(name=name), (), self._until(timeout_s)))

    def drop_space(self, name: str, timeout_s: float | None = None) -> Spaces:
        """Return when a space that neither answers nor is filled is forgotten; arguments as for `use_space`.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Spaces, self._exchange(requests.DropSpace(name=name), (), self._until(timeout_s)))

    def hello(self) -> Welcome:
        """Return who answers on the socket.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Welcome, self.ask(requests.Hello()))

    def ask(self, request: Request, images: Sequence[bytes] = ()) -> Reply:
        """Send a request and return its reply, which is never a `Failure`; `id` and `until_ms` are filled in here.

        Raises:
            UsageError: the request breaks a rule of the protocol (exit status 2).
            InputUnreadable: an image or folder that it names cannot be used (66).
            DaemonAbsent: nothing listens on the socket (69).
            Refused: the daemon will not or cannot do it, or its reply makes no sense (70).
            DaemonBusy: it did not answer within `reply_s`, or is not ready to (75).
            VersionsDiffer: it speaks another version of the protocol (76).
        """
        reply = self._exchange(request, images, self._until(self._reply_s))
        if isinstance(reply, Failure):
            raise error_of(reply)
        return reply

    def _until(self, wait_s: float | None) -> int:
        """Return the deadline in ms of `requests.now_ms`; 0: none."""
        return 0 if wait_s is None else requests.now_ms() + max(1, round(wait_s * 1000))

    def _exchange(self, request: Request, images: Sequence[bytes], until_ms: int) -> Reply:
        request = msgspec.structs.replace(request, id=next(self._ids), until_ms=until_ms)
        frames = framing.pack(request, images)
        try:
            framing.unpack_request(frames)  # the daemon would refuse it in the same words, only later
        except framing.ProtocolError as error:
            raise UsageError(f"no such request: {error}") from error
        check_listening(self._socket_path)
        context = zmq.Context()
        try:
            # An interrupt between the making of a socket and ZeroMQ's note of it would leave it open: then
            # `destroy` waits for it for ever.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                link = Link(context, self._socket_path, until_ms)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            link.send(frames)
            while True:
                reply = unpacked(link.receive())
                # id 0 is the reply to a request that the daemon could not read; other ids answer nobody.
                if reply.id == request.id or (reply.id == 0 and isinstance(reply, Failure)):
                    return reply
        finally:
            context.destroy(linger=0)  # never wait for a daemon that does not take what is queued
