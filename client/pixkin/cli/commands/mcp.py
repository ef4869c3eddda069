"""`pixkin mcp`: lets an agent look for photos, by the Model Context Protocol."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from pixkin.cli import extras, output
from pixkin.cli.connect import socket_of

if TYPE_CHECKING:
    import argparse

LINE: Final = "let an agent, such as Claude, look for photos: an MCP server"
TEXT: Final = """\
Answer an agent on standard input and output, by the Model Context Protocol (MCP). The agent starts this command.
Its tools are like, dupes, have, status, why and thumbnail. They only read, and they tell of nothing but the photos in the
watched folders. Every agent that you give them sees all these photos, and may tell others what it sees.

In the configuration of the agent:

  {"mcpServers": {"pixkin": {"command": "pixkin", "args": ["mcp"]}}}

It needs the extra pixkin[mcp], and says how to install it.

  pixkin mcp
"""


def add(_: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(options: argparse.Namespace) -> int:
    """Answer until standard input ends, and return the exit status."""
    with extras.needed("pixkin mcp", "mcp"):
        from pixkin.cli.agent import server
    from pixkin.client import Client

    if sys.stdin is not None and sys.stdin.isatty():
        output.note("an agent starts this command and talks to it on standard input; see pixkin mcp --help")
    server.serve(Client(socket_of(options)))
    return 0
