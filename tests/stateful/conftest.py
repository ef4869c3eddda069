"""What takes too long for every day: `make stateful` runs it, and what of it the other tests have in small, in full."""

import os

import pytest

IS_FULL = bool(os.environ.get("PIXKIN_STATEFUL"))
collect_ignore_glob = [] if IS_FULL else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take the limits from all tests, those of other folders too: with the full figures they run for an hour."""
    if IS_FULL:
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
