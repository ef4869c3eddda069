"""`openapi.json` describes the routes that there are, and their parameters with their bounds."""

from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from tests.client.web.asgi import PORT, ask
from tests.client.web.contract import OPENAPI, complaints, resolved

from pixkin.protocol.requests import MAX_IMAGES
from pixkin.web import dupes, library, plans, similar, watches
from pixkin.web.app import application
from pixkin.web.events import Happenings
from pixkin.web.group_decisions import GroupDecisions
from pixkin.web.guard import Guard
from pixkin.web.pasted import PastedPhotos
from pixkin.web.session import Sessions, SigningKey
from pixkin.web.site import Site
from pixkin.web.threads import ClientThreads

ID = "a" * 26
# The parameters of each GET, as the code has them.
PARAMETERS: dict[str, type[msgspec.Struct]] = {
    "/api/v1/similar": similar.Question,
    "/api/v1/library": library.LibraryParameters,
    "/api/v1/folders": library.FolderParameters,
    "/api/v1/timeline": library.TimelineParameters,
    "/api/v1/dupes": dupes.DupesParameters,
    "/api/v1/dupes/plan": plans.PlanParameters,
    "/api/v1/watches/{watch}/arrivals": watches.ArrivalParameters,
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a page without a daemon."""
    return Site(
        ClientThreads(str(tmp_path / "no.sock")),
        Sessions(SigningKey(str(tmp_path / "web.key")), PORT),
        PastedPhotos(str(tmp_path / "queries")),
        GroupDecisions(str(tmp_path / "web-decisions.jsonl")),
    )


@pytest.fixture
def guard(site: Site) -> Guard:
    return application(site, Happenings(site), port=PORT)


def cookie(site: Site) -> dict[str, str]:
    """Return the cookie of the page."""
    return {"cookie": f"{site.sessions.cookie}={site.sessions.cookie_value()}"}


def test_every_route_is_described_and_every_description_has_a_route(guard: Guard) -> None:
    """Paths and methods are the same on both sides; the shell holds no data and is not described."""
    described = {
        (path, method) for path, methods in OPENAPI["paths"].items() for method in methods if method != "parameters"
    }
    there = {
        (route.path, method.lower())
        for route in guard.routes
        if route.path.startswith(("/api/", "/t/"))
        for method in route.methods or ()
        if method != "HEAD"
    }

    assert there == described


@pytest.mark.parametrize("path", PARAMETERS)
def test_parameters_have_the_bounds_that_are_described(path: str) -> None:
    """Names, lengths, patterns, least and most are the same in the code and in the description."""
    described = {
        one["name"]: _bounds(resolved(one["schema"]))
        for one in map(resolved, OPENAPI["paths"][path]["get"].get("parameters", ()))
    }
    schema = msgspec.json.schema(PARAMETERS[path])["$defs"][PARAMETERS[path].__name__]["properties"]

    assert {name: _bounds(one) for name, one in schema.items()} == described


def _bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the bounds of a value; that of null counts as that of what it may be else."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            schema = resolved(one)
    named = ("type", "enum", "minimum", "maximum", "maxItems", "pattern", "maxLength")
    found = {name: sorted(one) if isinstance(one := schema[name], list) else one for name in named if name in schema}
    if "enum" in found:
        found.pop("type", None)
    return found | ({"items": _bounds(resolved(schema["items"]))} if "items" in schema else {})


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "status", 503),
        ("GET", "similar", 422),
        ("GET", f"similar?q={ID}", 503),
        ("GET", f"similar?q={ID}&n=0", 422),
        ("GET", f"similar?q={ID}&n=10001", 422),
        ("GET", f"similar?q={ID}&n=1&n=2", 422),
        ("GET", f"similar?q={ID}&min=nan", 422),
        ("GET", f"similar?q={ID}&min=1.1", 422),
        ("GET", f"similar?q={ID}&x=1", 422),
        ("GET", f"similar?q={ID}&from=2019-13", 422),
        ("GET", f"similar?q={ID}&w={ID}:0", 422),
        ("GET", f"similar?q={ID}&w={'b' * 26}:1", 422),
        ("GET", f"similar?q={ID}&crop={ID}:0,0,0,1", 422),
        ("GET", f"similar?q={ID}&crop={ID}:0.5,0,1,1", 422),
        ("GET", "similar?" + "&".join([f"q={ID}"] * 9), 422),
        ("GET", f"similar?q={ID}&" + "&".join([f"not={ID}"] * 8), 422),
        ("GET", f"similar?q={'a' * 25}b", 422),
        ("GET", f"similar?q={ID}%0A", 422),
        ("GET", f"similar?q={ID}&in=..", 422),
        ("GET", f"similar?q={ID}&online=maybe", 422),
        ("GET", f"photos/{ID[:-1]}", 422),
        ("GET", f"photos/{ID.upper()}", 422),
        ("GET", "library?after=a1", 422),
        ("GET", "library?after=a", 422),
        ("GET", "library?to=0000", 422),
        ("GET", "dupes?band=all", 422),
        ("GET", "dupes/plan?format=exe", 422),
        ("GET", "watches/-1/arrivals", 422),
        ("GET", "watches/x/arrivals", 422),
        ("GET", "nowhere", 404),
        ("DELETE", f"queries/{ID}", 404),
        ("DELETE", "watches/99999999999999999999", 422),
    ],
)
def test_wrong_values_are_refused_in_words(guard: Guard, site: Site, method: str, target: str, status: int) -> None:
    """A problem says what is wrong; what is right is told that there is no daemon."""
    answer = ask(guard, method, f"/api/v1/{target}", cookie(site))

    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["detail"]
    assert answer.json["daemon"] == ("absent" if status == 503 else "")
    assert complaints("/api/v1/status", "get", answer.status, answer.json) == []


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", "photos/resolve", b"", 422),
        ("POST", "photos/resolve", b"{", 422),
        ("POST", "photos/resolve", b"[" * 50_000, 422),
        ("POST", "photos/resolve", b'{"ids": []}', 422),
        ("POST", "photos/resolve", b'{"ids": ["a"]}', 422),
        ("POST", "photos/resolve", b'{"ids": "\xff"}', 422),
        ("POST", "photos/resolve", b" " * 70_000, 413),
        ("POST", "pause", b'{"for_s": -1}', 422),
        ("POST", "pause", b'{"for_s": 1, "root": "/etc"}', 422),
        ("POST", "pause", b'{"for_s": 1}', 503),
        ("POST", "watches", b'{"question": "q=a"}', 422),
        ("POST", "watches", b'{"question": ""}', 422),
        ("POST", "session", b'{"ticket": 1}', 422),
        ("PUT", f"dupes/{ID}/decision", b'{"keep": "all"}', 422),
        ("POST", f"dupes/{ID}/trash", b"", 403),
        ("POST", "queries", b'{"a": 1}', 415),
        ("POST", "warm", b"", 202),
    ],
)
def test_wrong_bodies_are_refused(guard: Guard, site: Site, method: str, target: str, body: bytes, status: int) -> None:
    """As parameters are; and nothing is moved to the trash unless the user allows it."""
    assert ask(guard, method, f"/api/v1/{target}", cookie(site), body).status == status


def test_a_body_that_is_too_large_is_refused_before_it_is_read(guard: Guard, site: Site) -> None:
    """By the length that it announces."""
    announced = {"content-type": "image/jpeg", "content-length": str((128 << 20) + 1)}
    answer = ask(guard, "POST", "/api/v1/queries", {**cookie(site), **announced})

    assert answer.status == 413
    assert MAX_IMAGES == 128 << 20


def test_parameters_name_their_own_types() -> None:
    """A list is a parameter that may come several times: each struct says which are."""
    hints = get_type_hints(similar.Question, include_extras=True)

    assert [name for name, kind in hints.items() if str(get_args(kind)[:1]).startswith("(list")] == [
        *("q", "minus", "w", "crop", "within")
    ]
