"""Thunar's file of custom actions holds what the user made: nothing of it changes, whatever becomes of our action."""

import os
import re
from pathlib import Path

import pytest

from pixkin.desktop.thunar import ThunarAction
from pixkin.errors import Refused

# As Thunar writes it, and as people write it by hand.
THUNARS = """\
<?xml version="1.0" encoding="UTF-8"?>
<actions>
<action>
	<icon>utilities-terminal</icon>
	<name>Open Terminal &amp; more</name>
	<submenu></submenu>
	<unique-id>1700000000000000-1</unique-id>
	<command>exo-open --working-directory %f --launch TerminalEmulator</command>
	<description></description>
	<range></range>
	<patterns>*</patterns>
	<startup-notify/>
	<directories/>
</action>
</actions>
"""
BY_HAND = """\
<?xml version="1.0"?>\r
<!DOCTYPE actions [ <!ELEMENT actions (action)+> <!ENTITY mine "own"> ]>
<!-- </actions> <unique-id>pixkin-open</unique-id> -->
<actions><action><name>&mine; "ä" &#x20AC;</name><command><![CDATA[a </actions> <b> ]]></command></action  >
  <action/><?php </actions> ?>
     </actions   >  <!-- <actions> -->
"""
FILES = pytest.mark.parametrize(
    "text", [THUNARS, BY_HAND, "<actions></actions>"], ids=["Thunar's", "by hand", "without an action"]
)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_CONFIG_DIRS": f"{tmp_path}/none:{tmp_path}/system"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of the user's file, in a folder that is there."""
    path = tmp_path / "config/Thunar/uca.xml"
    path.parent.mkdir(parents=True)
    return path


@FILES
def test_nothing_but_the_action_changes(text: str, env: dict[str, str], file: Path) -> None:
    """Installed twice, by another path, and removed: the file has the bytes and the permissions of before."""
    file.write_bytes(text.encode())
    file.chmod(0o640)
    action = ThunarAction("/bin/pixkin", env)
    was_there = action.is_there()
    action.install()
    first, is_there = file.read_bytes(), action.is_there()
    action.install()
    second, kept = file.read_bytes(), Path(f"{file}.before-pixkin").read_bytes()
    ThunarAction("/usr/bin/pixkin", env).install()
    moved, mode = file.read_bytes(), file.stat().st_mode & 0o777
    said = action.remove()

    assert (was_there, is_there, said) == (False, True, f"removed the action from {file}")
    assert first == second
    assert kept == text.encode()
    assert moved == first.replace(b"/bin/pixkin open", b"/usr/bin/pixkin open")
    assert re.sub(rb"<action>\n\t<icon>edit-find.*?</action>\n", b"", first, flags=re.DOTALL) == text.encode()
    assert (file.read_bytes(), file.stat().st_mode & 0o777, mode) == (text.encode(), 0o640, 0o640)
    assert [*file.parent.iterdir()] == [file]


def test_without_a_file_those_of_the_system_stay(env: dict[str, str], file: Path, tmp_path: Path) -> None:
    """Thunar reads either the user's file or the system's. At the end there is none again."""
    system = tmp_path / "system/Thunar/uca.xml"
    system.parent.mkdir(parents=True)
    system.write_text(THUNARS)
    action = ThunarAction("/bin/pixkin", env)
    action.install()
    written = file.read_text()
    action.remove()

    assert written.startswith(THUNARS.removesuffix("</actions>\n"))
    assert "<name>Find similar photos</name>" in written
    assert not [*file.parent.iterdir()]


def test_without_any_file_one_is_made_and_removed(env: dict[str, str], file: Path) -> None:
    """As where Thunar was never started."""
    file.parent.rmdir()
    action = ThunarAction("/bin/pixkin", env)
    action.install()
    is_there = action.is_there()
    action.remove()

    assert is_there
    assert not [*file.parent.iterdir()]


def test_what_thunar_has_written_since_stays(env: dict[str, str], file: Path) -> None:
    """It writes all actions anew when the user edits one, ours with further elements. The copy of before stays, too."""
    file.write_text(THUNARS)
    action = ThunarAction("/bin/pixkin", env)
    action.install()
    mine = "<action>\n\t<name>mine</name>\n\t<unique-id>2</unique-id>\n</action>\n"
    rewritten = file.read_text().replace("\t<patterns>", "\t<range></range>\n\t<patterns>")
    file.write_text(rewritten.replace("<actions>\n", f"<actions>\n{mine}"))
    action.remove()
    left = file.read_text()

    assert left.count("<action>") == 2
    assert mine in left
    assert "pixkin" not in left
    assert Path(f"{file}.before-pixkin").read_text() == THUNARS


def test_a_link_stays_one(env: dict[str, str], file: Path, tmp_path: Path) -> None:
    """Some people keep their configuration elsewhere."""
    (tmp_path / "mine.xml").write_text(THUNARS)
    file.symlink_to(tmp_path / "mine.xml")
    ThunarAction("/bin/pixkin", env).install()

    assert file.is_symlink()
    assert "pixkin" in (tmp_path / "mine.xml").read_text()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no element found"),
        (THUNARS.encode()[:-20], "unclosed token"),
        (b"<actions><action></actions>", "mismatched tag"),
        (b"<html></html>", "no <actions>"),
        (b"<actions/>", "no <actions>"),
        (b"<a><actions></actions></a>", "no <actions>"),
        (THUNARS.replace("UTF-8", "UTF-16").encode("utf-16"), "no <actions>"),
        (b"\xff\xfe\x00", "cannot be read"),
        (THUNARS.replace("UTF-8", "unheard-of").encode(), "unknown encoding"),
        (THUNARS.replace("UTF-8", "shift_jis").encode(), "multi-byte encodings"),
    ],
)
def test_a_file_that_is_not_understood_is_not_touched(data: bytes, why: str, env: dict[str, str], file: Path) -> None:
    """Neither to install nor to remove; no copy is made."""
    file.write_bytes(data)
    action = ThunarAction("/bin/pixkin", env)
    for act in (action.install, action.remove, action.is_there):
        with pytest.raises(Refused, match=why):
            act()

    assert file.read_bytes() == data
    assert [*file.parent.iterdir()] == [file]


def test_a_folder_that_cannot_be_written_leaves_the_file(env: dict[str, str], file: Path) -> None:
    """The error names it."""
    file.write_text(THUNARS)
    os.mkdir(f"{file}.before-pixkin")
    with pytest.raises(OSError, match="before-pixkin"):
        ThunarAction("/bin/pixkin", env).install()

    assert file.read_text() == THUNARS
