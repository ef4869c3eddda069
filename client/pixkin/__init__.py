"""The thin client of pixkin: ask a running `pixkind` which photos look like this one.

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
        """Load `Client` when it is asked for.

        Every `import pixkin.errors` runs this module, the daemon's worker's and `pixkin --help`'s too,
        and the client's two libraries take 0.1 s to import, four times what Python itself needs to start.
        """
        if name != "Client":
            raise AttributeError(f"module 'pixkin' has no attribute {name!r}")
        from pixkin.client import Client

        return Client


__all__ = ["Client"]
__version__ = "0.1.0"
