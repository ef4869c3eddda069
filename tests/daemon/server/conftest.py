"""Libraries that a module fills: it has a function `fill`, which indexes its pictures in a library that is not started yet."""

from collections.abc import Iterator

import pytest
from tests.daemon.conftest import DaemonParts


@pytest.fixture(scope="module")
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonParts]:
    """Yield a filled library that no test changes."""
    made: DaemonParts = request.module.fill(DaemonParts(tmp_path_factory.mktemp("many")))
    yield made
    made.stop()


@pytest.fixture
def own(request: pytest.FixtureRequest, library: DaemonParts) -> DaemonParts:
    """Return a filled library of the test's own."""
    filled: DaemonParts = request.module.fill(library)
    return filled
