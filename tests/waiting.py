"""How tests wait for what they test. Limits only end what hangs: a busy machine takes ten times as long as a quiet one."""

import threading
import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], timeout_s: float = 240.0) -> None:
    """Return as soon as `condition` is true.

    Raises:
        TimeoutError: it did not become true in time.
    """
    asked = time.monotonic()
    until = asked + timeout_s
    while not condition():
        answered = time.monotonic()
        if answered > until:
            raise TimeoutError("the condition did not come true in time")
        # Some conditions start a process. What is waited for needs the processor more.
        threading.Event().wait(max(0.01, 4 * (answered - asked)))
        asked = time.monotonic()
