"""How questions meet new pictures when the model changes, and what that costs."""

import struct
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from pixkin.protocol.bands import Relation
from pixkind.encoder.messages import Encoded
from pixkind.encoder.space import Space
from pixkind.encoder.supervisor import Encoder
from pixkind.fs.stamp import Stamp
from pixkind.index.chance import least
from pixkind.index.spaces import OpenSpace, OpenSpaces
from pixkind.index.vector_index import VectorIndex
from pixkind.ingest.inbox import Inbox
from pixkind.ingest.matching import Matching
from pixkind.search.standing import StandingQuery
from pixkind.storage.questions import AskedImage, Questions
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

_CHANCE = np.random.default_rng(1)


def _vector(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}e", *values)


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")[::-1]


@dataclass
class SlowEncoder:
    """An encoder that answers when the test says so."""

    asked: list["Future[Encoded]"] = field(default_factory=list)

    def encode(self, _: int, *, urgent: bool) -> "Future[Encoded]":
        """Note that somebody asked."""
        assert urgent
        self.asked.append(Future())
        return self.asked[-1]


class TwoSpaces:
    """A store with two spaces, of which the first answers, and what belongs to it."""

    def __init__(self, folder: Path) -> None:
        self.home = str(folder / "home")
        self.inbox = Inbox()
        self.encoder = SlowEncoder()
        self.store = Store(str(folder / "index"), "old-1", map_gb=1)
        filling = OpenSpace(Space("old-1", "old", ""), self.store, VectorIndex(self.store), cast(Encoder, self.encoder))
        make: Any = None
        self.spaces = OpenSpaces(filling, ["/p"], bool, self.home, VectorIndex, make, self.inbox.post)
        self.new = self.store.beside("new-1")
        self.matching = Matching(self.home, self.spaces, self.inbox)

    def commit(self, number: int, old: bytes, new: bytes) -> None:
        """Commit a photo with its vectors in both spaces."""
        batch = WriteBatch(photos=[PhotoFound(f"/p/{number}.jpg", Stamp(number, 1, 1, number), _id(number))])
        batch.take(_id(number), old, {"new-1": new})
        self.spaces.apply(self.store.commit(batch))
        self.work()

    def switch(self) -> None:
        """Let the second space answer."""
        space = Space("new-1", "new", "")
        opened = OpenSpace(space, self.new, VectorIndex(self.new), cast(Encoder, self.encoder))
        self.spaces._answer(opened)
        self.work()

    def work(self) -> None:
        """Do what the ingest thread is asked to."""
        while not self.inbox.is_empty:
            for message in self.inbox.take():
                assert callable(message)
                message()

    def found(self, watch: int) -> list[bytes]:
        """Return the contents that were found for a question."""
        return [bytes.fromhex(one.content) for one in self.matching.questions.all[watch].matched]


def test_a_question_is_asked_with_another_model(tmp_path: Path) -> None:
    """Of an indexed image there is a vector, a stranger is encoded from its picture, and new photos wait for that."""
    two = TwoSpaces(tmp_path)
    right, up = _vector(1, 0, 0), _vector(0, 1, 0)
    two.commit(1, right, up)
    one = two.matching.begin([AskedImage(_id(1).hex(), "", 1.0, {"old-1": right})], "", 0.9, Relation.UNKNOWN)
    stranger = AskedImage(_id(99).hex(), "/x.jpg", 1.0, {"old-1": right}, b"a picture")
    other = two.matching.begin([stranger], "", 0.9, Relation.UNKNOWN)
    lost = two.matching.begin([AskedImage(_id(98).hex(), "/y.jpg", 1.0, {"old-1": up})], "", 0.9, Relation.UNKNOWN)
    two.commit(2, right, up)
    two.switch()
    before = two.found(one), two.found(other), two.found(lost)
    two.commit(3, _vector(0, 0, 1), up)
    waiting = two.found(one), two.found(other)
    two.encoder.asked[0].set_result(Encoded(1, up))
    two.work()
    two.commit(4, up, right)
    after = two.found(one), two.found(other), two.found(lost)
    kept = Questions(two.home)
    two.spaces.stop()
    two.store.close()

    assert before == ([_id(2)], [_id(2)], [])
    assert waiting == before[:2]
    assert after == ([_id(2), _id(3)], [_id(2), _id(3)], [])
    assert len(two.encoder.asked) == 1
    assert kept.all[other].begun.images[0].vectors == {"old-1": right, "new-1": up}
    assert two.matching.why == {
        lost: "it cannot be asked with new: /y.jpg is not in the library, and no picture of it was kept"
    }


def test_what_only_another_space_could_find_is_new_when_that_answers(tmp_path: Path) -> None:
    """A photo that the old network has failed at counts as new, and none of the others."""
    two = TwoSpaces(tmp_path)
    right = _vector(1, 0, 0)
    two.commit(1, right, right)
    watch = two.matching.begin([AskedImage(_id(1).hex(), "", 1.0, {"old-1": right})], "", -1.0, Relation.UNKNOWN)
    two.commit(2, b"", right)
    before = two.found(watch)
    two.switch()
    after = two.found(watch)
    two.spaces.stop()
    two.store.close()

    assert (before, after) == ([], [_id(2)])


@pytest.mark.parametrize("band", [Relation.ALIKE, Relation.LOOSELY])
def test_a_band_has_the_bound_of_the_library_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: Relation
) -> None:
    """It is looked up when the library has changed: for the next picture nothing is searched."""
    store = Store(str(tmp_path / "index"), "mobilenet_v2-1", map_gb=1)

    def library(count: int, first: int) -> NDArray[np.float32]:
        block = _CHANCE.normal(size=(count, 32)).astype(np.float16)
        found = [PhotoFound(f"/p/{first + at}.jpg", Stamp(1, 1, 1, first + at), _id(first + at)) for at in range(count)]
        batch = WriteBatch(photos=[*found])
        for at, row in enumerate(block):
            batch.take(_id(first + at), row.tobytes(), {})
        store.commit(batch)
        return block.astype(np.float32)

    block = library(300, 1)
    index = VectorIndex(store)
    query = StandingQuery(block[:1], np.ones(1), None, band)
    ways = np.linspace(0, 1, 200)[:, None].astype(np.float32)
    between = block[:1] * ways + block[1:2] * (1 - ways)  # from unrelated to the same
    hits = query.hits(index, [_id(1000 + at) for at in range(200)], between)
    best = [content for content, _, _ in index.rank(block[:1])][:10]
    bounds = index.bounds(block[:1], best, np.ones(1))
    lowest = least(band, bounds)
    scores = index.centering().centred(between) @ index.centering().centred(block[:1])[0]
    monkeypatch.setattr(index, "rank", None)  # it would fail
    far = query.hits(index, [_id(2000)], -block[:1])
    index.stop()
    store.close()

    assert bounds is not None
    assert {one.content for one in hits} == {_id(1000 + at) for at in np.flatnonzero(scores >= lowest).tolist()}
    assert {one.band for one in hits} >= {band}
    assert far == []
