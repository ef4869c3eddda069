"""The rules that decide which file names are photos and which folders are scanned."""

from typing import Final

from msgspec import Struct

# Folders that a file manager, a NAS or another system keeps for itself, above all bins and snapshots: a copy there goes away
# by itself, so it must never count as the copy to keep. Lower case, because some systems vary the case.
# Folders with a leading dot (.Trash-1000, .Trashes, .zfs, .snapshots, .@__thumb) are not walked anyway.
NOT_WALKED: Final = frozenset(
    {
        "lost+found",  # ext4: what a repair finds
        *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
        *("network trash folder", "temporary items", "thevolumesettingsfolder"),  # macOS, on a server
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@sharesnap"),  # Synology
        *("@recycle", "@recently-snapshot", "@__thumb", "@transcode"),  # QNAP
        *("recycle bin", "trashbox"),  # Netgear, Buffalo
        *("~snapshot", "@snapshots"),  # NetApp, Btrfs
    }
)
# Unfinished files of sync tools. Most begin with a dot (rsync, Syncthing, Android's .pending-…).
_UNFINISHED_STARTS: Final = (".", "~syncthing~")
_UNFINISHED_ENDS: Final = (".part", ".crdownload", ".tmp")
# Google Takeout and others cut names at 46 characters and more, and the suffix with them: "….jp".
_CUT_LENGTH: Final = 46


class PhotoRules(Struct, frozen=True):
    """Tells photos from other files, and folders to scan from folders to skip, by their names alone."""

    suffixes: frozenset[str]  # lower case, without dots

    def why_not(self, name: str) -> str:
        """Return why a regular file of this name (without its folder) is no photo, for people; empty: it is one."""
        if self.is_photo(name):
            return ""
        if _is_unfinished(name):
            return "not a photo: a name with a dot in front, or of a file that is not complete yet"
        return "not a photo: index.suffixes does not have the end of its name"

    def is_photo(self, name: str) -> bool:
        """Return whether a regular file of this name (without its folder) counts as a photo."""
        if _is_unfinished(name):
            return False
        _, dot, suffix = name.rpartition(".")
        suffix = suffix.lower()
        if suffix in self.suffixes:
            return bool(dot)
        return len(name) >= _CUT_LENGTH and 0 < len(suffix) < 4 and any(one.startswith(suffix) for one in self.suffixes)

    def reaches(self, root: str, folder: str) -> bool:
        """Return whether a scan of `root` reaches `folder`: no folder on the way is skipped for its name."""
        return not self.stop(root, folder)

    def stop(self, root: str, folder: str) -> str:
        """Return the first name on the way from `root` to `folder` that is skipped; empty: none is."""
        return next((name for name in folder[len(root) :].split("/") if name and not self.is_walked(name)), "")

    def is_walked(self, name: str) -> bool:
        """Return whether a folder of this name (without its parents) is scanned; a root always is."""
        return not name.startswith(".") and name.lower() not in NOT_WALKED


def _is_unfinished(name: str) -> bool:
    return name.startswith(_UNFINISHED_STARTS) or name.endswith(_UNFINISHED_ENDS)
