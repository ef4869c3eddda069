"""How full the machine's battery is, while it runs on it.

Source: the kernel's Documentation/ABI/testing/sysfs-class-power.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

SUPPLIES: Final = "/sys/class/power_supply"


def charge(folder: str = SUPPLIES) -> int | None:
    """Return the charge of the battery that the machine runs on, in percent; None: it has none, or is plugged in.

    Of several batteries it is the mean: a machine with two empties one after the other.
    """
    supplies = list(_supplies(folder))
    if any(one.get("type") in {"Mains", "USB"} and one.get("online", "0") != "0" for one in supplies):
        return None
    # `scope` is absent for the machine's own; the batteries of mice and headsets say "Device".
    batteries = [one for one in supplies if one.get("type") == "Battery" and one.get("scope") != "Device"]
    levels = [int(one["capacity"]) for one in batteries if one.get("capacity", "").isdecimal()]
    is_drained = any(one.get("status") == "Discharging" for one in batteries)
    return sum(levels) // len(levels) if levels and is_drained else None


def _supplies(folder: str) -> Iterator[dict[str, str]]:
    """Yield what can be read of each supply; one may be unplugged meanwhile."""
    with suppress(OSError):
        for name in os.listdir(folder):
            supply: dict[str, str] = {}
            for key in ("type", "scope", "online", "status", "capacity"):
                with (
                    suppress(OSError),
                    open(os.path.join(folder, name, key), encoding="ascii", errors="replace") as file,
                ):
                    supply[key] = file.read().strip()
            yield supply
