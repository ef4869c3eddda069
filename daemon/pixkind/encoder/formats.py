"""The formats of photos, the package that reads each, and the command that installs it.

The worker shares this table. It imports none of the packages: their metadata say whether they are installed. Any thread.
"""

from dataclasses import dataclass, field
from typing import Final

from pixkin import installing


@dataclass(frozen=True, slots=True)
class PhotoFormat:
    """One format, or several that come with one package."""

    name: str
    suffixes: tuple[str, ...]  # of photos, unless the configuration says otherwise; lower case, without the dot
    package: str  # its name for pip
    extra: str  # of pixkin, which installs the package
    licence: str  # of the package, and of the libraries in its wheel

    @property
    def install(self) -> str:
        """The command that makes it readable."""
        return installing.command(self.extra)

    def version(self) -> str:
        """Return the version of its package; empty: not installed."""
        return installing.version(self.package)


_PILLOW: Final = ("pillow", "daemon", "MIT-CMU; libraries: BSD, MIT, zlib and the like")
HEIF: Final = PhotoFormat(
    "HEIC, HEIF",
    ("heic", "heif", "hif", "heics"),
    *("pillow-heif", "heif", "BSD-3-Clause; libheif and libde265: LGPL-3.0, x265 (unused): GPL-2.0"),
)
JXL: Final = PhotoFormat(
    *("JPEG XL", ("jxl",)), *("pylibjxl", "jxl", "BSD-3-Clause; libjxl: BSD-3-Clause, libjpeg-turbo: IJG and BSD")
)
RAW: Final = PhotoFormat(
    "camera RAW",
    (
        *("dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "sr2", "srf", "raf", "rw2", "orf", "pef", "srw"),
        *("3fr", "fff", "iiq", "rwl", "mrw", "x3f", "erf", "kdc", "dcr", "mos", "mef", "gpr"),
    ),
    *("rawpy", "raw", "MIT; LibRaw: LGPL-2.1 or CDDL-1.0, JasPer: JasPer-2.0"),
)
FORMATS: Final = (
    # insp: of a camera for panoramas; jps: both pictures of a stereo camera side by side.
    PhotoFormat("JPEG", ("jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "mpo", "insp", "jps"), *_PILLOW),
    PhotoFormat("PNG", ("png", "apng"), *_PILLOW),
    PhotoFormat("WebP", ("webp",), *_PILLOW),
    PhotoFormat("GIF", ("gif",), *_PILLOW),
    PhotoFormat("TIFF", ("tif", "tiff"), *_PILLOW),
    PhotoFormat("BMP", ("bmp", "dib"), *_PILLOW),
    PhotoFormat("AVIF", ("avif", "avifs"), *_PILLOW),
    PhotoFormat("JPEG 2000", ("jp2", "j2k", "j2c", "jpc", "jpf", "jpx"), *_PILLOW),
    *(HEIF, JXL, RAW),
)


LOOK_S: Final = 60.0  # between two looks; a look takes 2 ms


def decoders() -> str:
    """Return all packages that read photos, with their versions: after a change a refused photo may be readable."""
    packages = {one.package: one for one in FORMATS}
    return ", ".join(f"{package} {one.version() or 'none'}" for package, one in packages.items())


@dataclass(slots=True)
class DecoderChange:
    """Notices that a decoder was installed, removed or upgraded while the daemon runs. One thread."""

    _known: str = field(default_factory=decoders)
    _seen: str = ""  # at the last look
    _next_s: float = 0.0

    def has_come(self, now: float) -> bool:
        """Return once for each change whether there was one, and the installation is done: two looks in a row saw the same.

        Args:
            now: monotonic seconds.
        """
        if now < self._next_s:
            return False
        self._next_s = now + LOOK_S
        before, self._seen = self._seen, decoders()
        if self._seen == self._known or self._seen != before:
            return False
        self._known = self._seen
        return True
