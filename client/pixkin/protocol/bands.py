"""The words for how alike two pictures are."""

from enum import StrEnum


class Band(StrEnum):
    """How alike the photos of a group are, by the lowest score of two of them. `pixkind.search.duplicates` has the bounds."""

    IDENTICAL = "identical"  # exact copies: one picture, and the first photo has all metadata of the others
    SAME_SHOT = "same shot"  # resized, recompressed, cropped, brightened
    SIMILAR = "similar"  # bursts and heavier edits


class Relation(StrEnum):
    """How a match is related to the query, by its score. `pixkind.index.chance` has the bounds."""

    SAME_PHOTO = "same photo"  # perhaps saved again or resized
    SAME_SHOT = "same shot"  # cropped, edited, or the next of a burst
    ALIKE = "alike"
    LOOSELY = "loosely"
    NO_RELATION = "no relation"  # it scores no higher than unrelated photos do
    UNKNOWN = "unknown"  # there are too few photos to tell
