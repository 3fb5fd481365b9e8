"""Many WebSocket clients in one process, as cheap as can be: bare sockets, one loop, frames cut by hand, so that what
is measured is the node's and not theirs. Real clients bring processors of their own: on this machine they have what its
validators leave, as the API's process has.

`python -m testnet.bench_api.fleet HOST PORT CHANNEL...` takes lines of JSON and answers each with one:
`{"open": n}`, `{"measure_s": s}` (delays in milliseconds, from the time of the block that a message tells of to its
receipt), `{"twin": [channels]}` (one more client, which asks for a lot and reads it), `{"close_twin": true}`,
`{"mute": [channels]}` (one that asks for as much and never reads), `{"is_dropped": true}` (whether the server has ended
that one), `{"close": true}`.
"""

import json
import os
import re
import selectors
import socket
import sys
import time
from collections import Counter
from typing import Any

READ_BYTES = 1 << 18
MUTE_BUFFER_BYTES = 4096
# Answers that fill the buffers between the server and a client that does not read.
QUESTIONS = 2_000
DRAIN_S_MAX = 5.0
NICENESS = 10
_TIME = re.compile(rb'"timestamp": ?(\d+)')
_HANDSHAKE = (
    "GET /ws/api/v2 HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def cut_frames(buffer: bytearray) -> list[bytes]:
    """Payloads of the whole frames at the start of a buffer, which are taken out of it."""
    frames, at = [], 0
    while len(buffer) - at >= 2:
        size_bytes, head = buffer[at + 1] & 127, 2
        if size_bytes >= 126:
            wide = 2 if size_bytes == 126 else 8
            head += wide
            if len(buffer) - at < head:
                break
            size_bytes = int.from_bytes(buffer[at + 2 : at + head], "big")
        if len(buffer) - at < head + size_bytes:
            break
        frames.append(bytes(buffer[at + head : at + head + size_bytes]))
        at += head + size_bytes
    del buffer[:at]
    return frames


def make_frame(payload: bytes) -> bytes:
    """Of a client: masked, with zeros."""
    size_bytes = len(payload)
    if size_bytes < 126:
        head = bytes([0x81, 0x80 | size_bytes])
    else:
        head = bytes([0x81, 0xFE]) + size_bytes.to_bytes(2, "big")
    return head + bytes(4) + payload


def make_request(number: int, method: str, **params: object) -> bytes:
    return make_frame(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())


class Fleet:
    """All clients and what they are told."""

    def __init__(self, host: str, port: int, channels: list[str]) -> None:
        self._host, self._port, self._channels = host, port, channels
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin.buffer, selectors.EVENT_READ)
        self._buffers: dict[socket.socket, bytearray] = {}
        self._delays_ms: Counter[int] = Counter()
        self._lost_count = 0
        self._measures_until_s = 0.0
        self._twin: socket.socket | None = None
        self._mute: socket.socket | None = None

    def run(self) -> None:
        """Until the input ends."""
        while True:
            for key, _ in self._selector.select(0.05):
                if isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj)
                elif not self._obey(os.read(sys.stdin.fileno(), READ_BYTES)):
                    return
            if self._measures_until_s and time.monotonic() >= self._measures_until_s:
                self._measures_until_s = 0.0
                self._say({"delays_ms": dict(self._delays_ms), "lost": self._lost_count})

    def _obey(self, line: bytes) -> bool:
        if not line:
            return False
        order = json.loads(line)
        match order:
            case {"open": count}:
                for _ in range(count):
                    self._open()
                self._say({"open": len(self._buffers)})
            case {"measure_s": window_s}:
                self._delays_ms.clear()
                self._measures_until_s = time.monotonic() + window_s
            case {"twin": channels}:
                self._twin = self._connect()
                self._ask_for_much(self._twin, channels)
                self._watch(self._twin)
                self._say({"twin": True})
            case {"close_twin": True}:
                assert self._twin is not None
                if self._twin in self._buffers:  # else the server has lost it, which was counted
                    self._drop(self._twin)
                self._say({"twin": False})
            case {"mute": channels}:
                self._mute = self._connect(MUTE_BUFFER_BYTES)
                self._ask_for_much(self._mute, channels)
                self._say({"mute": True})
            case {"is_dropped": True}:
                self._say({"is_dropped": self._drain_mute()})
            case {"close": True}:
                for client in list(self._buffers):
                    self._drop(client)
                self._say({"open": 0})
        return True

    def _say(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), flush=True)

    def _connect(self, receive_bytes: int = 0) -> socket.socket:
        client = socket.socket()
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.settimeout(30)
        client.connect((self._host, self._port))
        client.sendall(_HANDSHAKE.format(host=self._host, port=self._port).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        if b" 101 " not in head:
            raise RuntimeError(f"no WebSocket: {head[:200]!r}")
        return client

    def _open(self) -> None:
        client = self._connect()
        client.sendall(make_request(1, "public/subscribe", channels=self._channels))
        self._watch(client)

    def _watch(self, client: socket.socket) -> None:
        client.setblocking(False)
        self._buffers[client] = bytearray()
        self._selector.register(client, selectors.EVENT_READ)

    @staticmethod
    def _ask_for_much(client: socket.socket, channels: list[str]) -> None:
        client.sendall(make_request(1, "public/subscribe", channels=channels))
        client.setblocking(False)
        try:
            for number in range(QUESTIONS):
                client.sendall(make_request(number, "public/get_order_book", instrument_name=channels[0].split(".")[1]))
        except BlockingIOError:
            pass  # it is not read any more

    def _drain_mute(self) -> bool:
        """Now it reads, to see whether there is an end: whoever was not dropped has none."""
        assert self._mute is not None
        self._mute.settimeout(0.5)
        until_s = time.monotonic() + DRAIN_S_MAX
        try:
            while time.monotonic() < until_s:
                if not self._mute.recv(READ_BYTES):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True  # reset
        finally:
            self._mute.close()
        return False

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._lost_count += 1
            return self._drop(client)
        now_ms = time.time_ns() // 1_000_000
        buffer = self._buffers[client]
        buffer += data
        for frame in cut_frames(buffer):
            found = _TIME.search(frame)
            if found and self._measures_until_s and client is not self._twin and b'"snapshot"' not in frame:
                self._delays_ms[max(0, now_ms - int(found[1]))] += 1
        return None

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._buffers[client]
        client.close()


if __name__ == "__main__":
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    Fleet(sys.argv[1], int(sys.argv[2]), sys.argv[3:]).run()
