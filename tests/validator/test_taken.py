"""What the memory of taken messages keeps and when it forgets."""

import numpy as np

from validator import taken
from validator.taken import TakenMemory


def name_ids(first: int, count: int) -> np.ndarray:
    """(count, 32): ids that differ in their first eight bytes."""
    ids = np.zeros((count, 32), np.uint8)
    ids[:, :8] = np.arange(first, first + count, dtype=np.uint64).view(np.uint8).reshape(count, 8)
    return ids


def test_the_last_messages_are_remembered_and_memory_stays_bounded() -> None:
    memory, least = TakenMemory(), taken.TAKEN_REMEMBERED_MIN
    per_call, calls = 1_000, 3 * least // 1_000
    for call in range(calls):
        ids = name_ids(call * per_call, per_call)
        memory.remember(ids, ids, 7_000 + call)
        last = (call + 1) * per_call - 1
        for at in (last, max(0, last - least + 1)):
            assert memory.received_ms(name_ids(at, 1).tobytes()) == 7_000 + at // per_call
    held = [memory.received_ms(name_ids(at, 1).tobytes()) is not None for at in range(calls * per_call)]
    assert least <= sum(held) < 2 * least
    assert held == sorted(held), "the oldest are forgotten first"


def test_actions_are_known_by_their_own_ids() -> None:
    memory = TakenMemory()
    memory.remember(name_ids(1, 1), name_ids(100, 20), 7_000)
    assert memory.has_action(name_ids(1, 1).tobytes())
    assert memory.has_action(name_ids(119, 1).tobytes())
    assert not memory.has_action(name_ids(120, 1).tobytes())
    assert memory.received_ms(name_ids(119, 1).tobytes()) is None
