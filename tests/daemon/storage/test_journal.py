from pathlib import Path

import pytest

from pixkind.storage.environment import Environment
from pixkind.storage.journal import Journal
from pixkind.storage.record import UNKNOWN
from pixkind.storage.store import Store
from pixkind.storage.write_batch import WriteBatch

_ONE, _TWO, _THREE = (bytes([number]) * 16 for number in (1, 2, 3))


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(str(tmp_path), 1)


def _note(env: Environment, journal: Journal, *contents: bytes) -> int:
    with env.writing() as txn:
        return journal.note(txn, contents)


def test_the_journal_tells_what_came_after_a_generation(env: Environment) -> None:
    """Each commit has the next generation; what was touched after one is told, each content once."""
    journal = Journal(env)
    generations = [_note(env, journal, _ONE, _TWO), _note(env, journal, _TWO), _note(env, journal, _THREE, _TWO)]

    assert generations == [1, 2, 3]
    assert journal.generation == 3
    assert [journal.since(after) for after in range(4)] == [{_ONE, _TWO, _THREE}, {_TWO, _THREE}, {_TWO, _THREE}, set()]


def test_a_commit_that_touches_nothing_has_no_generation(env: Environment) -> None:
    """Strikes alone, or photos whose content is not known, change nothing that a copy could have."""
    journal = Journal(env)

    assert [_note(env, journal), _note(env, journal, UNKNOWN)] == [0, 0]
    assert journal.generation == 0


def test_what_is_forgotten_is_not_known(env: Environment) -> None:
    """Who is older than what is forgotten is told so, not a part; so is who is newer than the store, which was put back."""
    journal = Journal(env)
    for content in (_ONE, _TWO, _THREE):
        _note(env, journal, content)
    journal.forget(2)

    assert [journal.since(after) for after in (0, 1, 2, 3, 4)] == [None, None, {_THREE}, set(), None]
    assert _note(env, journal, _ONE) == 4
    assert journal.since(2) == {_ONE, _THREE}


def test_what_is_forgotten_stays_so_when_another_reader_comes(env: Environment) -> None:
    """One that knows nothing yet does not make the journal look whole again."""
    journal = Journal(env)
    for content in (_ONE, _TWO, _THREE):
        _note(env, journal, content)
    journal.forget(2)
    journal.readers["beside"] = 0
    journal.forget(3)

    assert [journal.since(after) for after in (0, 1, 2)] == [None, None, {_THREE}]


def test_the_generation_outlives_what_is_forgotten(tmp_path: Path) -> None:
    """It never starts again from 0: an older snapshot would then fit by chance."""
    env = Environment(str(tmp_path), 1)
    journal = Journal(env)
    _note(env, journal, _ONE)
    journal.forget(1)
    env.close()
    env = Environment(str(tmp_path), 1)

    assert Journal(env).generation == 1
    assert _note(env, Journal(env), _TWO) == 2


def _entries(env: Environment, **values: bytes) -> None:
    """Write entries of the journal as an older pixkind or a failing disk has left them, or numbers beside it."""
    journal, meta = env.database("journal"), env.database("meta")
    with env.writing() as txn:
        for name, value in values.items():
            if name.startswith("at"):
                txn.put(int(name[2:]).to_bytes(8), value, db=journal)
            else:
                txn.put(name.replace("_", " ").encode(), value, db=meta)


def test_the_entries_of_an_older_pixkind_are_read(env: Environment) -> None:
    """They have no checksum; later ones have."""
    _entries(env, at1=_ONE + _TWO, generation=b"1")
    _note(env, Journal(env), _THREE)

    assert Journal(env).since(0) == {_ONE, _TWO, _THREE}


@pytest.mark.parametrize("damage", [{"at2": b"x" * 20}, {"at2": b""}, {"at2": _THREE}, {"at5": _TWO}])
def test_a_damaged_entry_is_told_and_hides_nothing(env: Environment, damage: dict[str, bytes]) -> None:
    """Who needs it learns that the journal cannot tell; who does not, gets the rest."""
    journal = Journal(env)
    for content in (_ONE, _TWO, _THREE):
        _note(env, journal, content)
    _entries(env, **damage)
    is_beyond = "at5" in damage

    assert journal.since(0) is journal.since(1) is None
    assert journal.since(2) == (None if is_beyond else {_THREE})
    assert _note(env, journal, _ONE) == (6 if is_beyond else 4)


@pytest.mark.parametrize("number", [b"", b"1", b"x", b"-5", b"9" * 17, b"9" * 30])
@pytest.mark.parametrize("name", ["generation", "journal_from"])
def test_a_damaged_number_never_makes_a_generation_come_twice(env: Environment, name: str, number: bytes) -> None:
    """No snapshot may take one commit for another. The journal goes on."""
    journal = Journal(env)
    for content in (_ONE, _TWO, _THREE):
        _note(env, journal, content)
    _entries(env, **{name: number})
    told = journal.since(0)
    following = _note(env, journal, _ONE)
    journal.forget(following)

    assert told in (None, {_ONE, _TWO, _THREE})
    assert following > 3
    assert journal.since(following) == set()


def test_what_another_reader_needs_is_not_forgotten(tmp_path: Path) -> None:
    """The index of each open space catches up by itself: the journal goes as far back as the one that has least."""
    store = Store(str(tmp_path), "filling", map_gb=1)
    beside = store.beside("answering")
    for number in (1, 2, 3):
        store.commit(WriteBatch(vectors={bytes([number]) * 16: b"v"}))
    store.journal.forget(3, "filling")
    while_open = store.journal.since(1)
    beside.leave()
    store.journal.forget(3, "filling")
    alone = store.journal.since(1)
    store.close()

    assert while_open == {b"\2" * 16, b"\3" * 16}
    assert alone is None
