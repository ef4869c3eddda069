"""What all messages share."""

from typing import Annotated

from msgspec import Meta, Struct


class Message(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type"):
    """The key that all messages share."""

    id: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0  # chosen by the client, echoed in the reply


def html_of(answer: Struct) -> str | None:
    """Return an answer as HTML; None: nobody has said how, so a notebook shows it as text.

    Args:
        answer: a struct with a `__dict__`, where `as_html` may be a function of it. `Client` puts it there, because an answer
            does not know the daemon that has the pictures.
    """
    write = vars(answer).get("as_html")
    return write(answer) if write else None
