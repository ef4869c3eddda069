"""Whether two files that were looked at are two: one that is erased must not vouch for itself."""

import pytest

from pixkin.two_files import SeenFile, are_two_files, is_one_file

_S = 1_000_000_000
CARD = SeenFile("exfat", "8:17", "8:17", 7, 1_700_000_000 * _S, 1_700_000_000 * _S)
DISK = SeenFile("ext4", "8:2", "8:2", 9, 1_700_000_000 * _S, 1_700_009_999 * _S + 123_456_789)
POOL = SeenFile("fuse.mergerfs", "0:55", "0:55", 9, 1_700_000_000 * _S, 1_700_009_999 * _S + 123_456_789)


@pytest.mark.parametrize(
    ("one", "other", "two"),
    [
        (CARD, DISK, True),
        (DISK, DISK, False),
        (DISK, DISK._replace(inode=10, ctime_ns=DISK.ctime_ns), True),  # the kernel tells its files apart
        (DISK._replace(device="0:41"), DISK._replace(device="0:42"), True),  # subvolumes
        (CARD._replace(fstype="fuseblk"), DISK, True),  # a drive of its own
        # exfat-fuse gives a name in another case another inode.
        (CARD._replace(fstype="fuseblk"), CARD._replace(fstype="fuseblk", inode=8), False),
        (POOL, DISK, False),  # a pool and its disk
        (POOL, DISK._replace(ctime_ns=DISK.ctime_ns + 5_000), True),
        (POOL, DISK._replace(ctime_ns=DISK.ctime_ns // 100 * 100), False),  # a share that has no finer times
        (POOL, CARD, True),
        (POOL._replace(ctime_ns=CARD.ctime_ns), CARD, False),  # a pool with the card in it
        (
            POOL._replace(mtime_ns=CARD.mtime_ns // (2 * _S) * 2 * _S, ctime_ns=CARD.ctime_ns + _S),
            CARD,
            False,
        ),  # coarse
        (POOL._replace(ctime_ns=POOL.mtime_ns), DISK, False),  # sshfs reports no ctime
        (POOL._replace(mtime_ns=5 * _S), DISK, True),
        (DISK._replace(fstype="overlay"), DISK._replace(fstype="overlay", inode=10), True),
        (DISK._replace(fstype="overlay", mount="0:60"), DISK._replace(inode=10), False),  # and its layer
        (CARD._replace(inode=0), DISK, True),  # it could not be looked at, but is on another drive
        (DISK._replace(inode=0), DISK, False),
        (POOL._replace(inode=0), DISK, False),
    ],
)
def test_files_are_two_only_if_nothing_else_is_possible(one: SeenFile, other: SeenFile, *, two: bool) -> None:
    """It is the same in either order."""
    assert are_two_files(one, other) is two
    assert are_two_files(other, one) is two


def test_device_and_inode_make_one_file() -> None:
    """What could not be looked at is not surely one file, either."""
    assert is_one_file(DISK, DISK._replace(mount="8:99"))
    assert not is_one_file(DISK, DISK._replace(inode=10))
    assert not is_one_file(DISK._replace(inode=0), DISK._replace(inode=0))
