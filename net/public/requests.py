"""Requests and answers on one stream: 4 bytes of length (big endian), then the bytes, in both directions.

A stream may carry one request after the other; opening one costs more than most answers. Limits are checked before
anything is read, and every wait has an end.
"""

import struct
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from net.public.messages import ANSWER_BYTES_MAX, PublicError

IDLE_TIMEOUT_S = 30.0
WRITE_TIMEOUT_S = 30.0
ASK_TIMEOUT_S = 20.0
CHUNK_BYTES = 64 * 1024
_LENGTH = struct.Struct(">I")


async def serve_requests(stream: Any, answer: Callable[[bytes], Awaitable[bytes]], request_bytes_max: int) -> None:
    """Until the peer ends the stream, is silent for long, or asks something wrong: whatever is raised ends it."""
    while True:
        with trio.fail_after(IDLE_TIMEOUT_S):
            request = await _read_frame(stream, request_bytes_max)
        if request is None:
            return
        data = await answer(request)
        if len(data) > ANSWER_BYTES_MAX:
            raise PublicError(f"an answer of {len(data)} bytes")
        with trio.fail_after(WRITE_TIMEOUT_S):
            await _write_frame(stream, data)


async def ask(stream: Any, request: bytes, size_bytes_max: int) -> bytes:
    """One question on a stream of its own, which ends with it."""
    try:
        with trio.fail_after(ASK_TIMEOUT_S):
            await _write_frame(stream, request)
            answer = await _read_frame(stream, size_bytes_max)
        if answer is None:
            raise PublicError("the stream ended without an answer")
        return answer
    finally:
        # Shielded and bounded: a stream that one side alone ends is kept for ever. trio-typing's stubs do not know the
        # argument yet.
        with trio.move_on_after(0.5, shield=True):  # type: ignore[call-arg]
            await stream.reset()


async def _write_frame(stream: Any, data: bytes) -> None:
    framed = _LENGTH.pack(len(data)) + data
    for at in range(0, len(framed), CHUNK_BYTES):
        await stream.write(framed[at : at + CHUNK_BYTES])


async def _read_frame(stream: Any, size_bytes_max: int) -> bytes | None:
    """None at the end of the stream."""
    head = await _read_exactly(stream, _LENGTH.size)
    if head is None:
        return None
    (size_bytes,) = _LENGTH.unpack(head)
    if size_bytes > size_bytes_max:
        raise PublicError(f"{size_bytes} bytes announced, {size_bytes_max} allowed")
    body = await _read_exactly(stream, size_bytes)
    if body is None:
        raise PublicError("the stream ended within a frame")
    return body


async def _read_exactly(stream: Any, size_bytes: int) -> bytes | None:
    data = bytearray()
    while len(data) < size_bytes:
        try:
            chunk = await stream.read(min(CHUNK_BYTES, size_bytes - len(data)))
        except Exception:
            if data:
                raise
            return None  # the library tells an ordered end as an error
        if not chunk:
            return None
        data += chunk
    return bytes(data)
