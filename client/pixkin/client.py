"""The Python API: `Client` sends a request to the daemon and returns the reply, or raises an error.

The client does not know how answers are printed.
"""

from __future__ import annotations  # help() shows the names of types, not what they stand for

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from pixkin.browsing import Browsing
from pixkin.dates import Taken, within
from pixkin.errors import InputUnreadable, Refused
from pixkin.protocol import requests
from pixkin.protocol.replies import (
    Code,
    Failure,
    Forgotten,
    Group,
    Groups,
    Has,
    Holding,
    Holdings,
    Ignored,
    Matches,
    Noted,
    Relation,
    Report,
    Roots,
    Spaces,
    Synced,
    Welcome,
)
from pixkin.protocol.requests import Region
from pixkin.query_images import Path, Source, Weighted, absolute, image_of, images_of, sent
from pixkin.reply_errors import expect
from pixkin.watching import StandingQuestions

_Pictured = TypeVar("_Pictured", Matches, Group)


class Client(Browsing, StandingQuestions):
    """Asks a running `pixkind` over its socket.

    What is an image for `like`, `have`, `thumbnail` and `watch`:

    - the path of a file: a `str` or a path object, absolute or relative to the working folder
    - the content of an image file: `bytes`, `bytearray`, `memoryview`, or an array of one dimension
    - an open binary file, or anything else with `read`: what comes from its position to its end
    - an image of Pillow, in any mode: its present frame, with its colour profile and orientation
    - an array of numpy, of uint8 from 0 to 255 in sRGB: H x W, H x W x 3 (RGB), or H x W x 4 (RGB and alpha, on white)
    - `Indexed`: a picture of the library, by its content id

    Pixels are sent without loss, as PNG or TIFF. The images of a request may have 128 MiB together: an array, 44 megapixels
    of RGB. An image that cannot be used is `InputUnreadable`, and what can be no image is a `TypeError`.

    Threads may share a client: each request has a connection of its own. The daemon takes at most four requests with the
    bytes of images at a time, and answers the next one with `busy`, which is `DaemonBusy`.
    """

    def like(
        self,
        *images: Weighted,
        minus: Sequence[Weighted] = (),
        region: Region | None = None,
        rotate: bool = False,
        n: int = 10,
        min_score: float | str | None = None,
        max_distance: float | None = None,
        under: Path | Sequence[Path] | None = None,
        not_under: Sequence[Path] = (),
        camera: str = "",
        taken: Taken | None = None,
        taken_since_s: int | None = None,
        taken_before_s: int | None = None,
        online: bool = False,
        itself: bool = False,
        fold: bool = True,
        pictures: bool = False,
        about: Path | None = None,
    ) -> Matches:
        """Return the photos most like the images.

        Args:
            *images: one to eight, as the class describes them; with a weight: `(0.5, image)`.
            minus: further images, in the same forms: photos that look like them rank lower.
            region: only this part of the image, as it is shown; there must be one image only.
            rotate: try the image in each of its eight orientations; the best score counts.
            n: the number of matches, at most, 1 to 10,000.
            min_score: the lowest score, -1 to 1; or the name of the lowest band, such as "alike"; "auto": all but `no relation`.
            max_distance: only matches at most this far away.
            under: only photos below this folder, or below one of these.
            not_under: only photos below none of these folders.
            camera: only photos whose camera make and model contain this text, in upper or lower case.
            taken: only photos taken then: a `date`, a text as `--taken` has it, such as "2019-06" or "last week", or
                `(since, before)`, each a `date`, a `datetime` or None. The camera's clock counts as UTC: a `datetime`
                without a time zone is what the camera showed, and one with a zone is converted to UTC.
            taken_since_s: only photos taken then or later, in s since the epoch, likewise in UTC.
            taken_before_s: only photos taken before then.
            online: only photos whose drive is connected.
            itself: return the query photo itself too.
            fold: join exact copies of a picture, other versions of the same shot, and shots of one burst into one match.
            pictures: say of each match which picture it is, with its size, colour and date.
            about: also say of this photo how it does, wherever it stands.

        Returns:
            The matches, best first, and the photos that they may miss (`doubt`).

        Raises:
            PixkinError: as `ask` does.
        """
        frames: list[bytes] = []
        request = requests.Like(
            images=images_of(images, minus, region, frames),
            rotate=rotate,
            limit=n,
            **_least(min_score),
            max_distance=max_distance,
            **_folders(under),
            not_under=tuple(map(absolute, not_under)),
            camera=camera,
            **within(taken, taken_since_s, taken_before_s),
            online=online,
            itself=itself,
            fold=fold,
            pictures=pictures,
            about=b"" if about is None else absolute(about),
        )
        return self._pictured(expect(Matches, self._ask_with_images(request, frames)))

    def have(self, *images: Source, within: Sequence[Path] = ()) -> Holdings:
        """Return for each image whether the library has it, has something near, or it is new. The daemon keeps nothing.

        Args:
            *images: one to eight, as in `like`; an image that cannot be used is reported in its place, not raised.
            within: at most 32 folders that may be erased, such as a memory card, without symbolic links: a copy there does
                not count.

        Raises:
            PixkinError: as `ask` does.
        """
        frames: list[bytes] = []
        places = tuple(map(absolute, within))
        request = requests.Have(images=tuple(image_of(source, frames) for source in images), within=places)
        reply = expect(Holdings, self._exchange(request, frames, self._until(self._reply_s)))
        if len(reply.holdings) != len(images):
            raise Refused(f"the daemon answered for {len(reply.holdings)} images instead of {len(images)}")
        holdings = [
            self._sent(image, places) if held.has is Has.UNREADABLE and not image.frame else held
            for image, held in zip(request.images, reply.holdings, strict=True)
        ]
        return msgspec.structs.replace(reply, holdings=tuple(holdings))

    def _sent(self, image: requests.Image, within: tuple[bytes, ...]) -> Holding:
        """Send the bytes of an image that the daemon cannot open, and return its answer."""
        frames: list[bytes] = []
        try:
            request = requests.Have(images=(sent(image, frames),), within=within)
        except InputUnreadable as error:
            return Holding(image.path, Has.FAILED, reason=error.what.removeprefix(f"{os.fsdecode(image.path)}: "))
        reply = self._exchange(request, frames, self._until(self._reply_s))
        if isinstance(reply, Failure) and reply.code is Code.REFUSED:  # too many bytes
            return Holding(image.path, Has.FAILED, reason=reply.what)
        if len(held := expect(Holdings, reply).holdings) != 1:
            raise Refused(f"the daemon answered for {len(held)} images instead of 1")
        return held[0]

    def status(self, *, failed: bool = False, formats: bool = False, exclusions: bool = False) -> Report:
        """Return the state of the daemon.

        Args:
            failed: also the photos that failed.
            formats: also the photo formats.
            exclusions: also what leaves photos and folders out.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Report, self.ask(requests.Status(failed=failed, formats=formats, exclusions=exclusions)))

    def sync(
        self,
        path: Path | None = None,
        timeout_s: float | None = None,
        *,
        accept_drive: bool = False,
        accept_empty: bool = False,
    ) -> Synced:
        """Wait until every file that is now under `path` (None: in any root) has been indexed or has failed.

        Args:
            path: a photo or a folder.
            timeout_s: seconds until this ends in `DaemonBusy`; None: never.
            accept_drive: `path` is a root; if it is on another drive now, accept that drive.
            accept_empty: do so even if no photo is there, which hides all photos of the root.

        Raises:
            PixkinError: as `ask` does.
        """
        top = absolute(path) if path is not None else b""
        request = requests.Sync(path=top, accept_drive=accept_drive, accept_empty=accept_empty)
        return expect(Synced, self._exchange(request, (), self._until(timeout_s)))

    def pause(self, root: Path | None = None, *, for_s: int = 0, timeout_s: float = 10.0) -> Roots:
        """Stop all indexing; or, with a root, return when no file there is open; none is opened until `resume`.

        The pause of a root also ends when its drive was away and is back. Every pause ends with the daemon.

        Args:
            root: a watched folder.
            for_s: without `root`: the seconds until indexing resumes, at most a year; 0: until `resume`.
            timeout_s: seconds until this ends in `DaemonBusy`.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Pause(root=absolute(root) if root is not None else b"", for_s=for_s)
        return expect(Roots, self._exchange(request, (), self._until(timeout_s)))

    def resume(self, root: Path | None = None) -> Roots:
        """End the pause of a root; None: end every pause, and a boost.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Roots, self.ask(requests.Resume(root=absolute(root) if root is not None else b"")))

    def boost(self, for_s: int = 3600) -> Roots:
        """Index for `for_s` seconds, whatever battery and pressure say. This ends a pause of all indexing.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Roots, self.ask(requests.Boost(for_s=for_s)))

    def dupes(
        self,
        folder: Path | None = None,
        *,
        min_score: float = requests.SAME_SHOT,
        told: Callable[[Groups], object] | None = None,
    ) -> Iterator[Group]:
        """Yield groups of near-duplicates as they are found; a photo is in at most one.

        The daemon searches only while it is asked for groups, and gives up after ten minutes without a request.

        Args:
            folder: only photos in this folder or below.
            min_score: the lowest score of a pair in a group, 0.5 to 1; 1: only exact copies.
            told: called with each reply of the daemon, which reports the progress.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Dupes(folder=absolute(folder) if folder is not None else b"", min_score=min_score)
        while True:
            reply = expect(Groups, self.ask(request))
            if told:
                told(reply)
            yield from map(self._pictured, reply.groups)
            if reply.done:
                return
            request = msgspec.structs.replace(request, search=reply.search)

    def apart(self, one: Path, other: Path) -> Noted:
        """Remember that two indexed photos are not duplicates: no group holds both, even after they are renamed.

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
        """Return all spaces.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Spaces, self.ask(requests.ListSpaces()))

    def use_space(self, name: str = "", timeout_s: float | None = None) -> Spaces:
        """Answer queries from a space from now on. With a million photos, opening it may take a minute.

        Args:
            name: the name of the space or of its model; empty: the configured space, as soon as it is complete.
            timeout_s: seconds until this ends in `DaemonBusy`; None: never.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Spaces, self._exchange(requests.UseSpace(name=name), (), self._until(timeout_s)))

    def drop_space(self, name: str, timeout_s: float | None = None) -> Spaces:
        """Delete a space that is neither in use nor being built; the arguments are those of `use_space`.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Spaces, self._exchange(requests.DropSpace(name=name), (), self._until(timeout_s)))

    def forget(self, *paths: Path, dry_run: bool = False, timeout_s: float | None = None) -> Forgotten:
        """Delete what the index knows of photos that are gone, and wipe it from the index's files.

        A photo that lies in a watched folder stays. For a million photos this may take minutes.

        Args:
            *paths: one to 200 photos or folders; they need not exist.
            dry_run: only count.
            timeout_s: seconds until this ends in `DaemonBusy`; None: never. The daemon goes on.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Forget(paths=tuple(map(absolute, paths)), dry_run=dry_run)
        return expect(Forgotten, self._exchange(request, (), self._until(timeout_s)))

    def ignore(self, *paths: Path, undo: bool = False) -> Ignored:
        """Tell no more of photos that failed, until they change and fail again. This outlives the index.

        Args:
            *paths: one to 200 photos or folders.
            undo: tell of them again.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Ignored, self.ask(requests.Ignore(paths=tuple(map(absolute, paths)), undo=undo)))

    def hello(self) -> Welcome:
        """Return the version and rules of the daemon.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Welcome, self.ask(requests.Hello()))

    def _pictured(self, answer: _Pictured) -> _Pictured:
        """Tell an answer how a notebook shows it, and return it."""
        vars(answer)["as_html"] = self._html
        return answer

    def _html(self, answer: Matches | Group) -> str:
        from pixkin.tiles.notebook import html

        return html(answer, self)


def _least(min_score: float | str | None) -> dict[str, Any]:
    """Return the keys of a request that name a lowest score, or the name of a band."""
    if not isinstance(min_score, str):
        return {"min_score": min_score}
    # A daemon that knows no bands knows `related`.
    return {"related": True, "min_band": Relation.UNKNOWN if min_score == "auto" else Relation(min_score)}


def _folders(under: Path | Sequence[Path] | None) -> dict[str, Any]:
    """Return the keys of a request that name one folder, several, or none."""
    named = [under] if isinstance(under, str | os.PathLike) else under or ()
    first, *others = [*map(absolute, named)] or [b""]
    return {"under": first, "also_under": tuple(others)}
