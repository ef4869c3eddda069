import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import wait_for

from pixkind.system import pressure

_LINES = "some avg10={some:.2f} avg60=1.00 avg300=1.00 total=9\nfull avg10={full:.2f} avg60=2.00 avg300=2.00 total=9\n"
_WRITER = """
import os, sys
while True:
    file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
    os.pwrite(file, os.urandom(1 << 16), 0)
    os.fsync(file)
    os.close(file)
"""


def _write(file: Path, some: float, full: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_LINES.format(some=some, full=full))


def test_memory_is_of_the_whole_machine(tmp_path: Path) -> None:
    """Memory pressure counts if some program waited."""
    _write(tmp_path / "memory", 31.5, 12)

    assert pressure.memory(str(tmp_path)) == 31.5


def test_the_disk_is_of_the_groups_beside_ours(tmp_path: Path) -> None:
    """Disk pressure is the maximum over the sibling groups on each level; our group and its parents do not count."""
    groups, own = tmp_path / "groups", tmp_path / "own"
    own.write_text("1:name=systemd:/elsewhere\n0::/user.slice/user@1.service/background.slice/pixkind.service\n")
    ours = groups / "user.slice/user@1.service/background.slice/pixkind.service"
    for folder in (groups, *ours.relative_to(groups).parents, ours.relative_to(groups)):
        _write(groups / folder / "io.pressure", 99, 98)
    alone = pressure.disk(str(groups), str(own))
    _write(groups / "system.slice/io.pressure", 90, 3)
    _write(groups / "user.slice/user@1.service/app.slice/io.pressure", 90, 41.5)
    _write(groups / "user.slice/user@1.service/background.slice/other.service/io.pressure", 90, 7)

    assert (alone, pressure.disk(str(groups), str(own))) == (0, 41.5)


@pytest.mark.parametrize("own", ["", "0::/\n", "4:memory:/x\n", "0::/gone/away\n"])
def test_where_nothing_is_counted_there_is_no_pressure(tmp_path: Path, own: str) -> None:
    """The pressure is 0 without kernel support, in a container, in an old hierarchy, and with an invalid file."""
    (tmp_path / "memory").write_text("rubbish\n")
    (tmp_path / "own").write_text(own)
    _write(tmp_path / "io.pressure", 99, 99)

    assert pressure.memory(str(tmp_path / "none")) == pressure.memory(str(tmp_path)) == 0
    assert pressure.disk(str(tmp_path), str(tmp_path / "own")) == 0
    assert pressure.disk(str(tmp_path), str(tmp_path / "none")) == 0
    assert 0 <= pressure.memory() <= 100
    assert 0 <= pressure.disk() <= 100


@pytest.fixture
def hierarchy() -> Iterator[Path]:
    """Yield the root of the real groups, with two of our own in it."""
    roots = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    root = next((one for one in roots if (one / "cgroup.controllers").exists()), None)
    if root is None or os.geteuid() != 0 or not os.access(root, os.W_OK):
        pytest.skip("needs a second hierarchy of control groups that may be written to")
    made = [root / f"pixkin-{name}-{os.getpid()}" for name in ("ours", "other")]
    for group in made:
        group.mkdir()
    if not (made[0] / "io.pressure").exists():
        pytest.skip("this kernel counts no pressure of groups")
    yield root
    for group in made:
        wait_for(lambda: not (group / "cgroup.procs").read_text())  # noqa: B023  # called at once
        group.rmdir()


def test_a_real_group_that_waits_is_seen_and_our_own_is_not(hierarchy: Path, tmp_path: Path) -> None:
    """With the kernel's own figures, a program in a sibling group counts, and the same program in our group does not."""
    ours, other = (f"pixkin-{name}-{os.getpid()}" for name in ("ours", "other"))
    (tmp_path / "ours").write_text(f"0::/{ours}\n")
    (tmp_path / "other").write_text(f"0::/{other}\n")
    with subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path / "file"]) as writer:
        try:
            (hierarchy / other / "cgroup.procs").write_text(str(writer.pid))
            try:
                wait_for(lambda: float((hierarchy / other / "io.pressure").read_text().split("=")[5].split()[0]) > 2, 8)
            except TimeoutError:
                pytest.skip("to write here waits for no disk")
            beside, itself = (pressure.disk(str(hierarchy), str(tmp_path / own)) for own in ("ours", "other"))
        finally:
            writer.kill()

    assert beside > 1
    assert itself < beside
