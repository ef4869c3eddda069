import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def photo(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Yield a maker of photos, as descriptors: a picture, and what the worker does when it sees it."""
    made: list[int] = []

    def write(*lines: str) -> int:
        path = tmp_path / f"{len(made)}.jpg"
        path.write_text("\n".join(lines))
        made.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return made[-1]

    yield write
    for descriptor in made:
        os.close(descriptor)
