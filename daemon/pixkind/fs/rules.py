"""The rules that decide which file names are photos and which folders are scanned."""

from typing import Final

from msgspec import Struct

# Folders that a file manager, a NAS or another system keeps for itself. Lower case, because some systems vary the case.
NOT_WALKED: Final = frozenset({"lost+found", "@eadir", "#recycle", "$recycle.bin", "system volume information"})
# Unfinished files of sync tools. Most begin with a dot (rsync, Syncthing, Android's .pending-…).
_UNFINISHED_STARTS: Final = (".", "~syncthing~")
_UNFINISHED_ENDS: Final = (".part", ".crdownload", ".tmp")


class PhotoRules(Struct, frozen=True):
    """Tells photos from other files, and folders to scan from folders to skip, by their names alone."""

    suffixes: frozenset[str]  # lower case, without dots

    def is_photo(self, name: str) -> bool:
        """Return whether a regular file of this name (without its folder) counts as a photo."""
        if name.startswith(_UNFINISHED_STARTS) or name.endswith(_UNFINISHED_ENDS):
            return False
        _, dot, suffix = name.rpartition(".")
        return bool(dot) and suffix.lower() in self.suffixes

    def is_walked(self, name: str) -> bool:
        """Return whether a folder of this name (without its parents) is scanned; a root always is."""
        return not name.startswith(".") and name.lower() not in NOT_WALKED
