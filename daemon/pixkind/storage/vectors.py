"""The vectors of each open space, which contents can be found by them, and how a transaction changes that.

A content can be found in a space if a live photo has it and its vector is stored there. So can a further page of a
content (pages.py), whose id is the key of its vector.
The databases are the store's, and are used inside its transactions. Values are packed as record.py says.

| name | key | value |
| --- | --- | --- |
| `vectors/SPACE` | see below | vector |
| `tally/SPACE` | see folder_stats.py | of each folder: how many photos, and a fingerprint of them |
| `meta` | `exact tallies` | the spaces whose folder statistics are exact, since every commit has kept them; with blanks between them. In stores of schema 3 a photo without details counted as settled; their key was `tallies` |

A key of `vectors/SPACE` begins with the content id, in spaces of every kind. Content ids all have 16 bytes, so whatever
belongs to one content lies together, and no key of one content begins a key of another.

| kind of the space | bytes of a key | what |
| --- | --- | --- |
| `image`; reserved: `text`, of a network for images and texts | 0-15 | content id, or page id of a further page |
| reserved: `faces`, several vectors a content | 0-15 | content id |
| | 16-17 | number of the face in its photo from 0 on, uint16, big endian: faces of one content sort in their order |

In a space of faces the content id alone is the key of a value without a vector: the content was looked at, and may have none.
So a look-up by content id tells in every kind of space whether a content was encoded, and needs no other key.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from pixkind.encoder.messages import Details
from pixkind.encoder.space import dims_of
from pixkind.fs.stamp import Stamp
from pixkind.storage.contents import ContentTable
from pixkind.storage.environment import Environment, Txn
from pixkind.storage.folder_stats import FolderChanges, FolderStats
from pixkind.storage.journal import Journal
from pixkind.storage.pages import PageTable
from pixkind.storage.photos import PhotoTable
from pixkind.storage.record import UNKNOWN, Record, most_common_dims, pack_vector
from pixkind.storage.write_batch import CommitDelta

_EXACT_STATS: Final = b"exact tallies"


class VectorTable:
    """One open space."""

    def __init__(self, env: Environment, space: str) -> None:
        """Open or create the databases."""
        self.space = space
        self._env = env
        self._name = f"vectors/{space}"
        env.database(self._name)
        self.folder_stats = FolderStats(env, f"tally/{space}")
        # Of the vectors, even if a few wrong ones got in; 0: there are none yet, and nothing else tells it.
        self.dims = dims_of(space) or most_common_dims(env.sizes(self._name))

    def vector(self, txn: Txn, content: bytes) -> bytes | None:
        """Return the stored vector of a content."""
        return txn.get(content, db=self._env[self._name])

    def vectors(self, txn: Txn, contents: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """Return (content, stored vector) of those contents that have one."""
        with txn.cursor(db=self._env[self._name]) as cursor:
            return [(content, cursor.value()) for content in contents if cursor.set_key(content)]

    @contextmanager
    def having(self, txn: Txn) -> Iterator[Callable[[bytes], bool]]:
        """Give a function as `has_vector`, with one cursor for many contents."""
        with txn.cursor(db=self._env[self._name]) as cursor:
            yield cursor.set_key

    def has_vector(self, txn: Txn, content: bytes) -> bool:
        """Return whether the vector of a content is stored."""
        with self.having(txn) as has_vector:
            return has_vector(content)

    def put(self, txn: Txn, vectors: Mapping[bytes, bytes]) -> None:
        """Store vectors as they came from the worker."""
        for content, vector in vectors.items():
            self.dims = self.dims or len(vector) // 2
            txn.put(content, pack_vector(vector), db=self._env[self._name])

    def drop(self, txn: Txn, content: bytes) -> None:
        """Forget the vector of a content."""
        txn.delete(content, db=self._env[self._name])


class SearchableChanges:
    """Which contents one transaction lets appear or vanish, in each open space."""

    def __init__(self, txn: Txn, vector_tables: "VectorTables", touched: Iterable[bytes]) -> None:
        """Note what can be found before. `touched`: contents whose photos or vectors may change in the transaction."""
        self._txn = txn
        self._vector_tables = vector_tables
        self._touched = vector_tables.with_pages(txn, touched) - {UNKNOWN}
        self._changes = {vector_table: FolderChanges() for vector_table in vector_tables.open}
        self._found = self._searchable()

    def note(self, record: Record | None, by: int) -> None:
        """Count a photo in, as it is recorded (`by` 1), or out (-1)."""
        for vector_table, changes in self._changes.items():
            has_vector = record is not None and vector_table.has_vector(self._txn, record.content)
            changes.note(record, by, has_vector=has_vector)

    def note_vector(self, vector_table: VectorTable, content: bytes, *, had: bool) -> None:
        """Note that the vector of a content is to be deleted (it `had` one) or added, unless it is so already."""
        if vector_table.has_vector(self._txn, content) is had:
            changes = self._changes[vector_table]
            for record in self._vector_tables.photos_of(self._txn, content):
                changes.note(record, -1, has_vector=had)
                changes.note(record, 1, has_vector=not had)

    def end(self, journal: Journal) -> CommitDelta:
        """Write journal and statistics; return the changes of the first open space, with those of the others in `beside`."""
        generation, touched = journal.note(self._txn, self._touched), sorted(self._touched)
        found, deltas = self._searchable(), {}
        for vector_table, changes in self._changes.items():
            vector_table.folder_stats.apply(self._txn, changes)
            was, now = self._found[vector_table], found[vector_table]
            deltas[vector_table.space] = CommitDelta(sorted(now - was), sorted(was - now), touched, generation)
        self._vector_tables.note_exact_stats(self._txn)
        (_, own), *others = deltas.items()
        own.beside = dict(others)
        return own

    def _searchable(self) -> dict[VectorTable, set[bytes]]:
        return {
            vector_table: {
                one for one in self._touched if self._vector_tables.is_searchable(self._txn, vector_table, one)
            }
            for vector_table in self._changes
        }


class VectorTables:
    """The open spaces of one store: the space that is filled comes first."""

    def __init__(self, env: Environment, photos: PhotoTable, contents: ContentTable, pages: PageTable) -> None:
        """Begin without an open space."""
        self._env = env
        self._photos = photos
        self._contents = contents
        self._pages = pages
        self.open: list[VectorTable] = []

    def add(self, space: str) -> VectorTable:
        """Open or create a space, and count its photos if its statistics are not exact. May raise StoreFull."""
        vector_table = VectorTable(self._env, space)
        with self._env.reading() as txn:
            exact = txn.get(_EXACT_STATS, b"", db=self._env["meta"]).decode().split()
        if space not in exact:
            with self._env.writing() as txn:
                self._count(txn, vector_table)
                txn.put(_EXACT_STATS, " ".join([*exact, space]).encode(), db=self._env["meta"])
        self.open.append(vector_table)
        return vector_table

    def changes(self, txn: Txn, touched: Iterable[bytes] = ()) -> SearchableChanges:
        """Begin to change the photos or vectors of these contents."""
        return SearchableChanges(txn, self, touched)

    def note_exact_stats(self, txn: Txn) -> None:
        """Note that only the open spaces have exact statistics from now on."""
        txn.put(_EXACT_STATS, " ".join(vector_table.space for vector_table in self.open).encode(), db=self._env["meta"])

    def is_searchable(self, txn: Txn, vector_table: VectorTable, content: bytes) -> bool:
        """Return whether a content, or a page, can be found in a space."""
        return vector_table.has_vector(txn, content) and self._contents.is_live(txn, self._pages.content(txn, content))

    def with_pages(self, txn: Txn, contents: Iterable[bytes]) -> set[bytes]:
        """Return these contents, and their further pages."""
        return {one for content in contents for one in (content, *self._pages.of(txn, content))}

    def content_of(self, txn: Txn, stamp: Stamp, path: str) -> bytes | None:
        """Return as `Store.content_of`."""
        if (content := self._photos.content_of(txn, stamp)) is None:
            return None
        if not any(vector_table.has_vector(txn, content) for vector_table in self.open):
            return None
        record = self._photos.of(txn, path)
        return None if record is not None and record.live and record.stamp == stamp else content

    def details_of(self, txn: Txn, content: bytes, stamp: Stamp) -> Details | None:
        """Return as `Store.details_of`."""
        return self._photos.details(txn, self._contents.keys(txn, content), stamp)

    def photos_of(self, txn: Txn, content: bytes) -> list[Record]:
        """Return the live photos of a content."""
        return [self._photos.at(txn, at) for at in self._contents.holders(txn, content)]

    def _count(self, txn: Txn, vector_table: VectorTable) -> None:
        changes = FolderChanges()
        with self._env.reading() as old:
            for record in self._photos.all(old):
                changes.note(record, 1, has_vector=vector_table.has_vector(txn, record.content))
        vector_table.folder_stats.clear(txn)
        vector_table.folder_stats.apply(txn, changes)
