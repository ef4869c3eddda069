"""Makes the `Picture` of a reply from what the store knows of a content: the one place that does."""

from collections.abc import Iterable

from pixkin.protocol.pictures import Picture
from pixkind.storage.record import Facts, Record


def picture_of(content: bytes, facts: Facts | None, photos: Iterable[Record]) -> Picture:
    """Return the picture of a content.

    Args:
        content: its content id.
        facts: of the content; None: unknown.
        photos: show it; the earliest of their dates counts.
    """
    taken_s = min((date for one in photos if (date := one.place(facts).taken_s)), default=0)
    if facts is None:
        return Picture(content, taken_s=taken_s)
    return Picture(content, *facts.upright, facts.look.colour, taken_s)
