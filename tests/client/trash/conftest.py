"""A library of one test's own."""

from pathlib import Path

import pytest
from tests.client.trash.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Return it."""
    return Library(tmp_path)
