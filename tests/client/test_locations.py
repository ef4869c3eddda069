"""Where things are."""

import os
from collections.abc import Callable

import pytest

from pixkin import locations

PLACES = [
    (locations.config_file, "XDG_CONFIG_HOME", "/x/pixkin/config.toml", "/home/u/.config/pixkin/config.toml"),
    (locations.state_folder, "XDG_STATE_HOME", "/x/pixkin", "/home/u/.local/state/pixkin"),
    (locations.data_folder, "XDG_DATA_HOME", "/x/pixkin", "/home/u/.local/share/pixkin"),
]


@pytest.mark.parametrize(("place", "variable", "set_to_x", "unset"), PLACES)
def test_variable_counts_only_if_absolute(
    place: Callable[[dict[str, str]], str], variable: str, set_to_x: str, unset: str
) -> None:
    """An unset, empty or relative variable means the default below the home folder."""
    assert place({"HOME": "/home/u", variable: "/x"}) == set_to_x
    for value in ("", "x", "./x"):
        assert place({"HOME": "/home/u", variable: value}) == unset
    assert place({"HOME": "/home/u"}) == unset


def test_socket_lies_in_the_runtime_folder() -> None:
    """An absolute XDG_RUNTIME_DIR decides."""
    assert locations.socket_file({"XDG_RUNTIME_DIR": "/run/user/7"}) == "/run/user/7/pixkin/pixkind.sock"


def test_socket_without_runtime_folder_is_still_the_users_own() -> None:
    """Without XDG_RUNTIME_DIR it is systemd's folder of this user, if there is one, else it lies in the cache."""
    ours = f"/run/user/{os.getuid()}"
    expected = f"{ours}/pixkin" if os.path.isdir(ours) else "/c/pixkin/run"

    assert locations.runtime_folder({"XDG_CACHE_HOME": "/c", "XDG_RUNTIME_DIR": "relative"}) == expected


def test_environment_is_read_at_call_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable set after the import counts."""
    monkeypatch.setenv("XDG_STATE_HOME", "/later")

    assert locations.state_folder() == "/later/pixkin"


def test_home_comes_from_the_user_database_where_home_is_unset() -> None:
    """A service without HOME still has a home."""
    assert os.path.isabs(locations.config_file({}))
