"""The layout of the code, as ARCHITECTURE.md describes it, executed over the syntax trees."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLIENT = sorted((ROOT / "client/pixkin").rglob("*.py"))
DAEMON = sorted((ROOT / "daemon/pixkind").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PRODUCT = [*CLIENT, *DAEMON]

# A module imports only modules of a lower rank of its own package. The rank is the place in the list.
CLIENT_RANKS = [
    {"errors", "locations", "replies"},
    {"wire", "presence", "values"},
    {"framing", "link", "render", "source"},
    {"outcome", "report"},
    {"client"},
    {"connect"},
    {"verbs"},
    {"cli"},
    {"__init__", "__main__"},
]
DAEMON_RANKS = [
    {
        "battery",
        "centre",
        "chance",
        "cliques",
        "environment",
        "errors",
        "formats",
        "job",
        "label",
        "log",
        "memory",
        "mounts",
        "notify",
        "pause",
        "photo",
        "pressure",
        "promises",
        "rate",
        "reader",
        "sieve",
        "snapshot",
        "thread",
    },
    {"child", "config", "handle", "pending", "record", "roots", "space", "sync", "tree"},
    {
        "apart",
        "atlas",
        "batch",
        "catalog",
        "codes",
        "content",
        "coverage",
        "disk",
        "encoder",
        "fold",
        "hold",
        "journal",
        "ledger",
        "register",
        "tally",
    },
    {"shelf"},
    {"census", "probe", "scan", "search", "store", "visit", "watch"},
    {"commits", "far", "handful", "library", "mend", "rescue", "scanning"},
    {"index", "territory"},
    {"failures", "hunt", "intake", "matching", "purge", "switch"},
    {"like", "patrol", "pipeline"},
    {"dupes", "have", "ingest", "spaces"},
    {"answer", "progress"},
    {"serve"},
    {"daemon", "service"},
    {"cli"},
    {"__main__"},
]
WORKER_MAY = {"pixkind.job", "pixkind.errors", "pixkind.formats"}  # and its own modules
DAEMON_MAY = {
    "pixkin.errors",
    "pixkin.framing",
    "pixkin.locations",
    "pixkin.wire",
}  # its command line also pixkin.render
HEAVY = {"torch", "torchvision", "PIL", "pillow_heif", "pylibjxl", "rawpy"}
CLIENT_MAY = {*sys.stdlib_module_names, "pixkin", "msgspec", "zmq"}
FUNCTION_LINES, MODULE_LINES = 70, 350


def name_of(path: Path) -> str:
    """Return the dotted name of a module: `pixkind.worker.decode`."""
    package = next(parent for parent in path.parents if parent.name in {"client", "daemon"} and parent.parent == ROOT)
    return ".".join(path.relative_to(package).with_suffix("").parts)


def imports(source: str) -> Iterator[str]:
    """Yield the dotted names that a module imports, wherever in it; `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide the rank"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name: str, ranks: list[set[str]]) -> str | None:
    """Return the module of the ranked package that `pixkind.store.Store` belongs to; None for the package itself."""
    module = name.partition(".")[2].partition(".")[0]
    return module if any(module in rank for rank in ranks) else None


def rank(module: str, ranks: list[set[str]]) -> int | None:
    """Return the rank of a module; None if it has none."""
    return next((place for place, modules in enumerate(ranks) if module in modules), None)


def breaches(name: str, source: str) -> list[str]:
    """Return what the module `name` imports against the layout."""
    package, _, module = name.partition(".")
    if module.startswith("worker."):
        return [
            other
            for other in imports(source)
            if other.startswith(("pixkin.", "pixkind."))
            and not other.startswith("pixkind.worker")
            and ".".join(other.split(".")[:2]) not in WORKER_MAY
        ]
    ranks = CLIENT_RANKS if package == "pixkin" else DAEMON_RANKS
    place = rank(module.partition(".")[0], ranks)
    if place is None:
        return ["has no rank"] if module != "__init__" else []
    found = []
    for other in imports(source):
        top = other.partition(".")[0]
        if top == package:
            target = own(other, ranks)
            if other.startswith("pixkind.worker") or (target is not None and (rank(target, ranks) or 0) >= place):
                found.append(other)
        elif package == "pixkin":
            found += [other] if top not in CLIENT_MAY else []
        elif top in HEAVY or (top == "pixkin" and not daemon_may(module, other)):
            found.append(other)
    return found


def daemon_may(module: str, other: str) -> bool:
    """Tell whether the daemon's `module` may import `other` of the client's package."""
    allowed = DAEMON_MAY | ({"pixkin.render"} if module == "cli" else set())
    return ".".join(other.split(".")[:2]) in allowed or other == "pixkin"  # its version


def calls(source: str, *names: str) -> list[int]:
    """Return the lines that call one of these names, written as in `print` or `time.sleep`."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [node.lineno for node in nodes if ast.unparse(node.func) in names]


def long_functions(source: str) -> list[str]:
    """Return the functions with more lines than the house allows."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return [node.name for node in nodes if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES]


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_module_imports_only_what_its_rank_allows(path: Path) -> None:
    """A module has a rank and imports only lower ones; torch and Pillow live in the worker, the client is thin."""
    assert breaches(name_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("pixkind.newcomer", ""),
        ("pixkind.store", "from pixkind.ingest import Ingest"),
        ("pixkind.store", "from pixkind import ingest"),
        ("pixkind.store", "def f():\n    import torch.nn"),
        ("pixkind.store", "from pixkin import render"),
        ("pixkind.scan", "from pixkind.watch import Watch"),
        ("pixkind.encoder", "from pixkind.worker.models import x"),
        ("pixkind.worker.decode", "from pixkind.store import Store"),
        ("pixkind.worker.decode", "import pixkin.wire"),
        ("pixkin.client", "import numpy"),
        ("pixkin.client", "from pixkind import errors"),
        ("pixkin.wire", "from pixkin.client import Client"),
    ],
)
def test_rank_table_notices_a_breach(name: str, source: str) -> None:
    """The check above can fail, for each kind of breach."""
    assert breaches(name, source) != []


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
    if name_of(path) not in {"pixkin.render", "pixkin.cli", "pixkind.cli"}:
        assert calls(path.read_text(), "print") == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_sleeps(path: Path) -> None:
    """A test waits for what it tests, never for the clock."""
    assert calls(path.read_text(), "time.sleep", "sleep") == []
