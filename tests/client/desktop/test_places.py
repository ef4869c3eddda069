"""What is written for each place starts `pixkin open` with exactly the photos that were chosen."""

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from tests.client.desktop.conftest import Recorder
from tests.waiting import wait_for

from pixkin.cli.commands import integrate
from pixkin.desktop.places import Place, places
from pixkin.errors import Refused


def installed(name: str, recorder: Recorder, env: Mapping[str, str]) -> Place:
    """Return a place in which the recorder was installed."""
    place = places(str(recorder.path), env)[name]
    for part in place.parts:
        part.install()
    return place


def run_by_glib(entry: str, folder: Path, photos: Sequence[bytes]) -> None:
    """Start what a desktop entry names, as desktops of GNOME do."""
    (folder / "tried.desktop").write_text(f"[Desktop Entry]\nType=Application\nName=tried\n{entry}\n")
    subprocess.run(["gio", "launch", folder / "tried.desktop", *photos], check=True)


def run_by_thunar(command: bytes, folder: Path, photos: Sequence[bytes]) -> None:
    """Start a custom action by the very function of Xfce that Thunar calls, and then by a shell, as Thunar does."""
    xfce, glib = ctypes.CDLL("libxfce4util.so.7"), ctypes.CDLL("libglib-2.0.so.0")
    glib.g_slist_append.restype, glib.g_slist_append.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]
    expand = xfce.xfce_expand_desktop_entry_field_codes
    expand.restype, uris = ctypes.c_char_p, [uri(path).encode() for path in photos]
    expand.argtypes = [ctypes.c_char_p, ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_int]
    chosen = None
    for one in uris:
        chosen = glib.g_slist_append(chosen, one)
    line = expand(command, chosen, None, None, None, 0)
    subprocess.run(["/bin/sh", "-c", line], check=True, cwd=folder)


def uri(path: bytes) -> str:
    """Return the URI of a file, as GLib has it."""
    return f"file://{quote(path)}"


@pytest.mark.parametrize("name", ["nautilus", "nemo", "caja"])
def test_a_script_hands_on_the_uris_of_the_photos(
    name: str, recorder: Recorder, env: dict[str, str], tmp_path: Path, photos: list[bytes]
) -> None:
    """Whatever is in the arguments and among the paths, which both may be wrong."""
    installed(name, recorder, env)
    (script,) = tmp_path.glob(f"*/{name}/scripts/*")
    variables = {
        f"{name.upper()}_SCRIPT_SELECTED_URIS": "".join(f"{uri(path)}\n" for path in photos),
        f"{name.upper()}_SCRIPT_SELECTED_FILE_PATHS": "/etc/passwd\n",
    }
    subprocess.run([script, "--wrong"], env={**env, **variables}, check=True, cwd=tmp_path)

    assert script.name == "Find similar photos"
    assert recorder.arguments() == [b"open", b"--", *(uri(path).encode() for path in photos)]
    assert not (tmp_path / "harm").exists()


def test_dolphin_and_the_menu_hand_on_the_paths(
    recorder: Recorder, env: dict[str, str], tmp_path: Path, photos: list[bytes]
) -> None:
    """By the key Exec, of which GLib and KDE have one specification."""
    installed("dolphin", recorder, env)
    installed("menu", recorder, env)
    got = []
    for file in ("kio/servicemenus/pixkin.desktop", "applications/pixkin.desktop"):
        text = (tmp_path / "data_home" / file).read_text()
        (line,) = re.findall("^Exec=.*", text, re.MULTILINE)
        run_by_glib(line, tmp_path, photos)
        wait_for(recorder.has_run)
        got.append(recorder.arguments())

    assert got == [[b"open", b"--", *photos]] * 2
    assert not (tmp_path / "harm").exists()


def test_thunar_hands_on_the_paths(
    recorder: Recorder, env: dict[str, str], tmp_path: Path, photos: list[bytes]
) -> None:
    """A shell reads the line, with each path quoted."""
    installed("thunar", recorder, env)
    command = ET.parse(tmp_path / "config_home/Thunar/uca.xml").findtext("action/command") or ""  # noqa: S314  our own
    run_by_thunar(command.encode(), tmp_path, photos)

    assert recorder.arguments() == [b"open", b"--", *photos]
    assert not (tmp_path / "harm").exists()


def test_the_entry_is_valid_and_takes_no_photo_from_the_viewer(
    recorder: Recorder, env: dict[str, str], tmp_path: Path
) -> None:
    """Where no default is set, desktops prefer the user's own entries: so it must not say which files it opens."""
    installed("menu", recorder, env)
    file = tmp_path / "data_home/applications/pixkin.desktop"
    checked = subprocess.run(["desktop-file-validate", file], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout) == (0, "")
    assert "MimeType" not in file.read_text()
    assert (tmp_path / "data_home/icons/hicolor/scalable/apps/pixkin.svg").read_text().endswith("</svg>\n")


def test_kde_reads_a_service_menu_that_may_be_executed(recorder: Recorder, env: dict[str, str], tmp_path: Path) -> None:
    """In the user's folder, KDE refuses any other one."""
    installed("dolphin", recorder, env)
    file = tmp_path / "data_home/kio/servicemenus/pixkin.desktop"

    assert os.access(file, os.X_OK)
    assert {"Type=Service", "MimeType=image/*;", "Actions=open;"} <= {*file.read_text().splitlines()}


def test_what_is_removed_is_gone_and_nothing_else(recorder: Recorder, env: dict[str, str], tmp_path: Path) -> None:
    """Also if it was installed twice; then there is nothing more to remove."""
    other = tmp_path / "data_home/nautilus/scripts/mine"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for _ in range(2):
        for name in integrate._NAMES:
            installed(name, recorder, env)
    found = places(str(recorder.path), env)
    integrated = [name for name, place in found.items() if place.is_integrated()]
    said = [part.remove() for place in found.values() for part in place.parts]
    again = [part.remove() for place in found.values() for part in place.parts]

    assert integrated == [*integrate._NAMES]
    assert all(said)
    assert not any(again)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_of_somebody_else_is_neither_replaced_nor_removed(
    recorder: Recorder, env: dict[str, str], tmp_path: Path
) -> None:
    """Perhaps the user has a script of that name."""
    own = tmp_path / "data_home/nautilus/scripts/Find similar photos"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\nmine")
    (script,) = places(str(recorder.path), env)["nautilus"].parts
    with pytest.raises(Refused, match="exists, and pixkin did not write it"):
        script.install()

    assert script.remove() == ""
    assert own.read_text() == "#!/bin/sh\nmine"


@pytest.mark.parametrize("program", ["/a\nb/pixkin", "/a\x1b/pixkin", "/a\udcff/pixkin", "/100%/pixkin"])
def test_a_program_that_no_file_can_name_is_refused(program: str, env: dict[str, str]) -> None:
    """Else it would begin a line of its own."""
    with pytest.raises(Refused, match="cannot start a program"):
        places(program, env)


def test_a_file_manager_is_found_on_the_path(
    recorder: Recorder, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every desktop has a menu."""
    shutil.copy(recorder.path, tmp_path / "thunar")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert [name for name, place in places(str(recorder.path), env).items() if place.is_found()] == ["thunar", "menu"]
