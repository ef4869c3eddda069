"""Makes the client from the options of the command line, if a daemon is there."""

import argparse
import os
from typing import TYPE_CHECKING

from pixkin import locations
from pixkin.listening import check_listening

if TYPE_CHECKING:
    from pixkin.client import Client


def connect(options: argparse.Namespace, reply_s: float = 30.0) -> "Client":
    """Return the client. Its libraries take 0.1 s to import, so first check that a daemon listens."""
    path = socket_of(options)
    check_listening(path)
    from pixkin.client import Client

    return Client(path, reply_s=reply_s)


def socket_of(options: argparse.Namespace) -> str:
    """Return the path of the daemon's socket."""
    return locations.socket_file() if options.socket is None else os.path.abspath(options.socket)
