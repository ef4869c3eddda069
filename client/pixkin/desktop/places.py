"""The places where pixkin can be found on a desktop, and what is written for each."""

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from pixkin import locations
from pixkin.desktop.owned_files import MARK, OwnedFile
from pixkin.desktop.quoting import check_program, in_entry
from pixkin.desktop.thunar import ThunarAction

_TITLE: Final = "Find similar photos"
# Nautilus and its descendants. Of what they say of a selection, only the URIs tell every name: a path with a line break looks
# like two, and Nautilus reads percent signs in arguments as codes. Source: nautilus 43, nautilus-files-view.c, run_script.
_SCRIPT: Final = """\
#!/bin/sh
# {mark}
IFS='
'
set -f
exec {program} open -- ${manager}_SCRIPT_SELECTED_URIS
"""
# Source: kio 5.103, kfileitemactions.cpp; KDE reads it only if it may be executed.
_SERVICE_MENU: Final = """\
# {mark}
[Desktop Entry]
Type=Service
X-KDE-ServiceTypes=KonqPopupMenu/Plugin
MimeType=image/*;
Actions=open;
X-KDE-Priority=TopLevel

[Desktop Action open]
Name={title}
Icon=edit-find
Exec={program} open -- %F
"""
# Without MimeType: where no default is set, a desktop starts the user's own entries first, and a photo would open in pixkin.
_ENTRY: Final = """\
# {mark}
[Desktop Entry]
Type=Application
Name=pixkin
GenericName=Similar Photos
Comment=See every photo that is like another one
Keywords=photos;pictures;similar;duplicates;
Categories=Graphics;Photography;
Icon=pixkin
Exec={program} open -- %F
Terminal=false
StartupNotify=false
"""


class Part(Protocol):
    """Something that is written for a place."""

    def is_there(self) -> bool:
        """Return whether it is written."""

    def install(self) -> str:
        """Write it, and return a sentence that says where."""

    def remove(self) -> str:
        """Remove it, and return a sentence that says where it was; empty: nowhere."""


class Place(NamedTuple):
    """A place on a desktop."""

    parts: Sequence[Part]
    advice: str  # how pixkin is found there
    program: str = ""  # that is there if the place is; empty: every desktop has it

    def is_found(self) -> bool:
        """Return whether this machine has it."""
        return not self.program or shutil.which(self.program) is not None

    def is_integrated(self) -> bool:
        """Return whether pixkin is there. May raise Refused."""
        return any(part.is_there() for part in self.parts)


def places(program: str, env: Mapping[str, str] = os.environ) -> dict[str, Place]:
    """Return all places by their names.

    Args:
        program: the path of `pixkin`.
        env: names the user's folders.

    Raises:
        Refused: no file of a desktop can have this path in it.
    """
    check_program(program)
    config, data = locations.config_home(env), locations.data_home(env)
    about = {"mark": MARK, "title": _TITLE, "program": in_entry(program)}

    def by_script(manager: str, folder: str) -> Place:
        text = _SCRIPT.format(mark=MARK, program=shlex.quote(program), manager=manager.upper())
        script = OwnedFile(os.path.join(folder, manager, "scripts", _TITLE), text, 0o755)
        return Place([script], f"right-click a photo, then Scripts, {_TITLE}", manager)

    service_menu = OwnedFile(f"{data}/kio/servicemenus/pixkin.desktop", _SERVICE_MENU.format(**about), 0o755)
    entry = OwnedFile(f"{data}/applications/pixkin.desktop", _ENTRY.format(**about))
    icon = OwnedFile(f"{data}/icons/hicolor/scalable/apps/pixkin.svg", _icon())
    return {
        "nautilus": by_script("nautilus", data),
        "nemo": by_script("nemo", data),
        "caja": by_script("caja", config),
        "dolphin": Place([service_menu], f"right-click a photo, then {_TITLE}", "dolphin"),
        "thunar": Place(
            [ThunarAction(program, env)],
            f"right-click a photo, then {_TITLE}; a Thunar that runs must be started again: thunar --quit",
            "thunar",
        ),
        "menu": Place([entry, icon], "pixkin is among your applications, and in Open With, Other Application"),
    }


def _icon() -> str:
    """Return the icon of the page."""
    text = (Path(__file__).parents[1] / "web/static/icon.svg").read_text(encoding="utf-8")
    return f"<!-- {MARK} -->\n{text}"
