"""Finds the sidecars of a photo: `X.xmp`, `X.jpg.xmp` and `X.aae` of `X.jpg`. They hold edits, ratings and places."""

import os
from collections.abc import Iterator
from typing import Final

from pixkin.trash.files import Spot, Stays, reached, read

_SUFFIXES: Final = (".xmp", ".aae")


def sidecars(photo: Spot) -> tuple[str, ...]:
    """Return the names of the sidecars that belong to this photo alone.

    `X.xmp` does not if another file has the stem, for example the raw file of a JPEG or the video of a live photo.

    Raises:
        OSError: the folder cannot be listed.
    """
    stem = os.path.splitext(photo.name)[0]
    if not any(photo.beside(name).exists() for name in _usual(photo.name, stem)):
        return ()  # the usual case, which costs no listing
    names = os.listdir(f"/proc/self/fd/{photo.folder}")
    own = [name for name in names if _is_sidecar(name, photo.name)]
    shared = [name for name in names if _is_sidecar(name, stem)]
    others = (name for name in names if os.path.splitext(name)[0] == stem and name != photo.name)
    return tuple(sorted(own + ([] if any(name not in shared for name in others) else shared)))


def check_covered(photo: Spot, names: tuple[str, ...], kept: str) -> None:
    """Return if the kept photo has an equal of each sidecar: what a user wrote there is in no picture.

    Raises:
        Stays: it has not.
        OSError: a sidecar cannot be read.
    """
    for name in names:
        with reached(kept) as spot:
            of, suffix = os.path.splitext(name)
            base = spot.name if of == photo.name else os.path.splitext(spot.name)[0]
            equal = spot.beside(base + suffix)
            if not equal.exists() or read(equal).digest != read(photo.beside(name)).digest:
                raise Stays(f"its sidecar {name} has no equal beside the copy that stays")


def _usual(name: str, stem: str) -> Iterator[str]:
    for suffix in _SUFFIXES:
        for base in (name, stem):
            yield base + suffix
            yield base + suffix.upper()


def _is_sidecar(name: str, of: str) -> bool:
    base, suffix = os.path.splitext(name)
    return base == of and suffix.lower() in _SUFFIXES
