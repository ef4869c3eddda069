"""What takes too long for every day: `make stateful` runs it, and what of it the other tests have in small, in full.

`make soak` runs `test_soak.py` and `test_page_soak.py` alone.
"""

import os

import pytest

IS_FULL = bool(os.environ.get("PIXKIN_STATEFUL"))
IS_SOAK = bool(os.environ.get("PIXKIN_SOAK_MINUTES"))
collect_ignore = [
    *([] if IS_FULL else ["test_property.py"]),
    *([] if IS_SOAK else ["test_soak.py", "test_page_soak.py"]),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take the limits from all tests, those of other folders too: with the full figures they run for an hour."""
    if IS_FULL or IS_SOAK:
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
