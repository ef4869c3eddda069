"""The keys: one table, of which bindings, hints and help are made."""

from typing import Final, NamedTuple

from textual.binding import Binding, BindingType

GRID: Final = "grid"
VIEW: Final = "large view"
DUPLICATES: Final = "duplicates"
_PHOTOS: Final = (GRID, VIEW)
_ALL: Final = (GRID, VIEW, DUPLICATES)


class Key(NamedTuple):
    """What a key does, or a few keys that belong together."""

    name: str  # as on the keyboard
    does: str
    binds: tuple[tuple[str, str], ...]  # textual's name of each key, and the action
    places: tuple[str, ...]
    hint: str = ""  # for the last line of the screen


KEYS: Final = (
    Key(
        "arrows",
        "move to another picture",
        (("left", "move(-1,0)"), ("right", "move(1,0)"), ("up", "move(0,-1)"), ("down", "move(0,1)")),
        (GRID,),
    ),
    Key("left, right", "show the previous or next picture", (("left", "step(-1)"), ("right", "step(1)")), (VIEW,)),
    Key("left, right", "move within the group", (("left", "step(-1)"), ("right", "step(1)")), (DUPLICATES,)),
    Key("up, down", "move to the previous or next group", (("up", "group(-1)"), ("down", "group(1)")), (DUPLICATES,)),
    Key("PgUp, PgDn", "move by a screen", (("pageup", "page(-1)"), ("pagedown", "page(1)")), (GRID,)),
    Key("Home, End", "move to the first or last picture", (("home", "end(-1)"), ("end", "end(1)")), (GRID,)),
    Key("Enter", "ask for photos like this one", (("enter", "go_on"),), _ALL, "↵ like"),
    Key(
        "Backspace", "go back to the question before", (("backspace", "back"), ("alt+left", "back")), (GRID,), "⌫ back"
    ),
    Key("Space", "view the picture large", (("space", "view"),), (GRID, DUPLICATES), "Space view"),
    Key("Space, Esc", "close", (("space", "close"), ("escape", "close")), (VIEW,), "Esc close"),
    Key("Backspace, Esc", "close", (("backspace", "close"), ("escape", "close")), (DUPLICATES,), "Esc close"),
    Key("+", "more like this: add it to the question, or remove it", (("plus", "more"),), _PHOTOS, "+/- refine"),
    Key("-", "less like this: subtract it, or remove it", (("minus", "less"),), _PHOTOS),
    Key("/", "ask with any photo: type its path", (("slash", "ask"),), (GRID,), "/ ask"),
    Key("x", "mark the photo, or unmark it", (("x", "mark"),), _ALL, "x mark"),
    Key("Esc", "unmark all photos", (("escape", "unmark"),), (GRID,)),
    Key("y", "copy the paths of the marked photos, and print them", (("y", "copy"),), _ALL, "y copy"),
    Key("d", "show near-duplicates side by side", (("d", "duplicates"),), (GRID,), "d dupes"),
    Key("a", "remember that this is no duplicate of the others", (("a", "apart"),), (DUPLICATES,), "a apart"),
    Key("u", "undo that", (("u", "together"),), (DUPLICATES,), "u undo"),
    Key("r", "ask again", (("r", "again"),), (GRID, DUPLICATES)),
    Key("?", "show all keys", (("question_mark", "help"),), _ALL, "? keys"),
    Key("q", "quit", (("q", "leave"), ("ctrl+q", "leave")), _ALL, "q quit"),
    Key("Ctrl+C", "quit, and print nothing", (("ctrl+c", "interrupt"),), _ALL),
)


def bindings(place: str) -> list[BindingType]:
    """Return the bindings of a screen."""
    return [Binding(key, action, one.does) for one in of(place) for key, action in one.binds]


def of(place: str) -> list[Key]:
    """Return the keys of a screen."""
    return [one for one in KEYS if place in one.places]


def hints(place: str, width: int, *, without: str = "") -> str:
    """Return the most useful keys of a screen in one line, without those of an action that would do nothing.

    The last two always fit: how to see all keys, and how to quit.
    """
    words = [one.hint for one in of(place) if one.hint and one.binds[0][1] != without]
    while len(line := "  ".join(words)) > width and len(words) > 2:
        del words[-3]
    return line
