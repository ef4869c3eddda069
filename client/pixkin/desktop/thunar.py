"""The action "Find similar photos" in Thunar's file of custom actions, which holds the user's other actions.

Nothing else in that file changes by a byte: the action is put in front of the end tag of `<actions>`, or cut out, and then
the file is parsed again. Thunar itself writes the file anew when the user edits actions; the action is found by its
`<unique-id>`. Without a file of the user, Thunar reads that of the system, so its actions are copied first.

Source: thunar 4.18, plugins/thunar-uca/thunar-uca-model.c. It runs a command by /bin/sh, with each path quoted.
"""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from typing import Final, NamedTuple
from xml.parsers import expat

from pixkin import locations
from pixkin.errors import Refused
from pixkin.replacing import replace

_ID: Final = "pixkin-open"
_EMPTY: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n<actions>\n</actions>\n'
# Without the newer elements `range` and `submenu`: an older Thunar refuses a file with an element that it does not know.
_ACTION: Final = """\
<action>
	<icon>edit-find</icon>
	<name>Find similar photos</name>
	<unique-id>{id}</unique-id>
	<command>{command}</command>
	<description>Open the photos most like this one (pixkin)</description>
	<patterns>*</patterns>
	<image-files/>
</action>"""


class Actions(NamedTuple):
    """Where the actions of a file are, in bytes."""

    ours: tuple[tuple[int, int], ...]
    others: tuple[bytes, ...]
    end: int  # where the end tag that follows them begins


class ThunarAction:
    """The action of one user."""

    def __init__(self, program: str, env: Mapping[str, str] = os.environ) -> None:
        """Find out where it belongs.

        Args:
            program: the path of `pixkin`.
            env: names the folders.
        """
        self.path = os.path.realpath(os.path.join(locations.config_home(env), "Thunar/uca.xml"))
        self._copy = f"{self.path}.before-pixkin"
        self._systems = [f"{one}/Thunar/uca.xml" for one in (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")]
        command = escape(f"{shlex.quote(program)} open -- %F", quote=False)
        self._action = _ACTION.format(id=_ID, command=command).encode()

    def is_there(self) -> bool:
        """Return whether the file has the action. Raises as `install`."""
        data = _read(self.path)
        return data is not None and bool(_actions(self.path, data).ours)

    def install(self) -> str:
        """Put the action into the file, and return a sentence. The file as it was is kept beside it.

        Raises:
            Refused: it is not a file of actions.
            OSError: it cannot be read or written.
        """
        before = _read(self.path)
        data = self._default() if before is None else before
        found = _actions(self.path, data)
        if found.ours:
            (begin, end), *_ = found.ours
            self._write(data[:begin] + self._action + data[end:], found)
            return f"wrote the action in {self.path}"
        if before is not None:
            replace(self._copy, before, 0o600)
        self._write(data[: found.end] + self._action + b"\n" + data[found.end :], found)
        return f"wrote an action into {self.path}" + ("" if before is None else f"; before, it was as {self._copy}")

    def remove(self) -> str:
        """Take the action out of the file, and return a sentence; empty: it was not there. Raises as `install`.

        If there was no file before, and only the actions of the system are left in it, it is removed.
        """
        before = _read(self.path)
        if before is None or not (found := _actions(self.path, before)).ours:
            return ""
        after = before
        for begin, end in reversed(found.ours):
            after = after[:begin] + after[end + after[end:].startswith(b"\n") :]
        copy = _read(self._copy)
        if copy is None and after == self._default():
            os.unlink(self.path)
        else:
            self._write(after, found)
        if copy == after:
            os.unlink(self._copy)
        return f"removed the action from {self.path}"

    def _default(self) -> bytes:
        """Return the actions that Thunar has without a file of the user."""
        return next((data for path in self._systems if (data := _read(path)) is not None), _EMPTY)

    def _write(self, data: bytes, before: Actions) -> None:
        """Write the file, if all other actions are as they were."""
        if _actions(self.path, data).others != before.others:
            raise Refused(
                f"{self.path} was not changed, because its actions are written in a way that is not understood"
            )
        mode = 0o600  # as Thunar makes it
        with suppress(FileNotFoundError):
            mode = os.stat(self.path).st_mode & 0o777
        replace(self.path, data, mode)


def _read(path: str) -> bytes | None:
    """Return what a file holds; None: there is none."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read()
    return None


def _actions(path: str, data: bytes) -> Actions:
    """Return the actions of a file.

    Raises:
        Refused: it is not XML, or has no actions.
    """
    ours, others, open_tags, text = [], [], [], ""
    end_of_all, is_ours = -1, False
    parser = expat.ParserCreate()

    def begin(name: str, _: dict[str, str]) -> None:
        nonlocal text, is_ours
        open_tags.append((name, parser.CurrentByteIndex))
        text = ""
        is_ours = is_ours and len(open_tags) > 2

    def read(more: str) -> None:
        nonlocal text
        text += more

    def finish(_: str) -> None:
        nonlocal end_of_all, is_ours
        names = [name for name, _ in open_tags]
        _, begun = open_tags.pop()
        at = parser.CurrentByteIndex
        if names == ["actions", "action", "unique-id"]:
            is_ours = text == _ID
        elif names == ["actions", "action"]:
            whole = begun, data.index(b">", at) + 1
            if is_ours:
                ours.append(whole)
            else:
                others.append(data[slice(*whole)])
        elif names == ["actions"] and data.startswith(b"</actions", at):
            end_of_all = at

    parser.StartElementHandler, parser.CharacterDataHandler, parser.EndElementHandler = begin, read, finish
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: of an encoding
        raise Refused(f"{path} cannot be read: {error}", "mend it, or move it away, and try again") from error
    if end_of_all < 0:
        raise Refused(f"{path} has no <actions>", "move it away, and try again")
    return Actions(tuple(ours), tuple(others), end_of_all)
