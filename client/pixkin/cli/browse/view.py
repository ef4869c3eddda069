"""One picture, as large as the screen."""

from collections.abc import Callable

from textual.widget import Widget

from pixkin.cli.browse import facts
from pixkin.cli.browse.base import PhotoScreen, Tools
from pixkin.cli.browse.keys import VIEW, bindings
from pixkin.cli.browse.thumbnails import WantedThumbnail
from pixkin.cli.browse.tiles import Tile
from pixkin.cli.browse.trail import Hit, QuestionImage


class ViewScreen(PhotoScreen):
    """Shows one of several photos."""

    PLACE = VIEW
    BINDINGS = bindings(VIEW)

    def __init__(self, tools: Tools, hits: tuple[Hit, ...], at: int, moved: Callable[[int], None]) -> None:
        """Show a photo; `moved` is told when another one is shown."""
        super().__init__(tools)
        self._hits, self._at, self._moved = hits, at, moved
        self._tile = Tile(tools.kind)

    def body(self) -> Widget:
        """Return the picture."""
        return self._tile

    @property
    def hit(self) -> Hit:
        """The photo that is shown."""
        return self._hits[self._at]

    def title_line(self) -> tuple[str, str]:
        """Return the photo's name, and which one of how many it is."""
        described = self.session.description(self.hit)
        marked = self.current_path() in self.session.marks
        name = facts.caption(self.hit, described, marked=marked, width=self.size.width)
        return name, f"{self._at + 1:,} of {len(self._hits):,}"

    def renew(self) -> None:
        """Draw what may have changed."""
        if not self.can_draw(self._tile):
            return
        self.session.see([self.hit])
        box = self.tools.kind.box(max(1, self.size.width - 2), max(1, self.size.height - 6))
        self._tile.show(self.hit, box, "", self.tools.loader, focused=False)
        around = [self._hits[at] for at in (self._at, self._at + 1, self._at - 1) if 0 <= at < len(self._hits)]
        self.tools.loader.want(
            WantedThumbnail(QuestionImage(hit.picture.content, hit.path), box) for hit in around if hit.picture.content
        )
        super().renew()

    # What keys do.

    def action_step(self, by: int) -> None:
        """Show the previous or next photo."""
        if 0 <= self._at + by < len(self._hits):
            self._at += by
            self._moved(self._at)
            self.renew()

    def action_close(self) -> None:
        """Close the view."""
        self.dismiss()

    def action_more(self) -> None:
        """Add the picture to the question."""
        if image := self._image():
            self._ask(self.session.trail.hop.question.with_more(image))

    def action_less(self) -> None:
        """Subtract the picture from the question."""
        if image := self._image():
            self._ask(self.session.trail.hop.question.with_less(image))
