"""Shows photos in every way that the options of a command ask for."""

from __future__ import annotations

import sys
from collections import Counter, deque
from importlib.util import find_spec
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from pixkin import installing
from pixkin.cli import output
from pixkin.cli.pictures import files
from pixkin.errors import UsageError
from pixkin.tiles.tile import TileFetcher, TileGroup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pixkin.cli.pictures.terminal import PictureScreen
    from pixkin.tiles.tile import ThumbnailSource, Tile

_MOST: Final = 1000  # tiles of a sheet or page
_TRIED: Final = 4  # tiles, before pictures that nobody asked for are given up
_MOST_REASONS: Final = 3  # that are named


class Looker:
    """Fetches thumbnails, and shows them in the terminal, on a sheet and on a page."""

    def __init__(self, client: ThumbnailSource, options: argparse.Namespace) -> None:
        """Find out what is wanted, and whether it can be done.

        Raises:
            UsageError: a package is missing.
        """
        self._fetcher = TileFetcher(client)
        self._sheet: str | None = options.sheet
        self._page: str | None = options.html
        self._opens: bool = options.open
        self._is_default = not options.show
        self._is_written = bool(self._sheet or self._page)
        self._kept: list[TileGroup] = []
        self._room = _MOST
        self._left_out = 0  # photos of groups that found no room
        self._missing: Counter[str] = Counter()  # tiles, by reason
        if (options.show or options.sheet) and find_spec("PIL") is None:
            asked = "--sheet" if options.sheet else "--show"
            raise UsageError(
                f"{asked} needs Pillow, which is not installed; --html needs nothing", installing.command("show")
            )
        is_shown = options.show or (options.show is None and options.show_default and not options.form)
        self._screen = self._terminal() if is_shown else None

    def __bool__(self) -> bool:
        """Return whether photos are shown at all."""
        return bool(self._screen or self._is_written)

    def rows(self, group: TileGroup) -> Iterator[bytes]:
        """Yield what shows the photos of a group in the terminal; nothing if they are shown elsewhere only."""
        shown: list[Tile] = []
        wanted = group.tiles if self._screen else group.tiles[: self._room]
        tiles = self._noted(self._fetcher.fetched(wanted), shown)
        if self._screen is not None and self._is_worth_it(begin := list(islice(tiles, _TRIED))):
            from pixkin.cli.pictures.grid import rows

            yield from rows(chain(begin, tiles), self._screen, output.Screen.of(sys.stdout))
        elif self._is_written:
            deque(tiles, maxlen=0)  # they are noted in `shown`
        self._keep(group, shown)

    def close(self, title: str, notes: Sequence[str] = ()) -> None:
        """Write the sheet and the page, and say which thumbnails are missing.

        Raises:
            OutputLost: a file cannot be written.
        """
        for reason, count in self._missing.most_common(_MOST_REASONS):
            output.note(f"{output.many(count, 'picture is', 'pictures are')} missing: {reason}")
        if self._is_written and not self._kept:
            output.note("no file was written, because there is no photo to show")
            return
        if self._left_out:
            notes = [*notes, f"{output.many(self._left_out, 'more photo is', 'more photos are')} not shown here"]
        if self._sheet is not None:
            from pixkin.cli.pictures.sheet import sheet

            files.write(self._sheet, sheet(self._kept, notes), opens=self._opens)
        if self._page is not None:
            from pixkin.cli.pictures.page import page

            files.write(self._page, page(title, self._kept, notes), opens=self._opens)

    def _is_worth_it(self, begin: Sequence[Tile]) -> bool:
        """Return whether there are pictures, as an older daemon makes none. Who did not ask for any is not told."""
        if not self._is_default or any(tile.jpeg for tile in begin):
            return True
        self._screen = None
        if not self._is_written:
            self._missing.clear()
        return False

    def _noted(self, tiles: Iterator[Tile], shown: list[Tile]) -> Iterator[Tile]:
        for tile in tiles:
            shown.append(tile)
            if tile.missing:
                self._missing[tile.missing] += 1
            yield tile

    def _terminal(self) -> PictureScreen | None:
        from pixkin.cli.pictures.terminal import NoPictures, picture_screen

        try:
            return picture_screen(sys.stdout) if find_spec("PIL") else None
        except NoPictures as error:
            if not self._is_default:
                output.note(f"no pictures: {error}; --html and --sheet write files instead")
            return None

    def _keep(self, group: TileGroup, shown: Sequence[Tile]) -> None:
        """Keep the photos of a group for the files."""
        if not self._is_written:
            return
        kept = shown[: self._room]
        self._room -= len(kept)
        more = group.more + len(group.tiles) - len(kept)
        if kept:
            self._kept.append(TileGroup(kept, group.title, more))
        else:
            self._left_out += more
