from pathlib import Path

from pixkind.storage.store import Store

ONE, OTHER, THIRD = (bytes([number]) * 16 for number in (9, 1, 5))


def test_pair_is_kept_whichever_is_named_first_and_survives_a_restart(tmp_path: Path) -> None:
    """A pair has no order, is there once, and is durable."""
    store = Store(str(tmp_path), "space", map_gb=1)
    store.apart.put(ONE, OTHER)
    store.apart.put(OTHER, ONE)
    store.apart.put(ONE, THIRD)
    store.close()
    again = Store(str(tmp_path), "another space", map_gb=1)
    pairs = again.apart.pairs()
    again.close()

    assert pairs == {(OTHER, ONE), (THIRD, ONE)}


def test_pair_is_forgotten_by_whichever_order_and_only_that_pair(tmp_path: Path) -> None:
    """`delete` undoes `put`, and deleting what is not there is no mistake."""
    store = Store(str(tmp_path), "space", map_gb=1)
    store.apart.put(ONE, OTHER)
    store.apart.put(ONE, THIRD)
    store.apart.delete(OTHER, ONE)
    store.apart.delete(OTHER, THIRD)
    pairs = store.apart.pairs()
    store.close()

    assert pairs == {(THIRD, ONE)}
