"""Tells whether two files that were looked at are two, or one file under two names.

Client and daemon share this rule, because a memory card is erased on its word. In doubt, the files may be one.
"""

from typing import Final, NamedTuple

# Where the kernel itself keeps the files, so that a file has one device and one inode. Elsewhere (FUSE, network, overlay) it may
# have another device and inode under another name.
_EXACT: Final = frozenset(
    {
        *("btrfs", "bcachefs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "iso9660", "ntfs3"),
        *("squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs"),
    }
)
# A file system of its own on each device; but exfat-fuse gives two spellings of one name two inodes.
_OWN: Final = _EXACT | {"fuseblk"}
_COARSE_NS: Final = 2_000_000_000  # the times of FAT
_FINE_NS: Final = 1_000


class SeenFile(NamedTuple):
    """A file as it was looked at."""

    fstype: str
    mount: str  # the device of its mount, "major:minor"
    device: str  # of the file itself, which differs on a subvolume of Btrfs; as that of the mount if it is not known
    inode: int = 0  # 0: it could not be looked at; then the times mean nothing either
    mtime_ns: int = 0
    ctime_ns: int = 0


def is_one_file(one: SeenFile, other: SeenFile) -> bool:
    """Return whether two files are surely one."""
    return bool(one.inode) and one.inode == other.inode and one.device == other.device


def are_two_files(one: SeenFile, other: SeenFile) -> bool:
    """Return whether two files are surely two."""
    if is_one_file(one, other):
        return False
    kinds = {one.fstype, other.fstype}
    if kinds <= _OWN and one.mount != other.mount:
        return True
    if not (one.inode and other.inode):
        return False
    is_told_by_inodes = kinds <= _EXACT or (kinds == {"overlay"} and one.mount == other.mount)
    return is_told_by_inodes or _have_other_times(one, other)


def _have_other_times(one: SeenFile, other: SeenFile) -> bool:
    """Return whether the times show that two files are two: the ctime of a file is the same under each of its names.

    Not every file system has fine times, and some (sshfs) report the mtime as the ctime.
    """
    if abs(one.mtime_ns - other.mtime_ns) >= _COARSE_NS:
        return True
    if any(seen.fstype not in _EXACT and seen.ctime_ns == seen.mtime_ns for seen in (one, other)):
        return False
    are_fine = one.ctime_ns % _FINE_NS and other.ctime_ns % _FINE_NS
    return abs(one.ctime_ns - other.ctime_ns) >= (_FINE_NS if are_fine else _COARSE_NS)
