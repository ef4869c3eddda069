"""A user's folders, and a program that records how a desktop has started it."""

import os
from pathlib import Path

import pytest

# Each would do harm, or be another name, if a shell, an entry or a list read it.
NAMES = (
    b"plain.jpg",
    b"two  words .jpg",
    b'it\'s "quoted".jpg',
    b"line\nbreak\n.jpg",
    b"100%f %20 %% %.jpg",
    b"-n --remove.jpg",
    b"$(touch harm) `touch harm`; touch harm & |.jpg",
    b"back\\slash\\n *?[a-z] ~.jpg",
    b"no UTF-8 \xff\xfe.jpg",
    "Ünï\u2028code.jpg".encode(),
    b"#part?query&amp;<b>.jpg",
)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose folders are empty."""
    places = {f"XDG_{name}": str(tmp_path / name.lower()) for name in ("CONFIG_HOME", "DATA_HOME", "CONFIG_DIRS")}
    return {**os.environ, **places, "HOME": str(tmp_path)}


class Recorder:
    """A program at a path that every file must quote."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / 'it\'s a "pix" $HOME `id`; & <pix> \\n' / "pixkin"
        self.path.parent.mkdir()
        self._file = folder / "recorded"
        self.path.write_text(
            f"#!/bin/sh\nprintf '%s\\0' \"$@\" > {folder}/part\nmv {folder}/part {self._file}\n", encoding="ascii"
        )
        self.path.chmod(0o755)

    def has_run(self) -> bool:
        """Return whether it was started."""
        return self._file.exists()

    def arguments(self) -> list[bytes]:
        """Return what it was given at its last start."""
        data = self._file.read_bytes()
        self._file.unlink()
        return data.split(b"\0")[:-1]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Return the program."""
    return Recorder(tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> list[bytes]:
    """Return the paths of photos with hostile names."""
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    paths = [folder + b"/" + name for name in NAMES]
    for path in paths:
        with open(path, "wb"):
            pass
    return paths
