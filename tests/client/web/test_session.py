"""Tickets and cookies."""

import os
from pathlib import Path

import pytest

from pixkin.errors import InputUnreadable
from pixkin.web.session import SESSION_S, TICKET_S, Sessions, SigningKey

NOW = 1_800_000_000.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state/web.key"


@pytest.fixture
def sessions(file: Path) -> Sessions:
    return Sessions(SigningKey(str(file)), 7465)


def test_a_ticket_is_good_once_and_for_a_minute(sessions: Sessions) -> None:
    """Neither again, nor later, nor if it was signed for another time."""
    used, late, early = sessions.ticket(NOW), sessions.ticket(NOW), sessions.ticket(NOW + 100)

    assert sessions.redeem(used, NOW + TICKET_S - 1)
    assert not sessions.redeem(used, NOW + TICKET_S - 1)
    assert not sessions.redeem(late, NOW + TICKET_S)
    assert not sessions.redeem(early, NOW)


def test_a_cookie_is_good_for_a_month(sessions: Sessions) -> None:
    """Again and again, until it is too old."""
    value = sessions.cookie_value(NOW)

    assert sessions.admits(value, NOW)
    assert sessions.admits(value, NOW + SESSION_S - 1)
    assert not sessions.admits(value, NOW + SESSION_S)


def test_what_is_signed_for_one_purpose_is_not_good_for_the_other(sessions: Sessions) -> None:
    """A ticket, which others may see in a list of processes, is no cookie."""
    assert not sessions.admits(sessions.ticket(NOW), NOW)
    assert not sessions.redeem(sessions.cookie_value(NOW), NOW)


@pytest.mark.parametrize("spoil", ["", ".", "1.2.3", "{}x", "x{}", "{}\n", "²{}"])
def test_a_forged_token_is_refused(sessions: Sessions, spoil: str) -> None:
    """Whatever is not exactly what was signed."""
    assert not sessions.admits(spoil.format(sessions.cookie_value(NOW)), NOW)


def test_a_changed_token_is_refused(sessions: Sessions) -> None:
    """Each digit counts: the time, the random bytes and the signature."""
    value = sessions.cookie_value(NOW)
    changed = [f"{value[:at]}{'1' if value[at] == '0' else '0'}{value[at + 1 :]}" for at in range(len(value))]

    assert not any(sessions.admits(one, NOW) for one in changed)


def test_a_new_key_ends_all_sessions_of_a_running_server(sessions: Sessions, file: Path) -> None:
    """`pixkin web --revoke` is another process."""
    value, ticket = sessions.cookie_value(NOW), sessions.ticket(NOW)
    Sessions(SigningKey(str(file)), 7465).end_all()

    assert not sessions.admits(value, NOW)
    assert not sessions.redeem(ticket, NOW)
    assert sessions.admits(sessions.cookie_value(NOW), NOW)


def test_the_key_is_for_this_user_alone(sessions: Sessions, file: Path) -> None:
    """It is made so, and one that others can read is not used."""
    value = sessions.cookie_value(NOW)
    mode = file.stat().st_mode & 0o777
    os.chmod(file, 0o644)
    os.utime(file, (1, 1))

    assert (mode, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with pytest.raises(InputUnreadable, match="only you can read"):
        sessions.admits(value, NOW)
