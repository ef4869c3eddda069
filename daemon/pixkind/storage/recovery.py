"""Opening the store so that a damaged one can do no harm: it is verified after an unclean end, and moved aside.

The store is derived data, but expensive: what cannot be trusted is kept for whoever wants to look, until the next one.

Verifying takes a minute for a million photos, so it is done beside the answers: before them only the metadata are checked,
so that a truncated file is never mapped. What is found beside them is a suspicion, for the file changes meanwhile. It, and
an end before the verification was through, make the next start verify before it opens the store; and that decides.
Where the verifier itself fails, killed for want of memory, say, nothing is decided: the store is opened, for an answer is
worth more than a proof, and every start tries again until one is through. Two files beside the data say it:

| name | there | holds |
| --- | --- | --- |
| `clean` | between a clean stop and the next start | the size of the data |
| `unverified` | while the store is verified beside the answers, and until that was through | nothing |
| the same | after a start that tried before the answers, and learned nothing | one byte |
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
from pixkind.storage.verification import ROTTEN, UNVERIFIED, Verdict, Verifier, awaited, judged, unlink, verifying

_log = logging.getLogger(__name__)

CLEAN: Final = "clean"
DATA: Final = "data.mdb"
_META: Final = struct.Struct("<16x II 16x I 92x QQ")  # magic, version, page size, last page, transaction
_MAGIC: Final = (0xBEEFC0DE, 1)


def open_store(folder: str, space: str, *, map_gb: int, waits: bool = True) -> Store:
    """Return the open store; one that is damaged is moved aside, with the time in its name, and begun anew.

    Args:
        folder: where it is, or will be.
        space: as for `Store`.
        map_gb: as for `Store`.
        waits: verify it before it is opened, if need be; False: leave that to a `Verifier`, if it can be left.

    Raises:
        PixkinError: it was written by a newer pixkin; it is left alone.
        Stopped: a signal to stop came while it was verified.
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
    """Close the store and note that this was a clean end; not if a verifier has not proved it sound."""
    store.close()
    if verifier is not None and not verifier.is_sound:
        if not verifier.is_through:  # nothing happened to it: the next start need not wait either
            unlink(os.path.join(store.folder, UNVERIFIED))
        return
    try:
        with open(os.path.join(store.folder, CLEAN), "w", encoding="ascii") as file:
            file.write(str(_size(store.folder)))
    except OSError as error:  # a full disk: the next start verifies, which is the safe side
        _log.warning("the clean stop could not be noted: %s", error.strerror)


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
        _log.info("the store was not closed cleanly: it is verified while pixkind answers")
        with open(mark, "wb"):
            return ""
    return _fault_found(folder, mark, is_whole=is_whole)


def _fault_found(folder: str, mark: str, *, is_whole: bool) -> str:
    """Verify the store before anything else, and return as `_fault`."""
    _log.info("the store was not closed cleanly: verifying %s", folder)
    child = verifying(folder, nice=0)
    verdict, why = judged(child, *awaited(child))
    if verdict is Verdict.SOUND:
        unlink(mark)
    if verdict is not Verdict.UNKNOWN:
        return why
    if not is_whole:
        return "it lacks pages, or its metadata are wrong"
    _log.warning("the store could not be verified (%s): it is used as it is, and the next start tries again", why)
    with open(mark, "wb") as file:
        file.truncate(1)  # a hole: it takes no room on a full disk
    return ""


def _is_whole(data: str) -> bool:
    """Return whether the metadata can be read and make sense, and the file has all pages that they tell of.

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
        if error.errno in ROTTEN:
            return False
        raise
    if len(second) < _META.size:
        return False
    metas = [_META.unpack(first), _META.unpack(second)]
    _, _, _, last, _ = max(metas, key=lambda meta: int(meta[4]))
    return all(meta[:3] == (*_MAGIC, page_bytes) for meta in metas) and (last + 1) * page_bytes <= size


def _take_note(folder: str) -> int | None:
    """Return what a clean stop noted, and forget it: from now on the store is open."""
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
    """Move a damaged store out of the way; of those that were moved before, none is kept: each may be gigabytes."""
    for older in glob.glob(glob.escape(folder) + ".damaged-*"):
        shutil.rmtree(older)
    aside = f"{folder}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
    os.rename(folder, aside)
    _log.error("the store was damaged (%s): it is now %s, and all photos are indexed anew", fault, aside)
