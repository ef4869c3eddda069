"""The section `[web]` of the configuration, which the daemon checks with the rest of the file."""

import tomllib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from pixkin import locations
from pixkin.errors import InputUnreadable


class WebSettings(Struct, frozen=True):
    """What a user may set; `config.example.toml` explains it."""

    port: Annotated[int, Meta(ge=1024, le=65535)] = 7465
    allow_trash: bool = False
    keep_pasted_days: Annotated[int, Meta(ge=0, le=3650)] = 30


def web_settings() -> WebSettings:
    """Return the settings; without a configuration the defaults.

    Raises:
        InputUnreadable: the configuration is wrong, or cannot be read.
    """
    file = locations.config_file()
    try:
        with open(file, "rb") as stream:
            return msgspec.convert(tomllib.load(stream).get("web", {}), WebSettings)
    except FileNotFoundError:
        return WebSettings()
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise InputUnreadable(f"{file}: {error}", "`pixkind check` says more") from error
