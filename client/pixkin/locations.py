"""The locations of pixkin's files, by the XDG Base Directory Specification 0.8.

The functions read the environment when they are called, and create no folder.
A variable counts only if it holds an absolute path, as the specification demands.
All paths are `str` with surrogate escapes.
"""

import os
import pwd
import stat
from collections.abc import Mapping


def config_home(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the configurations of all programs."""
    return _base(env, "XDG_CONFIG_HOME", ".config")


def data_home(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the data of all programs."""
    return _base(env, "XDG_DATA_HOME", ".local/share")


def config_file(env: Mapping[str, str] = os.environ) -> str:
    """Return the path of the daemon's configuration."""
    return os.path.join(config_home(env), "pixkin", "config.toml")


def state_folder(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the store. It belongs to one machine and is expensive to rebuild: neither data nor cache."""
    return os.path.join(_base(env, "XDG_STATE_HOME", ".local/state"), "pixkin")


def store_folder(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the store itself, an environment of LMDB: its file is `data.mdb`."""
    return os.path.join(state_folder(env), "index.lmdb")


def data_folder(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the weights that `pixkind fetch` has downloaded, of the user's decisions, and of the trash's journal."""
    return os.path.join(data_home(env), "pixkin")


def trash_journal(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the journal of `pixkin dupes --trash`."""
    return os.path.join(data_folder(env), "trash")


def trash_folder(env: Mapping[str, str] = os.environ) -> str:
    """Return the user's own trash. Source: the FreeDesktop.org Trash specification 1.0."""
    return os.path.join(data_home(env), "Trash")


def cache_folder(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of what can be made again, such as thumbnails."""
    return os.path.join(_base(env, "XDG_CACHE_HOME", ".cache"), "pixkin")


def runtime_folder(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the socket.

    Without XDG_RUNTIME_DIR (cron, `su`) it is systemd's folder for this user, if that exists:
    so a client outside the login session finds the daemon inside it. Otherwise the folder lies in the cache.
    """
    if os.path.isabs(folder := env.get("XDG_RUNTIME_DIR", "")):
        return os.path.join(folder, "pixkin")
    folder = f"/run/user/{os.getuid()}"
    if _is_ours(folder):
        return os.path.join(folder, "pixkin")
    return os.path.join(cache_folder(env), "run")


def answers_folder(env: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the pages that `pixkin open` has written."""
    return os.path.join(runtime_folder(env), "answers")


def socket_file(env: Mapping[str, str] = os.environ) -> str:
    """Return the path of the daemon's socket."""
    return os.path.join(runtime_folder(env), "pixkind.sock")


def _base(env: Mapping[str, str], variable: str, default: str) -> str:
    if os.path.isabs(folder := env.get(variable, "")):
        return folder
    home = env.get("HOME", "")
    if not os.path.isabs(home):
        home = pwd.getpwuid(os.getuid()).pw_dir
    return os.path.join(home, default)


def _is_ours(folder: str) -> bool:
    try:
        st = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(st.st_mode) and st.st_uid == os.getuid()
