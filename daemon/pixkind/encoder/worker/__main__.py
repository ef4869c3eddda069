"""The worker process: `python -I -m pixkind.encoder.worker SETTINGS`. The daemon starts it, and it first enters its sandbox.

It ends at once when the daemon closes its end of the socket or dies, whatever its threads are doing.
"""

import json
import os
import signal
import socket
import sys
import warnings
from contextlib import suppress

from pixkind.encoder.worker.sandbox import enter_sandbox


def main(settings: str) -> None:
    """Serve jobs until the daemon has ended; does not return.

    Args:
        settings: `pixkind.encoder.messages.Settings` as JSON.
    """
    # Ctrl-C in a terminal reaches the whole process group; the daemon decides when the worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = json.loads(settings)
    confinement = enter_sandbox(told["weights"], told["limit_mp"])

    # Imported only now, in the sandbox: a hostile photo could take over everything that follows.
    import msgspec

    from pixkind.encoder.messages import Confined, Settings, receive_job, send_outcome
    from pixkind.encoder.worker.jobs import JobRunner

    warnings.simplefilter("ignore")  # Pillow warns of broken metadata, which do no harm
    with socket.socket(fileno=told["socket"]) as daemon:
        runner = JobRunner(msgspec.convert(told, Settings), lambda outcome: send_outcome(daemon, outcome))
        with suppress(OSError):  # the daemon has ended
            send_outcome(daemon, Confined(*confinement))
        while (received := receive_job(daemon)) is not None:
            runner.take(*received)
        os._exit(0)  # no thread may hold up the end


if __name__ == "__main__":
    main(sys.argv[1])
