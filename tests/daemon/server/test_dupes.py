"""The answers to `dupes` and `apart`: who waits for whom, and who is told what."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.daemon.conftest import wait_for
from tests.daemon.search.duplicate_store import Shelf, base, content, like
from tests.daemon.settled import settled

from pixkin.protocol.replies import Code, Doubt, Failure, Groups, Noted, Reply
from pixkin.protocol.requests import Apart, Dupes
from pixkind.search.errors import RequestError
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.deferred import Deferred
from pixkind.server.dupes import DupesHandler, Patience
from pixkind.storage.environment import StoreFull
from pixkind.storage.store import Store
from pixkind.storage.write_batch import WriteBatch

_QUICK = Patience(wait_s=0.05, silent_s=30, left_s=30, forgotten_s=30)
_ONE_AHEAD = Patience(wait_s=0.05, silent_s=30, left_s=30, forgotten_s=30, ahead=1)


def _write_at_once(action: Callable[[], object]) -> None:
    action()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """Yield a shelf with 60 pictures, of which each tenth is like the next."""
    vectors = base(60)
    for number in range(0, 60, 10):
        vectors[number + 1] = like(vectors, number, 0.2, number)
    made = Shelf(tmp_path, vectors)
    yield made
    made.index.stop()
    made.store.close()


@pytest.fixture
def asked(shelf: Shelf) -> Iterator[Callable[[Patience], DupesHandler]]:
    """Yield what makes the answers of a shelf; they are stopped at the end, and must not have died."""
    made: list[DupesHandler] = []

    def make(patience: Patience = _QUICK) -> DupesHandler:
        photo_search = PhotoSearch(shelf.store, shelf.index, shelf.roots, lambda: Doubt(pending=7))
        made.append(DupesHandler(photo_search, _write_at_once, patience=patience))
        return made[-1]

    yield make
    for one in made:
        one.stop()
        assert one.failure() is None


def _fill(store: Store) -> None:
    """Write until nothing finds room any more: first what takes much of it, at last pairs."""
    for size in (100_000, 1000):
        with suppress(StoreFull):
            for number in range(1000):
                store.commit(WriteBatch(vectors={b"%08d%08d" % (size, number): bytes(size)}))
    for number in range(2000, 2, -1):  # each comes before all others, where the next will, too
        store.apart.put(content(number), b"x" * 16)


Make = Callable[..., DupesHandler]


def _ask(duplicates: DupesHandler, request: Dupes | Apart) -> Reply:
    try:
        reply = duplicates.answer(request)
    except RequestError as error:
        return error.failure
    return settled(reply)


def _groups(duplicates: DupesHandler, search: int = 0) -> Groups:
    reply = _ask(duplicates, Dupes(search=search))
    assert isinstance(reply, Groups), reply
    return reply


def _rest(duplicates: DupesHandler, reply: Groups) -> list[Groups]:
    """Return the replies from this one to the last."""
    replies = [reply]
    while not replies[-1].done:
        replies.append(_groups(duplicates, replies[-1].search))
    return replies


def _failed(reply: Reply) -> Code:
    assert isinstance(reply, Failure), reply
    return reply.code


def test_groups_come_once_and_the_last_reply_says_so(asked: Make) -> None:
    """Whatever the client asks in between, it is told each group once, how far it is, and at the end the doubt."""
    duplicates = asked(_ONE_AHEAD)
    replies = _rest(duplicates, _groups(duplicates))
    groups = [group for reply in replies for group in reply.groups]

    assert sorted(sorted(os.path.basename(one.path) for one in group.photos) for group in groups) == [
        [b"%d.jpg" % number, b"%d.jpg" % (number + 1)] for number in range(0, 60, 10)
    ]
    assert len({reply.search for reply in replies}) == 1
    assert (replies[-1].compared, replies[-1].pictures) == (60, 60)
    assert [reply.doubt.pending for reply in replies] == [0] * (len(replies) - 1) + [7]


def test_search_stands_still_while_its_groups_are_not_fetched(asked: Make) -> None:
    """A client that reads slowly costs no more than so many groups."""
    duplicates = asked(_ONE_AHEAD)
    first = _groups(duplicates)

    assert len(first.groups) <= 2
    assert not first.done


def test_another_search_waits_for_the_one_that_runs(asked: Make) -> None:
    """It is told that it waits, again and again, and begins when the other is over."""
    duplicates = asked(_ONE_AHEAD)
    first = _groups(duplicates)
    others = [_groups(duplicates) for _ in range(2)]
    _rest(duplicates, first)
    last = _groups(duplicates)

    assert [(other.search, other.groups, other.done) for other in others] == [(0, (), False)] * 2
    assert last.search not in (0, first.search)


def test_search_that_nobody_asks_for_makes_room_for_another(asked: Make) -> None:
    """Who hung up blocks nobody, and who was only slow is told that it was given up."""
    duplicates = asked(Patience(wait_s=0.05, silent_s=0.2, left_s=0.2, ahead=1))
    first = _groups(duplicates)
    second = _groups(duplicates)
    while not second.search:
        second = _groups(duplicates)
    late = _ask(duplicates, Dupes(search=first.search))

    assert len(_rest(duplicates, second)) > 1
    assert _failed(late) is Code.EXPIRED


def test_who_waits_for_another_search_does_not_keep_it_alive(asked: Make) -> None:
    """However many others wait all the time, a search that nobody asks for any more is given up."""
    duplicates = asked(Patience(wait_s=30, silent_s=0.1, left_s=0.2, ahead=1))
    _groups(duplicates)
    waiting = duplicates.answer(Dupes())
    threading.Event().wait(0.5)
    assert isinstance(waiting, Deferred)
    assert not waiting.futures[0].done()
    duplicates.answer(Dupes())

    wait_for(waiting.futures[0].done)


def test_search_that_nobody_asks_for_stands_still_and_goes_on(asked: Make) -> None:
    """A pager that stands before the client loses nothing."""
    duplicates = asked(Patience(wait_s=0.01, silent_s=0.2, ahead=1))
    first = _groups(duplicates)
    threading.Event().wait(0.4)

    assert sum(len(reply.groups) for reply in _rest(duplicates, first)) == 6


def test_search_is_forgotten_after_a_while(asked: Make) -> None:
    """Its memory is given back although nobody wants another one."""
    duplicates = asked(Patience(wait_s=0.01, silent_s=0.2, forgotten_s=1.5, ahead=1))
    first = _groups(duplicates)
    wait_for(lambda: not any(thread.name == "dupes" for thread in threading.enumerate()))

    assert _failed(_ask(duplicates, Dupes(search=first.search))) is Code.EXPIRED


def test_end_is_told_although_it_came_after_the_last_group(asked: Make) -> None:
    """A search that ended with nothing left to give away still owes its client the word that it is done."""
    duplicates = asked(_ONE_AHEAD)
    replies = [_groups(duplicates)]
    while sum(len(reply.groups) for reply in replies) < 6:
        replies.append(_groups(duplicates, replies[0].search))
    wait_for(lambda: not any(thread.name == "dupes" for thread in threading.enumerate()))

    assert replies[-1].done or _groups(duplicates, replies[0].search).done


def test_search_that_there_never_was_is_expired(asked: Make) -> None:
    """As after a restart of the daemon."""
    assert _failed(_ask(asked(), Dupes(search=5))) is Code.EXPIRED


def test_folder_that_is_not_watched_is_unknown(asked: Make) -> None:
    """It is said at once, and nothing is begun."""
    duplicates = asked()

    assert _failed(_ask(duplicates, Dupes(folder=b"/elsewhere"))) is Code.UNKNOWN_FOLDER
    assert _groups(duplicates).search


def test_stop_ends_a_search_and_says_so(asked: Make) -> None:
    """Who waits is told that the daemon stops, and nothing begins any more."""
    duplicates = asked(_ONE_AHEAD)
    first = _groups(duplicates)
    duplicates.stop()

    assert _failed(_ask(duplicates, Dupes(search=first.search))) is Code.STOPPING
    assert _failed(_ask(duplicates, Dupes())) is Code.STOPPING
    assert _failed(_ask(duplicates, Apart(one=b"/p/0.jpg", other=b"/p/1.jpg"))) is Code.STOPPING


def test_what_is_told_of_a_search_needs_no_beat(asked: Make) -> None:
    """The service lives while a search takes its time."""
    duplicates = asked()

    assert duplicates.beat() != duplicates.beat()


def test_apart_is_stored_by_content_and_undone(asked: Make, shelf: Shelf) -> None:
    """The photos are named; what is kept is their pictures."""
    duplicates = asked()
    told = _ask(duplicates, Apart(one=b"/p/1.jpg", other=b"/p/0.jpg"))
    kept = shelf.store.apart.pairs()
    undone = _ask(duplicates, Apart(one=b"/p/0.jpg", other=b"/p/1.jpg", together=True))

    assert (told, undone) == (Noted(), Noted())
    assert kept == {(content(0), content(1))}
    assert shelf.store.apart.pairs() == set()


def test_apart_names_the_photo_that_it_does_not_know(asked: Make) -> None:
    """A photo that is not indexed has no picture to be kept apart."""
    reply = _ask(asked(), Apart(one=b"/p/1.jpg", other=b"/p/none.jpg"))

    assert _failed(reply) is Code.UNREADABLE
    assert isinstance(reply, Failure)
    assert reply.path == b"/p/none.jpg"


def test_exact_copies_cannot_be_apart(asked: Make, shelf: Shelf) -> None:
    """Two names of one picture are no two pictures."""
    shelf.add(("/p/copy.jpg", 1))

    assert _failed(_ask(asked(), Apart(one=b"/p/1.jpg", other=b"/p/copy.jpg"))) is Code.REFUSED


def test_pair_that_finds_no_room_is_not_noted(tmp_path: Path) -> None:
    """A full store is told of, and nobody dies of it."""
    small = Shelf(tmp_path, base(2), map_gb=0)  # LMDB's own default, which is little
    with pytest.raises(StoreFull):
        _fill(small.store)
    photo_search = PhotoSearch(small.store, small.index, small.roots, Doubt)
    duplicates = DupesHandler(photo_search, _write_at_once)
    told = _failed(_ask(duplicates, Apart(one=b"/p/0.jpg", other=b"/p/1.jpg")))
    small.index.stop()
    small.store.close()

    assert told is Code.BUSY


def test_search_that_dies_is_no_end_of_the_groups(tmp_path: Path) -> None:
    """Who waits is told of the defect, never that these were all; and the daemon learns what it died of."""
    broken = Shelf(tmp_path, base(4))
    broken.index.stop()
    broken.store.close()
    photo_search = PhotoSearch(broken.store, broken.index, broken.roots, Doubt)
    duplicates = DupesHandler(photo_search, _write_at_once)
    told = _failed(_ask(duplicates, Dupes()))
    wait_for(lambda: duplicates.failure() is not None)

    assert told is Code.INTERNAL
