"""The replies that tell of spaces."""

from msgspec import Struct

from pixkin.protocol.message import Message


class SpaceState(Struct, frozen=True, omit_defaults=True):
    """One space: the vectors that one model has made."""

    name: str
    encoder: str
    vectors: int = 0
    photos: int = 0  # that it finds
    bytes: int = 0  # on the disk
    answers: bool = False
    fills: bool = False  # it is the configured one: new and changed photos are encoded for it
    kind: str = "image"  # what a vector stands for; others may come


class Spaces(Message, frozen=True, omit_defaults=True, kw_only=True, tag="spaces"):
    """Reply to `list_spaces`, `use_space` and `drop_space`."""

    spaces: tuple[SpaceState, ...] = ()
    photos: int = 0  # that any of the spaces finds
