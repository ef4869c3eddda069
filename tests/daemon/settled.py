"""How a request that waits for something comes to its reply."""

from tests.waiting import wait_for

from pixkin.protocol.replies import Reply
from pixkind.server.deferred import Deferred


def settled(reply: Reply | Deferred) -> Reply:
    """Return the reply, however often the request must wait."""
    while isinstance(reply, Deferred):
        for future in reply.futures:
            wait_for(future.done)
        reply = reply.resume()
    return reply
