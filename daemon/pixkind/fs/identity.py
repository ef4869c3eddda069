"""Finds out which drive a root is on, and whether it is the drive that we know.

A photo is never deleted because another drive does not have it.
The functions work on given mounts and make a few system calls on the root itself. There is no thread and no store.
A file system that is not `is_local` may hang the process that touches it; for it the helper process calls `assess`.
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

from pixkin.mounts import Mount, folder_in, lies_in, mount_of
from pixkin.protocol.replies import RootState

_libc = ctypes.CDLL(None)

_FSID: Final = frozenset({"btrfs", "ext2", "ext3", "ext4"})  # for others f_fsid is the device number, which changes
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
_LINKS: Final = 40  # the kernel follows as many
_MNT_ID_UNIQUE: Final = 0x4000  # of statx
_GETFSUUID: Final = 0x80111500  # FS_IOC_GETFSUUID: one byte of length and 16 of UUID; Linux 6.9
_BY_UUID: Final = "/dev/disk/by-uuid"


class DriveIdentity(Struct, frozen=True, omit_defaults=True):
    """Everything that identifies where a root is. An empty field: the system did not have this kind."""

    fstype: str
    folder: str  # the root inside its file system: distinguishes bind mounts and subvolumes of one drive
    fs_uuid: str = ""  # from the kernel
    device_uuid: str = ""  # from udev, of the mount's source
    fsid: str = ""  # statfs's f_fsid, only where it is derived from the UUID
    share: str = ""  # the mount's source where it is not a device: "server:/export", "pool/photos"
    point: str = ""  # where it was mounted; identifies nothing, but tells an absent drive from another one


@dataclass(frozen=True, slots=True)
class RootCheck:
    """The result of checking a root."""

    state: RootState  # ONLINE or OFFLINE
    reason: str  # empty when online
    identity: DriveIdentity | None  # what is there now; None: it could not be read
    is_missing: bool = False  # nothing is there


def is_local(mount: Mount) -> bool:
    """Return whether the daemon itself may touch the file system, because it answers or fails but does not hang."""
    return mount.fstype in _LOCAL


def reports_all_changes(mount: Mount) -> bool:
    """Return whether this kernel makes every change of the file system, so that inotify reports it."""
    return mount.fstype in _LOCAL or mount.fstype == "fuseblk"  # ntfs-3g


def resolve_locally(path: str, mounts: Sequence[Mount]) -> tuple[str, Mount]:
    """Return `path` without symbolic links, and its mount, without touching any mount that is not `is_local`.

    From such a mount on, the rest of the path is returned as it is. Links that form a circle are not followed.

    Args:
        path: absolute; it need not exist.
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
        except OSError:  # it is not a link, or nothing is there
            continue
        links += 1
        if links <= _LINKS:
            ahead += reversed(aim.split("/"))
            real = "/" if aim.startswith("/") else os.path.dirname(real)
    return real, mount


def identify(path: str, mounts: Sequence[Mount]) -> DriveIdentity:
    """Return the identity of the folder at `path`; a symbolic link is followed here, and only here.

    Args:
        path: absolute.
        mounts: what is mounted now.

    Raises:
        OSError: the path is missing, not a folder, or unreadable.
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
        folder=_text(folder_in(mount, real)),
        fs_uuid=fs_uuid,
        device_uuid=device_uuid(mount.source) if is_path else "",
        fsid=fsid if fsid.strip("0") else "",
        share="" if is_path else _text(mount.source),
        point=_text(mount.point),
    )


def device_uuid(source: str, links: str = _BY_UUID) -> str:
    """Return the UUID that udev has for a block device; empty: it has none.

    Args:
        source: the device, `/dev/sdb1`.
        links: the folder that has one link per UUID.
    """
    try:
        device = os.stat(source).st_rdev
        with os.scandir(links) as entries:
            return next((entry.name for entry in entries if device and _device_behind(entry.path) == device), "")
    except OSError:  # there is no udev, or no such device, as with /dev/root
        return ""


def mismatch(known: DriveIdentity, seen: DriveIdentity) -> str:
    """Return why `seen` is not the same drive and folder as `known`; empty: it is the same.

    The strongest kind that both have identifies the drive. The folder on the drive must be the same too.
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


def is_unmounted(path: str, known: DriveIdentity, seen: DriveIdentity) -> bool:
    """Return whether the drive of a root is not mounted, so that the folder shows the file system above its mount point.

    Args:
        path: the root.
        known: its identity. An older store has no mount point in it; a whole drive was mounted at the root itself.
        seen: the identity of the folder that is there now, which is not `known`.
    """
    point = known.point or (_text(path) if known.folder == "/" else "")
    # With x-systemd.automount, an autofs is at the mount point until somebody needs the drive.
    return seen.fstype == "autofs" or (point not in ("", seen.point) and lies_in(point, seen.point))


def assess(path: str, known: DriveIdentity | None, *, has_photos: bool, mounts: Sequence[Mount]) -> RootCheck:
    """Check the root at `path`.

    Args:
        path: the root, absolute.
        known: its identity when it was last online; None: it never was.
        has_photos: whether the store has photos of the root.
        mounts: what is mounted now.
    """
    try:
        seen = identify(path, mounts)
        with os.scandir(path) as entries:
            is_empty = all(entry.name == "lost+found" for entry in entries)  # mkfs creates it, not the user
    except FileNotFoundError:
        return RootCheck(RootState.OFFLINE, "missing", None, is_missing=True)
    except NotADirectoryError:
        return RootCheck(RootState.OFFLINE, "not a folder", None)
    except OSError as error:
        return RootCheck(RootState.OFFLINE, f"cannot be read: {error.strerror}", None)
    if known is not None and (reason := mismatch(known, seen)):
        reason = "its drive is not mounted" if is_unmounted(path, known, seen) else reason
        return RootCheck(RootState.OFFLINE, reason, seen)
    if is_empty and has_photos:
        return RootCheck(RootState.OFFLINE, "empty, but the index has photos of it", seen)
    return RootCheck(RootState.ONLINE, "", seen)


def _text(path: str) -> str:
    """Return a path as text that can be stored, since a name need not be UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def unique_id(path: str) -> int:
    """Return a number that identifies the mount at `path` and is never reused; 0: the kernel (before 6.8) has none.

    The kernel reuses the ids of mountinfo at once, so a drive that was unmounted and mounted again looks unchanged there.
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
    except OSError:  # the kernel is older, or the file system has no UUID
        return ""
    raw = buffer.raw[1 : 1 + buffer.raw[0]]
    if not any(raw):
        return ""
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 else raw.hex()


def _device_behind(link: str) -> int:
    try:
        return os.stat(link).st_rdev
    except OSError:  # the link dangles, because the device was just unplugged
        return -1
