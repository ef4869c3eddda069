"""Mutated input for every reader of bytes. The tests use small figures; `make fuzz` uses the large ones."""

import os

import pytest

IS_FULL = bool(os.environ.get("PIXKIN_FUZZ"))
collect_ignore = [] if IS_FULL else ["test_guided.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take the limits from all tests, those of other folders too: with the full figures they run for hours."""
    if IS_FULL:
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)


def pytest_report_header() -> str:
    """Name the seed: with the same one, a run makes the same inputs."""
    return f"fuzz: PIXKIN_SEED={os.environ.get('PIXKIN_SEED', '1')}"
