import os
from pathlib import Path

import msgspec
import pytest

from pixkin.protocol.replies import RootState
from pixkind.config import Config
from pixkind.errors import ConfigError
from pixkind.fs.roots import WatchedRoots, resolve


class Books:
    """Stands for the store: the identities of roots, and whether it has photos of them."""

    def __init__(self) -> None:
        self.identities: dict[str, bytes] = {}
        self.holding: set[str] = set()

    def roots(self, *roots: Path | str) -> WatchedRoots:
        """Return the state of these roots."""
        return WatchedRoots(
            [str(root) for root in roots],
            Config().rules,
            load=self.identities.get,
            save=self.identities.__setitem__,
            has_photos=self.holding.__contains__,
        )


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/p", "/p"),
        ("/p/a.jpg", "/p"),
        ("/p/a/b.jpg", "/p"),
        ("/p2/a.jpg", None),
        ("/", None),
        ("/q/r", "/q/r"),
        ("/q", None),
    ],
)
def test_a_path_belongs_to_the_root_it_lies_in(books: Books, path: str, root: str | None) -> None:
    """A path with a root's name as a mere prefix does not lie in that root."""
    assert books.roots("/p", "/q/r").root_of(path) == root


def test_the_whole_file_system_can_be_a_root(books: Books) -> None:
    """Every path lies in the root `/`."""
    assert books.roots("/").root_of("/p/a.jpg") == "/"


def test_a_root_is_offline_until_it_has_been_looked_at(books: Books, tmp_path: Path) -> None:
    """A root is offline before its first check, which stores its identity."""
    roots = books.roots(tmp_path)
    before = roots.root(str(tmp_path))
    online = roots.check(str(tmp_path))

    assert (before.state, before.reason) == (RootState.OFFLINE, "not checked yet")
    assert online
    assert roots.root(str(tmp_path)).state is RootState.ONLINE
    assert list(books.identities) == [str(tmp_path)]


def test_another_folder_at_the_same_path_is_not_the_root(books: Books, tmp_path: Path) -> None:
    """The identity survives restarts, so another folder is offline and the right one is online when it comes back."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").touch()
    books.holding.add(str(root))
    books.roots(root).check(str(root))
    books.holding.add(str(root))
    roots = books.roots(root)
    books.identities[str(root)] = books.identities[str(root)].replace(b"/root", b"/toor")
    moved = roots.check(str(root))
    why = roots.root(str(root)).reason
    books.identities[str(root)] = books.identities[str(root)].replace(b"/toor", b"/root")

    assert not moved
    assert why.startswith("another drive")
    assert roots.check(str(root))


def test_an_empty_folder_is_believed_only_while_nothing_is_known_of_it(books: Books, tmp_path: Path) -> None:
    """An empty folder may be a mount point without its drive, so it is offline if the index has photos of it."""
    roots = books.roots(tmp_path)
    new = roots.check(str(tmp_path))
    books.holding.add(str(tmp_path))
    empty = roots.check(str(tmp_path))
    (tmp_path / "a.jpg").touch()

    assert (new, empty, roots.check(str(tmp_path))) == (True, False, True)


def test_a_root_without_photos_takes_whatever_is_there_for_itself(books: Books, tmp_path: Path) -> None:
    """The first start may have seen the mount point without its drive; without photos there is nothing to protect."""
    root = tmp_path / "root"
    root.mkdir()
    books.roots(root).check(str(root))
    right = books.identities[str(root)]
    books.identities[str(root)] = right.replace(b"/root", b"/toor")

    assert books.roots(root).check(str(root))
    assert books.identities[str(root)] == right


def test_a_root_that_is_not_fully_watched_is_degraded(books: Books, tmp_path: Path) -> None:
    """A root that is not fully watched is degraded, but a root that is missing is offline."""
    there, missing = tmp_path, tmp_path / "missing"
    roots = books.roots(there, missing)
    for root in (there, missing):
        roots.check(str(root))
    shown = [roots.root(str(root), "too many folders") for root in (there, missing)]

    assert [(root.state, root.reason) for root in shown] == [
        (RootState.DEGRADED, "too many folders"),
        (RootState.OFFLINE, "missing, and pixkin has never seen it"),
    ]
    assert roots.is_online(str(there))


def test_a_root_need_not_be_utf8(books: Books, tmp_path: Path) -> None:
    """The name of a root is reported as the bytes that the kernel has."""
    name = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(name)
    roots = books.roots(os.fsdecode(name))

    assert roots.check(os.fsdecode(name))
    assert roots.root(os.fsdecode(name)).path == name


def test_roots_that_are_one_through_a_link_are_refused(tmp_path: Path) -> None:
    """The error for roots that are the same, or inside one another, names both, and where they lead."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "same").symlink_to("a")
    (tmp_path / "inner").symlink_to("a/b")
    a, same, inner = (str(tmp_path / name) for name in ("a", "same", "inner"))

    assert resolve([inner]) == [f"{a}/b"]
    for folders, where in (
        ([a, same], f"{a} and {same} are the same folder, {a}"),
        ([inner, a], rf"{inner} \({a}/b\) lies in {a} \({a}\)"),
    ):
        with pytest.raises(ConfigError, match=where):
            resolve(folders)


def test_a_paused_root_is_online_and_not_read(books: Books, tmp_path: Path) -> None:
    """A paused root is online but not read; the pause ends with `resume`, or when the drive was away and is back."""
    root = str(tmp_path / "root")
    (tmp_path / "root").mkdir()
    roots = books.roots(root)
    roots.check(root)
    seen = []
    roots.pause(root)
    roots.check(root)
    seen.append((roots.is_online(root), roots.is_read(root), roots.root(root).state))
    roots.resume(root)
    seen.append((roots.is_online(root), roots.is_read(root), roots.root(root).state))
    roots.pause(root)
    (tmp_path / "root").rmdir()
    roots.check(root)
    seen.append((roots.is_online(root), roots.is_read(root), roots.root(root).state))
    (tmp_path / "root").mkdir()
    roots.check(root)
    seen.append((roots.is_online(root), roots.is_read(root), roots.root(root).state))

    assert seen == [
        (True, False, RootState.PAUSED),
        (True, True, RootState.ONLINE),
        (False, False, RootState.OFFLINE),
        (True, True, RootState.ONLINE),
    ]


def test_the_mount_point_of_a_known_drive_is_kept(books: Books, tmp_path: Path) -> None:
    """An older store has no mount point; the next check that finds the drive adds it, and changes nothing else."""
    root = str(tmp_path)
    (tmp_path / "a.jpg").touch()
    books.roots(root).check(root)
    identity = msgspec.msgpack.decode(books.identities[root])
    books.holding.add(root)
    books.identities[root] = msgspec.msgpack.encode({**identity, "point": "", "fstype": "older"})
    online = books.roots(root).check(root)

    assert online
    assert msgspec.msgpack.decode(books.identities[root]) == {**identity, "fstype": "older"}
