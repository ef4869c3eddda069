"""The path of `pixkin` in the files of desktops. Names of photos are never part of a file."""

import re

from pixkin.errors import Refused


def check_program(program: str) -> None:
    """Return if every file can name a program.

    Raises:
        Refused: its path has control characters, percent signs, or is not UTF-8. GLib looks for a program before it reads
            `%%` as one percent sign.
    """
    if not program.isprintable() or "%" in program:
        what = "it has control characters or percent signs, or is not UTF-8"
        raise Refused(f"a desktop cannot start a program with the path {program}: {what}", "install pixkin elsewhere")


def in_entry(program: str) -> str:
    r"""Return the program for the key Exec of a desktop entry: quoted, then escaped as every string of the file.

    Source: Desktop Entry Specification 1.5, "The Exec key" and "Possible value types".
    """
    word = re.sub(r'(["`$\\])', r"\\\1", program)
    quoted = f'"{word}"' if re.search(r"[^A-Za-z0-9_./+-]", word) else word
    return quoted.replace("\\", r"\\")
