"""Plays `pixkin browse` without a terminal."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.client.cli.browse.library import FakeLibrary
from textual.pilot import Pilot
from textual.widgets import Static

from pixkin.cli.browse.app import BrowseApp


class Player:
    """Presses keys, and reads the screen."""

    def __init__(self, app: BrowseApp, pilot: "Pilot[bool]") -> None:
        self.app, self._pilot = app, pilot
        self.written: list[str] = []  # what the terminal was told besides the screen
        assert app._driver is not None
        app._driver.write = self.written.append  # type: ignore[method-assign,assignment]

    async def key(self, *keys: str) -> None:
        """Press keys, and return when they have been heard; nothing need be answered."""
        for key in keys:
            await self._pilot.press(key)
            await self.settle()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when `condition` is true."""
        async with asyncio.timeout(30):
            while not condition():
                await self._pilot.pause(0.02)

    async def press(self, *keys: str) -> None:
        """Press keys; after each, return when it has been heard and what it asks for is there."""
        for key in keys:
            await self.key(key)
            await self.until(lambda: not self.app.session.is_asking or self.app.session.trouble)

    async def settle(self) -> None:
        """Return when all that was pressed has been heard, also on a machine that has no time for us."""
        for _ in range(2):  # a key may bring a new screen
            for pump in (self.app, self.app.screen):
                heard = asyncio.Event()
                if pump.call_later(heard.set):
                    await heard.wait()
        await self.until(lambda: self.app.screen.is_mounted)

    async def resize(self, width: int, height: int) -> None:
        """Change the size of the terminal."""
        await self._pilot.resize_terminal(width, height)

    def line(self, name: str) -> str:
        """Return a line of the screen: title, path, facts, state or hints."""
        return str(self.app.screen.query_one(f".{name}", Static).render())

    def below(self, tiles: str) -> list[str]:
        """Return the text below each of these pictures; a tile that is being made has none yet."""
        labels = self.app.screen.query(f"{tiles} Static").results(Static)
        return [text for label in labels if (text := str(label.render()))]

    @property
    def captions(self) -> list[str]:
        """The text below each picture."""
        return self.below(".tiles Tile")

    @property
    def focused(self) -> list[str]:
        """The text below the picture in focus."""
        return self.below("Tile.focused")


def play(
    library: FakeLibrary,
    moves: Callable[[Player], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    image: bytes | None = None,
) -> BrowseApp:
    """Show a library, play, and return the application."""

    async def run() -> BrowseApp:
        app = BrowseApp(library, image)  # type: ignore[arg-type]  # it has the methods that are used
        async with app.run_test(size=size) as pilot:
            player = Player(app, pilot)
            await player.until(lambda: app.screen.query(".hints"))
            await moves(player)
        return app

    try:
        return asyncio.run(run())
    finally:
        library.wait.set()
