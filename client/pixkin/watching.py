"""The part of `Client` that asks standing questions, and waits for news."""

from __future__ import annotations  # help() shows the names of types, not what they stand for

from collections.abc import Sequence

from pixkin.asking import Asking
from pixkin.protocol import requests
from pixkin.protocol.bands import Relation
from pixkin.protocol.news import Arrived, LibraryChanged, Watches
from pixkin.query_images import Weighted, images_of
from pixkin.reply_errors import expect


class StandingQuestions(Asking):
    """Asks questions that stay: which new pictures are like these images?"""

    def watch(
        self,
        *images: Weighted,
        minus: Sequence[Weighted] = (),
        min_score: float | str | None = None,
        name: str = "",
    ) -> Watches:
        """Begin a standing question, or find the one that was asked already, and return it as `watch` among all.

        Args:
            *images: as in `like`.
            minus: as in `like`.
            min_score: only pictures that score at least this, -1 to 1; or the name of a band, such as "same shot": of
                this band or a nearer one; None: "alike".
            name: of the question, for people.

        Raises:
            PixkinError: as `ask` does.
        """
        frames: list[bytes] = []
        request = requests.Watch(
            images=images_of(images, minus, None, frames),
            name=name,
            min_score=None if isinstance(min_score, str) else min_score,
            min_band=Relation(min_score) if isinstance(min_score, str) else Relation.UNKNOWN,
        )
        return expect(Watches, self._ask_with_images(request, frames))

    def unwatch(self, watch: int) -> Watches:
        """End a standing question, and return all others.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Watches, self.ask(requests.Unwatch(watch=watch)))

    def watches(self) -> Watches:
        """Return all standing questions.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(Watches, self.ask(requests.ListWatches()))

    def arrivals(self, watch: int = 0, after: int = 0, timeout_s: float = 30.0, *, peek: bool = False) -> Arrived:
        """Wait for matches of standing questions with a number above `after`; without any the answer is empty.

        The daemon notes that all matches up to `after` are known, and is asked for them no more by `pixkin watch`.

        Args:
            watch: the number of a question; 0: all questions.
            after: `last` of the answer before; at first `told` of the question.
            timeout_s: how long to wait, at most; the daemon waits for a minute at most. 0: do not wait.
            peek: do not note that the matches up to `after` are known.

        Raises:
            PixkinError: as `ask` does.
        """
        request = requests.Arrivals(watch=watch, after=after, peek=peek, wait=timeout_s > 0)
        return expect(Arrived, self._exchange(request, (), self._until(timeout_s or self._reply_s)))

    def changes(self, after: int = 0, timeout_s: float = 30.0) -> LibraryChanged:
        """Wait until pictures become searchable, or no longer are; without a change the answer has the same generation.

        Args:
            after: `generation` of the answer before; 0: return the present one at once.
            timeout_s: as in `arrivals`.

        Raises:
            PixkinError: as `ask` does.
        """
        return expect(LibraryChanged, self._exchange(requests.Changes(after=after), (), self._until(timeout_s)))
