"""What the API says when it cannot do what it is asked: `application/problem+json`, RFC 9457."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from pixkin.errors import DaemonAbsent, DaemonBusy, InputUnreadable, PixkinError, UsageError, VersionsDiffer

MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final = {
    400: "The request cannot be read",
    401: "Signed out",
    403: "Not allowed",
    404: "Not found",
    405: "No such method here",
    408: "Too slow",
    409: "Not possible now",
    411: "How long is it?",
    412: "It has changed",
    413: "Too large",
    415: "Not a type that is taken here",
    421: "Another host",
    422: "Not allowed values",
    500: "A bug in pixkin",
    501: "Not possible on this machine",
    503: "Not now",
    504: "No answer in time",
}
# The status of an error of the client, and how the page calls what the daemon is.
_OF_ERRORS: Final[list[tuple[type[PixkinError], int, str]]] = [
    (DaemonAbsent, 503, "absent"),
    (VersionsDiffer, 503, "versions"),
    (DaemonBusy, 503, "busy"),
    (InputUnreadable, 422, "unreadable"),
    (UsageError, 422, ""),
]


class Problem(Exception):
    """A request that is refused; the text is a sentence for people."""

    def __init__(self, status: int, detail: str, hint: str = "", *, daemon: str = "", **headers: str) -> None:
        """Keep what the answer says.

        Args:
            status: of HTTP.
            detail: what is wrong.
            hint: what the user can do.
            daemon: what the daemon is, if that is the reason: `absent`, `busy`, `versions`, `unreadable` or `refused`.
            **headers: of the answer; `_` stands for `-`.
        """
        super().__init__(detail)
        self.status, self.detail, self.hint, self.daemon = status, detail, hint, daemon
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @classmethod
    def of(cls, error: PixkinError) -> "Problem":
        """Return the problem that stands for an error of the client."""
        for kind, status, daemon in _OF_ERRORS:
            if isinstance(error, kind):
                return cls(status, error.what, error.hint, daemon=daemon)
        return cls(503, error.what, error.hint, daemon="refused")

    def response(self) -> Response:
        """Return the answer."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": _TITLES.get(self.status, "It failed"),
            "status": self.status,
            "detail": self.detail,
            "hint": self.hint,
            "daemon": self.daemon,
        }
        return Response(
            msgspec.json.encode(_clean(body)), self.status, {"Cache-Control": "no-store", **self.headers}, MEDIA_TYPE
        )


def _clean(body: dict[str, Any]) -> dict[str, Any]:
    """Return it without surrogates: a sentence may hold a file name that is no UTF-8."""
    return {
        key: one.encode("utf-8", "backslashreplace").decode() if isinstance(one, str) else one
        for key, one in body.items()
    }
