"""The folders of pixkin are their owner's alone: nobody else may put files in the place of ours."""

import os
import shlex
import stat
from contextlib import suppress
from typing import Final

from pixkin.errors import PixkinError

VARIABLES: Final = "XDG_STATE_HOME, XDG_DATA_HOME and XDG_RUNTIME_DIR"
# The owner of all files of other users within a user namespace, such as that of the unit (PrivateUsers=yes).
_NOBODY: Final = 65534


class NotPrivate(PixkinError):
    """Another user could change or replace a folder of pixkin."""

    status = 78  # EX_CONFIG; systemd does not restart the unit on it


def make_private(folder: str) -> None:
    """Create a folder of pixkin, and those above it that are missing, for the user alone. The umask does not matter.

    Raises:
        NotPrivate: another user could change what is in the folder, or its path is not UTF-8.
        OSError: it cannot be created.
        PixkinError: it cannot be looked at.
    """
    _make(folder)
    check_private(folder)


def _make(folder: str) -> None:
    if not os.path.isdir(folder):
        _make(os.path.dirname(folder))  # `os.makedirs` gives the mode to the last folder only
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)


def check_private(folder: str, *, by_own_group: bool = False) -> None:
    """Refuse a folder that another user could change or replace: he could put other files in the place of ours.

    Args:
        folder: it is not refused if it does not exist.
        by_own_group: whether the user's own group may change it. Earlier versions made the data folder so under umask 002,
            where each user has a group of his own.

    Raises:
        NotPrivate: another user could change it, or its path is not UTF-8.
        PixkinError: it cannot be looked at.
    """
    try:
        folder.encode()
    except UnicodeEncodeError as error:  # LMDB takes no such path
        raise NotPrivate(f"the folder {folder} is not named in UTF-8", f"set {VARIABLES} to other folders") from error
    try:
        _check_owner(folder, by_own_group=by_own_group)
        _check_above(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unusable(folder, error, "pixkind must be able to look at it") from error


def unusable(folder: str, error: OSError, hint: str) -> PixkinError:
    """Return the error for a folder of pixkin that the system refuses. `hint`: what must be possible there."""
    what = f"the folder {folder} cannot be used: {error.filename}: {error.strerror}"
    return PixkinError(what, f"{hint}; {VARIABLES} name the folders of pixkin")


def _check_owner(folder: str, *, by_own_group: bool) -> None:
    st = os.stat(folder)
    if st.st_uid != os.geteuid():
        raise NotPrivate(
            f"the folder {folder} belongs to another user (number {st.st_uid})", "move it away; pixkind creates its own"
        )
    if st.st_mode & (_write_of_others(st) if by_own_group else stat.S_IWGRP | stat.S_IWOTH):
        raise NotPrivate(f"the folder {folder} can be changed by other users", f"chmod go-w {shlex.quote(folder)}")


def _check_above(folder: str) -> None:
    above = os.path.realpath(folder)
    while (above := os.path.dirname(above)) != "/":
        st = os.stat(above)
        # In a sticky folder, such as /tmp, nobody can rename the files of another user.
        is_open = st.st_mode & _write_of_others(st) and not st.st_mode & stat.S_ISVTX
        is_foreign = st.st_uid not in {os.geteuid(), 0, _NOBODY}
        if is_open or is_foreign:
            what = f"other users can replace the folder {folder}, because they can change {above}"
            hint = f"set {VARIABLES} to other folders"
            raise NotPrivate(what, hint if is_foreign else f"chmod go-w {shlex.quote(above)}, or {hint}")


def _write_of_others(st: os.stat_result) -> int:
    """Return the permissions with which others can change a file."""
    return stat.S_IWOTH if st.st_gid == os.getegid() else stat.S_IWGRP | stat.S_IWOTH
