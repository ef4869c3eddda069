"""What the house checks of its own code besides the order of the packages, which import-linter checks (pyproject.toml)."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLIENT = sorted((ROOT / "client/pixkin").rglob("*.py"))
DAEMON = sorted((ROOT / "daemon/pixkind").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PRODUCT = [*CLIENT, *DAEMON]

CLIENT_MAY = {*sys.stdlib_module_names, "pixkin", "msgspec", "zmq"}
EXTRAS_MAY = {  # what a package may import besides, with an extra of its own
    "pixkin.cli.agent": {"anyio", "mcp", "mcp_types"},
    "pixkin.cli.browse": {"PIL", "rich", "textual", "textual_image"},
    "pixkin.cli.exports": {"pyarrow"},
    "pixkin.cli.pictures": {"PIL"},
    "pixkin.web": {"starlette", "uvicorn"},
}
PRINTERS = {"pixkind.cli"}
LOADERS = ["torch.load", "torch.hub.load_state_dict_from_url", "weights.get_state_dict", "pickle.load", "pickle.loads"]
PICKLES = {f"pixkind.encoder.worker.{name}" for name in ("models", "onnx", "state_dict")}
# Smells, not knives: what grows beyond has, most likely, a second responsibility. A module is split where the concept is.
FUNCTION_LINES, MODULE_LINES = 70, 400


def name_of(path: Path) -> str:
    """Return the dotted name of a module: `pixkind.encoder.worker.decode`."""
    package = next(parent for parent in path.parents if parent.name in {"client", "daemon"} and parent.parent == ROOT)
    return ".".join(path.relative_to(package).with_suffix("").parts)


def imports(source: str) -> Iterator[str]:
    """Yield the top-level packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "relative imports hide the package"
            yield node.module.partition(".")[0]


def calls(source: str, *names: str) -> list[int]:
    """Return the lines that call one of these names, written as in `print` or `time.sleep`."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [node.lineno for node in nodes if ast.unparse(node.func) in names]


def long_functions(source: str) -> list[str]:
    """Return the functions with more lines than the house allows."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return [node.name for node in nodes if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES]


@pytest.mark.parametrize("path", CLIENT, ids=name_of)
def test_client_imports_only_what_it_is_installed_with(path: Path) -> None:
    """The client is thin: the standard library, msgspec and pyzmq; and what parts of it need for an extra of their own."""
    extra = next((names for part, names in EXTRAS_MAY.items() if f"{name_of(path)}.".startswith(f"{part}.")), set())

    assert set(imports(path.read_text())) <= CLIENT_MAY | extra


def test_import_check_notices_an_import_within_a_function() -> None:
    """The check above can fail."""
    assert list(imports("def f():\n    import numpy.linalg\n    from PIL import Image")) == ["numpy", "PIL"]


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_code_stays_small(path: Path) -> None:
    """A function fits a screen and a half, a module seven: what grows has a second responsibility."""
    source = path.read_text()

    assert long_functions(source) == []
    assert len(source.splitlines()) <= MODULE_LINES


def test_size_check_notices_a_long_function() -> None:
    """The check above can fail."""
    body = "    pass\n" * FUNCTION_LINES

    assert long_functions(f"class A:\n  def f(self):\n{body}") == ["f"]


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_only_the_command_line_prints(path: Path) -> None:
    """Standard output belongs to the rendered answer; everything else logs or returns."""
    if name_of(path) not in PRINTERS:
        assert calls(path.read_text(), "print") == []


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_only_the_confined_worker_loads_weights(path: Path) -> None:
    """A pickle may hold code. These modules read one, in the sandbox, and `test_weights_are_never_executed` tries them."""
    if name_of(path) != "pixkind.encoder.worker.models":
        assert calls(path.read_text(), *LOADERS) == []
    if name_of(path) not in PICKLES:
        assert "pickle" not in imports(path.read_text())


def test_load_check_notices_a_loader() -> None:
    """The check above can fail."""
    assert calls("import torch\n\ntorch.load(file, weights_only=True)", *LOADERS) == [3]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_sleeps(path: Path) -> None:
    """A test waits for what it tests, never for the clock."""
    assert calls(path.read_text(), "time.sleep", "sleep") == []


# Each breaks a contract of import-linter: a module, what it imports, and the contract.
BREACHES = [
    ("pixkind.storage.store", "pixkind.ingest.loop", "The packages of the daemon"),
    ("pixkind.newcomer", "sys", "The packages of the daemon"),  # it has no place yet
    ("pixkin.errors", "pixkin.client", "The modules of the client"),
    ("pixkin.client", "numpy", "The client knows no daemon"),
    ("pixkin.client", "pixkind.errors", "The client knows no daemon"),
    ("pixkind.server.like", "pixkin.connection", "The daemon knows of the client"),
    ("pixkind.encoder.worker.decode", "pixkind.storage.store", "The worker process sees"),
    ("pixkind.encoder.worker.decode", "pixkin.connection", "The worker process sees"),
    ("pixkind.storage.store", "torch.nn", "Only the worker process imports torch"),
    ("pixkind.encoder.supervisor", "pixkind.encoder.worker.models", "Only the worker process imports torch"),
    ("pixkind.storage.record", "pixkind.storage.store", "No circles"),
]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what import-linter says of a copy of the packages with all breaches, by contract."""
    copy = tmp_path_factory.mktemp("copy")
    for part in ("client", "daemon"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for number, (module, imported, _) in enumerate(BREACHES):
        top = "client" if module.startswith("pixkin.") else "daemon"
        with (copy / top / f"{module.replace('.', '/')}.py").open("a") as file:
            file.write(f"\n\ndef breach_{number}() -> None:\n    import {imported}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    env = {"PYTHONPATH": f"{copy}/client:{copy}/daemon", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    _, _, broken = done.stdout.partition("\nBroken contracts\n")
    parts = re.split(r"\n([^\n]+)\n-{5,}\n", broken)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("module", "imported", "contract"), BREACHES, ids=lambda word: word.replace(" ", "-"))
def test_a_contract_of_the_packages_notices_a_breach(
    complaints: dict[str, str], module: str, imported: str, contract: str
) -> None:
    """`make lint` can fail, for each kind of breach; what is imported within a function counts."""
    said = next((text for name, text in complaints.items() if name.startswith(contract)), "")

    target = imported.rpartition(".")[2] if imported.startswith("pixkin") else imported.partition(".")[0]

    assert module.rpartition(".")[2] in said, complaints
    assert imported == "sys" or target in said, complaints
