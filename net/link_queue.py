"""What waits to be written to one peer: bounded, ordered by priority, joined and cut into writes. Pure."""

from collections import deque

from net.framing import PART_BYTES_MAX, encode_part
from net.wire import HEADER_BYTES, Priority

PART_BYTES_MIN = 1024


class OutboundQueue:
    """Encoded frames by priority. A link's cost is per write, not per frame, hence `take` joins them; whatever has the
    lowest priority goes in parts, so that what comes meanwhile waits for one write and no more.
    """

    def __init__(self, bytes_max: int, sync_bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._sync_bytes_max = sync_bytes_max
        self._frames: tuple[deque[bytes], ...] = tuple(deque() for _ in Priority)
        self.size_bytes = 0
        self.overflowed = False
        self._slow_at = 0  # what of the first frame of the lowest priority has gone

    def __len__(self) -> int:
        return sum(len(frames) for frames in self._frames)

    @property
    def answer_count(self) -> int:
        """Frames of the lowest priority."""
        return len(self._frames[Priority.SYNC])

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
        """The next write, and how many frames end in it: what is queued up to `bytes_max`, or one larger frame alone,
        then parts of the slow stream."""
        taken: list[bytes] = []
        size_bytes = 0
        for frames in self._frames[: Priority.SYNC]:
            while frames and (not taken or size_bytes + len(frames[0]) <= bytes_max):
                size_bytes += len(frames[0])
                taken.append(frames.popleft())
            if frames:
                break
        frame_count = len(taken)
        self.size_bytes -= size_bytes
        if not any(self._frames[: Priority.SYNC]):
            frame_count += self._take_parts(taken, bytes_max - size_bytes)
        return b"".join(taken), frame_count

    def _take_parts(self, taken: list[bytes], room_bytes: int) -> int:
        """Appends parts to a write; how many frames end in them. Too little room is left to the next write."""
        slow, frame_count = self._frames[Priority.SYNC], 0
        while slow and (room_bytes >= PART_BYTES_MIN or not taken):
            frame, at = slow[0], self._slow_at
            end = min(len(frame), at + max(1, min(room_bytes - HEADER_BYTES, PART_BYTES_MAX)))
            taken.append(encode_part(frame[at:end]))
            room_bytes -= len(taken[-1])
            self.size_bytes -= end - at
            self._slow_at = end
            if end == len(frame):
                slow.popleft()
                self._slow_at = 0
                frame_count += 1
        return frame_count
