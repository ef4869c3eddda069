import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.daemon.conftest import mount, unmount
from tests.daemon.fs.test_roots import Books

from pixkin.mounts import Mount, parse, read_mounts
from pixkin.protocol.replies import RootState
from pixkind.errors import ConfigError
from pixkind.fs.aliases import differs_only_in_case, same_files, second_names
from pixkind.fs.roots import resolve

_DISK = Mount(1, "8:1", "/", "/", "ext4", "/dev/sda1")
_BOUND = Mount(2, "8:1", "/home/photos/2020", "/mnt", "ext4", "/dev/sda1")
_DRIVE = Mount(3, "8:17", "/", "/media/a", "ext4", "/dev/sdb1")
_AGAIN = Mount(4, "8:17", "/", "/home/photos/usb", "ext4", "/dev/sdb1")
_LAYERS = ("/upper", "/home/photos", "/media/a/x")
_MERGED = Mount(5, "0:60", "/", "/merged", "overlay", "overlay", _LAYERS)
_SHARES = [Mount(6 + at, "0:70", "/", f"/nas/{name}", "nfs4", f"nas:/{name}") for at, name in enumerate("ab")]
_MOUNTS = [_DISK, _BOUND, _DRIVE, _AGAIN, _MERGED, *_SHARES]


def shows_same_files(one: str, other: str, mounts: Sequence[Mount]) -> bool:
    """Return whether the mount table tells that two folders are the same."""
    return same_files([one, other], mounts) == [(one, other)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/mnt", "/home/photos/2020", True),
        ("/mnt", "/home/photos", True),  # a part of it
        ("/mnt/may", "/home/photos", True),
        ("/mnt", "/home/photos/2021", False),
        ("/mnt", "/home/photos/2020s", False),
        ("/media/a", "/home/photos/usb", True),
        ("/media/a", "/home/photos", False),  # only the mount point in it is the same
        ("/merged", "/home/photos", True),
        ("/merged/2020", "/mnt", True),
        ("/merged/2021", "/mnt", False),
        ("/merged", "/media/a", True),
        ("/merged", "/srv", False),
        ("/nas/a", "/nas/b", False),  # the kernel gives both one device
        ("/nas/a", "/nas/a/b", True),
    ],
)
def test_what_is_mounted_tells_which_folders_are_the_same(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    """Bind mounts, drives that are mounted twice, and the layers of an overlay, in both directions."""
    assert shows_same_files(one, other, _MOUNTS) is shows_same_files(other, one, _MOUNTS) is same


def test_an_overlay_that_is_the_root_or_covers_its_own_layer_is_no_circle() -> None:
    """The layers of a container's `/` are not visible in it."""
    container = Mount(1, "0:60", "/", "/", "overlay", "overlay", ("/var/lib/lower",))
    covering = Mount(2, "0:61", "/", "/photos", "overlay", "overlay", ("/photos", "/upper"))

    assert not shows_same_files("/photos", "/home", [container, covering])
    assert shows_same_files("/photos", "/upper/2020", [_DISK, covering])


def test_the_layers_of_an_overlay_are_read() -> None:
    """Colons and commas in their names are escaped, and relative paths are unknown."""
    options = rb"rw,lowerdir=/a:/b\134:b::/c\134,c:../d,upperdir=/up,workdir=/work"
    (read,) = parse(b"5 1 0:60 / /merged rw - overlay overlay " + options)
    (new,) = parse(b"5 1 0:60 / /merged rw - overlay overlay rw,lowerdir+=/a,datadir+=/b,workdir=/work")

    assert read.layers == ("/a", "/b:b", "/c,c", "/up")
    assert new.layers == ("/a", "/b")


def test_a_mount_in_a_root_that_shows_known_files_is_a_second_name() -> None:
    """The first of two mounts is kept, and what lies in a second name is not needed to tell."""
    best = Mount(9, "8:1", "/home/photos/2020", "/home/photos/best", "ext4", "/dev/sda1")
    inner = Mount(10, "8:17", "/", "/home/photos/best/usb", "ext4", "/dev/sdb1")
    whole = Mount(11, "8:1", "/", "/home/photos/disk", "ext4", "/dev/sda1")
    mounts = [*_MOUNTS, best, inner, whole]
    roots = ["/home/photos"]

    assert second_names(roots, mounts) == {best.point: roots[0], whole.point: roots[0]}
    assert second_names([*roots, "/media/a/x"], mounts)[_AGAIN.point] == "/media/a/x"
    assert second_names(["/srv"], mounts) == {}


@pytest.mark.parametrize(
    ("one", "other", "names", "same"),
    [
        ("/card/DCIM", "/card/dcim", {"/card": {"DCIM", "x"}}, True),
        ("/card/DCIM", "/card/dcim/100", {"/card": {"DCIM"}}, True),
        ("/card/DCIM", "/card/dcim", {"/card": {"DCIM", "dcim"}}, False),
        ("/card/DCIM", "/card/dcim", {}, False),
        ("/card/caf\u00e9", "/card/cafe\u0301", {"/card": {"cafe\u0301"}}, True),
        ("/a/b", "/a/c", {"/a": {"b"}}, False),
        ("/A/b/c", "/a/B/c", {"/": {"A"}, "/A": {"B"}}, True),
    ],
)
def test_two_names_of_which_one_is_listed_are_one_folder(
    one: str,
    other: str,
    names: dict[str, set[str]],
    same: bool,  # noqa: FBT001
) -> None:
    """On a file system that ignores case, both names are found but one is listed."""
    assert differs_only_in_case(one, other, lambda folder: names.get(folder, set())) is same


@pytest.mark.parametrize("below", ["", "2020"])
def test_roots_that_are_one_by_a_mount_are_refused(short_tmp: Path, point: Path, below: str) -> None:
    """Whether all of a root is mounted elsewhere or a part; the sentence names both, and it is known only while mounted."""
    root = short_tmp / "root"
    (root / "2020").mkdir(parents=True)
    mount("--bind", root / below, point)
    with pytest.raises(ConfigError, match=re.escape(f"{root} and {point} show the same files")):
        resolve([str(root), str(point)])
    unmount(point)

    assert resolve([str(root), str(point)]) == [str(root), str(point)]


def test_a_root_that_becomes_another_one_by_a_mount_is_offline(short_tmp: Path, point: Path) -> None:
    """The later root is, for as long as it shows the files of the other one."""
    (short_tmp / "root").mkdir()
    (short_tmp / "root/a.jpg").touch()
    roots = Books().roots(short_tmp / "root", point)
    mount("--bind", short_tmp / "root", point)
    during = [roots.check(root) for root in roots.paths]
    shown = roots.root(str(point))
    unmount(point)

    assert during == [True, False]
    assert (shown.state, shown.reason) == (
        RootState.OFFLINE,
        f"it shows the files of {short_tmp}/root, which is watched too",
    )
    assert roots.check(str(point))


def test_a_bind_mount_in_a_root_changes_the_state_of_its_mounts(short_tmp: Path, point: Path) -> None:
    """So the root is scanned. The state says which folders are indexed once."""
    root = str(short_tmp)
    (short_tmp / "2020").mkdir()
    roots = Books().roots(root)
    roots.check(root)
    before, notes = roots.mount_state(root), [roots.note(root)]
    mount("--bind", short_tmp / "2020", point)
    roots.check(root)
    during = roots.mount_state(root)
    notes.append(roots.note(root))
    seconds = [roots.is_second_name(str(path)) for path in (point, point / "a.jpg", short_tmp / "2020/a.jpg")]

    assert before != during
    assert notes == ["", f"{point} shows files of {root}; they are indexed once"]
    assert seconds == [True, True, False]
    assert roots.is_unwatchable(str(point))


def test_a_real_overlay_shows_the_files_of_its_layers(short_tmp: Path, point: Path) -> None:
    """The kernel names the layers in the mount table."""
    lower, upper, work = (short_tmp / name for name in ("lower, and: more", "upper", "work"))
    for folder in (lower, upper, work):
        folder.mkdir()
    escaped = str(lower).replace(",", r"\,").replace(":", r"\:")
    mount("-t", "overlay", "overlay", "-o", f"lowerdir={escaped},upperdir={upper},workdir={work}", point)
    mounts = read_mounts()

    assert shows_same_files(str(point), str(lower), mounts)
    assert shows_same_files(str(point / "2020"), str(upper), mounts)
    assert not shows_same_files(str(point), str(work), mounts)
