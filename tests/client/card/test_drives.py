"""What is lost with a memory card."""

from dataclasses import replace
from pathlib import Path

import pytest

from pixkin.card import drives
from pixkin.card.drives import Lost
from pixkin.mounts import Mount

ROOT = Mount(1, "8:1", "/", "/", "ext4", "/dev/sda1")


def _mounts(monkeypatch: pytest.MonkeyPatch, *mounts: Mount) -> None:
    monkeypatch.setattr(drives, "read_mounts", lambda: [ROOT, *mounts])


@pytest.mark.parametrize("point", ["/media/ada/card", "/run/media/ada/card"])
def test_all_of_a_drive_that_was_plugged_in_is_lost(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """By each of its names; a system drive is not."""
    card = Mount(2, "0:99", "/", point, "exfat", "none")
    _mounts(monkeypatch, card, replace(card, point="/mnt/second"), replace(card, point="/mnt/other", device="0:98"))

    assert Lost([f"{point}/DCIM"]).places == sorted(["/mnt/second", point, f"{point}/DCIM"])
    assert Lost(["/home/ada/DCIM", "/mnt/other/a"]).places == ["/home/ada/DCIM", "/mnt/other/a"]


def test_a_drive_with_a_camera_folder_is_a_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever it is mounted."""
    (tmp_path / "DCIM/100").mkdir(parents=True)
    _mounts(monkeypatch, Mount(2, "0:99", "/", str(tmp_path), "vfat", "none"))
    lost = Lost([str(tmp_path / "DCIM/100")])

    assert str(tmp_path) in lost.places
    assert lost.holds(str(tmp_path / "backup"))
    assert not lost.holds(str(tmp_path.parent))


def test_links_lead_to_what_is_lost(tmp_path: Path) -> None:
    """Whether the card is named by one, or the folder that is looked for."""
    (tmp_path / "card/DCIM").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "card")
    lost = Lost([str(tmp_path / "link")])

    assert lost.places == [str(tmp_path / "card")]
    assert lost.holds(str(tmp_path / "link/DCIM"))
    assert lost.holds(str(tmp_path / "card/not/there/yet"))
    assert not lost.holds(str(tmp_path / "card2"))


def test_many_names_become_their_folders(tmp_path: Path) -> None:
    """The protocol takes 32. What is around them may be lost, too."""
    assert Lost([str(tmp_path / f"{number}.jpg") for number in range(33)]).places == [str(tmp_path)]
