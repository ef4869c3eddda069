"""The parts of the report of a daemon."""

from msgspec import Struct


class Chance(Struct, frozen=True, omit_defaults=True):
    """The scores of unrelated photos in this library."""

    median: float  # half of all pairs score above this
    one_in_20: float  # one pair in 20 scores above this
    one_in_1000: float
    best: float  # matches that score more are usually related to the query; each query has a bound of its own


class Format(Struct, frozen=True, omit_defaults=True):
    """One format of photos."""

    name: str
    decoder: str = ""  # the package that reads it, with its version if it is installed
    live: bool = False  # it can be read
    hint: str = ""  # how to make it readable
    licence: str = ""  # of the decoder and its libraries


class Sandbox(Struct, frozen=True, omit_defaults=True):
    """How the process is confined that decodes photos, in words for people."""

    enforced: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # what this machine lacks, and why
