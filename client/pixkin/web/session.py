"""Who may ask: a ticket, which `pixkin web` signs, buys a cookie. Both are signed by one key.

| what | holds | lasts |
| --- | --- | --- |
| ticket | time of issue, 16 random bytes, signature | 60 s, for one use |
| cookie | time of issue, 16 random bytes, signature | 30 days |

The key rests in the state folder, for this user alone. A new key ends all sessions. The file is looked at for every
request, so a running server notices a new key at once.
"""

import hashlib
import hmac
import os
import re
import secrets
import time
from typing import Final

from pixkin.errors import InputUnreadable

TICKET_S: Final = 60
SESSION_S: Final = 30 * 86400
_KEY_BYTES: Final = 32  # as many as SHA-256 has
_SKEW_S: Final = 5  # a clock may be set back between issue and use
_MOST_USED: Final = 10_000  # tickets that are remembered as used; each one was signed within the last minute
_TOKEN: Final = re.compile(r"([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})\Z")


class SigningKey:
    """The key in its file."""

    def __init__(self, file: str) -> None:
        """Keep where it is; it is made when it is first needed."""
        self._file = file
        self._seen: tuple[int, ...] = ()
        self._key = b""

    def renew(self) -> None:
        """Replace it, which ends all sessions and tickets.

        Raises:
            InputUnreadable: it cannot be written.
        """
        making = f"{self._file}.{secrets.token_hex(4)}"
        try:
            os.makedirs(os.path.dirname(self._file), 0o700, exist_ok=True)
            with open(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            os.replace(making, self._file)
        except OSError as error:
            raise InputUnreadable(f"{self._file}: {(error.strerror or 'it cannot be written').lower()}") from error

    def sign(self, purpose: str, text: str) -> str:
        """Return the signature of a text; one for a ticket is none for a cookie.

        Raises:
            InputUnreadable: the key can neither be read nor made.
        """
        return hmac.new(self._current(), f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()

    def _current(self) -> bytes:
        try:
            seen = self._stamp()
        except FileNotFoundError:
            self.renew()
            seen = self._stamp()
        if seen != self._seen:
            self._key, self._seen = self._read(), seen
        return self._key

    def _stamp(self) -> tuple[int, ...]:
        st = os.stat(self._file)
        return st.st_dev, st.st_ino, st.st_mtime_ns, st.st_size

    def _read(self) -> bytes:
        try:
            with open(os.open(self._file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
                st, key = os.fstat(file.fileno()), file.read(_KEY_BYTES + 1)
        except OSError as error:
            raise InputUnreadable(f"{self._file}: {(error.strerror or 'it cannot be read').lower()}") from error
        if st.st_uid != os.geteuid() or st.st_mode & 0o077 or len(key) != _KEY_BYTES:
            raise InputUnreadable(
                f"{self._file} is not a key that only you can read", "make a new one: `pixkin web --revoke`"
            )
        return key


class Sessions:
    """Makes and checks tickets and cookies."""

    def __init__(self, key: SigningKey, port: int) -> None:
        """Keep the key. Servers on several ports are several names of a cookie, but one user."""
        self._key = key
        self._used: dict[str, float] = {}  # tickets, and when they expire
        self.cookie = f"pixkin_{port}"

    def ticket(self, now: float | None = None) -> str:
        """Return a new ticket."""
        return self._signed("ticket", now)

    def redeem(self, ticket: str, now: float | None = None) -> bool:
        """Return whether a ticket is good, and use it up."""
        now = time.time() if now is None else now
        if not self._is_good("ticket", ticket, TICKET_S, now) or ticket in self._used:
            return False
        self._used = {one: until for one, until in self._used.items() if until > now}
        if len(self._used) >= _MOST_USED:
            return False
        self._used[ticket] = now + TICKET_S + _SKEW_S
        return True

    def cookie_value(self, now: float | None = None) -> str:
        """Return the value of a new cookie."""
        return self._signed("cookie", now)

    def admits(self, value: str, now: float | None = None) -> bool:
        """Return whether the value of a cookie is good."""
        return self._is_good("cookie", value, SESSION_S, time.time() if now is None else now)

    def end_all(self) -> None:
        """End all sessions, in this server and in others."""
        self._key.renew()

    def _signed(self, purpose: str, now: float | None) -> str:
        text = f"{int(time.time() if now is None else now)}.{secrets.token_hex(16)}"
        return f"{text}.{self._key.sign(purpose, text)}"

    def _is_good(self, purpose: str, token: str, lasts_s: int, now: float) -> bool:
        if not (match := _TOKEN.match(token)):
            return False
        expected = self._key.sign(purpose, f"{match[1]}.{match[2]}")
        return hmac.compare_digest(expected, match[3]) and -_SKEW_S <= now - int(match[1]) < lasts_s
