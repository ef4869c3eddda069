"""Renames a file over nothing, in whichever way its file system can, and waits until names are on the disk."""

import ctypes
import errno
import os
from typing import Final

NAME_BYTES: Final = 255  # NAME_MAX of nearly all file systems
_NOREPLACE: Final = 1  # linux/fs.h, RENAME_NOREPLACE
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# What a file system says that cannot do it: rename(2), link(2). EPERM also: not our file (fs.protected_hardlinks).
_UNABLE: Final = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK)


def rename_over_nothing(source: tuple[int, str], target: tuple[int, str]) -> None:
    """Rename a file. If it is interrupted, the file may have both names, or the target may be a new, empty file.

    Args:
        source: the descriptor of its folder, and its name in there.
        target: the same.

    Raises:
        FileExistsError: the target is taken.
        OSError: the file system refuses; with EXDEV, the target is on another one.
    """
    try:
        return _renameat2(source, target)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
    (old_folder, old), (new_folder, new) = source, target
    if _link(source, target):
        try:
            return os.unlink(old, dir_fd=old_folder)
        except OSError:
            os.unlink(new, dir_fd=new_folder)
            raise
    # exfat-fuse can do neither. A new, empty file reserves the name, and is what the rename replaces.
    os.close(os.open(new, _NEW, 0o600, dir_fd=new_folder))
    try:
        return os.rename(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)
    except OSError:
        os.unlink(new, dir_fd=new_folder)
        raise


def sync_folder(folder: int) -> None:
    """Return when the names in a folder are on the disk; `folder` may be a descriptor of the kind O_PATH."""
    descriptor = os.open(f"/proc/self/fd/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNABLE:  # on a share, the server does it
            raise
    finally:
        os.close(descriptor)


def _renameat2(source: tuple[int, str], target: tuple[int, str]) -> None:
    """Rename without replacing, which Python does not offer. Source: renameat2(2)."""
    if not hasattr(_LIBC, "renameat2"):  # musl before 1.2.6
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    (old_folder, old), (new_folder, new) = source, target
    if _LIBC.renameat2(old_folder, os.fsencode(old), new_folder, os.fsencode(new), _NOREPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), old, None, new)


def _link(source: tuple[int, str], target: tuple[int, str]) -> bool:
    """Give the file the other name too, if its file system can; return whether it can."""
    try:
        os.link(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0], follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        return False
    return True
