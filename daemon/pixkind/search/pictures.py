"""Makes the `Picture` of a reply from what the store knows of a content: the one place that does."""

from collections.abc import Iterable

from msgspec.structs import replace

from pixkin.protocol.pictures import Picture
from pixkind.storage.record import Facts, Record


def picture_of(content: bytes, facts: Facts | None, photos: Iterable[Record]) -> Picture:
    """Return the picture of a content.

    Args:
        content: its content id.
        facts: of the content; None: unknown.
        photos: show it; the earliest of their dates counts.
    """
    places = [one.place(facts) for one in photos]
    taken_s = min((one.taken_s for one in places if one.taken_s), default=0)
    named_s = 0 if taken_s else min((one.named_s for one in places if one.named_s), default=0)
    dated = Picture(content, taken_s=taken_s or named_s, by_name=bool(named_s))
    if facts is None:
        return dated
    width, height = facts.upright
    return replace(dated, width=width, height=height, colour=facts.look.colour)
