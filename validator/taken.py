"""Which messages were taken lately, by their ids and those of their actions, so that none is taken twice and whoever
asks for one is told that it waits.
"""

from collections import OrderedDict

import numpy as np

TAKEN_REMEMBERED_MAX = 50_000
_RING_BITS = 17  # ids of actions: more than any backlog


class TakenMemory:
    """Messages by their ids; of actions the first eight bytes, in a ring."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, int] = OrderedDict()  # message id -> received_ms
        self._ring = np.zeros(1 << _RING_BITS, dtype=np.uint64)
        self._ring_at = 0

    def remember(self, message_ids: np.ndarray, action_ids: np.ndarray, now_ms: int) -> None:
        """Ids (m, 32) of messages and (n, 32) of all their actions."""
        names = message_ids.tobytes()
        for at in range(0, len(names), 32):
            self._known[names[at : at + 32]] = now_ms
        while len(self._known) > TAKEN_REMEMBERED_MAX:
            self._known.popitem(last=False)
        prefixes = np.ascontiguousarray(action_ids[:, :8]).view(np.uint64)[:, 0][-len(self._ring) :]
        places = np.arange(self._ring_at, self._ring_at + len(prefixes)) & (len(self._ring) - 1)
        self._ring[places] = prefixes
        self._ring_at = (self._ring_at + len(prefixes)) & (len(self._ring) - 1)

    def received_ms(self, message_id: bytes) -> int | None:
        """Since when a message is held, if it is."""
        return self._known.get(message_id)

    def has_action(self, action_id: bytes) -> bool:
        """Whether one of the last messages has an action of that id."""
        return action_id in self._known or bool((self._ring == np.frombuffer(action_id[:8], np.uint64)).any())
