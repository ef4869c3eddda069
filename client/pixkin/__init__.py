"""The thin client of pixkin: it asks a running `pixkind` which photos look like an image.

From a script:

    from pixkin import Client

    for match in Client().like("a.jpg", n=10).matches:
        print(match.score, match.path)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixkin.client import Client
else:

    def __getattr__(name: str) -> object:
        """Import `Client` when it is first used.

        Every `import pixkin.errors` runs this module, also in the daemon's worker and in `pixkin --help`.
        The client's two libraries take 0.1 s to import, four times as long as Python itself needs to start.
        """
        if name != "Client":
            raise AttributeError(f"module 'pixkin' has no attribute {name!r}")
        from pixkin.client import Client

        return Client


__all__ = ["Client"]
__version__ = "0.1.0"
