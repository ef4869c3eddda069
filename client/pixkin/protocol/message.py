"""What all messages share."""

from typing import Annotated

from msgspec import Meta, Struct


class Message(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type"):
    """The key that all messages share."""

    id: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0  # chosen by the client, echoed in the reply
