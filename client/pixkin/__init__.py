"""The thin client of pixkin: it asks a running `pixkind` which photos look like an image.

    from pixkin import Client

    client = Client()
    for match in client.like("a.jpg", taken="last year").matches:
        print(match.score, match.fs_path)

`Client` has all methods, and says what can be an image. `AsyncClient` has them for asyncio.
Their errors are the subclasses of `PixkinError`; its `what` and `hint` are sentences for people.

An answer is a frozen struct. Its paths are bytes and its times integers, as every language gets them; beside each of them
stands what Python has:

    match.path       bytes, as the kernel has it
    match.fs_path    the same as a pathlib.Path; likewise `fs_copies` for `copies`, and so on
    file.taken_s     an integer: s since the epoch
    file.taken       the same as a datetime; likewise `mtime` for `mtime_ns`, `retry` for `retry_at`

`help(pixkin.Match)` describes one of these:

    arguments           Region, Size, Indexed
    like                Matches, Match, Picture, Relation, Doubt, About
    dupes               Group, Photo, Band; Groups is what `told` gets
    apart, together     Noted
    have                Holdings, Holding, Has, Unproven
    describe            Descriptions, Description, File
    browse, timeline    Library, Months, Month
    export              Exported
    folders             FolderList, Folder
    thumbnail           Thumb
    why                 Explanation, Fate, Exclusion
    watch, arrivals     Watches, WatchState, WatchedImage, Arrived, Arrival
    changes             LibraryChanged
    status              Report, Root, RootState, Failed, Chance, Format, Filling, Sandbox
    sync, forget        Synced, Forgotten
    ignore              Ignored
    pause, boost        Roots
    spaces              Spaces, SpaceState
    hello               Welcome
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixkin.asynchronous import AsyncClient as AsyncClient
    from pixkin.client import Client as Client
    from pixkin.errors import DaemonAbsent as DaemonAbsent
    from pixkin.errors import DaemonBusy as DaemonBusy
    from pixkin.errors import InputUnreadable as InputUnreadable
    from pixkin.errors import PixkinError as PixkinError
    from pixkin.errors import Refused as Refused
    from pixkin.errors import UsageError as UsageError
    from pixkin.errors import VersionsDiffer as VersionsDiffer
    from pixkin.protocol.bands import Band as Band
    from pixkin.protocol.bands import Relation as Relation
    from pixkin.protocol.explanations import About as About
    from pixkin.protocol.explanations import Exclusion as Exclusion
    from pixkin.protocol.explanations import Explanation as Explanation
    from pixkin.protocol.explanations import Fate as Fate
    from pixkin.protocol.news import Arrival as Arrival
    from pixkin.protocol.news import Arrived as Arrived
    from pixkin.protocol.news import LibraryChanged as LibraryChanged
    from pixkin.protocol.news import WatchedImage as WatchedImage
    from pixkin.protocol.news import Watches as Watches
    from pixkin.protocol.news import WatchState as WatchState
    from pixkin.protocol.pictures import Description as Description
    from pixkin.protocol.pictures import File as File
    from pixkin.protocol.pictures import Month as Month
    from pixkin.protocol.pictures import Picture as Picture
    from pixkin.protocol.replies import Descriptions as Descriptions
    from pixkin.protocol.replies import Doubt as Doubt
    from pixkin.protocol.replies import Exported as Exported
    from pixkin.protocol.replies import Failed as Failed
    from pixkin.protocol.replies import Folder as Folder
    from pixkin.protocol.replies import FolderList as FolderList
    from pixkin.protocol.replies import Forgotten as Forgotten
    from pixkin.protocol.replies import Group as Group
    from pixkin.protocol.replies import Groups as Groups
    from pixkin.protocol.replies import Has as Has
    from pixkin.protocol.replies import Holding as Holding
    from pixkin.protocol.replies import Holdings as Holdings
    from pixkin.protocol.replies import Ignored as Ignored
    from pixkin.protocol.replies import Library as Library
    from pixkin.protocol.replies import Match as Match
    from pixkin.protocol.replies import Matches as Matches
    from pixkin.protocol.replies import Months as Months
    from pixkin.protocol.replies import Noted as Noted
    from pixkin.protocol.replies import Photo as Photo
    from pixkin.protocol.replies import Report as Report
    from pixkin.protocol.replies import Root as Root
    from pixkin.protocol.replies import Roots as Roots
    from pixkin.protocol.replies import RootState as RootState
    from pixkin.protocol.replies import Synced as Synced
    from pixkin.protocol.replies import Thumb as Thumb
    from pixkin.protocol.replies import Unproven as Unproven
    from pixkin.protocol.replies import Welcome as Welcome
    from pixkin.protocol.requests import Region as Region
    from pixkin.protocol.requests import Size as Size
    from pixkin.protocol.spaces import Filling as Filling
    from pixkin.protocol.spaces import Spaces as Spaces
    from pixkin.protocol.spaces import SpaceState as SpaceState
    from pixkin.protocol.state import Chance as Chance
    from pixkin.protocol.state import Format as Format
    from pixkin.protocol.state import Sandbox as Sandbox
    from pixkin.query_images import Indexed as Indexed
else:
    # Each public name, by the module that has it. The imports above tell the same to mypy and to editors.
    _NAMES = {
        "asynchronous": "AsyncClient",
        "client": "Client",
        "errors": "DaemonAbsent DaemonBusy InputUnreadable PixkinError Refused UsageError VersionsDiffer",
        "protocol.bands": "Band Relation",
        "protocol.explanations": "About Exclusion Explanation Fate",
        "protocol.news": "Arrival Arrived LibraryChanged WatchedImage Watches WatchState",
        "protocol.pictures": "Description File Month Picture",
        "protocol.replies": (
            "Descriptions Doubt Exported Failed Folder FolderList Forgotten Group Groups Has Holding Holdings Ignored "
            "Library Match Matches Months Noted Photo Report Root Roots RootState Synced Thumb Unproven Welcome"
        ),
        "protocol.requests": "Region Size",
        "protocol.spaces": "Filling Spaces SpaceState",
        "protocol.state": "Chance Format Sandbox",
        "query_images": "Indexed",
    }
    __all__ = ["AsyncClient", "Client", *_NAMES["errors"].split()]  # noqa: PLE0604  what help() describes

    def __dir__() -> list[str]:
        """Name what is public, although it may not have been imported yet."""
        return ["__version__", *(name for names in _NAMES.values() for name in names.split())]

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used.

        Every `import pixkin.errors` runs this module, also in the daemon's worker and in `pixkin --help`.
        The client's two libraries take 0.1 s to import, four times as long as Python itself needs to start.
        """
        for module, names in _NAMES.items():
            if name in names.split():
                from importlib import import_module

                return getattr(import_module(f"pixkin.{module}"), name)
        raise AttributeError(f"module 'pixkin' has no attribute {name!r}")


__version__ = "0.1.0"
