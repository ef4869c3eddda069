"""Loads the configuration, typed and checked once.

Every error is a `ConfigError` whose sentence names the file, the key, the value and what is allowed.
The module does not check drives, models or threads. A missing folder is no error, since its drive may be absent.
`config.example.toml` lists every key for people; a test compares it with this module.
"""

import difflib
import itertools
import json
import os
import re
import tomllib
from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from pixkin import locations
from pixkin.mounts import lies_in
from pixkind.encoder.formats import FORMATS
from pixkind.encoder.messages import Runtime
from pixkind.errors import ConfigError
from pixkind.fs.exclusions import checked
from pixkind.fs.rules import PhotoRules
from pixkind.index.metric import Metric


def _from(least: float, most: float, unit: str = "") -> Meta:
    return Meta(ge=least, le=most, description=unit)


class IndexConfig(Struct, frozen=True):
    """What is indexed, and when it is scanned."""

    folders: tuple[str, ...] = ()  # absolute, none inside another; empty: the user's pictures folder
    # Lower case, without dots.
    suffixes: frozenset[str] = frozenset(suffix for one in FORMATS for suffix in one.suffixes)
    exclude: tuple[str, ...] = ()  # patterns of gitignore(5), relative to each folder
    rest_s: Annotated[float, _from(0.01, 60, "seconds")] = 2.0
    rescan_s: Annotated[float, _from(60, 7 * 86400, "seconds")] = 3600.0
    keep_gone_days: Annotated[int, _from(1, 3650, "days")] = 30
    metric: Metric = Metric.COSINE


class EncoderConfig(Struct, frozen=True):
    """Which network turns pixels into vectors."""

    model: str = "efficientnet_lite0"
    weights: str = ""  # absolute; empty: the weights that come with the model
    runtime: Runtime = Runtime.AUTO
    keep_warm_s: Annotated[float, _from(0, 86400, "seconds")] = 120.0


class DecodeConfig(Struct, frozen=True):
    """How large a photo may be."""

    limit_mp: Annotated[int, _from(1, 1000, "megapixels")] = 250
    limit_mb: Annotated[int, _from(1, 16384, "MiB")] = 512


class LimitsConfig(Struct, frozen=True):
    """How much of the machine pixkind may use."""

    query_mb: Annotated[int, _from(1, 128, "MiB")] = 128  # 128: the protocol allows no more
    threads: Annotated[int, _from(0, 64)] = 0  # 0: as many as there are cores
    map_gb: Annotated[int, _from(1, 1024, "GiB")] = 64
    battery_percent: Annotated[int, _from(0, 100, "percent")] = 50  # 0: index on any battery; 100: on none
    pressure_percent: Annotated[int, _from(0, 100, "percent")] = 20  # 0: ignore the pressure


class ThumbnailsConfig(Struct, frozen=True):
    """How many thumbnails are kept."""

    cache_mb: Annotated[int, _from(0, 102_400, "MiB")] = 1024  # 0: none


class WebConfig(Struct, frozen=True):
    """The page of `pixkin web`, which reads this section itself; the daemon only checks it."""

    port: Annotated[int, _from(1024, 65535)] = 7465
    allow_trash: bool = False
    keep_pasted_days: Annotated[int, _from(0, 3650, "days")] = 30


class DesktopConfig(Struct, frozen=True):
    """What the desktop is told."""

    notify: bool = True


class Config(Struct, frozen=True):
    """All settings, one section per field."""

    index: IndexConfig = IndexConfig()
    encoder: EncoderConfig = EncoderConfig()
    decode: DecodeConfig = DecodeConfig()
    limits: LimitsConfig = LimitsConfig()
    thumbnails: ThumbnailsConfig = ThumbnailsConfig()
    web: WebConfig = WebConfig()
    desktop: DesktopConfig = DesktopConfig()

    @property
    def rules(self) -> PhotoRules:
        """The rules that tell photos from other files."""
        return PhotoRules(self.index.suffixes)


_LARGEST: Final = 1 << 20  # bytes of a file
# In a file. The parser needs 3 s for a key of 20,000 parts, and four times as long for twice as many.
_DOTS: Final = 10_000
_FOLDERS: Final = 1000  # each one is compared with each other one, at the start and whenever a drive is mounted
_LOOKED_AT: Final = 20_000  # files and folders, for a first photo
_SECTIONS: Final[dict[str, type[Struct]]] = {
    "index": IndexConfig,
    "encoder": EncoderConfig,
    "decode": DecodeConfig,
    "limits": LimitsConfig,
    "thumbnails": ThumbnailsConfig,
    "web": WebConfig,
    "desktop": DesktopConfig,
}
_KEYS: Final = [f"{section}.{key}" for section, kind in _SECTIONS.items() for key in kind.__struct_fields__]
_KINDS: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string in quotes",
    tuple: "a list of strings",
    frozenset: "a list of strings",
    **{kind: "one of " + ", ".join(f'"{one}"' for one in kind) for kind in (Metric, Runtime)},
}


def load(path: str | None, *, folders: Sequence[str] = ()) -> Config:
    """Return the configuration.

    Args:
        path: the file; None: the default file if it exists, otherwise only defaults.
        folders: from the command line, relative to the working directory; if there are any, they replace `index.folders`.

    Raises:
        ConfigError: the file cannot be read, a setting is not allowed, or there is no folder to index.
    """
    file = locations.config_file() if path is None else path
    config = _checked(file, _read(file, optional=path is None))
    if folders:
        named = tuple(_normal(os.path.abspath(os.path.expanduser(folder))) for folder in folders)
        _check_not_nested("the command line", named)
        return msgspec.structs.replace(config, index=msgspec.structs.replace(config.index, folders=named))
    if config.index.folders:
        return config
    pictures = pictures_folder()
    if pictures is None:
        what = "no folder to index: none is configured, and there is no pictures folder"
        raise ConfigError(
            what, f"name one, as in `pixkind ~/Photos`, or set index.folders in {locations.config_file()}"
        )
    return msgspec.structs.replace(config, index=msgspec.structs.replace(config.index, folders=(pictures,)))


def pictures_folder() -> str | None:
    """Return the desktop's pictures folder, or `~/Pictures` if none is set; None: it does not exist.

    Source: xdg-user-dirs-update(1): the home folder itself means "no such folder".
    """
    home = os.path.expanduser("~")
    folder = os.path.join(home, "Pictures")
    user_dirs = os.path.join(os.path.dirname(os.path.dirname(locations.config_file())), "user-dirs.dirs")
    try:
        with open(user_dirs, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                if match := re.fullmatch(r'\s*XDG_PICTURES_DIR="(\$HOME|(?=/))(.*)"\s*', line):
                    folder = (home if match[1] else "") + re.sub(r"\\(.)", r"\1", match[2])
    except OSError:
        pass  # without a desktop there is no such file
    folder = _normal(folder)
    return folder if folder != _normal(home) and os.path.isdir(folder) else None


def has_photos(folder: str | None) -> bool:
    """Return whether a folder holds a photo, as far as its first entries tell; a fresh desktop's pictures folder has none."""
    rules, left = PhotoRules(IndexConfig().suffixes), _LOOKED_AT
    for _, folders, names in os.walk(folder) if folder is not None else ():
        if any(map(rules.is_photo, names)):
            return True
        folders[:] = filter(rules.is_walked, folders)
        left -= len(names) + len(folders)
        if left < 0:
            return True  # who has so many files there calls the folder their own
    return False


def _read(file: str, *, optional: bool) -> dict[str, Any]:
    try:
        with open(file, "rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:  # such as /dev/zero
            raise ConfigError(f"{file}: larger than {_LARGEST >> 20} MiB")
        if data.count(b".") > _DOTS:
            raise ConfigError(f"{file}: more than {_DOTS:,} dots")
        return tomllib.loads(data.decode())
    except FileNotFoundError as error:
        if optional:
            return {}
        raise ConfigError(f"{file}: no such file") from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {_cut(str(error))}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 at byte {error.start}") from error
    except ValueError as error:  # Python's limit, because the conversion of more digits takes long
        raise ConfigError(f"{file}: a number of more than 4,300 digits") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deep") from error


def _checked(file: str, tables: dict[str, Any]) -> Config:
    sections: dict[str, Any] = {}
    for section, table in tables.items():
        if section not in _SECTIONS:
            raise _unknown(file, section, [*_SECTIONS, *_KEYS])
        if not isinstance(table, dict):
            raise ConfigError(
                f"{file}: {section} = {_shown(table)} is not a section; write [{section}] on a line of its own"
            )
        sections[section] = _SECTIONS[section](**{k: _value(file, section, k, value) for k, value in table.items()})
    config = Config(**sections)
    _check_not_nested(file, config.index.folders)
    return config


def _value(file: str, section: str, k: str, value: object) -> object:
    """Return a value typed, checked and normalised."""
    name = f"{section}.{k}"
    kind = get_type_hints(_SECTIONS[section], include_extras=True).get(k)
    if kind is None:
        raise _unknown(file, name, _KEYS)
    setting = f"{file}: {name} = {_shown(value)}"
    try:
        typed = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{setting} {_complaint(value, kind)}") from error
    if name == "index.folders":
        return tuple(_absolute(setting, folder) for folder in typed)
    if name == "index.suffixes":
        return frozenset(_suffix(setting, suffix) for suffix in typed)
    if name == "index.exclude":
        return tuple(_pattern(setting, pattern) for pattern in typed)
    if name == "encoder.weights" and typed:
        return _absolute(setting, typed)
    return typed


def _complaint(value: object, kind: object) -> str:
    if get_origin(kind) is not Annotated:
        return f"is not {_KINDS[get_origin(kind) or kind]}"
    number, meta = get_args(kind)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_right = is_number and (number is float or isinstance(value, int))
    wrong = "is out of range" if is_right else f"is not {_KINDS[number]}"
    return f"{wrong}; allowed: {meta.ge:g} to {meta.le:g} {meta.description}".rstrip()


def _absolute(setting: str, path: str) -> str:
    expanded = path if "\0" in path else os.path.expanduser(path)
    if not os.path.isabs(expanded) or "\0" in expanded:
        # Relative paths would be ambiguous: the service runs in the home folder, a terminal anywhere.
        raise ConfigError(f"{setting} has {_shown(path)}, which is not an absolute path; it must begin with / or ~/")
    return _normal(expanded)


def _normal(path: str) -> str:
    # normpath keeps exactly two leading slashes, as POSIX says; Linux treats them as one.
    return "/" + os.path.normpath(path).lstrip("/")


def _suffix(setting: str, suffix: str) -> str:
    bare = suffix.removeprefix(".").lower()
    if not re.fullmatch(r"[^./\0]+", bare):
        raise ConfigError(f'{setting} has {_shown(suffix)}, which is not a suffix; write it like "jpg"')
    return bare


def _pattern(setting: str, pattern: str) -> str:
    if why := checked(pattern):
        raise ConfigError(f"{setting} has {_shown(pattern)}, which is no pattern: {why}")
    return pattern


def _check_not_nested(source: str, folders: Sequence[str]) -> None:
    """Refuse folders that contain one another, because each photo must belong to one root; and too many."""
    if len(folders) > _FOLDERS:
        raise ConfigError(f"{source}: index.folders names {len(folders):,} folders; at most {_FOLDERS:,} are allowed")
    ordered = sorted(folders, key=lambda folder: folder.rstrip("/") + "/")
    for outer, inner in itertools.pairwise(ordered):
        if inner == outer:
            raise ConfigError(f"{source}: index.folders names {inner} twice")
        if lies_in(inner, outer):
            raise ConfigError(f"{source}: index.folders names {inner}, which lies in {outer}; name only the outer one")


def _unknown(file: str, name: str, known: Sequence[str]) -> ConfigError:
    close = difflib.get_close_matches(name, known, n=1) or [
        key for key in known if key.partition(".")[2] == name.rpartition(".")[2]
    ]
    meant = f", did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
    return ConfigError(f"{file}: unknown key {_cut(name)}{meant}")


def _shown(value: object) -> str:
    try:
        return _cut(json.dumps(value, ensure_ascii=False, default=str))
    except (ValueError, RecursionError):  # thousands of digits, or of tables in tables
        return "…"


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
