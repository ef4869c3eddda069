"""Nothing leaves the machine: no module of daemon and client can open a network socket, except two that a user calls.

One downloads weights (`pixkind fetch`), and one serves the page of `pixkin web` at 127.0.0.1.

`tests/e2e/test_offline.py` shows the same of the processes.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.test_layout import PRODUCT, name_of

# What can open a connection, of the standard library and of what pixkin is installed with; and the libraries for it.
_NETWORK = {
    *(
        "socket",
        "_socket",
        "ssl",
        "http",
        "urllib.request",
        "ftplib",
        "smtplib",
        "poplib",
        "imaplib",
        "nntplib",
        "telnetlib",
    ),
    *(
        "xmlrpc",
        "socketserver",
        "asyncio",
        "multiprocessing",
        "wsgiref",
        "webbrowser",
        "logging.handlers",
        "pydoc",
        "idlelib",
    ),
    *("zmq", "torch.hub", "torch.distributed", "torch.utils.tensorboard", "torchvision.datasets", "tornado", "fsspec"),
    *("starlette", "uvicorn", "anyio", "mcp", "mcp_types"),
    *("requests", "urllib3", "httpx", "aiohttp", "websockets", "grpc", "paramiko", "pycurl", "huggingface_hub", "dbus"),
}
# The modules that may import some of it, and what for. All of their sockets are AF_UNIX, but those of `_PAGE`.
_MAY = {
    "pixkin.asking": "the context of that connection",
    "pixkin.asynchronous": "an event loop, to which threads report: its sockets are pairs",
    "pixkin.connection": "ZeroMQ's ipc:// to the daemon",
    "pixkin.listening": "whether a daemon listens",
    "pixkind.encoder.messages": "the pair to the worker",
    "pixkind.encoder.process": "the pair to the worker",
    "pixkind.encoder.worker.__main__": "the pair to the daemon",
    "pixkind.fs.remote": "the pair to a helper process",
    "pixkind.fs.remote_helper": "the pair to the daemon",
    "pixkind.server.zmq_server": "the socket for clients",
    "pixkind.server.zmtp": "a client's connection to it",
    "pixkind.system.sd_notify": "systemd's notification socket",
}
# The page, which `pixkin web` serves at 127.0.0.1: what it imports besides, and the one module that makes its sockets.
_SERVER = {"socket", "asyncio", "starlette", "uvicorn"}
_PAGE = "pixkin.web.binding"
# `pixkin mcp`, which an agent starts and talks to over pipes; `e2e/test_mcp.py` looks at the process.
_AGENT = "pixkin.cli.agent.server"
_PIPES = {"anyio", "mcp", "mcp_types"}
_FETCH = "pixkind.encoder.worker.fetch"  # a user runs it by hand, `pixkind fetch MODEL`
_DOWNLOADS = {"get_state_dict", "load_state_dict_from_url", "download_url_to_file", "urlopen", "urlretrieve"}
_SOCKETS = re.compile(
    r"socket|socketpair|fromfd|AF_UNIX|(SOCK|SOL|SO|SCM|MSG|SHUT)_[A-Z_]+|(recv|send)_fds|timeout|error|CMSG_\w+"
)
_ADDRESS = re.compile(r"[a-z]+://")
_LOCAL = (
    "ipc://",
    "inproc://",
    "file://",
    "http://127.0.0.1:",
    "http://ns.adobe.com/",
)  # the last is the name of an XML namespace


def breaches(source: str, name: str) -> Iterator[str]:
    """Yield each place of a module that could reach a network."""
    for node in ast.walk(tree := ast.parse(source)):
        match node:
            case ast.Import():
                yield from _imported([one.name for one in node.names], name)
            case ast.ImportFrom(module=str(module)):
                yield from _imported([module, *(f"{module}.{one.name}" for one in node.names)], name)
            case ast.Attribute(value=ast.Name(id="socket" | "_socket"), attr=used) if not _may_use(used, name):
                yield f"socket.{used}"
            case ast.Attribute(attr=used) | ast.Name(id=used) if used in _DOWNLOADS and name != _FETCH:
                yield used
            case ast.Call(func=ast.Attribute(value=ast.Name(id="socket"), attr="socket" | "socketpair" as kind)):
                if name != _PAGE and not _is_local(node):
                    yield f"socket.{kind} without AF_UNIX"
            case _:
                pass
    for text in _texts(tree):
        if _ADDRESS.match(text) and not text.startswith(_LOCAL):
            yield text


def _imported(names: list[str], name: str) -> Iterator[str]:
    for imported in names:
        for network in _NETWORK:
            is_allowed = (
                (network in _SERVER and name.startswith("pixkin.web."))
                or (network in _PIPES and name == _AGENT)
                or (network in {"socket", "zmq", "asyncio"} and name in _MAY)
                or (network, name) == ("torch.hub", _FETCH)
            )
            if f"{imported}.".startswith(f"{network}.") and not is_allowed:
                yield f"import {imported}"


def _may_use(used: str, name: str) -> bool:
    return bool(_SOCKETS.fullmatch(used)) or (name, used) == (_PAGE, "AF_INET")


def _is_local(call: ast.Call) -> bool:
    """Return whether a socket is AF_UNIX, or was inherited from the process at the other end of a pair."""
    is_inherited = any(keyword.arg == "fileno" for keyword in call.keywords)
    return is_inherited or bool(call.args and ast.unparse(call.args[0]) == "socket.AF_UNIX")


def _texts(tree: ast.AST) -> Iterator[str]:
    """Yield all constant texts, bytes too, and the beginnings of formatted ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_no_module_can_reach_a_network(path: Path) -> None:
    """A socket is AF_UNIX, an address is local, and only one module, which a user runs by hand, downloads."""
    assert list(breaches(path.read_text(), name_of(path))) == []


def test_each_exception_is_needed() -> None:
    """A module that needs no socket any more leaves the list. Those of the page are allowed together."""
    importing = {
        name_of(path)
        for path in PRODUCT
        if list(breaches(path.read_text(), "another")) != [] and name_of(path) != _FETCH and not _is_page(path)
    }

    assert importing == _MAY.keys() | {_AGENT}


@pytest.mark.parametrize(
    "source",
    [
        *("import http.client", "from urllib import request", "def f():\n    import requests", "import asyncio"),
        *("from torch import hub", "from torch.hub import load", "weights.get_state_dict()", "import socket"),
        *("import multiprocessing.connection", "x.connect('tcp://127.0.0.1:9')", "x.bind(f'tcp://{host}')"),
    ],
)
def test_check_notices_a_way_out(source: str) -> None:
    """The check above can fail."""
    assert list(breaches(source, "pixkind.storage.store")) != []


@pytest.mark.parametrize(
    "source",
    [
        *(
            "socket.socket()",
            "socket.socket(socket.AF_INET)",
            "socket.create_connection(('a', 1))",
            "socket.getaddrinfo",
        ),
        *(
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
            "import ssl",
            "socket.socketpair()",
            "socket.AF_NETLINK",
        ),
    ],
)
def test_check_notices_what_a_module_with_sockets_may_not_do(source: str) -> None:
    """The exceptions are for AF_UNIX alone."""
    assert list(breaches(source, "pixkind.server.zmq_server")) != []


def _is_page(path: Path) -> bool:
    return name_of(path).startswith(("pixkin.web.", "pixkin.cli.commands.web"))


def places(source: str) -> list[str]:
    """Return the hosts to which a module binds or connects sockets."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [
        ast.unparse(node.args[0])
        for node in nodes
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"bind", "connect", "connect_ex", "sendto"}
    ]


def test_the_page_has_sockets_at_this_machine_alone() -> None:
    """The one module with network sockets binds and connects them to 127.0.0.1; `e2e/test_web.py` looks at the process."""
    source = next(path.read_text() for path in PRODUCT if name_of(path) == _PAGE)

    assert 'LOOPBACK: Final = "127.0.0.1"' in source
    assert places(source) == ["(LOOPBACK, port)"] * 2
    assert places("sock.bind(('0.0.0.0', port))") == ["('0.0.0.0', port)"]
