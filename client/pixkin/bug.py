"""Tells of a bug: its traceback, and below it what a report of it must say."""

import sys
from contextlib import suppress


def tell(version: str) -> None:
    """Write the traceback of the error that is being handled to standard error, with the versions of all that is loaded."""
    import traceback

    traceback.print_exc()
    sys.stderr.write(f"\nThis is a bug. Please report it with all of these lines.\n{versions(version)}\n")


def versions(version: str) -> str:
    """Return the versions of pixkin, of Python, of the libraries that are loaded, and of the system."""
    import platform
    from importlib import metadata

    libraries = []
    with suppress(Exception):  # whatever is damaged here, the rest is told
        packages = metadata.packages_distributions()
        for name in sorted({name for module in list(sys.modules) for name in packages.get(module, ())} - {"pixkin"}):
            with suppress(Exception):
                libraries.append(f"{name} {metadata.version(name)}")
    parts = [f"pixkin {version}", f"Python {platform.python_version()}", platform.platform(), *libraries]
    return ", ".join(parts)
