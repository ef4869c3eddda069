"""Makes the `Picture` of a reply from what the store knows of a content: the one place that does."""

from pixkin.protocol.pictures import Picture
from pixkind.storage.record import Facts, Record


def picture_of(content: bytes, facts: Facts | None, photo: Record | None = None) -> Picture:
    """Return the picture of a content.

    Args:
        content: its content id.
        facts: of the content; None: unknown.
        photo: tells when it was taken; None: unknown.
    """
    taken_s = 0 if photo is None else photo.place(facts).taken_s
    if facts is None:
        return Picture(content, taken_s=taken_s)
    return Picture(content, facts.width, facts.height, taken_s=taken_s)
