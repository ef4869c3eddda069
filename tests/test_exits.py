"""The page on trouble and help list the exit statuses that the code has, and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixkin import errors as client_errors
from pixkin.cli import main as client_main
from pixkin.errors import PixkinError
from pixkind import cli as daemon_cli
from pixkind import errors as daemon_errors

ROOT = Path(__file__).parents[1]
PIXKIN = [ROOT / "client/pixkin/cli/main.py", *(ROOT / "client/pixkin/cli/commands").glob("*.py")]
PIXKIND = [ROOT / "daemon/pixkind/cli.py", ROOT / "daemon/pixkind/encoder/worker/fetch.py"]
CLASSES = {
    name: kind
    for module in (client_errors, daemon_errors)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, PixkinError)
}
ALWAYS = {0, 1, 2}  # argparse ends with 0 and 2, and a traceback with 1


def returned(file: Path) -> Iterator[int]:
    """Yield the numbers that the functions of a module return which return an exit status."""
    tree = ast.parse(file.read_text())
    constants = {
        node.target.id: node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.returns is not None:
            kind = ast.unparse(function.returns)
            for node in ast.walk(function) if kind in ("int", "tuple[int, str]") else ():
                if isinstance(node, ast.Return) and node.value is not None:
                    is_pair = isinstance(node.value, ast.Tuple)
                    yield from numbers(node.value.elts[0] if is_pair else node.value, constants)  # type: ignore[attr-defined]  # a Tuple


def numbers(value: ast.expr, constants: dict[str, ast.expr]) -> Iterator[int]:
    """Yield the numbers that an expression may be."""
    match value:
        case ast.Constant(value=int(number)):
            yield number
        case ast.IfExp():
            yield from numbers(value.body, constants)
            yield from numbers(value.orelse, constants)
        case ast.BoolOp():
            for one in value.values:
                yield from numbers(one, constants)
        case ast.Name(id=name) if name in constants:
            yield from numbers(constants[name], constants)
        case ast.Attribute(value=ast.Name(id=name), attr="status") if name in CLASSES:
            yield CLASSES[name].status


def raised(folder: Path) -> set[int]:
    """Return the statuses of the errors that a package names."""
    text = "\n".join(file.read_text() for file in folder.rglob("*.py"))
    return {kind.status for name, kind in CLASSES.items() if re.search(rf"\b{name}\(", text)}


def in_help(text: str) -> dict[int, str]:
    """Return the statuses in a help text, with what is said of them."""
    lines = text.partition("exit status:\n")[2]
    return {int(number): said for number, said in re.findall(r"^  (\d+)\s+(.+)$", lines, re.MULTILINE)}


def on_page(column: int) -> dict[int, str]:
    """Return the statuses in the table of the page on trouble that have a text in this column."""
    rows = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|$", (ROOT / "docs/topics/trouble.md").read_text(), re.MULTILINE)
    return {int(row[0]): row[column].strip() for row in rows if row[column].strip()}


@pytest.mark.parametrize(
    ("files", "package", "text", "column"),
    [
        (PIXKIN, ROOT / "client/pixkin", client_main._EXITS, 1),
        (PIXKIND, ROOT / "daemon/pixkind", daemon_cli._EXAMPLES, 2),
    ],
    ids=["pixkin", "pixkind"],
)
def test_every_exit_status_is_on_the_page_and_in_help(files: list[Path], package: Path, text: str, column: int) -> None:
    """Code, help and page have the same statuses, and help and page say the same of them."""
    code = ALWAYS | raised(package) | {number for file in files for number in returned(file)}

    assert set(in_help(text)) == code
    assert {number: said.replace("`", "") for number, said in on_page(column).items()} == {
        number: said.replace("`", "") for number, said in in_help(text).items()
    }
