"""Dictionary encoding of strings that many rows share, such as folders and cameras: each string has a number.

A filter is asked once for each string, and not once for each row. One thread at a time adds; any thread reads.
"""

from collections.abc import Callable, Hashable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FILTERS: Final = 16  # whose results are kept; the first time, a filter takes a microsecond a string


class StringDictionary:
    """Strings and their numbers, from 0 on."""

    def __init__(self) -> None:
        """Begin empty."""
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []
        self._known: dict[Hashable, NDArray[np.bool_]] = {}  # by filter: which strings pass

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, number: int) -> str:
        """Return the string of a number."""
        return self._texts[number]

    def number(self, text: str) -> int:
        """Return the number of a string, which is added if it is new."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._texts)
            self._texts.append(text)
        return number

    def passing(self, which: Hashable, passes: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Return which strings pass, (strings,) bool. Only strings that were added since the filter's last use are tested.

        Args:
            which: identifies the filter.
            passes: the filter.
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
        """Return all strings. A zero byte ends each, and no string has one."""
        return np.frombuffer("".join(f"{text}\0" for text in self._texts).encode("utf-8", "surrogateescape"), np.uint8)

    @classmethod
    def restored(cls, state: NDArray[np.generic]) -> "StringDictionary":
        """Return the dictionary with this state."""
        dictionary = cls()
        for text in state.astype(np.uint8).tobytes().decode("utf-8", "surrogateescape").split("\0")[:-1]:
            dictionary.number(text)
        return dictionary
