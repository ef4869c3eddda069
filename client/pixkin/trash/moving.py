"""One run of removals with its journal, and bringing back the last run: the same for the command line and the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixkin.trash.destinations import Destination
from pixkin.trash.files import Stays
from pixkin.trash.journal import MovedFile, Run, TrashJournal, locked, runs
from pixkin.trash.offers import Offer
from pixkin.trash.removal import remove
from pixkin.trash.undo import bring_back, is_lost, put_aside_ones_back


@dataclass(frozen=True, slots=True)
class Returned:
    """What was brought back of a run."""

    run: Run
    missing: list[tuple[MovedFile, str]]  # what is not back, and why


def move_all(
    folder: str,
    offers: Sequence[Offer],
    destination: Destination,
    asked_ns: int,
    told: Callable[[list[Offer], list[str]], object],
) -> None:
    """Move photos as one run.

    Args:
        folder: of the journal.
        offers: the photos.
        destination: where they go.
        asked_ns: as of `remove`.
        told: called once, at the end or when the run breaks off, with what was moved and with why something stays.

    Raises:
        PixkinError: another process moves files, or the journal cannot be written.
    """
    gone: list[Offer] = []
    failed: list[str] = []
    with locked(folder):
        journal = TrashJournal.begin(folder, destination.name)
        try:
            for offer in offers:
                try:
                    failed += remove(offer, destination, journal, asked_ns)
                    gone.append(offer)
                except Stays as error:
                    failed.append(f"{offer.path}: {error}")
            journal.write("end")
        finally:
            journal.close()
            told(gone, failed)


def tidy(folder: str) -> list[tuple[MovedFile, str]]:
    """Give the files back their names that a run which was cut off has left under hidden names; return each as `bring_back`.

    Raises:
        PixkinError: as `move_all`.
    """
    with locked(folder):
        return [found for run in runs(folder) for found in put_aside_ones_back(run)]


def bring_back_last(folder: str) -> Returned | None:
    """Bring back what the last run has moved; again: the run before it. None: there is nothing to bring back.

    Raises:
        PixkinError: as `move_all`.
    """
    with locked(folder):
        known = [run for run in runs(folder) if run.moved or (run.unread and not run.undone)]
        run = next((run for run in known if not run.undone), None) or next(iter(known), None)
        if run is None:
            return None
        missing = [(moved, reason) for moved, reason in bring_back(run) if reason]
        # Else a drive is away, or a place is taken: the next time tries this run again.
        if all(is_lost(moved) for moved, _ in missing):
            journal = TrashJournal(run.file)
            journal.write("undone", missing=len(missing))
            journal.close()
    return Returned(run, missing)
