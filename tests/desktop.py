"""A session bus of a test's own, and on it the notification server of a desktop, which records what it is told."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

NAME = "org.freedesktop.Notifications"


class Notice(NamedTuple):
    """What a program asks the server to show: the arguments of `Notify`, by the Desktop Notifications Specification."""

    app: str
    replaces: int
    icon: str
    summary: str
    body: str
    actions: list[str]
    hints: dict[str, tuple[str, Any]]
    expires_ms: int


class Desktop(NamedTuple):
    """A bus, and what was shown on it."""

    address: str
    notices: list[Notice]


@contextmanager
def desktop(folder: Path, *, serves: bool = True) -> Iterator[Desktop]:
    """Yield a desktop whose bus has its socket in a folder; `serves`: it shows notifications."""
    command = ["dbus-daemon", "--session", "--nofork", "--print-address", f"--address=unix:path={folder}/bus"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bus:
        assert bus.stdout is not None
        made = Desktop(bus.stdout.readline().strip(), [])
        server = open_dbus_connection(made.address)
        if serves:
            server.send_and_get_reply(message_bus.RequestName(NAME))
        thread = threading.Thread(target=_serve, args=(server, made.notices))
        thread.start()
        try:
            yield made
        finally:
            bus.kill()
            thread.join()
            server.close()


def _serve(server: DBusConnection, notices: list[Notice]) -> None:
    with suppress(OSError, EOFError):  # the bus has ended
        while True:
            message = server.receive()
            if message.header.message_type is not MessageType.method_call:
                continue
            match message.header.fields[HeaderFields.member]:
                case "Notify":
                    notices.append(Notice(*message.body))
                    server.send(new_method_return(message, "u", (len(notices),)))
                case "GetServerInformation":
                    server.send(new_method_return(message, "ssss", ("desktop", "pixkin", "1", "1.2")))
                case _:
                    server.send(new_error(message, "org.freedesktop.DBus.Error.UnknownMethod"))
