"""Messages of a WebSocket that wait together leave in one write, which costs more than all else that a small one needs.

Where nothing was negotiated that changes them, the frames are made here: of what many clients are sent, once for all of
them. hypercorn and wsproto make each for each of them anew, and hand it on through five layers.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from math import inf

import trio
from starlette.websockets import WebSocket
from wsproto.frame_protocol import Opcode

from net.gateway.server import more_follows, serving

WRITE_BYTES = 16 * 1024
_FINAL = 0x80
_SHORT_BYTES_MAX, _MEDIUM_BYTES_MAX = 125, 0xFFFF
_IS_MEDIUM, _IS_LONG = 126, 127


class SharedText(str):
    """A message that many are sent."""

    @cached_property
    def frame(self) -> bytes:
        return make_frame(str(self))


def make_frame(payload: str | bytes) -> bytes:
    """A whole message in one unmasked frame, as a server sends it (RFC 6455, section 5.2)."""
    data, opcode = (payload.encode(), Opcode.TEXT) if isinstance(payload, str) else (payload, Opcode.BINARY)
    size_bytes = len(data)
    if size_bytes <= _SHORT_BYTES_MAX:
        head = bytes((_FINAL | opcode, size_bytes))
    elif size_bytes <= _MEDIUM_BYTES_MAX:
        head = bytes((_FINAL | opcode, _IS_MEDIUM)) + size_bytes.to_bytes(2, "big")
    else:
        head = bytes((_FINAL | opcode, _IS_LONG)) + size_bytes.to_bytes(8, "big")
    return head + data


def take_waiting(first: str, waiting: trio.MemoryReceiveChannel[str]) -> list[str]:
    """It, and what waits behind it, as far as they make up one write."""
    texts, size_bytes = [first], len(first)
    with suppress(trio.WouldBlock, trio.EndOfChannel):
        while size_bytes < WRITE_BYTES:
            texts.append(waiting.receive_nowait())
            size_bytes += len(texts[-1])
    return texts


async def send_together(websocket: WebSocket, payloads: Sequence[str | bytes], limit_s: float = inf) -> bool:
    """One message each, text or binary, in one write. False when that took longer than `limit_s`. Raises what
    `websocket.send` raises.
    """
    server = serving.get(None)
    direct = server if server is not None and server.takes_frames() else None
    if direct is not None and direct.send_now([_frame_of(item) for item in payloads]):
        return True
    with trio.move_on_after(limit_s) as scope:
        if direct is not None:
            await direct.flush()
        else:
            with more_follows():
                for item in payloads[:-1]:
                    await _send(websocket, item)
            await _send(websocket, payloads[-1])
    return not scope.cancelled_caught


def _frame_of(payload: str | bytes) -> bytes:
    return payload.frame if isinstance(payload, SharedText) else make_frame(payload)


async def _send(websocket: WebSocket, payload: str | bytes) -> None:
    if isinstance(payload, str):
        await websocket.send_text(payload)
    else:
        await websocket.send_bytes(payload)
