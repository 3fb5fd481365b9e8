"""The fast way into a node: signed messages by the hundred in binary frames, outcomes told block by block."""

from collections.abc import Callable

import numpy as np
import trio

from net.client.socket import Socket
from net.order_frames import (
    FLAG_OUTCOMES,
    FRAME_BYTES_MAX,
    FRAME_MESSAGES_MAX,
    ORDERS_HEADER_BYTES,
    Orders,
    Outcomes,
    Receipts,
    decode_answer,
)
from testnet.bench_net.signing import Signed
from testnet.bench_net.tally import Tally

PATH = "/ws/orders"


class FrameEntry:
    """One connection of `/ws/orders`. A message is done when a block's outcomes name it."""

    def __init__(self, socket: Socket, signed: Signed, tally: Tally, notify: Callable[[], None]) -> None:
        self._socket = socket
        self._signed = signed
        self._tally = tally
        self._notify = notify
        self._names = _shorten(signed.ids)
        self._sent_s: dict[int, float] = {}  # by the first eight bytes of a message's id
        self._frames: dict[int, list[int]] = {}
        self._tag = 0
        size_bytes = signed.records.shape[1]
        self._per_frame = max(1, min(FRAME_MESSAGES_MAX, (FRAME_BYTES_MAX - ORDERS_HEADER_BYTES) // size_bytes))

    @property
    def outstanding(self) -> int:
        return len(self._sent_s)

    async def send(self, rows: np.ndarray) -> None:
        for at in range(0, len(rows), self._per_frame):
            part = rows[at : at + self._per_frame]
            names, now_s = self._names[part].tolist(), trio.current_time()
            self._sent_s.update(dict.fromkeys(names, now_s))
            self._tally.on_sent(len(names), now_s)
            self._tag += 1
            self._frames[self._tag] = names
            await self._socket.send(Orders(self._tag, FLAG_OUTCOMES, self._signed.records[part].tobytes()).encode())

    async def receive(self) -> None:
        while (data := await self._socket.receive()) is not None:
            if isinstance(data, str):
                raise ValueError("text on a connection for frames")
            answer = decode_answer(data)
            if isinstance(answer, Receipts):
                self._on_receipts(answer)
            else:
                self._on_outcomes(answer)
            self._notify()

    def _on_receipts(self, receipts: Receipts) -> None:
        names = self._frames.pop(receipts.tag)
        if receipts.code:
            self._refuse(receipts.code, names)
            return
        for at in np.flatnonzero(receipts.rows["code"]).tolist():
            self._refuse(int(receipts.rows["code"][at]), [names[at]])

    def _refuse(self, code: int, names: list[int]) -> None:
        for name in names:
            self._sent_s.pop(name, None)
        self._tally.on_refused(code, len(names))

    def _on_outcomes(self, outcomes: Outcomes) -> None:
        now_s = trio.current_time()
        for name in _shorten(outcomes.message_ids).tolist():
            sent_s = self._sent_s.pop(name, None)
            if sent_s is not None:
                self._tally.on_done(1)
                self._tally.on_latency(sent_s, now_s)


def _shorten(ids: np.ndarray) -> np.ndarray:
    """The first eight bytes of each id (m, 32) as a number: enough to tell one client's messages apart."""
    return np.ascontiguousarray(ids).view("<u8")[:, 0]
