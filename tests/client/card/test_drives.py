"""What is lost with a memory card."""

import os
from pathlib import Path

import pytest

from pixkin.card import drives
from pixkin.card.drives import CardMount, Lost, mount_of

ROOT = CardMount("8:1", b"/", "ext4", b"/dev/sda1")


def _mounts(monkeypatch: pytest.MonkeyPatch, *mounts: CardMount) -> None:
    monkeypatch.setattr(drives, "read_mounts", lambda: [ROOT, *mounts])


@pytest.mark.parametrize("point", ["/media/ada/card", "/run/media/ada/card"])
def test_all_of_a_drive_that_was_plugged_in_is_lost(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """By each of its names; a system drive is not."""
    card = CardMount("0:99", os.fsencode(point), "exfat", b"none")
    _mounts(monkeypatch, card, card._replace(point=b"/mnt/second"), card._replace(point=b"/mnt/other", device="0:98"))

    assert Lost([f"{point}/DCIM"]).places == sorted([b"/mnt/second", os.fsencode(point), os.fsencode(f"{point}/DCIM")])
    assert Lost(["/home/ada/DCIM", "/mnt/other/a"]).places == [b"/home/ada/DCIM", b"/mnt/other/a"]


def test_a_drive_with_a_camera_folder_is_a_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever it is mounted."""
    (tmp_path / "DCIM/100").mkdir(parents=True)
    _mounts(monkeypatch, CardMount("0:99", os.fsencode(tmp_path), "vfat", b"none"))
    lost = Lost([str(tmp_path / "DCIM/100")])

    assert os.fsencode(tmp_path) in lost.places
    assert lost.holds(str(tmp_path / "backup"))
    assert not lost.holds(str(tmp_path.parent))


def test_links_lead_to_what_is_lost(tmp_path: Path) -> None:
    """Whether the card is named by one, or the folder that is looked for."""
    (tmp_path / "card/DCIM").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "card")
    lost = Lost([str(tmp_path / "link")])

    assert lost.places == [os.fsencode(tmp_path / "card")]
    assert lost.holds(str(tmp_path / "link/DCIM"))
    assert lost.holds(str(tmp_path / "card/not/there/yet"))
    assert not lost.holds(str(tmp_path / "card2"))


def test_many_names_become_their_folders(tmp_path: Path) -> None:
    """The protocol takes 32. What is around them may be lost, too."""
    assert Lost([str(tmp_path / f"{number}.jpg") for number in range(33)]).places == [os.fsencode(tmp_path)]


def test_the_deepest_and_latest_mount_counts() -> None:
    """As for the kernel."""
    first, second = (CardMount(device, b"/a/b", "vfat", b"none") for device in ("0:1", "0:2"))

    assert mount_of(b"/a/b/c", [ROOT, first, second, CardMount("0:3", b"/a", "vfat", b"none")]) == second
    assert mount_of(b"/a/bc", [first, ROOT]) == ROOT


def test_real_mounts_are_read() -> None:
    """The real file has at least the mount of `/`."""
    assert any(mount.point == b"/" for mount in drives.read_mounts())
