"""Which messages were taken lately, by their ids and those of their actions, so that none is taken twice and whoever
asks for one is told that it waits.
"""

import numpy as np

TAKEN_REMEMBERED_MIN = 25_000
_RING_BITS = 17  # ids of actions: more than any backlog


class TakenMemory:
    """Messages by their ids, at least the last `TAKEN_REMEMBERED_MIN` and fewer than twice as many; of actions the
    first eight bytes, in a ring.
    """

    def __init__(self) -> None:
        # Message id -> received_ms. Two dicts, of which the older is dropped whole: half of what one in order takes.
        self._recent: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}
        self._ring = np.zeros(1 << _RING_BITS, dtype=np.uint64)
        self._ring_at = 0

    def remember(self, message_ids: np.ndarray, action_ids: np.ndarray, now_ms: int) -> None:
        """Ids (m, 32) of messages and (n, 32) of all their actions."""
        names = message_ids.tobytes()
        for at in range(0, len(names), 32):
            self._recent[names[at : at + 32]] = now_ms
            if len(self._recent) == TAKEN_REMEMBERED_MIN:
                self._older, self._recent = self._recent, {}
        prefixes = np.ascontiguousarray(action_ids[:, :8]).view(np.uint64)[:, 0][-len(self._ring) :]
        places = np.arange(self._ring_at, self._ring_at + len(prefixes)) & (len(self._ring) - 1)
        self._ring[places] = prefixes
        self._ring_at = (self._ring_at + len(prefixes)) & (len(self._ring) - 1)

    def received_ms(self, message_id: bytes) -> int | None:
        """Since when a message is held, if it is."""
        received_ms = self._recent.get(message_id)
        return self._older.get(message_id) if received_ms is None else received_ms

    def has_action(self, action_id: bytes) -> bool:
        """Whether one of the last messages has an action of that id."""
        prefix = np.frombuffer(action_id[:8], np.uint64)
        return self.received_ms(action_id) is not None or bool((self._ring == prefix).any())
