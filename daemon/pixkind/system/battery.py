"""Reads the charge of the battery that the machine runs on.

Source: the kernel's Documentation/ABI/testing/sysfs-class-power.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

SUPPLIES: Final = "/sys/class/power_supply"


def charge(folder: str = SUPPLIES) -> int | None:
    """Return the charge of the battery that the machine runs on, in percent; None: it has none, or is plugged in.

    With several batteries it is the mean, because a machine with two empties one after the other.
    """
    supplies = list(_supplies(folder))
    if any(one.get("type") in {"Mains", "USB"} and one.get("online", "0") != "0" for one in supplies):
        return None
    # The batteries of mice and headsets have the scope "Device"; the machine's own have none.
    batteries = [one for one in supplies if one.get("type") == "Battery" and one.get("scope") != "Device"]
    levels = [int(one["capacity"]) for one in batteries if one.get("capacity", "").isdecimal()]
    is_drained = any(one.get("status") == "Discharging" for one in batteries)
    return sum(levels) // len(levels) if levels and is_drained else None


def _supplies(folder: str) -> Iterator[dict[str, str]]:
    """Yield the readable fields of each supply; a supply may be unplugged while it is read."""
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
