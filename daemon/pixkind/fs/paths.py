"""Paths compared by name alone; nothing is touched."""


def lies_in(path: str, folder: str) -> bool:
    """Return whether a path is a folder or lies in it, by name; both absolute."""
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
