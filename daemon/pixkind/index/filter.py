"""The filter of a search: folders, dates and camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixkin.mounts import lies_in
from pixkind.index.dates import dates_of, number_of
from pixkind.storage.record import Place


@dataclass(frozen=True, slots=True)
class Filter:
    """Passes photos in these folders that were taken in this time with this camera."""

    under: tuple[str, ...] = ()  # in one of these folders or below; none: anywhere
    without: tuple[str, ...] = ()  # not in these folders or below
    since_s: int | None = None  # taken then or later, epoch seconds; a photo without a date does not pass
    before_s: int | None = None  # taken earlier
    camera: str = ""  # part of the camera's make and model, case-folded; empty: any

    @classmethod
    def below(cls, folder: str) -> "Filter":
        """Return the filter that passes photos below a folder; empty: all photos."""
        return cls((folder,) if folder else ())

    def admits(self, folder: str) -> bool:
        """Return whether photos in a folder pass."""
        is_meant = not self.under or any(lies_in(folder, one) for one in self.under)
        return is_meant and not any(lies_in(folder, one) for one in self.without)

    def is_by(self, camera: str) -> bool:
        """Return whether photos by a camera pass."""
        return self.camera in camera.casefold()

    def passes(self, place: Place) -> bool:
        """Return whether a photo passes."""
        is_meant = self.admits(place.folder) and self.is_by(place.camera)
        return is_meant and (not self.is_dated or bool(self.in_time(np.array([number_of(place)]))[0]))

    @property
    def is_dated(self) -> bool:
        """Whether this filters by date."""
        return self.since_s is not None or self.before_s is not None

    def in_time(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which photos pass, (n,) bool, by what the index keeps of their dates (`dates.number_of`)."""
        if not self.is_dated:
            return np.ones(len(numbers), bool)
        taken_s, result = dates_of(numbers)
        if self.since_s is not None:
            result &= taken_s >= self.since_s
        if self.before_s is not None:
            result &= taken_s < self.before_s
        return result
