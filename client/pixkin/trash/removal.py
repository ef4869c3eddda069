"""Moves one photo away, after it has shown by doing that another file has its picture and stays."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pixkin.errors import PixkinError
from pixkin.trash.destinations import Destination, top_of
from pixkin.trash.files import Reading, Spot, Stays, hidden, move, reached, read, said
from pixkin.trash.journal import TrashJournal
from pixkin.trash.offers import Offer
from pixkin.trash.sidecars import check_covered, sidecars

_SIGNALS: Final = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_SLACK_NS: Final = 2_000_000_000  # ctime has the tick of the kernel, or two seconds on FAT


def remove(offer: Offer, destination: Destination, journal: TrashJournal, asked_ns: int) -> list[str]:
    """Move a photo and its sidecars.

    The photo first gets a hidden name in its folder. If the file that stays is then gone or not as it was, both were one
    file, and the photo gets its name back. That holds for links, mounts, pools and every other way to have two names.

    Args:
        offer: the photo, and the one that stays.
        destination: where it goes.
        journal: what can be brought back stands there.
        asked_ns: when the daemon was asked, ns since the epoch: it looked at both files after that.

    Returns:
        Why sidecars stay; empty if all were moved.

    Raises:
        Stays: the photo stays, and why.
        PixkinError: the journal cannot be written; the photo stays.
    """
    try:
        with reached(offer.path) as spot:
            destination.prepare(spot)
            photo, kept = read(spot), _read_kept(offer.kept)
            _check(offer, photo, kept, asked_ns)
            names = sidecars(spot)
            check_covered(spot, names, offer.kept)
            _move_away(spot, photo, (offer.kept, kept), destination, journal)
            return _move_sidecars([spot.beside(name) for name in names], (offer.kept, kept), destination, journal)
    except OSError as error:
        raise Stays(said(error)) from error


def _check(offer: Offer, photo: Reading, kept: Reading, asked_ns: int) -> None:
    if photo.is_one_with(kept):
        raise Stays(f"it is the same file as {offer.kept}, under another name")
    if photo.digest == kept.digest:
        return
    if offer.same_bytes:
        raise Stays(f"its bytes differ from those of {offer.kept}")
    # The clock of a server may differ from ours, so the stamps count as well.
    if (photo.stamp, kept.stamp) != offer.stamps or max(photo.ctime_ns, kept.ctime_ns) > asked_ns - _SLACK_NS:
        raise Stays("it or the copy that stays has changed a moment ago; try again")


def _move_away(
    spot: Spot, photo: Reading, stays: tuple[str, Reading], destination: Destination, journal: TrashJournal
) -> None:
    """Move a file if the file at the path in `stays` stays as it was."""
    path, kept = stays
    aside, number = spot.beside(hidden(spot.name)), journal.number()
    facts = {"size": photo.size, "digest": photo.digest, "top": top_of(spot.path)}
    # A signal waits until the photo is in its place, or back in its old one.
    with _undisturbed():
        journal.write("aside", n=number, path=spot.path, aside=aside.path, kept=path, **facts)
        try:
            move(spot, aside)
        except OSError:
            journal.write("is back", n=number)
            raise
        try:
            now = read(aside)
            if not now.is_one_with(photo) or now.digest != photo.digest:
                raise Stays("it changes at this moment")
            if _read_kept(path) != kept:
                raise Stays(f"{path}, which should stay, changes with it: both may be one file")
            destination.take(aside, spot.path, photo.digest, journal, number)
        except (OSError, Stays, PixkinError) as error:
            _put_back(aside, spot, journal, number, error)
            raise
        journal.write("moved", n=number)


def _put_back(aside: Spot, spot: Spot, journal: TrashJournal, number: int, why: Exception) -> None:
    try:
        move(aside, spot)
    except OSError as error:
        reason = said(why) if isinstance(why, OSError) else str(why)
        raise Stays(f"{reason}; it could not be put back ({said(error)}) and is {aside.path}") from error
    if not isinstance(why, PixkinError):  # else the journal cannot be written
        journal.write("is back", n=number)


def _move_sidecars(
    spots: list[Spot], stays: tuple[str, Reading], destination: Destination, journal: TrashJournal
) -> list[str]:
    remarks = []
    for spot in spots:
        try:
            _move_away(spot, read(spot), stays, destination, journal)
        except OSError as error:
            remarks.append(f"the sidecar {spot.path}: {said(error)}")
        except Stays as error:
            remarks.append(f"the sidecar {spot.path}: {error}")
    return remarks


def _read_kept(path: str) -> Reading:
    try:
        with reached(path) as spot:
            return read(spot, afresh=True)
    except (OSError, Stays) as error:
        raise Stays(f"{path}, which should stay: {said(error) if isinstance(error, OSError) else error}") from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
