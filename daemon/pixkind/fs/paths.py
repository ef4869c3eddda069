"""Compares paths by name alone, without touching any file."""


def lies_in(path: str, folder: str) -> bool:
    """Return whether a path is `folder` or lies in it, by name alone; both are absolute."""
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
