from pathlib import Path

import pytest

from pixkind.system.battery import charge

_MAINS = {"type": "Mains", "online": "0"}
_BATTERY = {"type": "Battery", "scope": "System", "status": "Discharging", "capacity": "34"}


def _supplies(folder: Path, **supplies: dict[str, str]) -> str:
    for name, keys in supplies.items():
        (folder / name).mkdir()
        for key, value in keys.items():
            (folder / name / key).write_text(f"{value}\n")
    return str(folder)


@pytest.mark.parametrize(
    ("supplies", "percent"),
    [
        ({}, None),
        ({"AC": _MAINS, "BAT0": _BATTERY}, 34),
        ({"AC": {**_MAINS, "online": "1"}, "BAT0": _BATTERY}, None),
        ({"AC": _MAINS, "ucsi": {"type": "USB", "online": "1"}, "BAT0": _BATTERY}, None),
        ({"AC": _MAINS, "ucsi": {"type": "USB", "online": "2"}, "BAT0": _BATTERY}, None),
        ({"AC": _MAINS, "ucsi": {"type": "USB", "online": "0"}, "BAT0": _BATTERY}, 34),
        ({"BAT0": _BATTERY}, 34),
        ({"BAT0": {**_BATTERY, "status": "Charging"}}, None),
        ({"BAT0": {**_BATTERY, "status": "Full"}}, None),
        ({"AC": _MAINS, "mouse": {**_BATTERY, "scope": "Device"}}, None),
        ({"AC": _MAINS, "mouse": {**_BATTERY, "scope": "Device", "capacity": "2"}, "BAT0": _BATTERY}, 34),
        ({"AC": _MAINS, "BAT0": {"type": "Battery", "status": "Discharging", "capacity": "80"}}, 80),
        ({"AC": _MAINS, "BAT0": _BATTERY, "BAT1": {**_BATTERY, "status": "Unknown", "capacity": "90"}}, 62),
        ({"AC": _MAINS, "BAT0": {"type": "Battery", "status": "Discharging"}}, None),
        ({"AC": _MAINS, "BAT0": {**_BATTERY, "capacity": "?"}}, None),
    ],
    ids=[
        "no supplies",
        "a laptop",
        "plugged in",
        "by USB-C",
        "by programmable USB-C",
        "USB-C with nothing in it",
        "no mains known",
        "charging",
        "full",
        "a mouse alone",
        "a mouse beside it",
        "a driver without scope",
        "two, one after the other",
        "no charge known",
        "a charge that is none",
    ],
)
def test_a_charge_is_told_on_battery_alone(tmp_path: Path, supplies: dict[str, dict[str, str]], percent: int) -> None:
    """The charge is that of the machine's own battery, and None while it is plugged in."""
    assert charge(_supplies(tmp_path, **supplies)) == percent


def test_a_machine_without_that_folder_has_no_battery(tmp_path: Path) -> None:
    """The charge can be read on this machine, whatever it has."""
    assert charge(str(tmp_path / "none")) is None
    assert charge() in {None, *range(101)}
