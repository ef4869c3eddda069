import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.daemon.conftest import mount, unmount

from pixkin.mounts import Mount, read_mounts
from pixkin.protocol.replies import RootState
from pixkind.fs.identity import (
    DriveIdentity,
    RootCheck,
    assess,
    device_uuid,
    identify,
    is_local,
    is_unmounted,
    mismatch,
    resolve_locally,
    unique_id,
)

DRIVE = DriveIdentity(fstype="ext4", folder="/photos", fs_uuid="aaaa", device_uuid="aaaa", fsid="01")
UNMOUNTED = "its drive is not mounted"


@pytest.fixture
def image(short_tmp: Path) -> Callable[[str], Path]:
    """Return a maker of ext4 images, each with its own UUID."""

    def make(name: str) -> Path:
        file = short_tmp / name
        with open(file, "wb") as stream:
            stream.truncate(4 << 20)
        subprocess.run(["mkfs.ext4", "-q", file], check=True)
        return file

    return make


def seen(path: Path) -> DriveIdentity:
    return identify(str(path), read_mounts())


def look(path: Path, known: DriveIdentity | None = None, *, has_photos: bool = False) -> RootCheck:
    return assess(str(path), known, has_photos=has_photos, mounts=read_mounts())


def test_the_same_image_on_another_loop_device_is_the_same_drive(
    short_tmp: Path, point: Path, image: Callable[[str], Path]
) -> None:
    """A drive is recognised although its device number has changed."""
    drive, other = image("drive"), image("other")
    mount("-o", "loop", drive, point)
    first, number = seen(point), os.stat(point).st_dev
    unmount(point)
    elsewhere = short_tmp / "elsewhere"
    elsewhere.mkdir()
    mount("-o", "loop", other, elsewhere)  # takes the loop device that was free
    try:
        mount("-o", "loop", drive, point)
        again, new_number = seen(point), os.stat(point).st_dev
    finally:
        unmount(elsewhere)

    assert number != new_number
    assert first.fs_uuid or first.fsid
    assert mismatch(first, again) == ""


def test_another_image_on_the_same_point_is_another_drive(point: Path, image: Callable[[str], Path]) -> None:
    """The path does not identify the drive: a second ext4 on the same mount point leaves the root offline."""
    mount("-o", "loop", image("mine"), point)
    known = seen(point)
    unmount(point)
    mount("-o", "loop", image("yours"), point)
    found = look(point, known, has_photos=True)

    assert found.state is RootState.OFFLINE
    assert found.reason.startswith("another drive: ext4 ")
    assert found.identity is not None
    assert found.identity != known


def test_an_ext4_is_known_by_its_own_uuid(point: Path, image: Callable[[str], Path]) -> None:
    """The UUID from the kernel is the one in the superblock; kernels before 6.9 report none."""
    drive = image("drive")
    superblock = drive.read_bytes()[1024:2048]
    mount("-o", "loop", drive, point)
    identity = seen(point)

    assert identity.fs_uuid.replace("-", "") in {superblock[0x68:0x78].hex(), ""}
    assert identity.fsid


def test_an_unmounted_drive_is_offline(point: Path, image: Callable[[str], Path]) -> None:
    """The empty mount point that a drive leaves behind deletes nothing, with a known identity or without."""
    mount("-o", "loop", image("drive"), point)
    known = seen(point)
    unmount(point)
    found = look(point, known, has_photos=True)

    assert found.state is RootState.OFFLINE
    assert found.reason == UNMOUNTED
    assert look(point, None, has_photos=True).reason == "empty, but the index has photos of it"


@pytest.mark.parametrize("folder", ["", "photos"])
@pytest.mark.parametrize("kind", ["drive", "bind", "old"])
def test_what_stands_below_an_empty_mount_point_is_no_other_drive(
    short_tmp: Path, point: Path, image: Callable[[str], Path], kind: str, folder: str
) -> None:
    """The folder that the drive had covered belongs to the drive of its parent, whatever is in it."""
    (point / folder).mkdir(exist_ok=True)
    (point / folder / "a.jpg").touch()
    (short_tmp / "source").mkdir()
    mount(*(("--bind", short_tmp / "source") if kind == "bind" else ("-o", "loop", image("drive"))), point)
    (point / folder).mkdir(exist_ok=True)
    known = seen(point / folder)
    if kind == "old":
        known = msgspec.structs.replace(known, point="")  # an older store has no mount point
    unmount(point)
    found = look(point / folder, known, has_photos=True)

    assert found.state is RootState.OFFLINE
    assert (found.reason == UNMOUNTED) == ((kind, folder) != ("old", "photos"))


def test_a_drive_that_covers_the_mount_point_is_another_drive(
    short_tmp: Path, point: Path, image: Callable[[str], Path]
) -> None:
    """A drive that is mounted at the same point, or below it over the root, is there in place of the known one."""
    mount("-o", "loop", image("drive"), point)
    (point / "photos").mkdir()
    known = seen(point / "photos")
    mount("-t", "tmpfs", "none", point / "photos")
    below = look(point / "photos", known, has_photos=True)
    unmount(point / "photos")
    unmount(point)
    mount("--bind", short_tmp, point)
    (short_tmp / "photos").mkdir()
    instead = look(point / "photos", known, has_photos=True)

    assert [one.reason.split(":")[0] for one in (below, instead)] == ["another drive"] * 2


def test_an_automount_point_that_waits_is_no_other_drive() -> None:
    """With x-systemd.automount, an autofs is at the mount point until somebody needs the drive."""
    assert is_unmounted("/photos", DRIVE, DriveIdentity(fstype="autofs", folder="/", point="/photos"))


def test_a_tmpfs_mounted_anew_is_another_drive(point: Path) -> None:
    """The contents of a tmpfs are gone with it, so the next tmpfs on the same mount point is another drive."""
    mount("-t", "tmpfs", "same-name", point)
    known = seen(point)
    unmount(point)
    mount("-t", "tmpfs", "same-name", point)
    if not known.fs_uuid:
        pytest.skip("this kernel tells no UUID of a tmpfs (before 6.9)")

    assert look(point, known).reason.startswith("another drive: tmpfs UUID ")


def test_bind_mounts_of_one_drive_are_told_apart(short_tmp: Path, point: Path) -> None:
    """Two folders of one file system, bound to the same point one after the other, are not the same root."""
    for name in ("a", "b"):
        (short_tmp / name).mkdir()
    mount("--bind", short_tmp / "a", point)
    known = seen(point)
    unmount(point)
    mount("--bind", short_tmp / "b", point)
    other = look(point, known)
    unmount(point)
    mount("--bind", short_tmp / "a", point)

    assert other.state is RootState.OFFLINE
    assert known.folder in other.reason
    assert look(point, known) == RootCheck(RootState.ONLINE, "", known)


def test_a_folder_is_the_same_through_a_bind_mount(short_tmp: Path, point: Path) -> None:
    """A root is identified by its place inside the file system, not by the path to it."""
    (short_tmp / "drive/photos").mkdir(parents=True)
    direct = seen(short_tmp / "drive/photos")
    mount("--bind", short_tmp / "drive", point)

    assert mismatch(seen(point / "photos"), direct) == mismatch(direct, seen(point / "photos")) == ""


def test_a_symlinked_root_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    """A root may be a symbolic link; if it leads elsewhere later, it is not the same root."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("a")
    known = seen(tmp_path / "link")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("b")

    assert known == seen(tmp_path / "a")
    assert look(tmp_path / "link", known).state is RootState.OFFLINE


def test_a_folder_that_stands_is_online(tmp_path: Path) -> None:
    """An unknown root is online with the identity that it has, and online again at the next check."""
    (tmp_path / "a.jpg").touch()
    first = look(tmp_path, has_photos=True)

    assert first == RootCheck(RootState.ONLINE, "", seen(tmp_path))
    assert look(tmp_path, first.identity, has_photos=True) == first


def test_an_empty_root_is_offline_only_if_the_index_is_not_empty(tmp_path: Path) -> None:
    """An empty folder is accepted as a new root, and is offline as an old one."""
    known = seen(tmp_path)

    assert look(tmp_path, known, has_photos=False).state is RootState.ONLINE
    assert look(tmp_path, known, has_photos=True) == RootCheck(
        RootState.OFFLINE, "empty, but the index has photos of it", known
    )


def test_a_root_that_is_not_there_says_how(tmp_path: Path) -> None:
    """A missing path, a file, a dangling link and a loop of links are offline, each with its reason."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")

    assert look(tmp_path / "none") == RootCheck(RootState.OFFLINE, "missing", None, is_missing=True)
    assert look(tmp_path / "file") == RootCheck(RootState.OFFLINE, "not a folder", None)
    assert look(tmp_path / "dangling") == RootCheck(RootState.OFFLINE, "missing", None, is_missing=True)
    assert look(tmp_path / "loop").reason == "cannot be read: Too many levels of symbolic links"


def test_a_root_that_cannot_be_read_is_offline(short_tmp: Path) -> None:
    """A closed folder is offline with the system's own reason; nothing is raised."""
    short_tmp.chmod(0o755)
    closed = short_tmp / "closed"
    closed.mkdir(mode=0)
    if os.geteuid() == 0:
        os.seteuid(65534)  # root may read everything
    try:
        found = look(closed)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)

    assert found == RootCheck(RootState.OFFLINE, "cannot be read: Permission denied", None)


def test_the_strongest_kind_that_both_have_decides() -> None:
    """The strongest kind that both have decides; weaker kinds may differ, and kinds that one side lacks are skipped."""
    weaker = msgspec.structs.replace(DRIVE, device_uuid="bbbb", fsid="02", fstype="ext3")
    without = DriveIdentity(fstype="ext4", folder="/photos", fsid="02")
    bare = DriveIdentity(fstype="ext4", folder="/photos")

    assert mismatch(DRIVE, weaker) == ""
    assert mismatch(DRIVE, without) == "another drive: ext4 id 02 instead of 01"
    assert mismatch(DRIVE, bare) == ""
    assert mismatch(DRIVE, msgspec.structs.replace(bare, fstype="vfat")).endswith("file system vfat instead of ext4")


def test_two_shares_of_one_kind_are_two_drives() -> None:
    """Without a UUID, a server's export is identified by its name."""
    nas = DriveIdentity(fstype="nfs4", folder="/", share="nas:/photos")

    assert mismatch(nas, nas) == ""
    assert mismatch(nas, msgspec.structs.replace(nas, share="nas:/music")) == (
        "another drive: nfs4 share nas:/music instead of nas:/photos"
    )


def test_an_identity_survives_its_way_through_msgpack() -> None:
    """An identity survives encoding and decoding."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(DRIVE), type=DriveIdentity) == DRIVE


def test_a_file_system_without_a_uuid_is_known_by_its_kind() -> None:
    """If the kernel reports no UUID, that kind is empty and the others remain."""
    proc = seen(Path("/proc"))

    assert (proc.fstype, proc.fs_uuid, proc.device_uuid, proc.fsid) == ("proc", "", "", "")
    assert mismatch(proc, seen(Path("/proc"))) == ""


def test_udevs_links_name_a_device(tmp_path: Path) -> None:
    """The link to the mount's source names its UUID; dangling links and links to other devices are ignored."""
    devices = [f"/dev/{name}" for name in sorted(os.listdir("/dev")) if stat.S_ISBLK(os.stat(f"/dev/{name}").st_mode)]
    if len(devices) < 2:
        pytest.skip("no two block devices here")
    (tmp_path / "0000-0000").symlink_to("/dev/nowhere")
    (tmp_path / "1111-1111").symlink_to(devices[1])
    (tmp_path / "2222-2222").symlink_to(devices[0])

    assert device_uuid(devices[0], str(tmp_path)) == "2222-2222"
    assert device_uuid("/dev/null", str(tmp_path)) == ""
    assert device_uuid(devices[0], str(tmp_path / "none")) == ""
    assert device_uuid("/dev/root-that-is-no-file", str(tmp_path)) == ""


def test_only_file_systems_that_cannot_hang_are_local() -> None:
    """The daemon leaves network and FUSE file systems to a helper process."""
    kinds = {
        kind: is_local(Mount(1, "0:1", "/", "/m", kind, "x")) for kind in ("ext4", "vfat", "nfs4", "cifs", "fuse.sshfs")
    }

    assert kinds == {"ext4": True, "vfat": True, "nfs4": False, "cifs": False, "fuse.sshfs": False}


def test_a_drive_that_is_mounted_again_has_another_mount(point: Path) -> None:
    """The kernel reuses the ids of mountinfo at once, but never this number, so it reveals a quick remount."""
    if not unique_id("/"):
        pytest.skip("this kernel tells no unique mount ids")
    numbers = [unique_id(str(point))]
    for _ in range(3):
        mount("-t", "tmpfs", "none", point)
        numbers.append(unique_id(str(point)))
        unmount(point)

    assert len(set(numbers)) == 4
    assert unique_id(str(point)) == numbers[0]


_HERE = Mount(1, "8:1", "/", "/", "ext4", "/dev/sda1")


@pytest.mark.parametrize(
    "path",
    ["a/b", "link/b", "link/../a", "up/x", "loop/x", "a/missing/../c", "link//b/.", "chain", "abs/b", ""],
)
def test_a_path_is_resolved_as_the_kernel_does(tmp_path: Path, path: str) -> None:
    """On local file systems `resolve_locally` returns the same as realpath."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").touch()
    for name, aim in (("link", "a"), ("up", "a/../a"), ("loop", "loop"), ("chain", "link/b"), ("abs", tmp_path / "a")):
        (tmp_path / name).symlink_to(aim)
    asked = f"{tmp_path}/{path}"

    assert resolve_locally(asked, [_HERE])[0] == os.path.realpath(asked)


def test_nothing_is_touched_on_what_may_hang(tmp_path: Path) -> None:
    """A link to such a mount is followed up to the mount point; the rest of the path is left as it is."""
    share = Mount(2, "0:50", "/", str(tmp_path / "share"), "nfs4", "server:/export")
    (tmp_path / "share").mkdir()
    (tmp_path / "share/link").symlink_to("/etc")
    (tmp_path / "photos").symlink_to("share")

    assert resolve_locally(str(tmp_path / "photos/link/x.jpg"), [_HERE, share]) == (
        str(tmp_path / "share/link/x.jpg"),
        share,
    )
