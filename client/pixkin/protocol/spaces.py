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


class Filling(Struct, frozen=True, omit_defaults=True):
    """The space that is being built while another is in use."""

    encoder: str
    space: str
    found: int = 0  # photos that it finds
    wanted: int = 0  # photos that it must find before it is used
    away: int = 0  # missing photos on drives that are not connected, or paused
    failed: int = 0  # photos on which its network failed; the switch does not wait for a few of them
    pinned: bool = False  # the user pinned the other space: this one is not used by itself


class Spaces(Message, frozen=True, omit_defaults=True, kw_only=True, tag="spaces"):
    """Reply to `list_spaces`, `use_space` and `drop_space`."""

    spaces: tuple[SpaceState, ...] = ()
    photos: int = 0  # that any of the spaces finds
