"""The grid of photos: what answers the question, and the place for the next one."""

from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Input, Static

from pixkin.cli import output
from pixkin.cli.browse import facts
from pixkin.cli.browse.base import PhotoScreen, Tools, typed_path
from pixkin.cli.browse.keys import GRID, bindings
from pixkin.cli.browse.thumbnails import WantedThumbnail
from pixkin.cli.browse.tiles import Tile
from pixkin.cli.browse.trail import Hit, Hop, Question, QuestionImage
from pixkin.protocol.pictures import Picture

_WIDTH, _HEIGHT = 20, 9  # cells of a tile, at least
_QUESTION = 26  # cells of the question's pictures, as in the style sheet
_WIDE = 100  # cells of a screen that has room for them


class GridScreen(PhotoScreen):
    """Tiles that fill the screen. They stay where they are; the photos move through them."""

    PLACE = GRID
    BINDINGS = bindings(GRID)
    DEFAULT_CSS = """
    GridScreen { layers: photos line; }
    GridScreen > Horizontal { height: 1fr; }
    GridScreen .tiles { layout: grid; width: 1fr; height: 1fr; }
    GridScreen .question { width: 26; height: 1fr; background: #202020; display: none; }
    GridScreen .question > Tile > HalfBlocks, GridScreen .question > Tile > ProtocolPicture { background: #202020; }
    GridScreen.asked .question { display: block; }
    GridScreen .nothing { height: 1fr; content-align: center middle; text-align: center; padding: 0 2; display: none; }
    GridScreen.empty .tiles { display: none; }
    GridScreen.empty .nothing { display: block; }
    GridScreen Input { layer: line; dock: bottom; padding: 0 1; background: #2a2a2a; }
    """
    columns = rows = 1

    def __init__(self, tools: Tools) -> None:
        """Make the screen; nothing is asked."""
        super().__init__(tools)
        self._question, self._tiles = Vertical(classes="question"), Container(classes="tiles")
        self._nothing = Static(classes="nothing", markup=False)
        self._input = Input(placeholder="the path of a photo; empty: your newest photos", compact=True)
        self._input.display = False

    def body(self) -> Widget:
        """Return the tiles, and what stands in their place if there is no photo."""
        return Horizontal(self._question, self._tiles, self._nothing)

    def compose(self) -> ComposeResult:
        """Add the line for a path, in front of the last line."""
        yield from super().compose()
        yield self._input

    @property
    def hop(self) -> Hop:
        """The question on the screen."""
        return self.session.trail.hop

    @property
    def hit(self) -> Hit | None:
        """The photo in focus."""
        return self.hop.hit

    def title_line(self) -> tuple[str, str]:
        """Return the question, and the place in its answer."""
        place = f"{self.hop.at + 1:,} of {self.hop.answer.total:,}" if self.hop.answer and self.hop.hit else ""
        return self.session.title(), place

    def renew(self) -> None:
        """Draw what may have changed."""
        if not self.can_draw(self._tiles):
            return
        self._lay_out()
        self.hop.move_to(self.hop.at, self.columns, self.rows)
        hits = self.hop.answer.hits if self.hop.answer else ()
        self.set_class(not hits, "empty")
        self._nothing.update("\n".join(line for line in self.session.nothing() if line))
        first, shown = self.hop.top * self.columns, self.columns * self.rows
        self.session.see(hits[first : first + shown])
        self._fill(hits, first)
        self.session.reach_end()
        super().renew()

    def _lay_out(self) -> None:
        """Make as many tiles as fit."""
        images = (*self.hop.question.more, *self.hop.question.less)
        shows_question = bool(images) and self.size.width >= _WIDE
        self.set_class(shows_question, "asked")
        width, height = self.size.width - shows_question * _QUESTION, max(1, self.size.height - 5)
        self.columns = max(1, width // max(_WIDTH, min(30, width // 6)))
        self.rows = max(1, height // max(_HEIGHT, min(13, height // 4)))
        self._make(self._tiles, self.columns * self.rows)
        styles = self._tiles.styles
        styles.grid_size_columns, styles.grid_size_rows = self.columns, self.rows
        self._cells = width // self.columns - 2, height // self.rows - 1
        self._make(self._question, len(images) * shows_question)

    def _make(self, place: Widget, count: int) -> None:
        place.mount_all(Tile(self.tools.kind) for _ in range(len(place.children), count))
        for tile in place.children[count:]:
            tile.remove()

    def _fill(self, hits: tuple[Hit, ...], first: int) -> None:
        box = self.tools.kind.box(*self._cells)
        for at, tile in enumerate(self._tiles.query(Tile), first):
            if at >= min(len(hits), first + self.columns * self.rows):
                tile.clear()
                continue
            described = self.session.description(hits[at])
            marked = facts.path_of(hits[at], described) in self.session.marks
            text = facts.caption(hits[at], described, marked=marked, width=self._cells[0])
            tile.show(hits[at], box, text, self.tools.loader, focused=at == self.hop.at)
        # The next screen comes after this one; so going on shows pictures at once.
        ahead = hits[first : first + 2 * self.columns * self.rows]
        wanted = [WantedThumbnail(QuestionImage(hit.picture.content, hit.path), box) for hit in ahead]
        self.tools.loader.want([*self._fill_question(), *wanted])

    def _fill_question(self) -> Iterator[WantedThumbnail]:
        question = self.hop.question
        tiles = [*self._question.query(Tile)]
        box = self.tools.kind.box(_QUESTION - 2, max(1, (self.size.height - 5) // max(len(tiles), 3) - 1))
        signs = [*("+" for _ in question.more), *("-" for _ in question.less)]
        for tile, sign, image in zip(tiles, signs, (*question.more, *question.less), strict=False):
            text = facts.cut(f"{sign} {output.shown(image.name)}", _QUESTION - 2)
            tile.show(Hit(Picture(image.content), image.path), box, text, self.tools.loader, focused=False)
            yield WantedThumbnail(image, box)

    # What keys do.

    def _go_to(self, at: int) -> None:
        self.hop.move_to(at, self.columns, self.rows)
        self.renew()

    def action_move(self, right: int, down: int) -> None:
        """Move the focus; downwards from the last full row, to the last photo."""
        count = len(self.hop.answer.hits) if self.hop.answer else 0
        at = self.hop.at + right + down * self.columns
        if 0 <= at < count or (down > 0 and self.hop.at // self.columns < (count - 1) // self.columns):
            self._go_to(at)

    def action_page(self, screens: int) -> None:
        """Move by a screen."""
        self._go_to(self.hop.at + screens * self.columns * self.rows)

    def action_end(self, direction: int) -> None:
        """Move to the first or last photo."""
        self._go_to(0 if direction < 0 or not self.hop.answer else len(self.hop.answer.hits) - 1)

    def action_back(self) -> None:
        """Go back to the question before."""
        self.session.back()

    def action_more(self) -> None:
        """Add the picture to the question."""
        if image := self._image():
            self.session.go_on(self.hop.question.with_more(image))

    def action_less(self) -> None:
        """Subtract the picture from the question."""
        if image := self._image():
            self.session.go_on(self.hop.question.with_less(image))

    def action_unmark(self) -> None:
        """Unmark all photos."""
        self.session.marks.clear()
        self.renew()

    def action_again(self) -> None:
        """Ask again."""
        self.tools.loader.forget_failures()
        self.session.ask(self.hop)

    def action_view(self) -> None:
        """View the picture large."""
        from pixkin.cli.browse.view import ViewScreen

        if self.hop.answer and self.hop.answer.hits:
            self.app.push_screen(ViewScreen(self.tools, self.hop.answer.hits, self.hop.at, self._moved))

    def _moved(self, at: int) -> None:
        self.hop.move_to(at, self.columns, self.rows)

    def action_duplicates(self) -> None:
        """Show near-duplicates side by side."""
        self.app.push_screen("duplicates")

    def action_ask(self) -> None:
        """Ask with a photo whose path is typed."""
        self._input.display = True
        self._input.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask with the photo that was typed; without a word, for the newest photos."""
        self._close_input()
        text = event.value.strip()
        self.session.go_on(Question((QuestionImage(b"", typed_path(text)),)) if text else Question())

    async def on_key(self, event: Key) -> None:
        """Give keys to the line for a path while it is open, also those that were pressed before it had the focus."""
        if not self._input.display:
            if event.key == "slash":  # a binding would act only after the keys that come with this one
                event.stop()
                self.action_ask()
            return
        is_of_line = self._input.has_focus and event.key in self._input._bindings.key_to_bindings
        if is_of_line or event.key in ("ctrl+c", "ctrl+q"):
            return
        event.stop()
        if event.key == "escape":
            self._close_input()
        elif event.key == "enter":
            await self._input.action_submit()
        elif event.key == "backspace":
            self._input.action_delete_left()
        elif event.is_printable and event.character:
            self._input.insert_text_at_cursor(event.character)

    def _close_input(self) -> None:
        self._input.value = ""
        self.set_focus(None)
        self._input.display = False
