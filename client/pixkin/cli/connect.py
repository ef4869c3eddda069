"""From a command line's options to a client, once it is known that there is a daemon."""

import argparse
import os
from typing import TYPE_CHECKING

from pixkin import locations
from pixkin.listening import check_listening

if TYPE_CHECKING:
    from pixkin.client import Client


def connect(options: argparse.Namespace, reply_s: float = 30.0) -> "Client":
    """Return the client, once it is known that there is a daemon: its libraries take 0.1 s to import."""
    path = locations.socket_file() if options.socket is None else os.path.abspath(options.socket)
    check_listening(path)
    from pixkin.client import Client

    return Client(path, reply_s=reply_s)
