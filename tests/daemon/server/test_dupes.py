"""`dupes` and `apart`: which requests wait, and what each client is told."""

import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.daemon.search.duplicate_store import DuplicateStore, base, content, like
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.replies import Code, Failure, Groups, Noted, Reply
from pixkin.protocol.requests import Apart, Dupes
from pixkind.ingest.inbox import Inbox
from pixkind.search.errors import RequestError
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.deferred import Deferred
from pixkind.server.dupes import DupesHandler, SearchTimeouts
from pixkind.storage.decisions import Decisions

_QUICK = SearchTimeouts(reply_s=0.05, pause_s=30, replace_s=30, forget_s=30)
_ONE_AHEAD = SearchTimeouts(reply_s=0.05, pause_s=30, replace_s=30, forget_s=30, ahead=1)


class AtOnce(Inbox):
    """Does at once what is posted."""

    def post(self, action: Callable[[], object]) -> None:
        """Call `action`."""
        action()


@pytest.fixture
def duplicate_store(tmp_path: Path) -> Iterator[DuplicateStore]:
    """Yield a store with 60 pictures; each tenth is like the next."""
    vectors = base(60)
    for number in range(0, 60, 10):
        vectors[number + 1] = like(vectors, number, 0.2, number)
    made = DuplicateStore(tmp_path, vectors)
    yield made
    made.index.stop()
    made.store.close()


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    return Decisions(str(tmp_path / "home"))


@pytest.fixture
def asked(duplicate_store: DuplicateStore, decisions: Decisions) -> Iterator[Callable[[SearchTimeouts], DupesHandler]]:
    """Yield a maker of handlers; they are stopped at the end, and must not have died."""
    made: list[DupesHandler] = []

    def make(timeouts: SearchTimeouts = _QUICK, inbox: Inbox | None = None) -> DupesHandler:
        photo_search = PhotoSearch(duplicate_store.store, duplicate_store.index, duplicate_store.roots)
        made.append(DupesHandler(photo_search, inbox or AtOnce(), decisions, timeouts=timeouts))
        return made[-1]

    yield make
    for one in made:
        one.stop()
        assert one.failure() is None


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
    """Each group comes once, with the progress of the search. The last reply says that the search is done."""
    duplicates = asked(_ONE_AHEAD)
    replies = _rest(duplicates, _groups(duplicates))
    groups = [group for reply in replies for group in reply.groups]

    assert sorted(sorted(os.path.basename(one.path) for one in group.photos) for group in groups) == [
        [b"%d.jpg" % number, b"%d.jpg" % (number + 1)] for number in range(0, 60, 10)
    ]
    assert len({reply.search for reply in replies}) == 1
    assert (replies[-1].compared, replies[-1].pictures) == (60, 60)
    assert [reply.done for reply in replies] == [False] * (len(replies) - 1) + [True]


def test_search_pauses_while_its_groups_are_not_fetched(asked: Make) -> None:
    """A client that reads slowly costs no more than so many groups."""
    duplicates = asked(_ONE_AHEAD)
    first = _groups(duplicates)

    assert len(first.groups) <= 2
    assert not first.done


def test_another_search_waits_for_the_one_that_runs(asked: Make) -> None:
    """Its client hears again and again that it waits. It begins when the other one is over."""
    duplicates = asked(_ONE_AHEAD)
    first = _groups(duplicates)
    others = [_groups(duplicates) for _ in range(2)]
    _rest(duplicates, first)
    last = _groups(duplicates)

    assert [(other.search, other.groups, other.done) for other in others] == [(0, (), False)] * 2
    assert last.search not in (0, first.search)


def test_search_without_requests_makes_room_for_another(asked: Make) -> None:
    """A client that hung up blocks no other. A client that was only slow is told that its search has ended."""
    duplicates = asked(SearchTimeouts(reply_s=0.05, pause_s=0.2, replace_s=0.2, ahead=1))
    first = _groups(duplicates)
    second = _groups(duplicates)
    while not second.search:
        second = _groups(duplicates)
    late = _ask(duplicates, Dupes(search=first.search))

    assert len(_rest(duplicates, second)) > 1
    assert _failed(late) is Code.EXPIRED


def test_clients_that_wait_for_a_search_do_not_keep_it_alive(asked: Make) -> None:
    """However many other clients wait, a search ends when its own client has stopped asking."""
    duplicates = asked(SearchTimeouts(reply_s=30, pause_s=0.1, replace_s=0.2, ahead=1))
    _groups(duplicates)
    waiting = duplicates.answer(Dupes())
    threading.Event().wait(0.5)
    assert isinstance(waiting, Deferred)
    assert not waiting.futures[0].done()
    duplicates.answer(Dupes())

    wait_for(waiting.futures[0].done)


def test_search_without_requests_pauses_and_goes_on(asked: Make) -> None:
    """A client whose output waits in a pager loses nothing."""
    duplicates = asked(SearchTimeouts(reply_s=0.01, pause_s=0.2, ahead=1))
    first = _groups(duplicates)
    threading.Event().wait(0.4)

    assert sum(len(reply.groups) for reply in _rest(duplicates, first)) == 6


def test_search_is_forgotten_after_a_while(asked: Make) -> None:
    """Its memory is freed even if no other search is wanted."""
    duplicates = asked(SearchTimeouts(reply_s=0.01, pause_s=0.2, forget_s=1.5, ahead=1))
    first = _groups(duplicates)
    wait_for(lambda: not any(thread.name == "dupes" for thread in threading.enumerate()))

    assert _failed(_ask(duplicates, Dupes(search=first.search))) is Code.EXPIRED


def test_end_is_told_although_it_came_after_the_last_group(asked: Make) -> None:
    """A search that ended without another group still tells its client that it is done."""
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
    """The failure comes at once, and no search begins."""
    duplicates = asked()

    assert _failed(_ask(duplicates, Dupes(folder=b"/elsewhere"))) is Code.UNKNOWN_FOLDER
    assert _groups(duplicates).search


def test_stop_ends_a_search_and_says_so(asked: Make) -> None:
    """A waiting client is told that the daemon stops, and no search begins any more."""
    inbox = AtOnce()
    duplicates = asked(_ONE_AHEAD, inbox)
    first = _groups(duplicates)
    inbox.end()  # as the ingest thread does before
    duplicates.stop()

    assert _failed(_ask(duplicates, Dupes(search=first.search))) is Code.STOPPING
    assert _failed(_ask(duplicates, Dupes())) is Code.STOPPING
    assert _failed(_ask(duplicates, Apart(one=b"/p/0.jpg", other=b"/p/1.jpg"))) is Code.STOPPING


def test_apart_is_noted_by_content_and_undone(
    asked: Make, duplicate_store: DuplicateStore, decisions: Decisions
) -> None:
    """The request names photos; what is kept are their pictures."""
    duplicates = asked()
    told = _ask(duplicates, Apart(one=b"/p/1.jpg", other=b"/p/0.jpg"))
    kept = decisions.apart(duplicate_store.store)
    undone = _ask(duplicates, Apart(one=b"/p/0.jpg", other=b"/p/1.jpg", together=True))

    assert (told, undone) == (Noted(), Noted())
    assert kept == {(content(0), content(1))}
    assert decisions.apart(duplicate_store.store) == set()


def test_apart_names_the_photo_that_it_does_not_know(asked: Make) -> None:
    """A photo that is not indexed has no picture to be kept apart."""
    reply = _ask(asked(), Apart(one=b"/p/1.jpg", other=b"/p/none.jpg"))

    assert _failed(reply) is Code.UNREADABLE
    assert isinstance(reply, Failure)
    assert reply.path == b"/p/none.jpg"


def test_exact_copies_cannot_be_apart(asked: Make, duplicate_store: DuplicateStore) -> None:
    """Two names of one picture are no two pictures."""
    duplicate_store.add(("/p/copy.jpg", 1))

    assert _failed(_ask(asked(), Apart(one=b"/p/1.jpg", other=b"/p/copy.jpg"))) is Code.REFUSED


def test_pairs_that_are_apart_are_in_no_group(asked: Make) -> None:
    """A search that begins later knows them."""
    duplicates = asked()
    before = [group for reply in _rest(duplicates, _groups(duplicates)) for group in reply.groups]
    _ask(duplicates, Apart(one=b"/p/1.jpg", other=b"/p/0.jpg"))
    after = [group for reply in _rest(duplicates, _groups(duplicates)) for group in reply.groups]

    assert [{photo.path for photo in group.photos} for group in before if group not in after] == [
        {b"/p/0.jpg", b"/p/1.jpg"}
    ]


def test_pair_that_finds_no_room_is_not_noted(asked: Make, decisions: Decisions) -> None:
    """The client is told of a full disk, with the name of the file, and the daemon goes on."""
    Path(decisions.path).parent.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        told = _ask(asked(), Apart(one=b"/p/0.jpg", other=b"/p/1.jpg"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert isinstance(told, Failure)
    assert told.code is Code.BUSY
    assert decisions.path in told.what


def test_without_what_was_said_no_groups_are_told(asked: Make, decisions: Decisions) -> None:
    """A group could name a photo for deletion that somebody has kept apart."""
    Path(decisions.path).mkdir(parents=True)
    told = _ask(asked(), Dupes())

    assert isinstance(told, Failure)
    assert told.code is Code.BUSY
    assert decisions.path in told.what


def test_search_that_dies_is_no_end_of_the_groups(tmp_path: Path) -> None:
    """The client is told of an internal error, never that these were all groups. The daemon learns of the exception."""
    broken = DuplicateStore(tmp_path, base(4))
    broken.index.stop()
    broken.store.close()
    photo_search = PhotoSearch(broken.store, broken.index, broken.roots)
    duplicates = DupesHandler(photo_search, AtOnce(), Decisions(str(tmp_path / "home")))
    told = _failed(_ask(duplicates, Dupes()))
    wait_for(lambda: duplicates.failure() is not None)

    assert told is Code.INTERNAL
