"""Near-duplicates side by side: what would stay, what could go, and why. This screen deletes nothing."""

import os
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
from textual.containers import Container, Vertical
from textual.widget import Widget
from textual.widgets import Static

from pixkin.cli import output
from pixkin.cli.browse import asking, facts
from pixkin.cli.browse.base import PhotoScreen, Tools
from pixkin.cli.browse.fates import Fate, facts_of, fates
from pixkin.cli.browse.keys import DUPLICATES, bindings
from pixkin.cli.browse.thumbnails import WantedThumbnail
from pixkin.cli.browse.tiles import Tile
from pixkin.cli.browse.trail import Hit, QuestionImage
from pixkin.errors import PixkinError
from pixkin.protocol.pictures import Picture

if TYPE_CHECKING:
    from pixkin.protocol.replies import Group, Groups, Photo

_WIDTH = 26  # cells of a photo, at least
_LABEL = 5  # lines below a picture
_MOST_PAIRS = 50  # that one key decides


class _Left(Exception):
    """A newer search has begun."""


class DuplicatesScreen(PhotoScreen):
    """Shows one group at a time; groups come as they are found."""

    PLACE = DUPLICATES
    BINDINGS = bindings(DUPLICATES)
    DEFAULT_CSS = """
    DuplicatesScreen > Vertical { height: 1fr; }
    DuplicatesScreen .tiles { layout: grid; grid-size-rows: 1; height: 1fr; }
    DuplicatesScreen .nothing { height: 1fr; content-align: center middle; display: none; }
    DuplicatesScreen.empty .tiles { display: none; }
    DuplicatesScreen.empty .nothing { display: block; }
    """

    def __init__(self, tools: Tools) -> None:
        """Make the screen; the search begins when it is shown."""
        super().__init__(tools)
        self._tiles = Container(classes="tiles")
        self._nothing = Static(classes="nothing", markup=False)
        self._groups: list[Group] = []
        self._group = self._at = 0
        self._fates: dict[bytes, tuple[Fate, ...]] = {}  # of a group, by its first path
        self._undo: list[tuple[Group, list[tuple[bytes, bytes]]]] = []
        self._search = 0  # the number of the newest search
        self._progress = ""
        self._is_broken = False  # the search ended in an error that may pass
        self.session.recovered.append(self._recovered)

    def body(self) -> Widget:
        """Return the places of the photos."""
        return Vertical(self._tiles, self._nothing)

    def on_mount(self) -> None:
        """Begin the search."""
        self.action_again()

    # The search.

    def action_again(self) -> None:
        """Search again."""
        self._search += 1
        self._is_broken = False
        self._progress = "searching"
        number = self._search
        self.session.errand(partial(self._find, number), partial(self._found_all, number), self._broke)
        self.renew()

    def _find(self, number: int) -> "list[Group] | None":
        """Search, in a thread; None: a newer search has begun."""

        def told(reply: "Groups") -> None:
            if number != self._search:
                raise _Left
            self.session.tell(self._told, number, reply)

        try:
            return list(self.session.client.dupes(told=told))
        except _Left:
            return None

    def _told(self, number: int, reply: "Groups") -> None:
        if number != self._search:
            return
        self._progress = (
            f"{reply.compared:,} of {reply.pictures:,} pictures compared"
            if reply.search
            else "waiting for another search for duplicates to end"
        )
        known = {group.photos[0].path for group in self._groups}
        self._groups += [group for group in reply.groups if group.photos[0].path not in known]
        self.renew()

    def _found_all(self, number: int, groups: "list[Group] | None") -> None:
        if groups is None or number != self._search:
            return
        current = self.group if (self._group, self._at) != (0, 0) else None  # nobody has moved yet
        self._progress = ""
        self._groups = sorted(groups, key=_saving, reverse=True)
        firsts = [group.photos[0].path for group in self._groups]
        if current is not None and current.photos[0].path in firsts:
            self._group = firsts.index(current.photos[0].path)
        self._group = min(self._group, max(len(self._groups) - 1, 0))
        self._at = min(self._at, len(self.group.photos) - 1) if self.group else 0
        self._fates.clear()
        self.renew()

    def _broke(self, error: PixkinError) -> None:
        self._progress = ""
        self._is_broken = isinstance(error, asking.PASSING)

    def _recovered(self) -> None:
        if self._is_broken:
            self.action_again()

    # What is shown.

    @property
    def group(self) -> "Group | None":
        """The group that is shown."""
        return self._groups[self._group] if self._groups else None

    @property
    def photo(self) -> "Photo | None":
        """The photo in focus."""
        return self.group.photos[self._at] if self.group else None

    @property
    def hit(self) -> Hit | None:
        """The photo in focus."""
        return _hit(self.photo) if self.photo else None

    def title_line(self) -> tuple[str, str]:
        """Return how alike the group is and what could go in all; and which group it is."""
        if (group := self.group) is None:
            return "near-duplicates", ""
        title = f"{group.band} ({group.score:.2f}): {output.many(len(group.photos) + group.more, 'photo', 'photos')}"
        if spare := [photo for one in self._groups for photo in one.photos if photo.spare]:
            sizes = output.size(sum(photo.size for photo in spare))
            title += f"; {output.many(len(spare), 'exact copy', 'exact copies')} in all groups: {sizes}"
        return title, f"group {self._group + 1:,} of {len(self._groups):,}"

    def facts_line(self) -> str:
        """Return what would become of the photo, and why."""
        return fate.why if (fate := self._fate(self._at)) else ""

    def state_line(self) -> str:
        """Return how far the search is, or the state of the daemon."""
        return self._progress if self._progress and not self.session.trouble else self.session.state()

    def current_path(self) -> bytes | None:
        """Return the path of the photo in focus."""
        return self.photo.path if self.photo else None

    def renew(self) -> None:
        """Draw what may have changed."""
        if not self.can_draw(self._tiles):
            return
        group = self.group
        self.set_class(group is None, "empty")
        nothing = "searching" if self._progress else "There are no near-duplicates."
        if self.session.trouble:
            nothing = "\n".join(self.session.nothing())
        self._nothing.update(nothing)
        if group is not None:
            self._weigh(group)
            self._fill(group)
        super().renew()

    def _weigh(self, group: "Group") -> None:
        key = group.photos[0].path
        if key not in self._fates:
            self._fates[key] = ()  # it is on its way
            self.session.errand(partial(fates, group), partial(self._weighed, key))

    def _weighed(self, key: bytes, found: tuple[Fate, ...]) -> None:
        self._fates[key] = found
        self.renew()

    def _fate(self, at: int) -> Fate | None:
        found = self._fates.get(self.group.photos[0].path, ()) if self.group else ()
        return found[at] if at < len(found) else None

    def _fill(self, group: "Group") -> None:
        width, height = self.size.width, max(2, self.size.height - 5)
        columns = min(max(1, width // _WIDTH), len(group.photos))
        self._tiles.mount_all(Tile(self.tools.kind) for _ in range(len(self._tiles.children), columns))
        for tile in self._tiles.children[columns:]:
            tile.remove()
        self._tiles.styles.grid_size_columns = columns
        cells = max(1, width // columns - 2)
        box = self.tools.kind.box(cells, max(1, height - _LABEL))
        first = max(0, min(self._at - columns // 2, len(group.photos) - columns))
        shown = list(enumerate(group.photos))[first : first + columns]
        for tile, (at, photo) in zip(self._tiles.query(Tile), shown, strict=False):
            tile.show(_hit(photo), box, self._label(group, at, cells), self.tools.loader, focused=at == self._at)
        after = self._groups[self._group + 1].photos[:columns] if self._group + 1 < len(self._groups) else ()
        self.tools.loader.want(
            WantedThumbnail(QuestionImage(photo.content, photo.path), box)
            for photo in chain((photo for _, photo in shown), after)
        )

    def _label(self, group: "Group", at: int, width: int) -> str:
        """Return the lines below a picture: always as many, so that all pictures are of one height."""
        photo, fate = group.photos[at], self._fate(at)
        marked = photo.path in self.session.marks
        fate_word = "" if fate is None else ("stays" if fate.stays else "could go")
        lines = [facts.caption(_hit(photo), None, marked=marked, width=width), fate_word, *facts_of(photo, group)]
        return "\n".join([*(facts.cut(line, width) for line in lines), *[""] * _LABEL][:_LABEL])

    # What keys do.

    def action_step(self, by: int) -> None:
        """Move within the group."""
        if self.group and 0 <= self._at + by < len(self.group.photos):
            self._at += by
            self.renew()

    def action_group(self, by: int) -> None:
        """Move to another group."""
        if 0 <= self._group + by < len(self._groups):
            self._group += by
            self._at = 0
            self.renew()

    def action_view(self) -> None:
        """View the photo large."""
        from pixkin.cli.browse.view import ViewScreen

        if self.group:
            hits = tuple(map(_hit, self.group.photos))
            self.app.push_screen(ViewScreen(self.tools, hits, self._at, self._moved))

    def _moved(self, at: int) -> None:
        self._at = at

    def action_close(self) -> None:
        """Go back to the grid; the groups stay."""
        self.tools.to_grid()

    def action_apart(self) -> None:
        """Remember that the photo is no duplicate of the others of its group."""
        if (group := self.group) is None or (photo := self.photo) is None:
            return
        others = [one.path for one in group.photos if one.content != photo.content]
        if not others:
            self.session.say("These are exact copies of one picture, so they cannot be kept apart.")
        elif len(others) > _MOST_PAIRS:
            self.session.say(f"The group has more than {_MOST_PAIRS} other photos; name two with pixkin dupes --apart.")
        else:
            pairs = [(photo.path, other) for other in others]
            call = partial(_decide, self.session.client.apart, pairs)
            self.session.errand(call, lambda _: self._are_apart(group, photo, pairs))

    def _are_apart(self, group: "Group", photo: "Photo", pairs: list[tuple[bytes, bytes]]) -> None:
        self._undo.append((group, pairs))
        rest = tuple(one for one in group.photos if one.content != photo.content)
        self._replace(group, msgspec.structs.replace(group, photos=rest) if len(rest) > 1 else None)
        self.session.say(f"{output.shown(photo.path)} is no duplicate of the others; u undoes this.")

    def action_together(self) -> None:
        """Undo the last decision."""
        if not self._undo:
            self.session.say("There is nothing to undo.")
            return
        group, pairs = self._undo.pop()
        call = partial(_decide, self.session.client.together, pairs)
        self.session.errand(call, lambda _: self._are_together(group))

    def _are_together(self, group: "Group") -> None:
        paths = {photo.path for photo in group.photos}
        left = next((one for one in self._groups if paths.issuperset(photo.path for photo in one.photos)), None)
        place = self._group if left is None else self._groups.index(left)
        self._groups[place : place + (left is not None)] = [group]
        self._group, self._at = place, 0
        self._fates.pop(group.photos[0].path, None)
        self.session.say("They may be in one group again.")

    def _replace(self, old: "Group", new: "Group | None") -> None:
        place = self._groups.index(old)
        self._groups[place : place + 1] = [new] if new else []
        self._fates.clear()
        self._group = min(self._group, max(len(self._groups) - 1, 0))
        self._at = min(self._at, len(self.group.photos) - 1) if self.group else 0
        self.renew()


def _hit(photo: "Photo") -> Hit:
    return Hit(Picture(photo.content, photo.width, photo.height), photo.path, offline=photo.offline)


def _saving(group: "Group") -> int:
    return sum(photo.size for photo in group.photos if photo.spare)


def _decide(decide: Callable[[str, str], object], pairs: list[tuple[bytes, bytes]]) -> None:
    for pair in pairs:
        decide(*map(os.fsdecode, pair))
