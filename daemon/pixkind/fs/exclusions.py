"""Leaves photos and folders out by patterns, and by what folders say of themselves.

The patterns are those of gitignore(5). They stand in two places:

1. `BUILT_IN`, and then `[index] exclude` of the configuration: relative to each root. The last one that matches decides.
   What they leave out, no file takes in again: so the watcher need not look there.
2. `.pixkinignore` in any folder: relative to that folder. One that is deeper decides before one that is higher.

A pattern with `!` in front takes a photo in again, but nothing below a folder that is left out. A folder with `.nomedia`, as
Android has it, or with the CACHEDIR.TAG of a cache is left out as a whole; a root never is, because its owner has named it.

What is left out counts as gone, not as deleted: its records and vectors stay as long as those of a photo that is gone, so
taking it in again costs no encode.

pathspec makes a regular expression of each pattern. Here it is compared with the entry itself: each folder above was decided
before, and git does the same. pathspec's own answer for a whole path differs from git's where a folder is taken in again.

A drive of a stranger may bring `.pixkinignore` too, and matching takes time that grows with each star. So such a pattern may
have only a few, and those that hold for one photo are bounded in number.
"""

import logging
import os
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from msgspec import Struct
from pathspec import GitIgnoreSpec

from pixkin.mounts import lies_in

_log = logging.getLogger(__name__)

IGNORE_FILE: Final = ".pixkinignore"
NO_MEDIA: Final = ".nomedia"
CACHE_TAG: Final = "CACHEDIR.TAG"
MARKERS: Final = frozenset({IGNORE_FILE, NO_MEDIA, CACHE_TAG})
SIGNATURE: Final = b"Signature: 8a477f597d28d172789f06886806bc55"  # of CACHE_TAG. Source: bford.info/cachedir
LARGEST: Final = 1 << 16  # bytes of IGNORE_FILE that are read

# What other programs make from photos, and folders in which nobody keeps any.
BUILT_IN: Final = (
    "*.lrdata/",  # Lightroom: previews
    "*.lrcat-data/",
    "CaptureOne/Cache/",  # Capture One: previews and thumbnails of a session
    "*.cocatalog/Cache/",  # of a catalogue
    "*.photoslibrary/resources/",  # Apple Photos: what it derives; the photos are in originals
    "*.photoslibrary/private/",
    "*.photoslibrary/scopes/",
    "*.photolibrary/Thumbnails/",  # iPhoto, Aperture
    "*.aplibrary/Thumbnails/",
    "*.aplibrary/Previews/",
    "appdata_*/preview/",  # Nextcloud
    "node_modules/",
    "__pycache__/",
    "site-packages/",
)

# Stars of a pattern from IGNORE_FILE, without a `**/` in front: with the worst path two take 0.3 ms, three 30 ms.
_MOST_STARS: Final = 2
_MOST_PATTERNS: Final = 1000  # from files, that hold for one photo
_STARS: Final = re.compile(r"\*+")


class Markers(Struct, frozen=True, omit_defaults=True):
    """What a folder says of itself."""

    patterns: bytes = b""  # of IGNORE_FILE
    closed_by: str = ""  # the name of the file that leaves the folder out


class Rule(NamedTuple):
    """Why something is left out."""

    pattern: str  # or the name of the file that leaves its folder out
    file: str = ""  # in which it stands; empty: the configuration; BUILT_IN_NAME
    line: int = 0  # there, from 1; 0: it is the file itself, or there are no lines

    def __str__(self) -> str:
        """Return it for people."""
        if self.line:
            return f"{self.pattern} ({self.file}, line {self.line})"
        return self.file if os.path.isabs(self.file) else f"{self.pattern} ({self.file or 'index.exclude'})"


BUILT_IN_NAME: Final = "built in"


_ALL, _ALL_FOLDERS = ".", "(?P<ps_d>/)"  # what pathspec makes of `*` and of `*/`


class Pattern:
    """A pattern with its rule. It matches entries, and not what lies below them."""

    def __init__(self, rule: Rule) -> None:
        """Compile it.

        Raises:
            ValueError: it cannot be used.
        """
        self.rule = rule
        try:
            (made,) = GitIgnoreSpec.from_lines([rule.pattern]).patterns
        except re.error as error:
            raise ValueError(str(error)) from error
        self.takes_in = made.include is False
        self._regex = made.regex if made.include is not None else None
        self._source = self._regex.pattern if self._regex is not None else ""

    @property
    def is_of_folders(self) -> bool:
        """Whether it matches folders alone."""
        return self._regex is None or (self._source.endswith(_ALL_FOLDERS) and "$" not in self._source)

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Return whether it matches an entry. `path`: relative, without a slash at its end."""
        if self._regex is None:
            return False
        if self._source in {_ALL, _ALL_FOLDERS}:
            return is_folder or self._source == _ALL
        if "ps_d" not in self._source:  # `x/**`: all that lies in x
            return self._regex.match(path) is not None
        return self._regex.fullmatch(f"{path}/" if is_folder else path) is not None


class _Level:
    """What is relative to one folder."""

    def __init__(self, patterns: Sequence[Pattern], said: Markers = Markers()) -> None:  # noqa: B008  it is frozen
        self.said = said
        self.patterns = patterns
        self._last_first = [*reversed(patterns)]
        self._of_files = [one for one in self._last_first if not one.is_of_folders]

    @property
    def hits_files(self) -> bool:
        """Whether a pattern may match a file."""
        return bool(self._of_files)

    def decide(self, path: str, *, is_folder: bool) -> Rule | bool | None:
        """Return the rule that leaves out an entry; True: one takes it in; None: none matches."""
        for pattern in self._last_first if is_folder else self._of_files:
            if pattern.matches(path, is_folder=is_folder):
                return pattern.takes_in or pattern.rule
        return None


def looked_at(path: str) -> str:
    """Return where to look when a path has changed: a marker decides about its folder."""
    folder, name = os.path.split(path)
    return folder if name in MARKERS else path


def checked(pattern: str) -> str:
    """Return why a pattern cannot be used; empty: it can."""
    try:
        Pattern(Rule(pattern))
    except ValueError as error:
        return str(error)
    return ""


class Exclusions:
    """Knows what is left out. The ingest thread notes what folders say; any thread asks."""

    def __init__(self, roots: Sequence[str], configured: Sequence[str] = ()) -> None:
        """Begin with the patterns of the configuration, each of which `checked` accepts; no folder has said anything."""
        rules = [*(Rule(one, BUILT_IN_NAME) for one in BUILT_IN), *map(Rule, configured)]
        self._roots = roots
        self._configured = _Level([*map(Pattern, rules)])
        self._levels: Mapping[str, _Level] = {}  # by folder; replaced, never modified
        self._order: Sequence[str] = ()  # these folders, sorted; only the ingest thread needs it

    def note(self, folder: str, said: Markers) -> bool:
        """Note what a folder says of itself now; return whether that is news."""
        before = self._levels.get(folder)
        if said == (Markers() if before is None else before.said):
            return False
        levels = {path: level for path, level in self._levels.items() if path != folder}
        if said != Markers():
            levels[folder] = _Level(_read(os.path.join(folder, IGNORE_FILE), said.patterns), said)
        self._say(levels)
        return True

    def keep(self, folder: str, there: Collection[str]) -> None:
        """Forget what folders below a folder said, unless they lie in, or are, one of those that are there."""
        below = f"{folder.rstrip('/')}/"
        gone = []
        for path in islice(self._order, bisect_left(self._order, below), None):
            if not path.startswith(below):
                break
            if below + path[len(below) :].partition("/")[0] not in there:
                gone.append(path)
        if gone:
            self._say({path: level for path, level in self._levels.items() if path not in gone})

    def _say(self, levels: Mapping[str, _Level]) -> None:
        self._levels, self._order = levels, sorted(levels)

    def rule_of(self, path: str, *, is_folder: bool) -> Rule | None:
        """Return why a path is left out: it, or a folder above it; None: it is not."""
        if (root := self._root_of(path)) is None:
            return None
        chain = self.within(root)
        for name in _names(path, root):
            below = os.path.join(chain.folder, name)
            is_entered = is_folder or below != path
            if rule := chain.rule_of(below, is_folder=is_entered):
                return rule
            if is_entered:
                chain.enter(below, self._levels.get(below))
        return chain.closed

    def configured_rule(self, path: str) -> Rule | None:
        """Return why the configuration leaves out a path, or a folder above it, until the daemon starts anew."""
        root, at = self._root_of(path), ""
        for name in _names(path, root) if root is not None else ():
            at = os.path.join(at, name)
            if isinstance(found := self._configured.decide(at, is_folder=True), Rule):
                return found
        return None

    def within(self, folder: str) -> "Chain":
        """Return what decides about the entries of a folder that no pattern leaves out."""
        if (root := self._root_of(folder)) is None:
            return Chain(folder, _Level([]), None)
        chain = Chain(root, self._configured, self._levels.get(root))
        for name in _names(folder, root):
            below = os.path.join(chain.folder, name)
            chain.enter(below, self._levels.get(below))
        return chain

    def _root_of(self, path: str) -> str | None:
        return next((root for root in self._roots if lies_in(path, root)), None)

    def rules(self) -> list[Rule]:
        """Return all that leaves something out, in the order of their files."""
        found = [pattern.rule for pattern in self._configured.patterns]
        for folder, level in sorted(self._levels.items()):
            found += [closing] if (closing := _closing(folder, level)) else []
            found += [pattern.rule for pattern in level.patterns]
        return found


class Chain:
    """What decides about the entries of one folder: the configuration, and what the folder and those above it say."""

    def __init__(self, root: str, configured: _Level, said: _Level | None) -> None:
        """Begin with a root, which nothing leaves out."""
        self.folder, self._root, self._configured = root, root, configured
        self.closed: Rule | None = None  # why all of the folder is left out
        self._levels: list[tuple[str, _Level]] = []
        self._left = _MOST_PATTERNS
        self._add(said)

    def enter(self, folder: str, said: _Level | None) -> None:
        """Go on with a folder in this one."""
        self.folder = folder
        self.closed = self.closed or (_closing(folder, said) if said is not None else None)
        self._add(said)

    def _add(self, said: _Level | None) -> None:
        if said is not None and (count := len(said.patterns)):
            # The deeper file would decide first: of too many the highest give way.
            self._left -= count
            self._levels.append((self.folder, said))
            while self._left < 0:
                _, gone = self._levels.pop(0)
                self._left += len(gone.patterns)

    @property
    def hits_files(self) -> bool:
        """Whether a file can be left out by itself."""
        return self._configured.hits_files or any(level.hits_files for _, level in self._levels)

    def rule_of(self, path: str, *, is_folder: bool) -> Rule | None:
        """Return why an entry of the folder is left out; None: it is not."""
        if self.closed is not None:
            return self.closed
        found = self._configured.decide(_relative(path, self._root), is_folder=is_folder)
        if isinstance(found, Rule):
            return found
        for folder, level in reversed(self._levels):
            found = level.decide(_relative(path, folder), is_folder=is_folder)
            if found is not None:
                return found if isinstance(found, Rule) else None
        return None


def _closing(folder: str, level: _Level) -> Rule | None:
    name = level.said.closed_by
    return Rule(name, os.path.join(folder, name)) if name else None


def _names(path: str, root: str) -> Iterable[str]:
    """Return the names on the way from a root to a path."""
    return filter(None, path[len(root) :].split("/"))


def _relative(path: str, folder: str) -> str:
    return path[len(folder) :].lstrip("/")


def _read(file: str, data: bytes) -> list[Pattern]:
    """Return the patterns of an IGNORE_FILE, without those that cannot be used."""
    found: list[Pattern] = []
    for line, ended in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        text = ended.removesuffix("\r")
        if not text.strip() or text.startswith("#"):
            continue
        if len(found) == _MOST_PATTERNS:
            _log.warning("%s: only the first %d patterns are used", file, _MOST_PATTERNS)
            break
        try:
            if len(_STARS.findall(text.lstrip("!").removeprefix("**/"))) > _MOST_STARS:
                raise ValueError("more than two stars")
            found.append(Pattern(Rule(text, file, line)))
        except ValueError as error:
            _log.warning("%s, line %d, leaves nothing out: %s", file, line, error)
    return found
