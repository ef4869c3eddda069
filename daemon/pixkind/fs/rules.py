"""Which names are photos, and which folders are entered."""

from typing import Final, Protocol

# What a file manager, a NAS or another system keeps for itself; lower case, because some of them vary the case.
NOT_WALKED: Final = frozenset({"lost+found", "@eadir", "#recycle", "$recycle.bin", "system volume information"})
# Sync tools' unfinished files. Most begin with a dot (rsync, Syncthing, Android's .pending-…) and fall under that rule.
UNFINISHED_STARTS: Final = (".", "~syncthing~")
UNFINISHED_ENDS: Final = (".part", ".crdownload", ".tmp")


class Rules(Protocol):
    """What is asked of the configuration."""

    def is_photo(self, name: str) -> bool:
        """Return whether a file of this name is a photo by its suffix."""

    def is_walked(self, name: str) -> bool:
        """Return whether a folder of this name is entered."""
