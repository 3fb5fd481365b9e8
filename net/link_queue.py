"""What waits to be written to one peer: bounded, ordered by priority, cut into large writes. Pure."""

from collections import deque

from net.wire import Priority


class OutboundQueue:
    """Encoded frames by priority. A link's cost is per write, not per frame, hence `take` joins them."""

    def __init__(self, bytes_max: int, sync_bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._sync_bytes_max = sync_bytes_max
        self._frames: tuple[deque[bytes], ...] = tuple(deque() for _ in Priority)
        self.size_bytes = 0
        self.overflowed = False

    def __len__(self) -> int:
        return sum(len(frames) for frames in self._frames)

    def push(self, data: bytes, priority: Priority) -> bool:
        """False when there is no room. Sync has less room, so that a peer which asks and does not read loses answers
        first; when there is none for the rest, `overflowed` tells the link to end."""
        room = self._sync_bytes_max if priority is Priority.SYNC else self._bytes_max
        if self.size_bytes + len(data) > room:
            self.overflowed = self.overflowed or priority is not Priority.SYNC
            return False
        self._frames[priority].append(data)
        self.size_bytes += len(data)
        return True

    def take(self, bytes_max: int) -> tuple[bytes, int]:
        """The next write and its number of frames: all that is queued up to `bytes_max`, or one larger frame alone."""
        taken: list[bytes] = []
        size_bytes = 0
        for frames in self._frames:
            while frames and (not taken or size_bytes + len(frames[0]) <= bytes_max):
                size_bytes += len(frames[0])
                taken.append(frames.popleft())
            if frames:
                break
        self.size_bytes -= size_bytes
        return b"".join(taken), len(taken)
