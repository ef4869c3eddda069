"""The LMDB store of photos, contents and vectors: the transactions that span several of its tables.

One process opens the store. One thread (ingest) writes. Any thread reads, in short read transactions, and copies the values.

Two spaces may be open at once: the space that is filled, and another space that still answers queries. Each is seen
through a `Store` of its own. Everything is written through the first, and is true in both.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from itertools import chain, islice
from typing import Final

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.storage.apart import OldApartPairs
from pixkind.storage.contents import DUE, UNDATED, ContentTable
from pixkind.storage.environment import Environment, StoreFull, Txn
from pixkind.storage.folder_stats import fingerprint
from pixkind.storage.journal import Journal
from pixkind.storage.pages import PageTable
from pixkind.storage.photos import PhotoTable
from pixkind.storage.record import UNKNOWN, Facts, Place, Record
from pixkind.storage.roots import RootTable
from pixkind.storage.spaces import SpaceTable
from pixkind.storage.traces import WIPING, Traces
from pixkind.storage.vectors import VectorTables
from pixkind.storage.write_batch import CommitDelta, PhotoFailed, PhotoFound, PhotoGone, WriteBatch

__all__ = ["SLICE", "Store", "StoreFull"]

_BLOCK: Final = 2048  # vectors read in one transaction: 5 MB at 1,280 dimensions
# Photos that one transaction forgets: nothing waits for it long, and its dirty pages take little memory.
SLICE: Final = 250


class Store:
    """The open store of one space."""

    def __init__(self, folder: str, space: str, *, map_gb: int) -> None:
        """Open or create it.

        Args:
            folder: of the store; created 0700 if missing.
            space: the name of the space whose vectors are read and written.
            map_gb: the largest size of the store; only address space until it is used. It never changes while the store
                is open: resizing under a reader ends the process with SIGBUS.

        Raises:
            PixkinError: a newer pixkin wrote the store.
            lmdb.Error: the store cannot be opened.
        """
        self.folder = folder
        self.space = space
        self._env = Environment(folder, map_gb)
        self.roots = RootTable(self._env)
        self.apart = OldApartPairs(self._env)
        self._photos = PhotoTable(self._env)
        self._contents = ContentTable(self._env)
        self.pages = PageTable(self._env)
        self.journal = Journal(self._env)
        self.spaces = SpaceTable(self._env)
        self.traces = Traces(self._env)
        self._vector_tables = VectorTables(self._env, self._photos, self._contents, self.pages)
        self._vector_table = self._vector_tables.add(space)
        self.journal.readers[space] = 0

    def beside(self, space: str) -> "Store":
        """Open another space of this store, until `leave`: what is written here is true there, too. Ingest thread only."""
        other = copy(self)
        other.space, other._vector_table = space, self._vector_tables.add(space)
        self.journal.readers[space] = 0
        return other

    def leave(self) -> None:
        """Close this space, which `beside` has opened. A reader that is not done may go on."""
        self._vector_tables.open.remove(self._vector_table)
        del self.journal.readers[self.space]

    def close(self) -> None:
        """Close the store. No transaction may be open."""
        self._env.close()

    @property
    def dims(self) -> int:
        """The dimensions of the vectors of this space; 0: it has none yet, and only its network tells them."""
        return self._vector_table.dims

    @property
    def size(self) -> int:
        """Its size on disk in bytes."""
        return self._env.size

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Keep the pages of this moment's store from being overwritten, for a process that reads the file itself."""
        with self._env.reading():
            yield

    # What a scan asks (scan.Known).

    def changed(self, photos: Iterable[tuple[str, Stamp]], now_s: int) -> list[tuple[str, Stamp]]:
        """Return the photos that have no settled record with exactly this stamp."""
        with self._env.reading() as txn, self._vector_table.having(txn) as has_vector:
            return [photo for photo in photos if not self._photos.is_settled(txn, photo, has_vector, now_s)]

    def has_exactly(self, folder: str, photos: Iterable[tuple[str, Stamp]]) -> bool:
        """Return whether these are all live photos directly in `folder`, settled for good, with exactly these stamps."""
        with self._env.reading() as txn:
            return self._vector_table.folder_stats.fingerprint(txn, folder) == fingerprint(photos)

    def content_of(self, stamp: Stamp, path: str) -> bytes | None:
        """Return the content of a photo that has, or had, exactly this stamp, and a vector in an open space; else None.

        It is None, too, if the photo is recorded at `path` with this stamp: what the record lacks, the photo must tell.
        """
        with self._env.reading() as txn:
            return self._vector_tables.content_of(txn, stamp, path)

    def details_of(self, content: bytes, stamp: Stamp) -> Details | None:
        """Return the details of a photo that has, or had, this content and exactly this stamp; None if there are none."""
        with self._env.reading() as txn:
            return self._vector_tables.details_of(txn, content, stamp)

    def folders(self, folder: str) -> set[str]:
        """Return the names directly below `folder` of folders with live photos under them."""
        with self._env.reading() as txn:
            return self._photos.tree.folders(txn, folder)

    def children(self, folder: str) -> tuple[set[str], set[str]]:
        """Return the names directly below `folder` of live photos, and of folders with live photos under them."""
        with self._env.reading() as txn:
            return self._photos.tree.children(txn, folder)

    def has_photos(self, folder: str) -> bool:
        """Return whether a live photo is recorded in `folder` or below, whatever was made of it in this space."""
        return any(self.children(folder))

    def is_live(self, path: str) -> bool:
        """Return whether a live photo is recorded at exactly `path`."""
        return (record := self.record(path)) is not None and record.live

    # What ingest and queries ask.

    def record(self, path: str) -> Record | None:
        """Return the record of `path`, live or gone."""
        with self._env.reading() as txn:
            return self._photos.of(txn, path)

    def records(self) -> Iterator[Record]:
        """Yield every record, in no useful order. For start-up and tests: its read transaction stays open."""
        with self._env.reading() as txn:
            yield from self._photos.all(txn)

    def count(self, folder: str) -> tuple[int, int]:
        """Return how many live photos in `folder` and below can be found in this space, and how many failed."""
        with self._env.reading() as txn:
            return self._vector_table.folder_stats.count(txn, folder)

    def failures(self, most: int | None, is_meant: Callable[[Record], bool] = bool) -> list[tuple[Record, str]]:
        """Return at most `most` live photos that failed and are meant, with the reason. None: all."""
        with self._env.reading() as txn:
            has_vector = self._vector_table.has_vector
            failed = (one for one in self._photos.failures(txn) if not has_vector(txn, one[0].content))
            return list(islice((one for one in failed if is_meant(one[0])), most))

    def reason(self, path: str) -> str:
        """Return why the photo at `path` failed; empty if it did not."""
        with self._env.reading() as txn:
            return self._photos.reason(txn, path)

    def photos_of(self, content: bytes) -> list[Record]:
        """Return the live photos of a content, or with a page."""
        with self._env.reading() as txn:
            return self._vector_tables.photos_of(txn, self.pages.content(txn, content))

    def facts(self, content: bytes) -> Facts | None:
        """Return what the worker saw of a content, with the dates of its live photos."""
        with self._env.reading() as txn:
            facts = self._contents.facts(txn, content)
            places = self._photos.places(txn, self._contents.holders(txn, content), facts)
        if facts is None or not places:
            return facts
        return replace(facts, dates=frozenset(place.taken_s for place in places) - {0})

    def gone(self) -> Iterator[list[Record]]:
        """Yield the gone photos whose content is known. Each block is read in one short transaction."""
        after = (UNKNOWN, b"")
        while True:
            with self._env.reading() as txn:
                block = self._contents.gone_contents(txn, after, SLICE)
                records = [self._photos.at(txn, at) for _, at in block]
            if not block:
                return
            yield records
            after = block[-1]

    def is_named(self, content: bytes) -> bool:
        """Return whether a photo, live or gone, has a content."""
        with self._env.reading() as txn:
            return self._contents.is_named(txn, content)

    def vector(self, content: bytes) -> bytes | None:
        """Return the stored vector of a content (record.unpack_vector reads it); None if there is none."""
        with self._env.reading() as txn:
            return self._vector_table.vector(txn, content)

    def has_vector(self, content: bytes) -> bool:
        """Return whether the vector of a content is stored."""
        with self._env.reading() as txn:
            return self._vector_table.has_vector(txn, content)

    def drop_vectors(self, contents: Iterable[bytes]) -> CommitDelta:
        """Forget the vectors of these contents and all their pages, durably, and return what that changed. Raises as `commit`."""
        if self._vector_table not in self._vector_tables.open:
            return CommitDelta()  # this space was left
        with self._env.writing() as txn:
            # Of a page, too: only a photo whose content lacks its vector is encoded again.
            dropped = self._vector_tables.with_pages(txn, [self.pages.content(txn, one) for one in contents])
            changes = self._vector_tables.changes(txn, dropped)
            for one in dropped:
                changes.note_vector(self._vector_table, one, had=True)
                self._vector_table.drop(txn, one)
            return changes.end(self.journal)

    def searchable(self, contents: Iterable[bytes]) -> set[bytes]:
        """Return those contents and pages that can be found."""
        with self._env.reading() as txn:
            is_searchable = self._vector_tables.is_searchable
            return {content for content in contents if is_searchable(txn, self._vector_table, content)}

    def contents(self, start: bytes = UNKNOWN) -> Iterator[bytes]:
        """Yield the contents of all live photos from `start` on, sorted; in blocks as `vectors`."""
        return self._contents.live(_BLOCK, start)

    def places(self, contents: Sequence[bytes]) -> Iterator[tuple[bytes, list[Place]]]:
        """Yield each content or page with the places of its live photos; in blocks as `vectors`."""
        for at in range(0, len(contents), _BLOCK):
            with self._env.reading() as txn:
                found = [(content, self._places(txn, content)) for content in contents[at : at + _BLOCK]]
            yield from found

    def vectors(self, among: Iterable[bytes] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield (content, stored vector) of all contents of live photos and then of their further pages, or of those `among`.

        Each block is read in one short transaction: a slow reader must not keep old pages alive.
        """
        whole = chain(self._contents.live(_BLOCK), self.pages.live(_BLOCK, self._contents.is_live))
        source = whole if among is None else iter(among)
        while block := list(islice(source, _BLOCK)):
            with self._env.reading() as txn:
                found = self._vector_table.vectors(txn, block)
            yield from found

    def covered(self, space: str) -> int:
        """Return how many live photos have a vector in a space, open or not. It looks at every content."""
        live, photos = self._contents.live(_BLOCK), 0
        while block := list(islice(live, _BLOCK)):
            with self._env.reading() as txn:
                having = [content for content in block if self.spaces.has_vector(txn, space, content)]
                photos += sum(len(self._contents.holders(txn, content)) for content in having)
        return photos

    def strikes(self, content: bytes) -> int:
        """Return how often the worker died with this content in it since its last outcome."""
        with self._env.reading() as txn:
            return self._contents.strikes(txn, content)

    def retry_failed(self, decoder: str) -> int:
        """Mark all failed photos to be tried again if `decoder` is not the one that they failed with; return how many."""
        with self._env.writing() as txn:
            if txn.get(b"decoder", db=self._env["meta"]) == decoder.encode():
                return 0
            txn.put(b"decoder", decoder.encode(), db=self._env["meta"])
            changes = self._vector_tables.changes(txn)
            retried = list(self._photos.retry(txn))
            for before, after in retried:
                changes.note(before, -1)
                changes.note(after, 1)
            changes.end(self.journal)
            return len(retried)

    # Writing.

    def commit(self, batch: WriteBatch) -> CommitDelta:
        """Write a batch in one durable transaction and return what it changed. Ingest thread only.

        Raises:
            StoreFull: nothing of the batch was written; it can be tried again.
        """
        with self._env.writing() as txn:
            known = {change.path: self._photos.of(txn, change.path) for change in batch.photos}
            changes = self._vector_tables.changes(txn, batch.touched(known.values()))
            for vector_table in self._vector_tables.open:
                is_own = vector_table is self._vector_table
                vectors = batch.vectors if is_own else batch.beside.get(vector_table.space, {})
                for content in vectors:
                    changes.note_vector(vector_table, content, had=False)
                vector_table.put(txn, vectors)
            for content, pages in batch.pages.items():
                self.pages.put(txn, content, pages)
            self._contents.put(txn, batch.contents)
            self._contents.note_looks(txn, batch.looks)
            self._contents.clear_strikes(txn, batch.acquitted)
            self._contents.strike(txn, batch.strikes)
            for change in batch.photos:
                before = known[change.path]
                changes.note(before, -1)
                known[change.path] = after = self._apply(txn, change, before)
                changes.note(after, 1)
            return changes.end(self.journal)

    def forget(self, records: Iterable[Record]) -> CommitDelta:
        """Delete those records that are still as given, live or gone, durably, and return what that changed.

        The vectors of contents that no other record names stay until the next `sweep`, so that an index can still
        subtract them from its sum. Raises as `commit`.
        """
        with self._env.writing() as txn:
            same = [record for record in records if self._photos.of(txn, record.path) == record]
            live = {record.content for record in same if self._contents.is_live(txn, record.content)}
            changes = self._vector_tables.changes(txn, live)
            for record in same:
                changes.note(record, -1)
                self._unlink(txn, record)
                self._contents.note_orphan(txn, record.content, DUE)
                self.traces.leave(txn)
            return changes.end(self.journal)

    def sweep(self, now_s: int, keep_s: int) -> Iterator[None]:
        """Delete vectors and facts of contents that no record has named for `keep_s`, a slice a step. Raises as `commit`.

        With 0, all contents that no record names are meant.
        """

        def forget(content: bytes) -> None:
            for one in self._vector_tables.with_pages(txn, [content]):
                self.spaces.forget(txn, one)
            self.pages.drop(txn, content)
            self.traces.leave(txn)

        after = UNKNOWN
        while after:
            with self._env.writing() as txn:
                after = self._contents.sweep(txn, after, SLICE, now_s, keep_s, forget)
            yield

    def check_room(self) -> None:
        """Raise StoreFull if there is no room to `wipe`."""
        self._env.check_room()

    def wipe(self) -> Iterator[None]:
        """Replace the file by one that has no traces of what was forgotten, a step at a time. Raises as `commit`.

        What is forgotten while this runs may leave traces, which are noted.
        """
        self.traces.note(WIPING)
        yield from self._env.rewritten()
        if self.traces.since() == WIPING:
            self.traces.note(None)

    def drop(self, space: str) -> Iterator[None]:
        """Delete a space that is not open, a slice a step. Raises as `commit`."""
        with self._env.writing() as txn:
            self._vector_tables.note_exact_stats(txn)
        yield from self.spaces.drop(space, SLICE)

    def _apply(self, txn: Txn, change: PhotoFound | PhotoFailed | PhotoGone, before: Record | None) -> Record | None:
        """Write one change, and return the new record of the photo; None if it has none."""
        if isinstance(change, PhotoGone):
            if before is None or not before.live:
                return before
            if before.content == UNKNOWN:  # there is nothing to keep for its return
                self._unlink(txn, before)
                self.traces.leave(txn)
                return None
            after = replace(before, gone_s=change.now_s)
        elif isinstance(change, PhotoFailed):
            after = Record(
                change.path, change.stamp, change.content, failed=True, retry_s=change.retry_s, details=change.details
            )
        else:
            after = Record(change.path, change.stamp, change.content, details=change.details)
        if before is not None:
            self._unlink(txn, before)
        self._photos.put(txn, after, change.reason if isinstance(change, PhotoFailed) else None)
        self._contents.link(txn, after)
        if before is not None:
            self._contents.note_orphan(txn, before.content, UNDATED)
        return after

    def _places(self, txn: Txn, content: bytes) -> list[Place]:
        content = self.pages.content(txn, content)
        return self._photos.places(txn, self._contents.holders(txn, content), self._contents.facts(txn, content))

    def _unlink(self, txn: Txn, record: Record) -> None:
        self._photos.delete(txn, record)
        self._contents.unlink(txn, record)
