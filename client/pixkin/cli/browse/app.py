"""The application: it ties the session to the screen."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import BindingType

from pixkin.cli.browse.base import PhotoScreen, Tools
from pixkin.cli.browse.duplicates import DuplicatesScreen
from pixkin.cli.browse.grid import GridScreen
from pixkin.cli.browse.pictures import HALF_BLOCKS, PictureKind, reduced
from pixkin.cli.browse.session import Session, Surface
from pixkin.cli.browse.thumbnails import ThumbnailLoader, WantedThumbnail
from pixkin.errors import PixkinError

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from pixkin.client import Client


class BrowseApp(App[bool], inherit_bindings=False):
    """Shows photos; its outcome is whether what was copied is printed."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []  # each screen has its own
    CSS = "* { scrollbar-size: 1 1; }"

    def __init__(self, client: "Client", image: bytes | None = None, kind: PictureKind = HALF_BLOCKS) -> None:
        """Make the screens; nothing is asked until the application runs.

        Args:
            client: asks the daemon.
            image: the path of the first question's image, absolute; None: begin with the newest photos.
            kind: how pictures are drawn.
        """
        super().__init__()
        self._image = image
        self.session = Session(client, Surface(self.call_later, self._later, self._renew, self._broken))
        self.loader = ThumbnailLoader(client, self._prepared, self._came)
        self.session.recovered.append(self.loader.go_on)
        self._tools = Tools(self.session, self.loader, kind, self._to_grid, self.exit)

    def on_mount(self) -> None:
        """Show the grid, and ask the first question."""
        self.install_screen(DuplicatesScreen(self._tools), "duplicates")
        self.push_screen(GridScreen(self._tools))
        self.session.begin(self._image)

    def on_unmount(self) -> None:
        """End the threads."""
        self.loader.close()

    def _to_grid(self) -> None:
        while not isinstance(self.screen, GridScreen):
            self.pop_screen()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.set_timer(seconds, call)

    def _renew(self) -> None:
        if isinstance(self.screen, PhotoScreen):
            self.screen.renew()

    def _broken(self, error: Exception) -> None:
        raise error

    def _prepared(self, picture: "PillowImage.Image") -> "PillowImage.Image":
        if self._tools.kind is not HALF_BLOCKS:  # a protocol has colours of its own
            return picture
        return reduced(picture, self.console._color_system)

    def _came(self, wanted: WantedThumbnail, error: Exception | None) -> None:
        self.session.tell(self._show, wanted, error)

    def _show(self, wanted: WantedThumbnail, error: Exception | None) -> None:
        if isinstance(self.screen, PhotoScreen):
            self.screen.picture_came(wanted)
        if isinstance(error, PixkinError):
            self.session.no_picture(error)
        elif error is not None:  # a bug
            raise error
