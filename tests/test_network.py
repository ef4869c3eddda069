"""Nothing leaves the machine: no module of daemon and client can open a network socket, except one that a user calls.

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
    *("requests", "urllib3", "httpx", "aiohttp", "websockets", "grpc", "paramiko", "pycurl", "huggingface_hub", "dbus"),
}
# The modules that may import some of it, and what for. All of their sockets are AF_UNIX.
_MAY = {
    "pixkin.asking": "the context of that connection",
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
_FETCH = "pixkind.encoder.worker.fetch"  # a user runs it by hand, `pixkind fetch MODEL`
_DOWNLOADS = {"get_state_dict", "load_state_dict_from_url", "download_url_to_file", "urlopen", "urlretrieve"}
_SOCKETS = re.compile(
    r"socket|socketpair|fromfd|AF_UNIX|(SOCK|SOL|SO|SCM|MSG|SHUT)_[A-Z_]+|(recv|send)_fds|timeout|error|CMSG_\w+"
)
_ADDRESS = re.compile(r"[a-z]+://")
_LOCAL = ("ipc://", "inproc://", "file://", "http://ns.adobe.com/")  # the last is the name of an XML namespace


def breaches(source: str, name: str) -> Iterator[str]:
    """Yield each place of a module that could reach a network."""
    for node in ast.walk(tree := ast.parse(source)):
        match node:
            case ast.Import():
                yield from _imported([one.name for one in node.names], name)
            case ast.ImportFrom(module=str(module)):
                yield from _imported([module, *(f"{module}.{one.name}" for one in node.names)], name)
            case ast.Attribute(value=ast.Name(id="socket" | "_socket"), attr=used) if not _SOCKETS.fullmatch(used):
                yield f"socket.{used}"
            case ast.Attribute(attr=used) | ast.Name(id=used) if used in _DOWNLOADS and name != _FETCH:
                yield used
            case ast.Call(func=ast.Attribute(value=ast.Name(id="socket"), attr="socket" | "socketpair" as kind)):
                if not _is_local(node):
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
                name in _MAY if network in {"socket", "zmq", "asyncio"} else (network, name) == ("torch.hub", _FETCH)
            )
            if f"{imported}.".startswith(f"{network}.") and not is_allowed:
                yield f"import {imported}"


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
    """A module that needs no socket any more leaves the list."""
    importing = {
        name_of(path)
        for path in PRODUCT
        if list(breaches(path.read_text(), "another")) != [] and name_of(path) != _FETCH
    }

    assert importing == _MAY.keys()


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
