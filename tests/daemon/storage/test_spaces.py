from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pixkind.encoder.space import IMAGE, Space
from pixkind.storage.environment import Environment
from pixkind.storage.spaces import SpaceTable


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Environment]:
    made = Environment(str(tmp_path / "index"), map_gb=1)
    yield made
    made.close()


def _stored(env: Environment, name: str) -> bytes | None:
    with env.reading() as txn:
        return txn.get(name.encode(), db=env.database("spaces"))


def test_a_space_that_was_stored_without_a_kind_is_one_of_images(env: Environment) -> None:
    """It reads as that, and is not written again while nothing else of it changes."""
    spaces = SpaceTable(env)
    old = msgspec.msgpack.encode({"name": "lite-1-p2", "model": "lite", "weights": "/w"})
    with env.writing() as txn:
        txn.put(b"lite-1-p2", old, db=env.database("spaces"))
    known = spaces.space("lite-1-p2")
    spaces.put(known)
    unwritten = _stored(env, "lite-1-p2")
    spaces.put(Space("lite-1-p2", "lite", "/elsewhere"))

    assert known == Space("lite-1-p2", "lite", "/w", IMAGE)
    assert unwritten == old
    assert msgspec.msgpack.decode(_stored(env, "lite-1-p2") or b"")["kind"] == "image"


def test_a_kind_that_is_not_known_is_kept(env: Environment) -> None:
    """A space of a later pixkind can be listed and dropped by this one."""
    spaces = SpaceTable(env)
    spaces.put(Space("faces-1-p1", "faces", "/w", "faces"))

    assert spaces.space("faces-1-p1").kind == "faces"
