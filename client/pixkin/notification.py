"""Shows a notification on the desktop, if there is one.

The call to `org.freedesktop.Notifications` is made by a program, because it is needed rarely: so it costs no library and
no memory. systemd brings `busctl`, and desktops bring `notify-send`.

Source: Desktop Notifications Specification 1.2; busctl(1), notify-send(1).
"""

import os
import subprocess
from html import escape
from typing import Final

_WAIT_S: Final = 10.0  # for a server that must be started first; then the program is ended
_ICON: Final = "image-x-generic"  # by the Icon Naming Specification, every theme has it
_ENTRY: Final = (
    "pixkin"  # the desktop entry of `pixkin integrate menu`: some desktops start it at a click on the notification
)
_SERVER: Final = ("org.freedesktop.Notifications", "/org/freedesktop/Notifications", "org.freedesktop.Notifications")


def show(summary: str, body: str) -> bool:
    """Show a notification, and return whether the desktop has taken it. Without a session bus, no program is started.

    Args:
        summary: one line of plain text.
        body: plain text.
    """
    env = os.environ
    if not env.get("DBUS_SESSION_BUS_ADDRESS") and not os.path.exists(f"{env.get('XDG_RUNTIME_DIR', '')}/bus"):
        return False  # notify-send would start a bus of its own
    markup = escape(body, quote=False)
    # Application, what it replaces, icon, summary, body, no action, one hint, and how long it stays: as the server likes.
    call = ("pixkin", "0", _ICON, summary, markup, "0", "1", "desktop-entry", "s", _ENTRY, "-1")
    words = ("--app-name=pixkin", f"--icon={_ICON}", f"--hint=string:desktop-entry:{_ENTRY}", "--", summary, markup)
    return _has_run("busctl", "--user", "call", "--", *_SERVER, "Notify", "susssasa{sv}i", *call) or _has_run(
        "notify-send", *words
    )


def _has_run(*command: str) -> bool:
    null = subprocess.DEVNULL
    try:
        return not subprocess.run(
            command, stdin=null, stdout=null, stderr=null, timeout=_WAIT_S, check=False
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False
