"""All keys of a screen, from their table."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from pixkin.cli.browse.keys import of


class HelpScreen(ModalScreen[None], inherit_bindings=False):
    """Shows the keys; any of a few keys closes it."""

    BINDINGS = [Binding("escape,space,enter,q,question_mark,backspace,ctrl+c", "dismiss", "close")]  # noqa: RUF012
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: #000000 60%; }
    HelpScreen > VerticalScroll { width: 76; max-width: 100%; height: auto; max-height: 100%; background: #2a2a2a;
        color: #ffffff; padding: 1 2; }
    """

    def __init__(self, place: str) -> None:
        """Show the keys of this screen."""
        super().__init__()
        self._place = place

    def compose(self) -> ComposeResult:
        """Show one line for each key."""
        with VerticalScroll():
            yield Static(text(self._place), markup=False)


def text(place: str) -> str:
    """Return the help of a screen: a line for each key."""
    rows = of(place)
    width = max(len(one.name) for one in rows)
    return "\n".join([f"Keys of the {place}", "", *(f"{one.name:<{width}}  {one.does}" for one in rows)])
