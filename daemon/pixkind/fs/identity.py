"""Which drive a root is on, and whether it is the one we know: nothing is ever deleted on the word of another drive.

Functions over given mounts and a few system calls on the root itself; no thread, no store.
A file system that is not `is_local` may hang whoever touches it: there, `probe` calls `assess`.
"""

import ctypes
import fcntl
import os
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from pixkin.protocol.replies import RootState
from pixkind.fs.mounts import Mount, mount_of

_libc = ctypes.CDLL(None)

_FSID: Final = frozenset({"btrfs", "ext2", "ext3", "ext4"})  # elsewhere f_fsid is the device number, which changes
_LOCAL: Final = frozenset(
    {
        *_FSID,
        "bcachefs",
        "exfat",
        "f2fs",
        "hfsplus",
        "iso9660",
        "ntfs3",
        "overlay",
        "squashfs",
        "tmpfs",
        "udf",
        "vfat",
        "xfs",
        "zfs",
    }
)
_AT_FDCWD: Final = -100
_LINKS: Final = 40  # as many as the kernel follows
_MNT_ID_UNIQUE: Final = 0x4000  # of statx
_GETFSUUID: Final = 0x80111500  # FS_IOC_GETFSUUID: one byte of length and 16 of UUID; Linux 6.9
_BY_UUID: Final = "/dev/disk/by-uuid"


class DriveIdentity(Struct, frozen=True, omit_defaults=True):
    """All that can be known of where a root is. Empty: that kind was not to be had."""

    fstype: str
    folder: str  # the root inside its file system: tells bind mounts and subvolumes of one drive apart
    fs_uuid: str = ""  # the kernel's word
    device_uuid: str = ""  # udev's word on the mount's source
    fsid: str = ""  # statfs's f_fsid, only where it is made of the UUID
    share: str = ""  # the mount's source where it is no device: "server:/export", "pool/photos"


@dataclass(frozen=True, slots=True)
class RootCheck:
    """What a root is found to be."""

    state: RootState  # ONLINE or OFFLINE
    reason: str  # empty when online
    identity: DriveIdentity | None  # what stands there now; None if it could not be told
    is_missing: bool = False  # nothing stands there


def is_local(mount: Mount) -> bool:
    """Return whether the daemon itself may touch the file system: it answers or fails, but does not hang."""
    return mount.fstype in _LOCAL


def reports_all_changes(mount: Mount) -> bool:
    """Return whether every change of the file system is made by this kernel, so that inotify sees it."""
    return mount.fstype in _LOCAL or mount.fstype == "fuseblk"  # ntfs-3g


def resolve_locally(path: str, mounts: Sequence[Mount]) -> tuple[str, Mount]:
    """Return `path` without links, and the mount it lies in; nothing is touched that is not `is_local`.

    On such a mount the rest of the path is returned as it is. Links that lead in a circle are returned unfollowed.

    Args:
        path: absolute; need not exist.
        mounts: what is mounted now.
    """
    ahead, real, links = [*reversed(path.split("/"))], "/", 0
    mount = mount_of(real, mounts)
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        real = os.path.dirname(real) if name == ".." else f"{real.rstrip('/')}/{name}"
        mount = mount_of(real, mounts)
        if not is_local(mount):
            return os.path.normpath("/".join([real, *reversed(ahead)])), mount
        try:
            aim = os.readlink(real)
        except OSError:  # no link, or nothing there
            continue
        links += 1
        if links <= _LINKS:
            ahead += reversed(aim.split("/"))
            real = "/" if aim.startswith("/") else os.path.dirname(real)
    return real, mount


def identify(path: str, mounts: Sequence[Mount]) -> DriveIdentity:
    """Return the identity of the folder at `path`; a symlink is followed, once, here.

    Args:
        path: absolute.
        mounts: what is mounted now.

    Raises:
        OSError: it is missing, no folder, or unreadable.
    """
    real = os.path.realpath(path, strict=True)
    mount = mount_of(real, mounts)
    descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fs_uuid = _fs_uuid(descriptor)
        fsid = f"{os.fstatvfs(descriptor).f_fsid:016x}" if mount.fstype in _FSID else ""
    finally:
        os.close(descriptor)
    is_path = mount.source.startswith("/") and not mount.source.startswith("//")  # "//server/share" is cifs
    return DriveIdentity(
        fstype=mount.fstype,
        folder=_text(os.path.normpath(os.path.join(mount.root, os.path.relpath(real, mount.point)))),
        fs_uuid=fs_uuid,
        device_uuid=device_uuid(mount.source) if is_path else "",
        fsid=fsid if fsid.strip("0") else "",
        share="" if is_path else _text(mount.source),
    )


def device_uuid(source: str, links: str = _BY_UUID) -> str:
    """Return the UUID that udev has for a block device, empty if it has none.

    Args:
        source: the device, `/dev/sdb1`.
        links: the folder of links that are named by UUID.
    """
    try:
        device = os.stat(source).st_rdev
        with os.scandir(links) as entries:
            return next((entry.name for entry in entries if device and _device_behind(entry.path) == device), "")
    except OSError:  # no udev, or a source that is only a word here, such as /dev/root
        return ""


def mismatch(known: DriveIdentity, seen: DriveIdentity) -> str:
    """Return why `seen` is not the drive and folder that `known` is; empty if it is.

    The strongest kind that both have decides about the drive; then it must be the same folder of it.
    """
    kinds = (
        ("UUID", known.fs_uuid, seen.fs_uuid),
        ("UUID", known.device_uuid, seen.device_uuid),
        ("id", known.fsid, seen.fsid),
        ("share", known.share, seen.share),
        ("file system", known.fstype, seen.fstype),
    )
    kind, ours, theirs = next(((kind, ours, theirs) for kind, ours, theirs in kinds if ours and theirs), ("", "", ""))
    if ours != theirs:
        return f"another drive: {seen.fstype} {kind} {theirs} instead of {ours}"
    if known.folder != seen.folder:
        return f"another drive: its folder {seen.folder} instead of {known.folder}"
    return ""


def assess(path: str, known: DriveIdentity | None, *, has_photos: bool, mounts: Sequence[Mount]) -> RootCheck:
    """Return what the root at `path` is now.

    Args:
        path: the root, absolute.
        known: its identity when it was last online; None the first time.
        has_photos: whether the store has photos of it.
        mounts: what is mounted now.
    """
    try:
        seen = identify(path, mounts)
        with os.scandir(path) as entries:
            is_empty = all(entry.name == "lost+found" for entry in entries)  # mkfs puts it there, not the user
    except FileNotFoundError:
        return RootCheck(RootState.OFFLINE, "missing", None, is_missing=True)
    except NotADirectoryError:
        return RootCheck(RootState.OFFLINE, "not a folder", None)
    except OSError as error:
        return RootCheck(RootState.OFFLINE, f"cannot be read: {error.strerror}", None)
    if known is not None and (reason := mismatch(known, seen)):
        return RootCheck(RootState.OFFLINE, reason, seen)
    if is_empty and has_photos:
        return RootCheck(RootState.OFFLINE, "empty, although the index holds photos of it", seen)
    return RootCheck(RootState.ONLINE, "", seen)


def _text(path: str) -> str:
    """Return a path as text that can be stored: a name need not be UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def unique_id(path: str) -> int:
    """Return a number for the mount at `path` that no later mount ever has; 0 where the kernel (before 6.8) has none.

    The ids of mountinfo are given again at once, so a drive that is unmounted and mounted looks as if nothing happened.
    Source: statx(2), STATX_MNT_ID_UNIQUE; offsets from linux/stat.h.
    """
    buffer = ctypes.create_string_buffer(256)
    if _libc.statx(_AT_FDCWD, os.fsencode(path), 0, _MNT_ID_UNIQUE, buffer):
        return 0
    filled, number = struct.unpack_from("=I", buffer, 0)[0], struct.unpack_from("=Q", buffer, 0x90)[0]
    return number if filled & _MNT_ID_UNIQUE else 0


def _fs_uuid(descriptor: int) -> str:
    buffer = ctypes.create_string_buffer(17)
    try:
        fcntl.ioctl(descriptor, _GETFSUUID, buffer)
    except OSError:  # an older kernel, or a file system without one
        return ""
    raw = buffer.raw[1 : 1 + buffer.raw[0]]
    if not any(raw):
        return ""
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 else raw.hex()


def _device_behind(link: str) -> int:
    try:
        return os.stat(link).st_rdev
    except OSError:  # a link that dangles: the device was just unplugged
        return -1
