"""What a program imports from `pixkin`: everything that a user of `Client` meets, and only when it is used."""

import ast
import inspect
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

import pixkin
from pixkin import errors

NAMES = [name for name in dir(pixkin) if not name.startswith("_")]
ARGUMENTS = {"AsyncClient", "Client", "Groups", "Indexed", "Region", "Size"}  # and what has them
OF_THE_COMMAND = {"AlreadyMoving", "OutputLost"}  # no method of `Client` raises these


def parts(kind: Any) -> Iterator[type]:  # noqa: ANN401  annotations have no type of their own
    """Yield the structs and enums that a type consists of."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for one in get_type_hints(kind).values():
            yield from parts(one)
    elif isinstance(kind, type) and kind.__module__.startswith("pixkin."):
        yield kind
    for one in get_args(kind):
        yield from parts(one)


def test_every_type_of_an_answer_and_every_error_has_a_name() -> None:
    """A type that an answer gets tomorrow is not forgotten, and no other name is there."""
    methods = [one for _, one in inspect.getmembers(pixkin.Client, inspect.isfunction)]
    answers = {
        part.__name__
        for method in methods
        if not method.__name__.startswith("_") and method.__name__ != "ask"
        for part in parts(get_type_hints(method)["return"])
    }
    raised = {name for name, one in vars(errors).items() if isinstance(one, type)} - OF_THE_COMMAND

    assert {*NAMES} == answers | raised | ARGUMENTS


@pytest.mark.parametrize("name", NAMES)
def test_a_name_can_be_imported(name: str) -> None:
    """It is what it is where it was written."""
    kind = getattr(pixkin, name)

    assert kind.__name__ == name
    assert getattr(sys.modules[kind.__module__], name) is kind


def test_mypy_sees_the_same_names() -> None:
    """The imports for type checkers and the table agree, also about the modules."""
    tree = ast.parse(inspect.getsource(pixkin))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "pixkin." in str(node.module)]

    assert {(node.module, alias.name, alias.asname) for node in imports for alias in node.names} == {
        (getattr(pixkin, name).__module__, name, name) for name in NAMES
    }


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    """Whatever asks with `hasattr` gets its answer, and an import its own error."""
    assert not hasattr(pixkin, "Failure")
    with pytest.raises(ImportError, match="cannot import name 'Failure'"):
        from pixkin import Failure  # type: ignore[attr-defined]  # noqa: F401  that is the mistake


def test_help_names_them_all() -> None:
    """The text begins with a map of the names; what is behind them is the library's business."""
    text = pydoc.plain(pydoc.render_doc(pixkin))
    words = {*re.findall(r"\w+", text)}

    assert {*NAMES} - words == set()
    assert "__getattr__" not in text
    assert text.index("help(pixkin.Match)") < text.index("PACKAGE CONTENTS") < text.index("class Client")


@pytest.mark.parametrize("code", ["import pixkin", "import pixkin.errors", "from pixkin.errors import PixkinError"])
def test_nothing_is_imported_before_it_is_used(code: str) -> None:
    """The two libraries take 0.1 s; the daemon's worker and `pixkin --help` import `pixkin.errors`."""
    told = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert {name for name in loaded if name.startswith("pixkin")} <= {"pixkin", "pixkin.errors"}
    assert not {"msgspec", "zmq", "asyncio", "pathlib"} & loaded


def test_a_client_needs_no_asyncio() -> None:
    """It takes as long to import as both libraries."""
    told = "import sys; from pixkin import Client, Match; print('asyncio' in sys.modules, Client, Match)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("False ")
