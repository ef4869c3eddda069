"""`pixkin web`: serves the page on which people look at their photos, and opens it."""

import argparse
import os
import re
import signal
from typing import TYPE_CHECKING, Final

from pixkin.cli import extras, output
from pixkin.cli.connect import socket_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from pixkin.web.session import Sessions

LINE: Final = "look at your photos, in a browser"
TEXT: Final = """\
Serve a page on which you see your photos: those like one, the duplicates, the library. It runs until Ctrl-C.
Only your browsers on this machine can open it. The address that is printed is good for one browser, within a minute;
after that, this browser can open the page for 30 days. If the page is served already, this opens it.

  pixkin web
  pixkin web --no-open                         only print the address
  pixkin web --revoke                          end the sessions of all browsers
  ssh -L 7465:127.0.0.1:7465 HOST pixkin web --no-open        from another machine
"""
_HOST: Final = re.compile(r"[a-z0-9.\[\]:-]{1,255}")


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "--port", type=_port, metavar="N", help="the port (default: that of the configuration, or else 7465)"
    )
    parser.add_argument("--no-open", action="store_true", help="open no browser")
    parser.add_argument("--revoke", action="store_true", help="end the sessions of all browsers, and serve nothing")
    text = "a further name under which you reach the page, with its port, such as localhost:8000; may be repeated"
    parser.add_argument("--allow-host", action="append", default=[], type=_host, metavar="NAME:PORT", help=text)
    parser.add_argument("--idle", type=float, metavar="S", help=argparse.SUPPRESS)  # of the systemd unit


def run(options: argparse.Namespace) -> int:
    """Serve the page until a signal comes, and return the exit status."""
    with extras.needed("pixkin web", "web"):
        from pixkin.web import server
        from pixkin.web.settings import web_settings
    port = web_settings().port if options.port is None else options.port
    if options.revoke:
        server.sessions_at(port).end_all()
        output.emit(b"all sessions have ended; `pixkin web` opens the page again\n")
        return 0
    serve(options, port, allowed=options.allow_host, idle_s=options.idle, browser=not options.no_open)
    return 0


def is_installed() -> bool:
    """Return whether the packages of the page are there."""
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("starlette", "uvicorn"))


def serve(
    options: argparse.Namespace,
    port: int,
    where: str = "",
    *,
    allowed: "Collection[str]" = (),
    idle_s: float | None,
    browser: bool = True,
) -> None:
    """Serve the page until a signal comes, and open it in a browser. If it is served already, only open it.

    Args:
        options: of a command.
        port: at which it is served.
        where: what the browser opens, below the root.
        allowed: further hosts under which the page may be reached.
        idle_s: end if there was no request for so long; None: never.
        browser: open a browser, and do not only print the address.
    """
    from pixkin.web import binding, server

    sessions = server.sessions_at(port)
    sock = binding.inherited()
    if sock is None:
        try:
            sock = binding.bound(port)
        except binding.PortTaken:
            if not server.is_served(port):
                raise
        _open(port, where, sessions, browser=browser)
    if sock is not None:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a browser that closes its connection does not end the server
        server.serve(sock, socket_path=socket_of(options), allowed=allowed, idle_s=idle_s)


def _open(port: int, where: str, sessions: "Sessions", *, browser: bool) -> None:
    """Print the address, and open it in a browser if there is one to open."""
    address = f"http://127.0.0.1:{port}/{where}#ticket={sessions.ticket()}"
    import shutil  # here, because `pixkin --help` imports this module
    import subprocess

    opener = shutil.which("xdg-open") if browser and _has_screen() else None
    if opener is None:
        output.emit(f"open within a minute: {address}\n".encode())
        return
    null = subprocess.DEVNULL
    subprocess.Popen([opener, address], start_new_session=True, stdin=null, stdout=null, stderr=null)
    output.emit(f"the page is at http://127.0.0.1:{port}/\n".encode())


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _port(text: str) -> int:
    if not 1024 <= (port := int(text)) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not between 1024 and 65535")
    return port


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text} is not a name with a port, such as localhost:8000")
    return text
