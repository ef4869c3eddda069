"""Which contents have further pages that can be found, such as the pages of a TIFF.

The content id covers the whole file, and its vector is that of the page that the photo shows. Each further page has a *page
id* of its own, which is derived from the content id. It stands for the page where a vector needs a content id: in
`vectors/SPACE`, and in the index. No record, holder or decision names it. So whatever happens to the photos of a content
happens to its pages, too.

The database is the store's, and is used inside its transactions.

| name | key | value |
| --- | --- | --- |
| `pages` | keys.page_id of a further page | content id of its file |

A page without a vector is in it, too: its picture is broken, or it was not encoded for this space.
A store from before there were pages has none; those of a file are added when it is read again. A pixkind from before there
were pages finds none of them in a newer store. When it forgets a photo, the vectors of the further pages stay, unnamed.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice, takewhile

from pixkind.storage.environment import Environment, Txn
from pixkind.storage.keys import page_id


class PageTable:
    """The further pages of all contents."""

    def __init__(self, env: Environment) -> None:
        """Open or create the database."""
        self._env = env
        env.database("pages")

    def content(self, txn: Txn, one: bytes) -> bytes:
        """Return the content that `one` is a page of; `one` itself if it is no page."""
        return txn.get(one, one, db=self._env["pages"])

    def of(self, txn: Txn, content: bytes) -> list[bytes]:
        """Return the ids of the further pages of a content."""
        ids = (page_id(content, number) for number in count(1))
        return list(takewhile(lambda one: txn.get(one, db=self._env["pages"]) is not None, ids))

    def put(self, txn: Txn, content: bytes, pages: int) -> None:
        """Note how many pages a content has, with the one that it shows."""
        for number in range(1, pages):
            txn.put(page_id(content, number), content, db=self._env["pages"])

    def drop(self, txn: Txn, content: bytes) -> None:
        """Forget the pages of a content."""
        for one in self.of(txn, content):
            txn.delete(one, db=self._env["pages"])

    def live(self, block: int, is_live: Callable[[Txn, bytes], bool]) -> Iterator[bytes]:
        """Yield the ids of pages whose content `is_live`; each `block` of pages is read in one short transaction."""
        after = b""
        while True:
            with self._env.reading() as txn, txn.cursor(db=self._env["pages"]) as cursor:
                found = list(islice(cursor.iternext(), block)) if cursor.set_range(after) else []
                live = [one for one, content in found if is_live(txn, content)]
            yield from live
            if len(found) < block:
                return
            after = found[-1][0] + b"\0"

    # For other threads.

    def ids(self) -> list[bytes]:
        """Return the ids of all further pages."""
        with self._env.reading() as txn, txn.cursor(db=self._env["pages"]) as cursor:
            return list(cursor.iternext(values=False))

    def further(self, content: bytes) -> list[bytes]:
        """Return the ids of the further pages of a content."""
        with self._env.reading() as txn:
            return self.of(txn, content)

    def content_of(self, one: bytes) -> bytes:
        """Return the content that `one` is a page of; `one` itself if it is no page."""
        with self._env.reading() as txn:
            return self.content(txn, one)

    def files(self, contents: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the content that each of these ids is a page of, as `content_of`, in their order."""
        with self._env.reading() as txn:
            return {one: self.content(txn, one) for one in contents}

    def among(self, contents: Iterable[bytes]) -> set[bytes]:
        """Return those of these ids that stand for a further page."""
        return {one for one, content in self.files(contents).items() if one != content}
