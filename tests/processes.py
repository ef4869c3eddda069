"""What other processes have loaded."""

from pathlib import Path


def has_torch(pid: int) -> bool:
    """Return whether a process has loaded torch, by the size of its libraries: only root may see which a worker has."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return (
        sum(int(line.split()[1]) for line in lines if line.startswith("VmLib:")) > 300_000
    )  # kB; without torch 60,000
