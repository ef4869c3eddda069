"""What the screens share: the lines above and below the pictures, and the keys that work everywhere."""

import binascii
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from pixkin.cli import output
from pixkin.cli.browse import facts
from pixkin.cli.browse.keys import hints
from pixkin.cli.browse.pictures import PictureKind
from pixkin.cli.browse.session import Session
from pixkin.cli.browse.thumbnails import ThumbnailLoader, WantedThumbnail
from pixkin.cli.browse.tiles import Tile
from pixkin.cli.browse.trail import Hit, Question, QuestionImage


@dataclass(frozen=True)
class Tools:
    """What every screen works with."""

    session: Session
    loader: ThumbnailLoader
    kind: PictureKind
    to_grid: Callable[[], object]  # show the grid
    leave: Callable[[bool], object]  # end; whether what was copied is printed


class PhotoScreen(Screen[None], inherit_bindings=False):
    """A screen with photos, one of which is in focus."""

    PLACE = ""
    AUTO_FOCUS = ""  # no line for a path is in focus before it is asked for
    DEFAULT_CSS = """
    PhotoScreen { background: #161616; color: #d8d8d8; layout: vertical; overflow: hidden; }
    PhotoScreen > .line { height: 1; width: 1fr; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    PhotoScreen > .title { background: #2a2a2a; color: #ffffff; text-style: bold; }
    PhotoScreen > .facts { color: #a0a0a0; }
    PhotoScreen > .state { color: #ffb454; }
    PhotoScreen > .hints { background: #2a2a2a; color: #a0a0a0; }
    """

    def __init__(self, tools: Tools) -> None:
        """Make the screen; nothing is asked."""
        super().__init__()
        self.tools = tools
        self.session = tools.session
        self._title, self._path, self._facts, self._state, self._hints = (
            Static(classes=f"line {name}", markup=False) for name in ("title", "path", "facts", "state", "hints")
        )

    def compose(self) -> ComposeResult:
        """Put the pictures between the lines."""
        yield self._title
        yield self.body()
        yield from (self._path, self._facts, self._state, self._hints)

    def body(self) -> Widget:
        """Return the place for the pictures."""
        raise NotImplementedError

    @property
    def hit(self) -> Hit | None:
        """The photo in focus."""
        raise NotImplementedError

    def title_line(self) -> tuple[str, str]:
        """Return the left and the right part of the first line."""
        raise NotImplementedError

    def state_line(self) -> str:
        """Return what is wrong, what was done, or what may be missing."""
        return self.session.state()

    def can_draw(self, part: Widget) -> bool:
        """Return whether this part of the screen is there: before its begin and at its end, answers may come, too."""
        return part.is_attached and part.is_mounted and self.size.width > 0

    def renew(self) -> None:
        """Draw what may have changed."""
        width = max(self.size.width - 2, 10)
        title, place = self.title_line()
        self._title.update(facts.spread(title, place, width))
        path = self.current_path()
        self._path.update("" if path is None else facts.cut_left(output.shown(path), width))
        self._facts.update(facts.cut(self.facts_line(), width))
        marked = f"{len(self.session.marks):,} marked  " if self.session.marks else ""
        self._state.update(facts.cut(marked + self.state_line(), width))
        self._hints.update(hints(self.PLACE, width, without="" if len(self.session.trail.hops) > 1 else "back"))

    def facts_line(self) -> str:
        """Return what is known of the photo in focus."""
        if (hit := self.hit) is None:
            return ""
        return facts.facts_line(hit, self.session.description(hit), self.reason(hit))

    def reason(self, hit: Hit) -> str:
        """Return why a photo has no picture; empty: it has one, or it is on its way."""
        for tile in self.query(Tile):
            if tile.wanted and tile.wanted.image == QuestionImage(hit.picture.content, hit.path):
                got = self.tools.loader.get(tile.wanted)
                return got if isinstance(got, str) else ""
        return ""

    def current_path(self) -> bytes | None:
        """Return where the photo in focus is now, or was last."""
        return None if (hit := self.hit) is None else facts.path_of(hit, self.session.description(hit))

    def picture_came(self, wanted: WantedThumbnail) -> None:
        """Show a picture that has come."""
        for tile in self.query(Tile):
            if tile.wanted == wanted:
                tile.refresh_picture(self.tools.loader)

    def on_screen_resume(self) -> None:
        """Draw the screen when it comes to the front."""
        self.renew()

    def on_resize(self) -> None:
        """Draw the screen in its new size, once its parts have theirs."""
        self.call_after_refresh(self.renew)

    def _image(self) -> QuestionImage | None:
        if (hit := self.hit) is None:
            return None
        return QuestionImage(hit.picture.content, self.current_path() or hit.path)

    def _ask(self, question: Question) -> None:
        self.tools.to_grid()
        self.session.go_on(question)

    # What keys do.

    def action_go_on(self) -> None:
        """Ask for photos like this one."""
        if image := self._image():
            self._ask(Question((image,)))

    def action_mark(self) -> None:
        """Mark the photo, or unmark it."""
        if (path := self.current_path()) is not None:
            self.session.mark(path)

    def action_copy(self) -> None:
        """Copy the paths by the terminal's own clipboard sequence, OSC 52, which also works over ssh."""
        copied = self.session.copy(self.current_path())
        if copied and self.app._driver is not None:  # textual's own method takes no bytes
            text = "\n".join(map(output.shown, copied)).encode()
            self.app._driver.write(f"\x1b]52;c;{binascii.b2a_base64(text, newline=False).decode()}\a")

    def action_help(self) -> None:
        """Show all keys."""
        from pixkin.cli.browse.help import HelpScreen

        self.app.push_screen(HelpScreen(self.PLACE))

    def action_leave(self) -> None:
        """End."""
        self.tools.leave(True)

    def action_interrupt(self) -> None:
        """End, and print nothing."""
        self.tools.leave(False)


def typed_path(text: str) -> bytes:
    """Return a path that the user typed or dropped, absolute; `~` is the home folder, and quotes are as in a shell."""
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"))
    with suppress(ValueError):  # a quote that does not end belongs to the name
        if len(words := shlex.split(text)) == 1:
            text = words[0]
    return os.fsencode(os.path.abspath(os.path.expanduser(text)))
