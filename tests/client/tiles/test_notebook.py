"""What a notebook shows of an answer, as a browser parses it."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.cli.pictures.test_page import EVIL, Parsed
from tests.client.test_client import record

from pixkin import Client, Group, Match, Matches, Photo
from pixkin.errors import DaemonAbsent
from pixkin.printable import shown
from pixkin.protocol.bands import Band, Relation
from pixkin.protocol.replies import Doubt, Groups, Thumb
from pixkin.query_images import Indexed, Source
from pixkin.tiles.notebook import html


@dataclass
class Thumbnails:
    """Answers with thumbnails of this many bytes, or is gone."""

    data: bytes = b""
    asked: list[Source] = field(default_factory=list)

    def thumbnail(self, image: Source) -> Thumb:
        """Return the same one for every image."""
        self.asked.append(image)
        if not self.data:
            raise DaemonAbsent("no daemon listens on /run/a")
        return Thumb(content=bytes(16), data=self.data, width=384, height=256)


def parsed(text: str | None) -> Parsed:
    """Return the elements and the text."""
    return Parsed((text or "").encode())


def match(name: bytes = b"b.jpg", score: float = 0.875) -> Match:
    """Return a match with a word for its score."""
    return Match(path=b"/p/" + name, score=score, distance=1, band=Relation.SAME_SHOT, copies=(b"/c",))


def test_matches_are_pictures_with_score_and_name(jpeg: Callable[..., bytes]) -> None:
    """The thumbnails are in the text; so is what the answer may miss."""
    answer = Matches(matches=(match(), match(b"c.jpg", 0.5)), doubt=Doubt(pending=3))
    page = parsed(html(answer, Thumbnails(jpeg())))

    assert [base64.b64decode((one["src"] or "").partition(",")[2]) for one in page.all("img")] == [jpeg(), jpeg()]
    assert [(one["src"] or "")[:23] for one in page.all("img")] == ["data:image/jpeg;base64,"] * 2
    assert "0.875  same shotb.jpg+1 copy/p0.500  same shotc.jpg" in page.text
    assert "3 photos are still waiting to be indexed" in page.text
    assert page.all("table") == []


def test_a_group_is_pictures_with_the_best_first(jpeg: Callable[..., bytes]) -> None:
    """Thumbnails of a group are asked for by the content id, since a drive may be away."""
    photos = tuple(Photo(b"/p/%d.jpg" % one, bytes([one]) * 16, 300, 200, spare=one > 0) for one in range(3))
    source = Thumbnails(jpeg())
    page = parsed(html(Group(Band.IDENTICAL, 1.0, photos, more=7), source))

    assert len(page.all("img")) == 3
    assert page.text.startswith("identical  1.000stays, the best0.jpg300 x 200")
    assert "7 more photos are not shown" in page.text
    assert sorted(one.content[0] for one in source.asked if isinstance(one, Indexed)) == [0, 1, 2]


def test_a_large_answer_stays_small(jpeg: Callable[..., bytes]) -> None:
    """At most twenty photos, and 2 MiB of thumbnails, however large these are: a notebook keeps all that a cell has shown."""
    answer = Matches(matches=(match(),) * 10_000)
    few, large = Thumbnails(jpeg()), Thumbnails(jpeg() + bytes(300_000))
    page, bounded = html(answer, few), html(answer, large)

    assert len(few.asked) == 20
    assert parsed(page).text.count("b.jpg") == 20
    assert "9,980 more photos are not shown" in page
    assert len(parsed(bounded).all("img")) == 6
    assert len(bounded) < 3_000_000
    assert bounded.count("left out, as all pictures are too large") == 14


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_hostile_name_is_text(jpeg: Callable[..., bytes], *, is_gone: bool) -> None:
    """Nothing of it becomes an element or an attribute; control and bidirectional characters are escaped."""
    page = parsed(html(Matches(matches=(match(EVIL[3:]),)), Thumbnails(b"" if is_gone else jpeg())))

    assert {name for name, _ in page.elements} <= {"div", "img", "span", "b", "bdi", "small", "table", "tr", "td", "p"}
    assert {name for _, attrs in page.elements for name in attrs} <= {"style", "alt", "src"}
    assert '" onerror=alert(1) \\xff\\n\\u202e.jpg' in page.text


@given(st.binary(min_size=1).filter(lambda name: not {0, ord("/")} & {*name}))
def test_no_name_breaks_the_answer(name: bytes) -> None:
    """Whatever the bytes of a name, the HTML has the same elements."""
    plain, odd = (parsed(html(Matches(matches=(match(one),)), Thumbnails(b"\xff\xd8\xff"))) for one in (b"a", name))

    assert [one[0] for one in odd.elements] == [one[0] for one in plain.elements]
    assert shown(name) in odd.text


def test_without_a_daemon_it_is_a_table() -> None:
    """A row for each photo, and why there is no picture."""
    page = parsed(html(Matches(matches=(match(), match(b"c.jpg"))), Thumbnails()))

    assert page.all("img") == []
    assert len(page.all("tr")) == 2
    assert "0.875  same shotb.jpg+1 copy/p" in page.text
    assert page.text.endswith("no pictures: no daemon listens on /run/a")


def test_no_match_is_a_sentence() -> None:
    """Nothing is asked for."""
    page = html(Matches(doubt=Doubt(offline=1)), source := Thumbnails())

    assert page == "<p>no match</p><p>1 photo is on drives that are not connected</p>"
    assert source.asked == []


def test_answers_of_a_client_know_how_they_are_shown(serve: Callable[..., str], jpeg: Callable[..., bytes]) -> None:
    """Each asks the daemon that it came from; it is equal to one that nobody can show, and is packed alike."""
    thumb = Thumb(content=bytes(16), data=jpeg(), width=384, height=256)
    group = Group(Band.SIMILAR, 0.8, (Photo(b"/p/a.jpg", bytes(16)),))
    answers = (Matches(matches=(match(),)), thumb, Groups(search=1, groups=(group,), done=True), thumb)
    client = Client(serve(record([], *answers)))
    found = client.like(b"image")
    seen = parsed(found._repr_html_())
    (told,) = client.dupes()

    assert len(seen.all("img")) == 1
    assert len(parsed(told._repr_html_()).all("img")) == 1
    assert told == group
    assert group._repr_html_() is None
    assert msgspec.msgpack.encode(told) == msgspec.msgpack.encode(group)
    assert repr(told) == repr(group)
