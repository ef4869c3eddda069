import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixkind.index.dictionary import StringDictionary

_texts = st.lists(st.sampled_from(["", "a", "ab", "\udcff", "é"]) | st.text("xyz", max_size=2), max_size=30)


@given(_texts, _texts)
def test_labels_keep_their_numbers(before: list[str], after: list[str]) -> None:
    """A text has one number for ever, also after a restart; numbers count up from 0."""
    strings = StringDictionary()
    numbers = [strings.number(text) for text in before]
    restored = StringDictionary.restored(strings.state())
    more = [restored.number(text) for text in after]

    assert sorted(set(numbers)) == list(range(len(strings)))
    assert [restored[number] for number in numbers + more] == before + after
    assert len(restored) == len({*before, *after})


def test_a_filter_is_asked_once_for_each_label() -> None:
    """Its results are kept, and only new strings are tested; this is true of every filter."""
    strings = StringDictionary()
    asked: list[tuple[int, str]] = []

    def is_longer(text: str, number: int) -> bool:
        asked.append((number, text))
        return len(text) > number

    def which(number: int) -> list[bool]:
        passing = strings.passing(number, lambda text: is_longer(text, number))
        assert passing.dtype == np.bool_
        return [bool(one) for one in passing]

    nothing = which(0)
    for text in ("", "a", "bc"):
        strings.number(text)
    first, second, other = which(0), which(0), which(1)
    strings.number("def")

    assert (nothing, first, second, other) == ([], [False, True, True], [False, True, True], [False, False, True])
    assert which(1) == [False, False, True, True]
    assert asked == [(0, ""), (0, "a"), (0, "bc"), (1, ""), (1, "a"), (1, "bc"), (1, "def")]


def test_filters_are_forgotten_in_time() -> None:
    """A thousand filters are right, one after the other; not all that they said is kept."""
    strings = StringDictionary()
    for number in range(100):
        strings.number(str(number))
    right = [int(strings.passing(at, lambda text, at=at: int(text) < at).sum()) for at in range(1000)]  # type: ignore[misc]  # it is called at once

    assert right == [min(at, 100) for at in range(1000)]
