"""Threads that fetch small pictures from the daemon: those in sight first, and no others."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from PIL import Image as PillowImage

from pixkin.cli import output
from pixkin.cli.browse.asking import PASSING, source
from pixkin.cli.browse.trail import QuestionImage
from pixkin.cli.pictures.decoding import decoded
from pixkin.errors import PixkinError
from pixkin.protocol.requests import Size

if TYPE_CHECKING:
    from pixkin.client import Client

_THREADS: Final = 4
_KEPT: Final = 400  # pictures; of 200 x 160 pixels they take 40 MB
_MOST_PIXELS: Final = 4_200_000  # of a thumbnail: a square one of size L
_HIGH: Final = {Size.S: 256, Size.M: 512}  # pixels


class WantedThumbnail(NamedTuple):
    """A picture, and the pixels that it may take on the screen."""

    image: QuestionImage
    box: tuple[int, int]

    @property
    def size(self) -> Size:
        """The smallest size that fills the box."""
        return next((size for size, high in _HIGH.items() if self.box[1] <= high), Size.L)


class ThumbnailLoader:
    """Keeps pictures, and fetches those that are wanted."""

    def __init__(
        self,
        client: "Client",
        prepare: Callable[[PillowImage.Image], PillowImage.Image],
        told: Callable[[WantedThumbnail, Exception | None], None],
    ) -> None:
        """Start the threads, which end with the process.

        Args:
            client: asks for the pictures.
            prepare: makes a picture ready for the screen.
            told: called in a thread when a picture has come, or with the error if it has not.
        """
        self._client, self._prepare, self._told = client, prepare, told
        self._wanted: list[WantedThumbnail] = []
        self._fetched: set[WantedThumbnail] = set()  # being fetched
        self._kept: OrderedDict[WantedThumbnail, PillowImage.Image | str] = OrderedDict()
        self._held = self._closed = False
        self._changed = Condition()
        for _ in range(_THREADS):
            Thread(target=self._run, daemon=True).start()

    def want(self, wanted: Iterable[WantedThumbnail]) -> None:
        """Fetch these, in this order, instead of what was wanted before."""
        with self._changed:
            self._wanted = list(dict.fromkeys(wanted))
            self._changed.notify_all()

    def get(self, wanted: WantedThumbnail) -> PillowImage.Image | str | None:
        """Return a picture that is here, the reason why there is none, or None: it is not here yet."""
        with self._changed:
            if wanted in self._kept:
                self._kept.move_to_end(wanted)
            return self._kept.get(wanted)

    def go_on(self) -> None:
        """Try again: the daemon answers."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def close(self) -> None:
        """End the threads; one that waits for the daemon ends when it is answered, or with the process."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def forget_failures(self) -> None:
        """Fetch pictures once more that could not be had."""
        with self._changed:
            for wanted in [wanted for wanted, got in self._kept.items() if isinstance(got, str)]:
                del self._kept[wanted]

    def _run(self) -> None:
        while True:
            if (wanted := self._take()) is None:
                return
            failure: Exception | None = None
            got: PillowImage.Image | str | None = None
            try:
                got = self._fetch(wanted)
            except PASSING as error:
                failure = error
            except PixkinError as error:
                named = f"{os.fsdecode(wanted.image.path)}: "  # the path is shown already
                failure, got = error, output.harmless(error.what.removeprefix(named))
            except Exception as error:  # noqa: BLE001  the outermost frame of a thread
                failure = error
            with self._changed:
                self._fetched.discard(wanted)
                self._held = self._held or got is None
                if got is not None:
                    self._kept[wanted] = got
                    while len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)
            self._told(wanted, failure)

    def _take(self) -> WantedThumbnail | None:
        """Wait for a picture to fetch; None: the end."""
        with self._changed:
            while not self._closed:
                if (wanted := self._next()) is not None:
                    self._fetched.add(wanted)
                    return wanted
                self._changed.wait()
        return None

    def _next(self) -> WantedThumbnail | None:
        if self._held:
            return None
        return next((one for one in self._wanted if one not in self._kept and one not in self._fetched), None)

    def _fetch(self, wanted: WantedThumbnail) -> PillowImage.Image | str:
        if wanted.image.content:
            thumb = self._client.thumbnail(content=wanted.image.content, size=wanted.size)
        else:
            thumb = self._client.thumbnail(source(wanted.image), size=wanted.size)
        try:
            return self._prepare(decoded(thumb.data, *wanted.box, most_pixels=_MOST_PIXELS))
        except ValueError as error:
            return str(error)
