from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.app.live.slot import LatestSlot

PATIENCE = 30  # seconds until a test that waits has failed


def test_empty() -> None:
    assert LatestSlot[int]().get() == (0, None)
    assert LatestSlot[int]().wait(0, 0.0) == (0, None)


@given(st.lists(st.integers(), min_size=1))
def test_the_newest_item_only(items: list[int]) -> None:
    slot = LatestSlot[int]()
    for item in items:
        slot.put(item)
    assert slot.get() == slot.get() == (len(items), items[-1])


def test_waiting_for_something_newer() -> None:
    slot = LatestSlot[str]()
    slot.put("a")
    assert slot.wait(0, PATIENCE) == (1, "a")
    assert slot.wait(1, 0.001) == (1, "a")  # nothing newer came
    got: list[object] = []
    reader = Thread(target=lambda: got.append(slot.wait(1, PATIENCE)))
    reader.start()
    slot.put("b")
    reader.join(PATIENCE)
    assert got == [(2, "b")]


def test_repeating_hands_the_newest_item_to_everybody_once_more() -> None:
    slot = LatestSlot[str]()
    slot.repeat()
    assert slot.get() == (0, None)  # there is nothing to repeat
    slot.put("a")
    slot.repeat()
    assert slot.wait(1, PATIENCE) == (2, "a")


def test_closing_wakes_every_reader_and_keeps_the_last_item() -> None:
    slot = LatestSlot[str]()
    slot.put("a")
    got: list[object] = []
    readers = [Thread(target=lambda: got.append(slot.wait(1, PATIENCE))) for _ in range(3)]
    for reader in readers:
        reader.start()
    assert not slot.closed
    slot.close()
    for reader in readers:
        reader.join(PATIENCE)
    assert slot.closed
    assert got == [(1, "a")] * 3
    slot.close()
    assert slot.wait(1) == (1, "a")


@pytest.mark.parametrize("readers", [1, 3])
def test_readers_see_versions_rise_and_never_miss_the_last(readers: int) -> None:
    slot, count, start = LatestSlot[int](), 500, Barrier(readers + 1)
    seen: list[list[int]] = [[] for _ in range(readers)]

    def read(mine: list[int]) -> None:
        start.wait(PATIENCE)
        version = 0
        while version < count:
            version, item = slot.wait(version, PATIENCE)
            assert item == version
            mine.append(version)

    threads = [Thread(target=read, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    start.wait(PATIENCE)
    for item in range(1, count + 1):
        slot.put(item)
    for thread in threads:
        thread.join(PATIENCE)
    for mine in seen:
        assert mine == sorted(set(mine))
        assert mine[-1] == count
