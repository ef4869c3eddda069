"""Libraries whose worker has little time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[DaemonParts]:
    """Yield a library in which a photo has a tenth of a second, and a second when it comes again."""
    made = DaemonParts(tmp_path, cpu_s=0.1, slow_cpu_s=1.5)
    yield made
    made.stop()
    assert made.ingest.failure() is None
    assert made.encoder.failure() is None
