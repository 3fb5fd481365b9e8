"""Two ways into a node: JSON calls, one a message, and binary frames; each over WebSocket connections of its own."""

import json
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import trio

from net.client.socket import Socket, open_socket
from testnet.bench_net import frame_entry
from testnet.bench_net.signing import Signed
from testnet.bench_net.tally import Tally

NO_OUTCOME = -1  # in place of a code: the node did not know in time
JSON_CONNECTIONS = 16  # a node answers 500 requests a second on each


class Entry(Protocol):
    """One connection of a client to its node."""

    @property
    def outstanding(self) -> int:
        """Messages sent and not answered for good."""

    async def send(self, rows: np.ndarray) -> None:
        """Send these of the signed messages; waits while the node takes no more."""

    async def receive(self) -> None:
        """Take answers until the connection ends."""


class JsonEntry:
    """`public/x_submit`, one call a message, answered when the message is final."""

    def __init__(self, socket: Socket, signed: Signed, tally: Tally, notify: Callable[[], None]):
        self._socket = socket
        self._signed = signed
        self._tally = tally
        self._notify = notify
        self._sent_s: dict[int, float] = {}

    @property
    def outstanding(self) -> int:
        return len(self._sent_s)

    async def send(self, rows: np.ndarray) -> None:
        for row in rows.tolist():
            message = self._signed.records[row].tobytes().hex()
            now_s = trio.current_time()
            self._sent_s[row] = now_s
            self._tally.on_sent(1, now_s)
            await self._socket.send(
                f'{{"jsonrpc":"2.0","id":{row},"method":"public/x_submit","params":{{"command":"0x{message}"}}}}'
            )

    async def receive(self) -> None:
        while (text := await self._socket.receive()) is not None:
            answer = json.loads(text)
            now_s, sent_s = trio.current_time(), self._sent_s.pop(answer["id"])
            if is_final(answer):
                self._tally.on_done(1)
                self._tally.on_latency(sent_s, now_s)
            else:
                self._tally.on_refused(answer.get("error", {}).get("code", NO_OUTCOME))
            self._notify()


def is_final(answer: dict[str, Any]) -> bool:
    """Whether a block has judged the message, be it against it."""
    found = answer["error"].get("data", {}) if "error" in answer else answer["result"]
    return bool(found.get("x_is_final", False))


async def open_entries(
    nursery: trio.Nursery, kind: str, url: str, signed: Signed, tally: Tally, notify: Callable[[], None]
) -> list[Entry]:
    """All connections of one client process to one node; they stay until the nursery is cancelled."""
    entries: list[Entry] = []
    if kind == "frames":
        socket = await nursery.start(_hold, url, frame_entry.PATH)
        return [frame_entry.FrameEntry(socket, signed, tally, notify)]
    for _ in range(JSON_CONNECTIONS):
        socket = await nursery.start(_hold, url, "/ws/api/v2")
        entries.append(JsonEntry(socket, signed, tally, notify))
    return entries


async def _hold(url: str, path: str, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    async with open_socket(url, path) as socket:
        task_status.started(socket)
        await trio.sleep_forever()
