"""The guard: each check alone refuses, and they come in their order."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from tests.client.web.asgi import HOST, ORIGIN, PORT, ask
from tests.webserver import Reply

from pixkin.web.guard import HEADERS, MOST_OPEN, Check, Guard
from pixkin.web.session import Sessions, SigningKey

READ, WRITE = "/api/v1/status", "/api/v1/pause"


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(SigningKey(str(tmp_path / "web.key")), PORT)


@pytest.fixture
def guarded(sessions: Sessions) -> Callable[..., Guard]:
    """Return a maker of a guard around an application that answers all it gets."""

    async def reached(_: Request) -> Response:
        return PlainTextResponse("reached")

    routes = [
        Route("/", reached, methods=["GET"]),
        Route(READ, reached, methods=["GET"]),
        Route(WRITE, reached, methods=["POST"]),
    ]

    def make(*without: Check, allowed: tuple[str, ...] = ()) -> Guard:
        checks = frozenset(Check) - set(without)
        return Guard(Router(routes), routes=routes, port=PORT, sessions=sessions, allowed=allowed, checks=checks)

    return make


def own(sessions: Sessions) -> dict[str, str]:
    """Return the cookie of the page."""
    return {"cookie": f"{sessions.cookie}={sessions.cookie_value()}"}


# What an attacker's request has: everything right but for one thing, which one check looks at.
ATTACKS: list[tuple[Check, str, str, Mapping[str, str], int]] = [
    (Check.HOST, "GET", READ, {"host": f"evil.test:{PORT}"}, 421),
    (Check.HOST, "GET", READ, {"host": "127.0.0.1:7466"}, 421),
    (Check.HOST, "GET", READ, {"host": "127.0.0.1"}, 421),
    (Check.HOST, "GET", READ, {"host": ""}, 421),
    (Check.PEER, "GET", READ, {}, 403),
    (Check.FETCH, "GET", READ, {"sec-fetch-site": "cross-site"}, 403),
    (Check.FETCH, "GET", READ, {"sec-fetch-site": "same-site"}, 403),
    (Check.FETCH, "GET", READ, {"sec-fetch-site": "none"}, 403),
    (Check.FETCH, "GET", READ, {"sec-fetch-site": "same-origin, same-origin"}, 403),
    (Check.ORIGIN, "POST", WRITE, {"origin": ""}, 403),
    (Check.ORIGIN, "POST", WRITE, {"origin": "null"}, 403),
    (Check.ORIGIN, "POST", WRITE, {"origin": "http://127.0.0.1:7466"}, 403),
    (Check.ORIGIN, "POST", WRITE, {"origin": "http://localhost:7465"}, 403),
    (Check.SESSION, "GET", READ, {"cookie": ""}, 401),
    (Check.SESSION, "GET", READ, {"cookie": "pixkin_7465=1.2.3"}, 401),
    (Check.SESSION, "GET", READ, {"cookie": f"pixkin_7465=9999999999.{'0' * 32}.{'0' * 64}"}, 401),
]


@pytest.mark.parametrize(("check", "method", "path", "headers", "status"), ATTACKS)
def test_each_check_alone_refuses(
    guarded: Callable[..., Guard],
    sessions: Sessions,
    check: Check,
    method: str,
    path: str,
    headers: Mapping[str, str],
    status: int,
) -> None:
    """All else is right: without this one check the request would reach the application."""

    def outcome(guard: Guard) -> Reply:
        return ask(guard, method, path, {**own(sessions), **headers}, ours=check is not Check.PEER)

    refused, let_in = outcome(guarded()), outcome(guarded(check))

    assert (refused.status, refused.headers["content-type"]) == (status, "application/problem+json")
    assert let_in.body == b"reached"


def test_checks_come_in_their_order(guarded: Callable[..., Guard]) -> None:
    """A request that is wrong in every way hears of the first check that is left."""
    wrong = {"host": "evil.test", "sec-fetch-site": "cross-site", "origin": "http://evil.test"}
    order = list(Check)
    said = [ask(guarded(*order[:number]), "POST", WRITE, wrong, ours=False) for number in range(len(order) + 1)]

    assert [answer.status for answer in said] == [421, 403, 403, 403, 401, 200]
    assert len({answer.body for answer in said}) == 6


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("TRACE", "/", {"host": "evil.test"}, 405),
        ("POST", "/", {}, 405),
        ("DELETE", READ, {"cookie": ""}, 405),
        ("PATCH", "/nowhere", {}, 405),
        ("OPTIONS", READ, {"access-control-request-method": "GET", "origin": ORIGIN}, 403),
        ("OPTIONS", READ, {}, 405),
        ("GET", WRITE, {}, 405),
        ("POST", WRITE, {"content-type": "application/x-www-form-urlencoded", "content-length": "1"}, 415),
        ("POST", WRITE, {"content-type": "text/plain", "transfer-encoding": "chunked"}, 415),
        ("POST", WRITE, {"content-type": "", "content-length": "1"}, 415),
        ("POST", WRITE, {"sec-fetch-site": "", "origin": "http://evil.test"}, 403),
    ],
)
def test_what_no_page_of_ours_sends_is_refused(
    guarded: Callable[..., Guard], sessions: Sessions, method: str, path: str, headers: Mapping[str, str], status: int
) -> None:
    """A method that is not there is told before all checks; forms and preflights are refused."""
    answer = ask(guarded(), method, path, {**own(sessions), **headers})

    assert answer.status == status
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", READ, {}),
        ("HEAD", READ, {}),
        ("GET", READ, {"host": f"localhost:{PORT}"}),
        ("GET", READ, {"sec-fetch-site": ""}),  # an old browser, or curl with the cookie
        ("POST", WRITE, {"sec-fetch-site": ""}),
        ("POST", WRITE, {"host": f"localhost:{PORT}", "origin": f"http://localhost:{PORT}"}),
        ("POST", WRITE, {"content-type": "image/jpeg", "content-length": "1"}),
        ("GET", "/", {"sec-fetch-site": "none", "cookie": ""}),  # a bookmark
        ("GET", READ, {"cookie": "other=1; {own}; more=2"}),
    ],
)
def test_own_page_is_let_in(
    guarded: Callable[..., Guard], sessions: Sessions, method: str, path: str, headers: Mapping[str, str]
) -> None:
    """What browsers send from the page itself passes all checks."""
    cookie = own(sessions)
    given = {name: value.format(own=cookie["cookie"]) for name, value in headers.items()}

    assert ask(guarded(), method, path, {**cookie, **given}).status == 200


def test_a_further_name_is_allowed_only_if_it_is_given(guarded: Callable[..., Guard], sessions: Sessions) -> None:
    """`--allow-host` takes one name with its port; behind it there may be TLS."""
    there = {**own(sessions), "host": "pics.test:8000", "origin": "https://pics.test:8000"}

    assert ask(guarded(), "POST", WRITE, there).status == 421
    assert ask(guarded(allowed=("pics.test:8000",)), "POST", WRITE, there).status == 200
    assert ask(guarded(allowed=("pics.test:8000",)), "POST", WRITE, {**there, "origin": f"http://{HOST}"}).status == 403


def test_every_answer_has_all_headers(guarded: Callable[..., Guard], sessions: Sessions) -> None:
    """Also those of refusals and of what is not there; and none says which server it is."""
    answers = [
        ask(guarded(), "GET", "/"),
        ask(guarded(), "GET", READ, own(sessions)),
        ask(guarded(), "GET", READ),
        ask(guarded(), "GET", "/nowhere"),
        ask(guarded(), "TRACE", "/"),
    ]
    wanted: dict[str, Any] = {name.decode(): value.decode() for name, value in HEADERS}

    assert all(wanted.items() <= answer.headers.items() for answer in answers)
    assert not any("server" in answer.headers for answer in answers)
    assert "'unsafe" not in wanted["content-security-policy"]


def test_too_many_open_requests_are_refused(guarded: Callable[..., Guard], sessions: Sessions) -> None:
    """The one that is too many is told so, and nothing is left of it."""
    guard = guarded()
    guard.open = MOST_OPEN
    answer = ask(guard, "GET", READ, own(sessions))

    assert (answer.status, guard.open) == (503, MOST_OPEN)
