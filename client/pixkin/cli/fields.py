"""The answers of several commands as objects of JSON. Those of one command stand with the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixkin.cli import output
from pixkin.tiles import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixkin.protocol.explanations import About, Explanation
    from pixkin.protocol.replies import Group, Match, Photo


def match_fields(match: Match, chance: float | None) -> dict[str, object]:
    """Return a match as JSON."""
    numbers = {"score": match.score, "distance": match.distance, "offline": match.offline}
    return {
        **output.path_fields("path", match.path),
        **numbers,
        **output.paths_fields("copies", match.copies),
        **output.paths_fields("versions", match.versions),
        **output.paths_fields("burst", match.burst),
        "frames": match.frames,
        "related": answers.is_related(match, chance),
        "band": answers.band(match, chance) or None,
        "damaged": match.damaged,
    }


def group_fields(group: Group, photos: Sequence[Photo]) -> dict[str, object]:
    """Return a group of near-duplicates as JSON, with these of its photos."""
    return {"band": str(group.band), "score": group.score, "photos": [*map(_photo_fields, photos)], "more": group.more}


def _photo_fields(photo: Photo) -> dict[str, object]:
    numbers = {"width": photo.width, "height": photo.height, "size": photo.size}
    return {
        **output.path_fields("path", photo.path),
        **numbers,
        "content": photo.content.hex(),
        "offline": photo.offline,
        "spare": photo.spare,
        "notes": list(photo.notes),
    }


def explanation_fields(explained: Explanation, about: About | None) -> dict[str, object]:
    """Return an explanation as JSON."""
    exclusion = explained.exclusion
    return {
        **output.path_fields("path", explained.path),
        "fate": str(explained.fate),
        "what": explained.what,
        "hint": explained.hint,
        **output.path_fields("root", explained.root),
        "exclusion": None if exclusion is None else output.exclusion_fields(exclusion),
        "content": explained.content.hex(),
        "network": explained.network,
        "read_at": explained.read_s,
        "taken_s": explained.taken_s,
        "by_name": explained.by_name,
        "retry_at": explained.retry_at,
        "ahead": explained.ahead,
        "copies": explained.copies,
        "like": None if about is None else _about_fields(about),
    }


def _about_fields(about: About) -> dict[str, object]:
    return {
        "score": about.score,
        "distance": about.distance,
        "band": str(about.band),
        "place": about.place,
        **output.path_fields("behind", about.behind),
        "short_of": list(about.short_of),
    }
