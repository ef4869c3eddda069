"""Mutated configurations: each is a configuration, or is refused with a sentence."""

import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.mutation import generator, keep, mutated

from pixkind.config import Config, load
from pixkind.errors import ConfigError

_TEXTS = int(os.environ.get("PIXKIN_TEXTS", "600"))  # 100,000 before a release
_EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
_SENTENCE = 8000  # characters: it may name two paths
_MOST_S = 5.0  # of CPU time
_PIECES = (
    *(
        b"[",
        b"]",
        b"[[",
        b"]]",
        b"{",
        b"}",
        b'"',
        b"'''",
        b'"""',
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"=",
        b".",
        b",",
        b"#",
    ),
    *(b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"nan", b"-inf", b"1e999", b"0x" + b"f" * 4000, b"9" * 5000),
    *(b"1979-05-27T07:32:00Z", b"true", b"[index]\n", b"~", b"/", b"..", b"[" * 2000, b"a." * 500, b"{a=" * 2000),
)


def _case(number: int) -> bytes:
    """Return a text, which depends on its number and the seed alone."""
    chance, lines = generator("config", number), _EXAMPLE.read_bytes().splitlines(keepends=True)
    few = b"".join(chance.sample(lines, chance.randrange(1, len(lines))) if chance.random() < 0.5 else lines)
    if chance.random() < 0.5:
        return mutated(few, chance, (few, *_PIECES))
    at = chance.randrange(len(few))
    return few[:at] + chance.choice(_PIECES) * chance.choice((1, 1, 2, 100)) + few[at + chance.choice((0, 1, 5)) :]


def _complaint(file: Path) -> str:
    """Load a file, and return what is wrong with the outcome; empty: nothing."""
    began = time.process_time()
    try:
        config = load(str(file), folders=["/photos"])
    except ConfigError as error:
        if not error.what.startswith(f"{file}: ") or len(error.what) > _SENTENCE:
            return f"no sentence: {error.what[:200]!r}"
    except Exception as error:  # noqa: BLE001  any other exception is what is looked for
        return repr(error)[:200]
    else:
        if not _is_sound(config):
            return repr(config)[:200]
    return "slow" if time.process_time() - began > _MOST_S else ""


def _is_sound(config: Config) -> bool:
    """Return whether no part of the daemon can stumble over these settings."""
    numbers = (config.index.rest_s, config.index.rescan_s, config.encoder.keep_warm_s)
    paths = (*config.index.folders, config.encoder.weights or "/")
    return all(map(math.isfinite, numbers)) and all(path.startswith("/") and "\0" not in path for path in paths)


def test_every_mutated_file_is_accepted_or_refused_with_a_sentence(tmp_path: Path) -> None:
    """The sentence begins with the name of the file."""
    file, complaints = tmp_path / "config.toml", []
    for number in range(_TEXTS):
        text = _case(number)
        file.write_bytes(text)
        if complaint := _complaint(file):
            complaints.append(f"{complaint}: {keep(tmp_path, f'{number}.toml', text)}")

    assert complaints == []


def _toml(value: Any) -> str:  # noqa: ANN401  whatever TOML is
    """Return a value as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{_toml(name)} = {_toml(one)}' for name, one in value.items())}}}"
        case str():
            return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
        case _:
            return str(value)


_STRINGS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.sampled_from(["~\0/a", "/a", "~/b", "l2", ".JPG"])
)
_VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), _STRINGS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_STRINGS, inner, max_size=3)),
    max_leaves=6,
)
_NAMES = [
    (section, key) for section in Config.__struct_fields__ for key in getattr(Config(), section).__struct_fields__
]


@settings(max_examples=max(50, _TEXTS // 10))
@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES, min_size=1, max_size=4))
def test_every_value_is_accepted_or_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, values: dict[tuple[str, str], Any]
) -> None:
    """A setting may have any value that TOML has."""
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text("".join(f"{section}.{key} = {_toml(value)}\n" for (section, key), value in values.items()))

    assert _complaint(file) == ""
