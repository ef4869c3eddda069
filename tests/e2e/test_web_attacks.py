"""Attacks on the page of `pixkin web`: by bytes, by another user's processes, by other pages in a real browser."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Home, new_home
from tests.waiting import wait_for
from tests.webserver import WebServer, answer, free_port, served

pytestmark = [pytest.mark.e2e]

NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
# A browser of another user who has stolen the cookie: it sends a request and prints the status.
_THIEF = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
connection.request("GET", "/api/v1/status", headers={"Cookie": sys.argv[2], "Sec-Fetch-Site": "same-origin"})
print(connection.getresponse().status)
"""
_CHROMIUM = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
# What a form of another page would send, if a browser did not say where it comes from.
_FORM = "POST /api/v1/pause HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {cookie}"


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with new_home() as made:
        yield made


@pytest.fixture(scope="module")
def server(home: Home) -> Iterator[WebServer]:
    """Yield a page without a daemon: nobody who is refused here would hear of it."""
    with served(home.env) as made:
        yield made


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        # Names that are made to mean 127.0.0.1, and names of others.
        ("GET / HTTP/1.1\r\nHost: evil.test:{port}", 421),
        ("GET /api/v1/status HTTP/1.1\r\nHost: evil.test:{port}\r\nCookie: {cookie}", 421),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1:1", 421),
        ("GET / HTTP/1.1\r\nHost: localhost", 421),
        ("GET / HTTP/1.0", 421),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.test", 400),
        ("GET / HTTP/1.1", 400),
        # Pages of others: a browser says where a request comes from.
        ("GET / HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: cross-site", 403),
        ("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: cross-site", 403),
        ("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-site", 403),
        ("GET /t/{id}/S.jpg HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-site", 403),
        ("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: none", 403),
        # Forms and scripts of others that would change something.
        ("POST /api/v1/resume HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nContent-Length: 0", 403),
        ("POST /api/v1/resume HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nOrigin: null\r\nContent-Length: 0", 403),
        ("POST /api/v1/session HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.test\r\nContent-Length: 0", 403),
        (f"{_FORM}\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{{{}}}}", 415),
        (
            "OPTIONS /api/v1/status HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.test\r\nAccess-Control-Request-Method: GET",
            403,
        ),
        ("TRACE / HTTP/1.1\r\nHost: {host}", 405),
        ("CONNECT evil.test:443 HTTP/1.1\r\nHost: {host}", 405),
        ("DELETE /api/v1/status HTTP/1.1\r\nHost: {host}", 405),
        # Without a session, or with a false one.
        ("GET /api/v1/status HTTP/1.1\r\nHost: {host}", 401),
        ("GET /t/{id}/S.jpg HTTP/1.1\r\nHost: {host}", 401),
        ("GET /api/v1/nowhere HTTP/1.1\r\nHost: {host}", 401),
        ("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}0", 401),
        ("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nCookie: pixkin_{port}=", 401),
        # Ways to files, and what no browser sends.
        ("GET /static/../app.py HTTP/1.1\r\nHost: {host}", 404),
        ("GET /static/%2e%2e/app.py HTTP/1.1\r\nHost: {host}", 404),
        ("GET /static//etc/passwd HTTP/1.1\r\nHost: {host}", 404),
        ("GET http://evil.test/ HTTP/1.1\r\nHost: {host}", 404),
        ("GET /t/..%2f..%2fetc%2fpasswd/S.jpg HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}", 404),
        ("GET /api/v1/folders?parent=/etc HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}", 422),
        ("GET /api/v1/status?x=1 HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}", 422),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nX: {long}", 431),
        ("nonsense", 400),
        # And what is right reaches the answer: there is no daemon.
        ("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin", 503),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: none", 200),
    ],
)
def test_who_is_not_the_page_is_refused(server: WebServer, request_: str, status: int) -> None:
    """Each attack of the table gets its status, over a real socket, and no data."""
    names = {"host": server.host, "port": server.port, "cookie": server.cookie, "id": "a" * 26, "long": "x" * 9000}
    head, _, body = request_.format(**names).partition("\r\n\r\n")
    reply = server.send(f"{head}\r\nConnection: close\r\n\r\n{body}".encode())

    assert reply.status == status
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_another_user_is_refused_even_with_the_cookie(server: WebServer) -> None:
    """A browser sends a cookie to all ports of a host, so another user's server may have it."""
    if os.getuid():
        pytest.skip("only root may run a process as another user")
    command = [sys.executable, "-c", _THIEF, str(server.port), server.cookie]
    said = {words: subprocess.check_output([*words, *command], text=True).strip() for words in ((), NOBODY)}

    assert said == {(): "503", NOBODY: "403"}


def test_a_ticket_is_good_once(server: WebServer) -> None:
    """It stands in a list of processes, so whoever comes second gets nothing; and the key of others signs none."""
    again = server.post("session", {"ticket": server.ticket})
    forged = server.post("session", {"ticket": f"{server.ticket[:-1]}x"})
    none = server.post("session", {})

    assert (again.status, forged.status, none.status) == (401, 401, 422)
    assert not {"set-cookie"} & (again.headers.keys() | forged.headers.keys())


def test_the_cookie_is_for_this_page_alone(home: Home) -> None:
    """No script reads it, no other site sends it; and no ticket, cookie or question is printed or logged."""
    with served(home.env) as other:
        ticket = subprocess.check_output(
            [Path(sys.executable).parent / "pixkin", "web", "--no-open", "--port", str(other.port)], env=home.env
        ).decode()
        reply = other.post("session", {"ticket": ticket.strip().rpartition("=")[2]})
        other.ask("GET", "/api/v1/similar?q=" + "a" * 26)
        _, said = other.stop()
    attributes = {part.strip().lower() for part in reply.headers["set-cookie"].split(";")[1:]}

    assert reply.status == 204
    assert {"httponly", "samesite=strict", "path=/", "max-age=2592000"} <= attributes
    assert said == ""


def test_all_sessions_end_at_once() -> None:
    """On the page, and by `pixkin web --revoke` for a server that runs."""
    with new_home() as home, served(home.env) as other:
        before = other.ask("GET", "/api/v1/status").status
        done = home.pixkin("web", "--revoke")
        after = other.ask("GET", "/api/v1/status").status
    with new_home() as home, served(home.env) as other:
        ended = other.ask("DELETE", "/api/v1/session")
        gone = other.ask("GET", "/api/v1/status").status

    assert (before, done.returncode, after) == (503, 0, 401)
    assert (ended.status, gone) == (204, 401)
    assert ended.headers["clear-site-data"] == '"cache", "cookies"'


def test_the_server_has_sockets_at_this_machine_alone(server: WebServer) -> None:
    """It listens at 127.0.0.1 and nowhere else; the daemon's socket is of a file."""
    inodes = {
        match[1]
        for one in Path(f"/proc/{server.process.pid}/fd").iterdir()
        if (match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(one)))
    }
    tables = {
        name: [line.split() for line in Path(f"/proc/{server.process.pid}/net/{name}").read_text().splitlines()[1:]]
        for name in ("tcp", "tcp6", "udp", "udp6")
    }
    found = [(name, row[1]) for name, rows in tables.items() for row in rows if row[9] in inodes]

    assert ("tcp", f"0100007F:{server.port:04X}") in found
    assert {address for _, address in found} == {f"0100007F:{server.port:04X}"}


def test_a_second_start_opens_the_page_that_is_there(home: Home, server: WebServer) -> None:
    """It prints a new ticket, and ends; a port that another program has is said."""
    again = home.pixkin("web", "--no-open", "--port", str(server.port))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = home.pixkin("web", "--no-open", "--port", str(taken.getsockname()[1]))

    assert (again.returncode, again.stdout.count(b"#ticket=")) == (0, 1)
    assert other.returncode == 70
    assert b"another program listens" in other.stderr


def test_what_a_browser_never_ends_is_ended(server: WebServer) -> None:
    """A header that does not come is waited for 10 s, and others are served meanwhile."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
        meanwhile = server.ask("GET", "/").status
        with pytest.raises((http.client.HTTPException, ConnectionResetError)):
            answer(slow)

    assert meanwhile == 200


@contextmanager
def another_page(html: str) -> Iterator[int]:
    """Yield the port at which another local program serves this page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: Any) -> None:  # noqa: ANN401
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", free_port()), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield other.server_address[1]
        other.shutdown()


# What another page tries in the browser that has the cookie; each ends in a word.
_OTHER_PAGE = """<!doctype html><body><script>
const target = "TARGET";
const tried = (name, promise) => promise.then((said) => [name, said], (error) => [name, "refused"]);
const loads = (kind, path) => new Promise((done, fail) => {
  const one = Object.assign(document.createElement(kind), {src: target + path, onload: () => done("loaded"), onerror: fail});
  document.body.append(one);
});
window.attack = () => Promise.all([
  tried("read", fetch(target + "/api/v1/status", {credentials: "include"}).then((reply) => reply.text())),
  tried("json", fetch(target + "/api/v1/pause", {method: "POST", credentials: "include", body: "{}", headers: {"Content-Type": "application/json"}})),
  tried("delete", fetch(target + "/api/v1/session", {method: "DELETE", credentials: "include"})),
  tried("form", fetch(target + "/api/v1/pause", {method: "POST", credentials: "include", mode: "no-cors", body: new URLSearchParams("a=1")}).then((reply) => reply.type)),
  tried("image", loads("img", "/t/" + "a".repeat(26) + "/S.jpg")),
  tried("script", loads("script", "/static/index.html")),
]);
</script>"""


def test_browsers_that_hang_up_do_not_end_the_server(server: WebServer) -> None:
    """A browser closes its connection whenever its user goes on, also in the middle of an answer."""
    asked = f"GET /static/js/main.js HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", server.port)) as browser:
            browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            browser.sendall(asked * 20)
    wait_for(lambda: server.ask("GET", "/").status == 200)  # it is busy for a moment
    ignored = int(Path(f"/proc/{server.process.pid}/status").read_text().partition("SigIgn:")[2].split()[0], 16)

    assert ignored & 1 << (signal.SIGPIPE - 1)  # whenever an answer meets a connection that is closed


def _asked(request: dict[str, str]) -> tuple[str, str]:
    return request["method"], request["url"]


def test_pages_of_others_get_nothing_in_a_real_browser(server: WebServer) -> None:
    """A page of another port of this host has the cookie sent, and of a name that is made to mean 127.0.0.1 is refused."""
    playwright = pytest.importorskip("playwright.sync_api")
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("no chromium here: the page is not tested in a browser")
    rebinding = "--host-resolver-rules=MAP evil.test 127.0.0.1"
    with playwright.sync_playwright() as driver, another_page(_OTHER_PAGE.replace("TARGET", server.address)) as port:
        browser = driver.chromium.launch(executable_path=chromium, args=[*_CHROMIUM, rebinding])
        context = browser.new_context()
        name, _, value = server.cookie.partition("=")
        context.add_cookies(
            [{"name": name, "value": value, "url": server.address, "httpOnly": True, "sameSite": "Strict"}]
        )
        page = context.new_page()
        own = page.goto(server.address).status
        asked = page.evaluate("fetch('/api/v1/status').then((reply) => reply.status)")
        page.goto(f"http://127.0.0.1:{port}/")
        # Of what a browser does not show to the page, only its network log tells.
        sent: dict[str, tuple[str, str]] = {}  # method and address
        statuses: list[tuple[str, int]] = []
        log = context.new_cdp_session(page)
        log.send("Network.enable")
        log.on("Network.requestWillBeSent", lambda one: sent.update({one["requestId"]: _asked(one["request"])}))
        log.on("Network.responseReceivedExtraInfo", lambda one: statuses.append((one["requestId"], one["statusCode"])))
        said = dict(page.evaluate("attack()"))
        known = [(*sent[request], status) for request, status in statuses if request in sent]
        answered = sorted((method, status) for method, url, status in known if url.startswith(server.address))
        rebound = page.goto(f"http://evil.test:{server.port}/").status
        browser.close()

    assert (own, asked) == (200, 503)
    assert said == {
        "read": "refused",
        "json": "refused",
        "delete": "refused",
        "form": "refused",
        "image": "refused",
        "script": "refused",
    }
    assert {status for _, status in answered} == {403}
    assert {"GET", "POST", "OPTIONS"} <= {method for method, _ in answered}
    assert rebound == 421
    assert json.loads(server.ask("GET", "/api/v1/status").body)["status"] == 503
