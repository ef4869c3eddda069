"""A running `pixkin web`, and what a browser sends to it, by plain sockets."""

import http.client
import json
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/[^#\s]*#ticket=(\S+)")
START_S = 60.0  # a busy machine
ANSWER_S = 120.0


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401
        """Return what the body says."""
        return json.loads(self.body)


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class WebServer:
    """A `pixkin web` process, and the session of one browser."""

    def __init__(self, env: Mapping[str, str], *arguments: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.env = env
        command = [
            str(Path(sys.executable).parent / "pixkin"),
            "web",
            "--no-open",
            "--port",
            str(self.port),
            *arguments,
        ]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.ticket = ticket(self.process)
        self.cookie = self._said = ""

    @classmethod
    def of(cls, port: int, told: str) -> "WebServer":
        """Return a server that another process has started; `told` is what `pixkin web` printed."""
        match = _ADDRESS.search(told)
        assert match, told
        made = cls.__new__(cls)
        made.port, made.ticket, made.cookie = port, match[2], ""
        return made

    @property
    def host(self) -> str:
        """Return how browsers name it."""
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Return its address."""
        return f"http://{self.host}"

    def sign_in(self) -> None:
        """Buy the cookie with the ticket."""
        body = json.dumps({"ticket": self.ticket}).encode()
        reply = self.ask("POST", "/api/v1/session", body=body)
        assert reply.status == 204, reply
        self.cookie = reply.headers["set-cookie"].partition(";")[0]

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] = {},
        body: bytes = b"",
        kind: str = "application/json",
    ) -> Reply:
        """Send what the page itself would, but for these headers; an empty one is left out."""
        own = {"Host": self.host, "Sec-Fetch-Site": "same-origin", "Cookie": self.cookie}
        if method not in ("GET", "HEAD"):
            own |= {
                "Origin": self.address,
                "Content-Length": str(len(body)),
                **({"Content-Type": kind} if body else {}),
            }
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**own, **headers}.items() if value)
        return self.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def send(self, data: bytes) -> Reply:
        """Send bytes over a connection of their own, and return the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S) as sock:
            sock.sendall(data)
            return answer(sock, data.partition(b" ")[0].decode())

    def get(self, target: str) -> Any:  # noqa: ANN401
        """Return what a GET of the API says in JSON."""
        reply = self.ask("GET", f"/api/v1/{target}")
        assert reply.status == 200, (target, reply)
        return reply.json

    def post(self, target: str, value: object = None, method: str = "POST", **headers: str) -> Reply:
        """Send a value as JSON, or nothing."""
        body = b"" if value is None else json.dumps(value).encode()
        return self.ask(
            method, f"/api/v1/{target}", {name.replace("_", "-"): one for name, one in headers.items()}, body
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; return its exit status and what it said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        assert self.process.stderr is not None
        if not self.process.stderr.closed:
            _, said = self.process.communicate(timeout=ANSWER_S)
            self._said = said.decode()
        return self.process.returncode, self._said


def ticket(process: "subprocess.Popen[bytes]") -> str:
    """Return the ticket that a `pixkin web` prints."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_S)
    line = process.stdout.readline().decode() if ready else ""
    if not (match := _ADDRESS.search(line)):
        process.kill()
        _, said = process.communicate()
        raise AssertionError(f"{line}{said.decode()}")
    return match[2]


def answer(sock: socket.socket, method: str = "GET") -> Reply:
    """Return the answer that comes over a connection.

    Raises:
        http.client.HTTPException: none comes.
    """
    response = http.client.HTTPResponse(sock, method=method)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


@contextmanager
def served(env: Mapping[str, str], *arguments: str, port: int = 0) -> Iterator[WebServer]:
    """Yield a server with a session, and end it; it must have had nothing to complain about."""
    server = WebServer(env, *arguments, port=port)
    said = ""
    try:
        server.sign_in()
        yield server
    finally:
        _, said = server.stop()
        if "Traceback" in said:
            sys.stderr.write(said)
    assert said == ""
