"""Opens and closes the store. After an unclean end the store is verified; a damaged store is moved aside.

The store is derived data, but expensive to make. So a damaged store is kept for inspection until another one is damaged.

Verifying takes a minute for a million photos. After an unclean end the steps are therefore:

1. Before the store is opened, only its metadata are checked: a truncated file must never be mapped.
2. A child process verifies the rest while queries are answered. The file changes under it, so damage is only suspected.
3. If damage is suspected, or the daemon ends before the child does, the next start verifies before it opens the store.
   That result decides.

If the verifier itself fails, for example because it is killed for lack of memory, nothing is known. Then the store is
opened: an answer is worth more than a proof. Every start tries again until the verifier has finished once.
Two files next to the data record the state:

| name | when it exists | content |
| --- | --- | --- |
| `clean` | from a clean stop to the next start | the size of the data |
| `unverified` | while the store is verified during answers, and until that has finished | empty |
| the same | after a start that verified before the answers, without a result | one byte |
"""

import glob
import logging
import os
import shutil
import struct
import time
from typing import Final

import lmdb

from pixkind.storage.store import Store
from pixkind.storage.verification import UNREADABLE, UNVERIFIED, Verdict, Verifier, awaited, judged, unlink, verifying

_log = logging.getLogger(__name__)

CLEAN: Final = "clean"
DATA: Final = "data.mdb"
_META: Final = struct.Struct("<16x II 16x I 92x QQ")  # magic, version, page size, last page, transaction
_MAGIC: Final = (0xBEEFC0DE, 1)


def open_store(folder: str, space: str, *, map_gb: int, waits: bool = True) -> Store:
    """Return the open store. A damaged one is moved aside, with the time in its name, and an empty one is created.

    Args:
        folder: of the store; it need not exist.
        space: as for `Store`.
        map_gb: as for `Store`.
        waits: whether to verify the store first after an unclean end; False: leave that to a `Verifier` if possible.

    Raises:
        PixkinError: a newer pixkin wrote the store; it is left unchanged.
        Stopped: a signal to stop came while the store was verified.
    """
    fault = _fault(folder, waits=waits)
    if fault:
        _set_aside(folder, fault)
    try:
        return Store(folder, space, map_gb=map_gb)
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.PageNotFoundError) as error:
        _set_aside(folder, str(error))
        return Store(folder, space, map_gb=map_gb)


def close_store(store: Store, verifier: "Verifier | None" = None) -> None:
    """Close the store and note the clean end, unless there is a verifier that has not proved the store sound."""
    store.close()
    if verifier is not None and not verifier.is_sound:
        if not verifier.is_through:  # nothing is suspected: the next start need not wait either
            unlink(os.path.join(store.folder, UNVERIFIED))
        return
    try:
        with open(os.path.join(store.folder, CLEAN), "w", encoding="ascii") as file:
            file.write(str(_size(store.folder)))
    except OSError as error:  # a full disk: the next start verifies, which is safe
        _log.warning("the clean stop could not be recorded: %s; the next start verifies the store", error.strerror)


def _fault(folder: str, *, waits: bool) -> str:
    """Return why the store in `folder` must not be opened; empty if it may be."""
    mark = os.path.join(folder, UNVERIFIED)
    if not os.path.exists(os.path.join(folder, DATA)):
        unlink(mark)
        return ""
    if _take_note(folder) == _size(folder):
        return ""
    is_whole = _is_whole(os.path.join(folder, DATA))
    if not waits and not os.path.exists(mark) and is_whole:
        _log.info("the store was not closed cleanly: it is verified while pixkind answers queries")
        with open(mark, "wb"):
            return ""
    return _fault_found(folder, mark, is_whole=is_whole)


def _fault_found(folder: str, mark: str, *, is_whole: bool) -> str:
    """Verify the store now; otherwise as `_fault`."""
    _log.info("the store was not closed cleanly: verifying %s", folder)
    child = verifying(folder, nice=0)
    verdict, why = judged(child, *awaited(child))
    if verdict is Verdict.SOUND:
        unlink(mark)
    if verdict is not Verdict.UNKNOWN:
        return why
    if not is_whole:
        return "pages are missing, or its metadata are wrong"
    _log.warning("the store could not be verified (%s): it is used unverified, and the next start tries again", why)
    with open(mark, "wb") as file:
        file.truncate(1)  # a hole: it takes no space on a full disk
    return ""


def _is_whole(data: str) -> bool:
    """Return whether the metadata are readable and valid, and the file has all the pages that they count.

    Source: MDB_meta and mdb_env_pick_meta in LMDB's mdb.c.
    """
    try:
        with open(data, "rb") as file:
            first = file.read(_META.size)
            if len(first) < _META.size:
                return False
            page_bytes = _META.unpack(first)[2]
            file.seek(page_bytes)
            second = file.read(_META.size)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        if error.errno in UNREADABLE:
            return False
        raise
    if len(second) < _META.size:
        return False
    metas = [_META.unpack(first), _META.unpack(second)]
    _, _, _, last, _ = max(metas, key=lambda meta: int(meta[4]))
    return all(meta[:3] == (*_MAGIC, page_bytes) for meta in metas) and (last + 1) * page_bytes <= size


def _take_note(folder: str) -> int | None:
    """Return the size that a clean stop recorded, and delete it: from now on the store is open."""
    path = os.path.join(folder, CLEAN)
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            noted = file.read()
        os.unlink(path)
    except FileNotFoundError:
        return None
    return int(noted) if noted.isdecimal() else None


def _size(folder: str) -> int:
    return os.stat(os.path.join(folder, DATA)).st_size


def _set_aside(folder: str, fault: str) -> None:
    """Move a damaged store aside, and delete those that were moved before: each may have gigabytes."""
    for older in glob.glob(glob.escape(folder) + ".damaged-*"):
        shutil.rmtree(older)
    aside = f"{folder}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
    os.rename(folder, aside)
    _log.error("the store was damaged (%s): it was moved to %s, and all photos are indexed again", fault, aside)
