"""A picture with its name below, as the grid and the duplicates show it."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from pixkin.cli.browse.pictures import PictureKind, fitted
from pixkin.cli.browse.thumbnails import ThumbnailLoader, WantedThumbnail
from pixkin.cli.browse.trail import Hit, QuestionImage


class Tile(Vertical):
    """A picture with a line of text, or a few."""

    DEFAULT_CSS = """
    Tile { padding: 0 1; height: 1fr; width: 1fr; }
    Tile > HalfBlocks, Tile > ProtocolPicture { height: 1fr; width: 1fr; background: #161616; }
    Tile > Static { height: auto; width: 1fr; text-wrap: nowrap; text-align: center; color: #a0a0a0; }
    Tile.focused { background: #ffb454; }
    Tile.focused > Static { color: #161616; text-style: bold; }
    """

    def __init__(self, kind: PictureKind) -> None:
        """Make an empty tile."""
        super().__init__()
        self._frame = kind.widget()
        self._label = Static(markup=False)
        self.wanted: WantedThumbnail | None = None
        self._hit: Hit | None = None

    def compose(self) -> ComposeResult:
        """Make the picture's place and the line below."""
        yield self._frame
        yield self._label

    def show(self, hit: Hit, box: tuple[int, int], text: str, loader: ThumbnailLoader, *, focused: bool) -> None:
        """Show a photo, or what is known of it until its picture is there."""
        self.set_class(focused, "focused")
        self._label.update(text)
        wanted = WantedThumbnail(QuestionImage(hit.picture.content, hit.path), box)
        if (wanted, hit) != (self.wanted, self._hit):
            self.wanted, self._hit = wanted, hit
            self.refresh_picture(loader)

    def refresh_picture(self, loader: ThumbnailLoader) -> None:
        """Show the picture as soon as it is there."""
        if self.wanted is None or self._hit is None:
            return
        got = loader.get(self.wanted)
        picture = self._hit.picture
        size = fitted((picture.width, picture.height), self.wanted.box)
        self._frame.show(None if isinstance(got, str) else got, size, picture.colour)

    def clear(self) -> None:
        """Show nothing."""
        if self.wanted is not None or self._hit is not None:
            self.wanted = self._hit = None
            self._frame.clear()
            self._label.update("")
            self.remove_class("focused")
