"""Finds every file on a memory card and sorts the files into a few kinds, because a card is erased as a whole."""

import os
import stat
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from pixkin.protocol.replies import Welcome


class Kind(StrEnum):
    """What a file seems to be. The daemon is asked about photos only."""

    PHOTO = "photo"
    VIDEO = "video"
    SIDECAR = "sidecar"
    UNREAD = "unread photo"  # the daemon does not take it for a photo, by its suffix
    HIDDEN = "hidden file"  # its name begins with a dot, or it lies in such a folder, a bin, or a folder of the system
    LINK = "link"
    OTHER = "other file"


class CardFile(NamedTuple):
    """One file."""

    path: bytes
    kind: Kind
    top: bytes  # the folder that was named, or the folder of a file that was named


_VIDEOS: Final = frozenset(
    b"mp4 m4v mov qt avi mts m2ts m2t ts mpg mpeg mpe vob mod tod 3gp 3g2 mkv webm wmv asf flv dv mxf ogv lrv 360 insv r3d"
    b" braw crm".split()
)
_SIDECARS: Final = frozenset(b"xmp aae thm xml pp3 dop cos on1 vrd wav gpx srt json mie".split())
_PHOTOS: Final = frozenset(
    b"jpg jpeg jpe jfif jif jfi jp mpo png apng webp gif tif tiff bmp avif avifs heic heif hif heics jxl jp2 j2k jpf jpx jpm insp"
    b" psd psb exr hdr dng cr2 cr3 crw nef nrw arw sr2 srf raf rw2 raw orf ori pef ptx srw 3fr fff iiq rwl mrw x3f erf kdc dcr"
    b" dcs mos mef gpr cap eip lfp".split()
)
# What cameras and systems write for themselves. It never holds anything of a user's.
_BOOKKEEPING: Final = frozenset(
    (b".ds_store", b"thumbs.db", b"desktop.ini", b"autorun.inf", b"wpsettings.dat", b"indexervolumeguid")
)
_BOOKKEEPING_SUFFIX: Final = b"ctg"  # of Canon's catalogues
_BOOKKEEPING_FOLDERS: Final = frozenset((b".spotlight-v100", b".fseventsd"))
_LOST: Final = b"lost+found"
# The first bytes of pictures: JPEG, PNG, TIFF and most raw formats, GIF, Fujifilm's raw, JPEG 2000, JPEG XL, Photoshop.
_MAGIC: Final = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8", b"FUJIFILM", b"IIRO", b"IIU\0"),
    *(b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL ", b"\xff\x0a", b"8BPS"),
)
_HEIF_BRANDS: Final = frozenset((b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif", b"avis", b"crx "))


class Walk:
    """Walks folders; `unreadable` gets each folder that cannot be listed, with the reason."""

    def __init__(self, rules: Welcome) -> None:
        """Keep the daemon's rules: which suffixes are photos', and which folders it skips."""
        self._suffixes = {suffix.encode() for suffix in rules.suffixes}
        self._skipped = {name.encode() for name in rules.skipped}
        self.unreadable: list[tuple[bytes, str]] = []

    def files(self, places: Iterable[str]) -> Iterator[CardFile]:
        """Yield each file that is named, and each file of each folder: sorted, those of a folder before those below it."""
        for place in places:
            path = os.fsencode(os.path.abspath(place))
            if os.path.isdir(path):
                yield from self._below(path)
            else:
                kind = self._kind_of_name(os.path.basename(path))
                asked = kind if kind in (Kind.VIDEO, Kind.SIDECAR) else Kind.PHOTO
                yield CardFile(path, asked, os.path.dirname(path))

    def _below(self, top: bytes) -> Iterator[CardFile]:
        folders = [(top, False, False)]
        while folders:
            folder, is_hidden, is_bookkeeping = folders.pop()
            files: list[CardFile] = []
            below: list[tuple[bytes, bool, bool]] = []
            for path, is_folder, mode in self._listed(folder):
                name = os.path.basename(path).lower()
                hides = is_hidden or name.startswith(b".")
                if is_folder:
                    below.append((path, hides or name in self._skipped, is_bookkeeping or name in _BOOKKEEPING_FOLDERS))
                elif stat.S_ISLNK(mode):
                    files.append(CardFile(path, Kind.LINK, top))
                elif not stat.S_ISREG(mode):
                    files.append(CardFile(path, Kind.OTHER, top))
                elif not self._is_bookkeeping(name, within=is_bookkeeping):
                    files.append(CardFile(path, Kind.HIDDEN if hides else self._kind(path), top))
            yield from sorted(files)
            folders += sorted(below, reverse=True)

    def _listed(self, folder: bytes) -> Iterator[tuple[bytes, bool, int]]:
        """Yield path, whether it is a folder, and the mode of each entry of a folder; no link is followed."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        yield entry.path, True, 0
                    else:
                        yield entry.path, False, entry.stat(follow_symlinks=False).st_mode
        except OSError as error:
            if os.path.basename(folder) != _LOST:  # only root may list what fsck found
                self.unreadable.append((folder, (error.strerror or "cannot be read").lower()))

    def _is_bookkeeping(self, name: bytes, *, within: bool) -> bool:
        """Return whether a file holds nothing of a user's; `within`: it lies in a folder for such files."""
        suffix = _suffix(name)
        if within:
            return suffix not in _PHOTOS and suffix not in _VIDEOS
        return name in _BOOKKEEPING or suffix == _BOOKKEEPING_SUFFIX

    def _kind(self, path: bytes) -> Kind:
        kind = self._kind_of_name(os.path.basename(path))
        return Kind.UNREAD if kind is Kind.OTHER and _looks_like_photo(path) else kind

    def _kind_of_name(self, name: bytes) -> Kind:
        suffix = _suffix(name.lower())
        known = ((Kind.PHOTO, self._suffixes), (Kind.VIDEO, _VIDEOS), (Kind.SIDECAR, _SIDECARS), (Kind.UNREAD, _PHOTOS))
        return next((kind for kind, suffixes in known if suffix in suffixes), Kind.OTHER)


def _suffix(name: bytes) -> bytes:
    _, dot, suffix = name.rpartition(b".")
    return suffix if dot else b""


def _looks_like_photo(path: bytes) -> bool:
    """Return whether a file begins as a picture does, whatever its name is."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            head = os.read(descriptor, 12)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    is_webp = head[:4] == b"RIFF" and head[8:] == b"WEBP"
    return head.startswith(_MAGIC) or is_webp or (head[4:8] == b"ftyp" and head[8:] in _HEIF_BRANDS)
