"""What is said of matches, of groups and of doubts, in words and as tiles.

A function that makes tiles imports them itself: a command without pictures stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pixkin.printable import DIM, GREEN, YELLOW, harmless, many, shown, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixkin.protocol.replies import Doubt, Group, Match, Matches, Photo
    from pixkin.tiles.tile import Tile, TileGroup

_MOST_TILES: Final = 60  # of a group


def doubts(doubt: Doubt) -> str:
    """Return a line that says which photos an answer may miss; empty if it misses none."""
    parts = []
    if doubt.pending:
        parts.append(f"{many(doubt.pending, 'photo is', 'photos are')} still waiting to be indexed")
    if doubt.newly_failed:
        parts.append(f"{many(doubt.newly_failed, 'photo', 'photos')} could not be indexed (pixkin status --failed)")
    if doubt.offline:
        parts.append(f"{many(doubt.offline, 'photo is', 'photos are')} on drives that are not connected")
    parts += [f"{shown(path)} is not fully scanned, watched or readable (pixkin status)" for path in doubt.unwatched]
    return "; ".join(parts)


def both(before: Doubt | None, doubt: Doubt) -> Doubt:
    """Return the doubt of several answers: the last one, with the news of all, since each tells what no other has told."""
    import msgspec

    news = doubt.newly_failed + (before.newly_failed if before is not None else 0)
    return msgspec.structs.replace(doubt, newly_failed=news)


def is_related(match: Match, chance: float | None) -> bool | None:
    """Return whether a match scores as high as unrelated photos do not; None: unknown."""
    return None if chance is None else match.score >= chance


def band(match: Match, chance: float | None) -> str:
    """Return the band of a match; empty if it is unknown."""
    if match.band == "unknown":  # an older daemon knows no more than this
        return "no relation" if is_related(match, chance) is False else ""
    return str(match.band)


def folded(match: Match) -> list[str]:
    """Return how many other photos a match stands for."""
    folded = [f"+{many(len(match.copies), 'copy', 'copies')}"] if match.copies else []
    folded += [f"+{many(len(match.versions), 'version', 'versions')}"] if match.versions else []
    folded += [f"+{match.frames:,} of this burst"] if match.frames else []
    return folded


def remarks(match: Match) -> list[str]:
    """Return what is unusual about a match."""
    return [*(["offline"] if match.offline else []), *(["damaged"] if match.damaged else [])]


def match_tiles(reply: Matches) -> list[Tile]:
    """Return the tiles of matches."""
    from pixkin.query_images import Indexed
    from pixkin.tiles.tile import Tile

    return [
        Tile(
            f"{match.score:.3f}  {band(match, reply.chance)}".rstrip(),
            match.path,
            DIM if is_related(match, reply.chance) is False else GREEN,
            remark=", ".join([*remarks(match), *folded(match)]),
            # By its content id, a picture is found even if its drive is away. An older daemon gives none.
            source=Indexed(match.picture.content) if match.picture else None,
        )
        for match in reply.matches
    ]


def cells(photo: Photo) -> tuple[str, str]:
    """Return the pixels and the bytes of a photo."""
    return f"{photo.width} x {photo.height}", size(photo.size)


def group_tiles(group: Group, offered: Sequence[Photo] | None = None) -> TileGroup:
    """Return all photos of a group, and whether each would go; `offered` are those, None: the spare ones."""
    from pixkin.query_images import Indexed
    from pixkin.tiles.tile import Tile, TileGroup

    tiles = []
    for number, photo in enumerate(group.photos[:_MOST_TILES]):
        goes = photo.spare if offered is None else photo in offered
        head = "would go" if goes else "stays, the best" if not number else "stays"
        facts = [*cells(photo), *(["offline"] if photo.offline else []), *photo.notes]
        colour = YELLOW if goes else GREEN
        tiles.append(Tile(head, photo.path, colour, ", ".join(map(harmless, facts)), Indexed(photo.content)))
    return TileGroup(tiles, f"{group.band}  {group.score:.3f}", len(group.photos) - len(tiles) + group.more)
