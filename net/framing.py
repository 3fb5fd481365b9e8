"""A byte stream cut into frames, and one stream of frames inside another. Pure.

A frame of type `PART` is a piece of a second, slow stream of frames in the same format (`net/wire.py`). Long answers
travel there, cut into pieces, so that a vote never waits behind a megabyte.
"""

from net.wire import BODY_BYTES_MAX, HEADER, HEADER_BYTES, FrameType, WireError

PART = 0x04
PART_BYTES_MAX = 64 * 1024
_TYPES: dict[int, FrameType] = {int(kind): kind for kind in FrameType}


def encode_part(piece: bytes) -> bytes:
    """A piece of the slow stream, to stand between other frames."""
    return HEADER.pack(len(piece), PART) + piece


class FrameSplitter:
    """Cuts a byte stream into frames, those of its slow stream among them when they are whole. Holds at most one
    unfinished body of each, whose limit was checked from its header.
    """

    def __init__(self, has_parts: bool = True) -> None:
        self._slow = FrameSplitter(has_parts=False) if has_parts else None
        self._buffer = bytearray()
        self._wanted_bytes = HEADER_BYTES
        self._failed = False

    @property
    def pending_bytes(self) -> int:
        """Bytes of the unfinished frames."""
        return len(self._buffer) + (0 if self._slow is None else self._slow.pending_bytes)

    def feed(self, data: bytes | memoryview) -> list[tuple[FrameType, bytes]]:
        """The frames that `data` completes. Raises `WireError` at the first bad header, and ever after."""
        if self._failed:
            raise WireError("the stream has already failed")
        if not self._buffer:
            # The common case: whole frames, cut out of what has come with one copy each.
            view = memoryview(data)
            frames, at = self._cut(view)
            self._buffer += view[at:]
            return frames
        self._buffer += data
        if len(self._buffer) < self._wanted_bytes:
            return []
        with memoryview(self._buffer) as view:
            frames, at = self._cut(view)
        if at:
            del self._buffer[:at]
        return frames

    def _cut(self, view: memoryview) -> tuple[list[tuple[FrameType, bytes]], int]:
        """The whole frames at the start, and where the rest begins."""
        frames: list[tuple[FrameType, bytes]] = []
        at, size_bytes = 0, len(view)
        while size_bytes - at >= HEADER_BYTES:
            length, code = HEADER.unpack_from(view, at)
            kind = self._check_header(length, code)
            end = at + HEADER_BYTES + length
            if size_bytes < end:
                self._wanted_bytes = end - at
                return frames, at
            body = bytes(view[at + HEADER_BYTES : end])
            if kind is not None:
                frames.append((kind, body))
            elif self._slow is not None:
                frames += self._slow.feed(body)
            at = end
        self._wanted_bytes = HEADER_BYTES
        return frames, at

    def _check_header(self, length: int, code: int) -> FrameType | None:
        """None: a part."""
        kind = _TYPES.get(code)
        if kind is not None and length <= BODY_BYTES_MAX[kind]:
            return kind
        if code == PART and length <= PART_BYTES_MAX and self._slow is not None:
            return None
        self._failed = True
        if kind is None:
            raise WireError(f"unknown frame type {code:#04x}")
        raise WireError(f"{kind.name} announces {length} bytes, over its limit of {BODY_BYTES_MAX[kind]}")
