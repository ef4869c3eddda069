"""Texts that many rows share, as folders and cameras: each has a number, and a filter is asked once for each of them.

One thread at a time adds; any thread asks.
"""

from collections.abc import Callable, Hashable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FILTERS: Final = 16  # that are remembered: a microsecond a label each, the first time


class StringDictionary:
    """Labels, and their numbers from 0 on."""

    def __init__(self) -> None:
        """Begin empty."""
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []
        self._known: dict[Hashable, NDArray[np.bool_]] = {}  # by filter: which labels pass

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, number: int) -> str:
        """Return the label of a number."""
        return self._texts[number]

    def number(self, text: str) -> int:
        """Return the number of a label, which is new or not."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._texts)
            self._texts.append(text)
        return number

    def passing(self, which: Hashable, passes: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Return which labels pass, (labels,) bool; only those are asked that have come since this filter was last used.

        Args:
            which: names the filter.
            passes: is the filter.
        """
        known, count = self._known.get(which, np.zeros(0, bool)), len(self._texts)
        if len(known) < count:
            known = np.append(known, np.array([passes(text) for text in self._texts[len(known) : count]], bool))
            if len(self._known) >= _FILTERS:
                self._known = {}
            self._known[which] = known
        return known

    # On the disk.

    def state(self) -> NDArray[np.uint8]:
        """Return all labels; a zero byte, which none has, ends each."""
        return np.frombuffer("".join(f"{text}\0" for text in self._texts).encode("utf-8", "surrogateescape"), np.uint8)

    @classmethod
    def restored(cls, state: NDArray[np.generic]) -> "StringDictionary":
        """Return the labels with this state."""
        labels = cls()
        for text in state.astype(np.uint8).tobytes().decode("utf-8", "surrogateescape").split("\0")[:-1]:
            labels.number(text)
        return labels
