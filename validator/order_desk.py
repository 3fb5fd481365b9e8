"""The node's end of the orders socket (`net/feed/orders.py`): what its operator's API process was sent, judged by the
node's own ingress, and the verdicts back; and what the node alone knows of commands (`net/feed/questions.py`).

The API process is waited for by nobody. What it does not read is kept up to a limit, then its connection ends; it comes
again, and sends again what it has no verdict on.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import trio

from net.feed.orders import SUBMISSION_BYTES_MAX, Judged, Submission
from net.feed.protocol import FeedError, FeedSplitter
from net.feed.questions import QUESTION, Question, Told
from net.feed.sockets import serve_privately
from net.gateway.backend import CommandResult
from validator.ingress import Entry, Intake, Verdict
from validator.sealing import NO_ORIGIN

log = logging.getLogger("hansa.orders")

CONNECTIONS_MAX = 4
READ_BYTES = 256 * 1024
UNREAD_BYTES_MAX = 16 * 1024 * 1024
LookUp = Callable[[Question], Sequence[CommandResult]]


class OrderDesk:
    """Lives in the node's loop."""

    def __init__(self, path: Path, ingress: Intake, look_up: LookUp) -> None:
        self._path, self._ingress, self._look_up = path, ingress, look_up

    async def run(self) -> None:
        """Until cancelled."""
        await serve_privately(self._path, CONNECTIONS_MAX, self._serve, log)

    async def _serve(self, stream: trio.SocketStream) -> None:
        connection = _Connection(stream, self._ingress, self._look_up)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.write)
                await connection.read()
                nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the process has ended, or was cut off
        except* FeedError as group:
            log.warning("orders.refused error=%s", group.exceptions[0])


class _Connection:
    """One process and the verdicts that it has not read."""

    def __init__(self, stream: trio.SocketStream, ingress: Intake, look_up: LookUp) -> None:
        self._stream, self._ingress, self._look_up = stream, ingress, look_up
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._wake = trio.Event()

    async def read(self) -> None:
        splitter = FeedSplitter(SUBMISSION_BYTES_MAX)
        while data := await self._stream.receive_some(READ_BYTES):
            for body in splitter.feed(bytes(data)):
                if body[:1] == bytes([QUESTION]):
                    self._on_question(Question.decode(body))
                    continue
                submission = Submission.decode(body)
                deliver = partial(self._deliver, submission.token)
                self._ingress.put(Entry(submission.data, NO_ORIGIN, submission.is_frame, deliver))

    def _on_question(self, question: Question) -> None:
        try:
            results = tuple(self._look_up(question))
        except Exception:  # whatever is wrong with an answer ends no node
            log.exception("orders.question_failed kind=%d", question.kind)
            results = ()
        self._say(Told(question.token, results).encode())

    def _deliver(self, token: int, verdict: Verdict) -> None:
        data = Judged(
            token, verdict.code, verdict.rows, verdict.counts, verdict.is_copy, verdict.signature
        ).encode()  # fmt: skip
        self._say(data)

    def _say(self, data: bytes) -> None:
        if self._unread_bytes + len(data) > UNREAD_BYTES_MAX:
            self._stream.socket.close()
            return
        self._unread.append(data)
        self._unread_bytes += len(data)
        self._wake.set()

    async def write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            data = b"".join(self._unread)
            self._unread.clear()
            self._unread_bytes = 0
            await self._stream.send_all(data)
