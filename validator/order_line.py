"""The API process's end of the orders socket: an `Intake` whose judge is the node.

What no node would take, bytes that are no messages, is refused here. Everything else is judged once, by the node, which
also signs the receipts. What has no verdict when the connection is lost is sent again on the next: the same message is
never taken twice.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trio

from engine.intake import ACTION_WORDS, HEADER_WORDS, decode_batch
from engine.results import Code
from engine.signatures import name_actions, name_messages
from net.feed.orders import JUDGED_BYTES_MAX, Judged, Submission
from net.feed.protocol import FeedError, FeedSplitter
from net.feed.questions import TOLD, Question, Told
from net.feed.sockets import connect_privately
from net.gateway.backend import CommandResult
from net.gateway.errors import INTERNAL, QUEUE_FULL, SYNCING
from net.gateway.limits import TokenBucket
from net.order_frames import FRAME_MESSAGES_MAX
from validator.batches import CheckedBatch, Sources
from validator.ingress import Entry, Verdict, refuse_unseen
from validator.sealing import NO_ORIGIN
from validator.taken import TakenMemory

log = logging.getLogger("hansa.orders")

QUEUE_BYTES_MAX = 4 << 20
READ_BYTES = 256 * 1024
RETRY_S = 0.25
# How long what is on its way waits for a node that went away; then its sender is told to ask, or to send again.
UNANSWERED_S_MAX = 10.0
ORIGINS_MAX = 100_000
# A question costs the node some ten microseconds; who asks more is answered from what is known here.
QUESTIONS_PER_S, QUESTIONS_BURST = 200, 100
ANSWER_S_MAX = 1.0
_NOBODY = np.ones((1, 20), np.uint8)


class Named(NamedTuple):
    """Ids of messages (m, 32) and of their actions (n, 32)."""

    message_ids: np.ndarray
    action_ids: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A submission without a verdict."""

    entry: Entry
    named: Named
    since_s: float


@dataclass(slots=True, eq=False)
class _Asked:
    """A question without an answer."""

    event: trio.Event = field(default_factory=trio.Event)
    results: tuple[CommandResult, ...] | None = None


class OrderLine:
    """Implements `Intake`. Lives in the process's loop."""

    def __init__(self, path: Path, separator: bytes) -> None:
        self._path, self._separator = path, np.frombuffer(separator, np.uint8).copy()
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._waiting_bytes = 0
        self._last_token = 0
        self._unsent: deque[bytes] = deque()
        self._wake = trio.Event()
        self.is_open = False
        self._taken = TakenMemory()
        self._origins: OrderedDict[bytes, int] = OrderedDict()  # message id -> the connection that asks
        self._asked: dict[int, _Asked] = {}
        self._questions = TokenBucket(QUESTIONS_PER_S, QUESTIONS_BURST, QUESTIONS_BURST, 0.0)

    # what clients ask

    def put(self, entry: Entry) -> None:
        """Answers through `entry.deliver`, in the loop, at once when the node is away or has too much to do."""
        if not self.is_open:
            return entry.deliver(refuse_unseen(SYNCING.number))
        if self._waiting_bytes + len(entry.data) > QUEUE_BYTES_MAX:
            return entry.deliver(refuse_unseen(QUEUE_FULL.number))
        named = self._name(entry.data)
        if named is None:
            return entry.deliver(refuse_unseen(Code.MALFORMED))
        if entry.origin != NO_ORIGIN:
            self._note_origin(named.message_ids, entry.origin)
        self._last_token += 1
        self._waiting[self._last_token] = _Waiting(entry, named, trio.current_time())
        self._waiting_bytes += len(entry.data)
        self._say(Submission(self._last_token, entry.is_frame, entry.data).encode())
        return None

    def received_ms(self, message_id: bytes) -> int | None:
        """See `Intake.received_ms`."""
        return self._taken.received_ms(message_id)

    def has_taken_action(self, action_id: bytes) -> bool:
        """See `Intake.has_taken_action`."""
        return self._taken.has_action(action_id)

    async def ask(self, question: Question) -> Sequence[CommandResult] | None:
        """What the node knows of these commands; None where it does not say, or was asked too much lately."""
        if not self.is_open or not self._questions.is_allowed(trio.current_time()):
            return None
        self._last_token += 1
        token, asked = self._last_token, _Asked()
        self._asked[token] = asked
        try:
            self._say(replace(question, token=token).encode())
            with trio.move_on_after(ANSWER_S_MAX):
                await asked.event.wait()
        finally:
            del self._asked[token]
        return asked.results

    # whose a message is

    def _name(self, data: bytes) -> Named | None:
        """None for what is no concatenation of messages, or of too many."""
        try:
            messages, actions = decode_batch(data)
        except ValueError:
            return None
        if not 1 <= len(messages) <= FRAME_MESSAGES_MAX:
            return None
        return self._name_columns(messages, actions)

    def _name_columns(self, messages: np.ndarray, actions: np.ndarray) -> Named:
        """As if somebody had signed every message: whether that is so is the node's to say."""
        headers = np.ascontiguousarray(messages).view("<i8").reshape(-1, HEADER_WORDS)
        words = np.ascontiguousarray(actions).view("<i8").reshape(-1, ACTION_WORDS)
        message_ids, is_signable = np.empty((len(headers), 32), np.uint8), np.empty(len(headers), np.bool_)
        name_messages(headers, words, self._separator, message_ids, is_signable)
        action_ids = np.empty((len(words), 32), np.uint8)
        name_actions(headers, words, message_ids, np.repeat(_NOBODY, len(headers), axis=0), action_ids)
        return Named(message_ids, action_ids)

    def _note_origin(self, message_ids: np.ndarray, origin: int) -> None:
        names = message_ids.tobytes()
        for at in range(0, len(names), 32):
            self._origins[names[at : at + 32]] = origin
        while len(self._origins) > ORIGINS_MAX:
            self._origins.popitem(last=False)

    def find_sources(self, checked: CheckedBatch) -> Sources | None:
        """Which connections asked for the messages of a batch of this node; asked once for each batch."""
        if not self._origins:
            return None
        message_ids = self._name_columns(checked.messages, checked.actions).message_ids
        names = message_ids.tobytes()
        origins = [self._origins.pop(names[at : at + 32], NO_ORIGIN) for at in range(0, len(names), 32)]
        return Sources(message_ids, np.array(origins, dtype=np.int64))

    # the socket

    async def run(self) -> None:
        """Until cancelled: connects for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._give_up_late)
            while True:
                try:
                    stream = await connect_privately(self._path)
                except OSError:
                    await trio.sleep(RETRY_S)
                    continue
                try:
                    await self._talk(stream)
                except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
                except* FeedError as group:
                    log.error("orders.node_said error=%s", group.exceptions[0])
                self.is_open = False
                await trio.aclose_forcefully(stream)
                await trio.sleep(RETRY_S)

    async def _talk(self, stream: trio.SocketStream) -> None:
        self._unsent.clear()
        for token, waiting in self._waiting.items():
            self._say(Submission(token, waiting.entry.is_frame, waiting.entry.data).encode())
        self.is_open = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, stream)
            splitter = FeedSplitter(JUDGED_BYTES_MAX)
            while data := await stream.receive_some(READ_BYTES):
                for body in splitter.feed(bytes(data)):
                    if body[:1] == bytes([TOLD]):
                        self._on_told(Told.decode(body))
                    else:
                        self._on_judged(Judged.decode(body))
            nursery.cancel_scope.cancel()

    def _say(self, frame: bytes) -> None:
        self._unsent.append(frame)
        self._wake.set()

    async def _write(self, stream: trio.SocketStream) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            data = b"".join(self._unsent)
            self._unsent.clear()
            await stream.send_all(data)

    def _on_told(self, told: Told) -> None:
        asked = self._asked.get(told.token)
        if asked is not None:
            asked.results = told.results
            asked.event.set()

    def _on_judged(self, judged: Judged) -> None:
        waiting = self._waiting.pop(judged.token, None)
        if waiting is None:
            return
        self._waiting_bytes -= len(waiting.entry.data)
        if len(judged.rows) == len(waiting.named.message_ids):
            self._remember(waiting.named, judged)
        waiting.entry.deliver(Verdict(judged.code, judged.rows, judged.counts, judged.is_copy, judged.signature))

    def _remember(self, named: Named, judged: Judged) -> None:
        is_taken = judged.rows["code"] == Code.OK
        if is_taken.any():
            is_action_taken = np.repeat(is_taken, judged.counts)
            received_ms = int(judged.rows["received_ms"][is_taken].min())
            self._taken.remember(named.message_ids[is_taken], named.action_ids[is_action_taken], received_ms)

    async def _give_up_late(self) -> None:
        while True:
            await trio.sleep(1.0)
            late_s = trio.current_time() - UNANSWERED_S_MAX
            while self._waiting and next(iter(self._waiting.values())).since_s < late_s:
                _, waiting = self._waiting.popitem(last=False)
                self._waiting_bytes -= len(waiting.entry.data)
                waiting.entry.deliver(refuse_unseen(INTERNAL.number))
