"""The worker process: `python -I -m pixkind.worker SETTINGS`, started by the daemon, confined before anything else.

Ends when the daemon closes its end of the socket or dies, at once, whatever its threads are doing.
"""

import json
import os
import signal
import socket
import sys
import warnings

from pixkind.encoder.worker.sandbox import enter_sandbox


def main(settings: str) -> None:
    """Serve jobs until the daemon is gone; does not return.

    Args:
        settings: `pixkind.job.Settings` as JSON.
    """
    # Ctrl-C in a terminal reaches the whole process group; when to end is the daemon's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = json.loads(settings)
    enter_sandbox(told["weights"], told["limit_mp"])

    # Imported only now: everything from here on could be made to run what a photo says.
    from pixkind.encoder.messages import Settings, receive_job, send_outcome
    from pixkind.encoder.worker.jobs import JobRunner

    warnings.simplefilter("ignore")  # Pillow warns of broken metadata, which hurts nobody
    with socket.socket(fileno=told["socket"]) as daemon:
        pipeline = JobRunner(Settings(**told), lambda outcome: send_outcome(daemon, outcome))
        while (received := receive_job(daemon)) is not None:
            pipeline.take(*received)
        os._exit(0)  # no thread may hold up the end


if __name__ == "__main__":
    main(sys.argv[1])
