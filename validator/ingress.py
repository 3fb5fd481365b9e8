"""Clients' messages from bytes to the sealer: all that arrived since the last round are judged together.

A round decodes them into columns, drops what this node has taken already before any signature is looked at, recovers
the signers of the rest, applies `validator.admission` and signs the receipts: where there is much, in one thread call,
most of it compiled and without the interpreter's lock. While it runs the next round's messages gather, so rounds grow
with the load. Only one round is under way: messages are sealed in the order they came.

A message's answer is a code (docs/errors.md); 0 means that it waits for one of our next batches or was taken before.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import trio
from nacl.signing import SigningKey

from engine.commands import ACTION, ACTION_BYTES, HEADER_BYTES, MESSAGE
from engine.intake import ACTION_WORDS, HEADER_WORDS, decode_batch
from engine.results import Code
from engine.signatures import name_messages, verify_messages
from engine.state import EngineState
from net.gateway.backend import NetworkInfo, Refusal
from net.gateway.errors import INTERNAL, REFUSAL_FAULTS
from net.order_frames import FRAME_MESSAGES_MAX, RECEIPT_ROW, receipts_signing_bytes
from validator.admission import Admission, find_malformed
from validator.batches import IN_PLACE_BYTES_MAX
from validator.sealing import Taken, count_actions
from validator.taken import TakenMemory

log = logging.getLogger("hansa.ingress")

QUEUE_COMMANDS_MAX = 20_000
QUEUE_BYTES_MAX = 4 << 20
ROUND_BYTES_MAX = 1 << 20
# Under load a round waits that long for company: rounds cost the same for one message and for many.
GATHER_S = 0.004


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Of one submission: `rows` of `RECEIPT_ROW`, signed, how many actions each message has, and which of them we had
    already; or why none of its messages was looked at (`code`).
    """

    code: int
    rows: np.ndarray
    counts: np.ndarray
    is_copy: np.ndarray
    signature: bytes


@dataclass(slots=True, eq=False)
class Entry:
    """One submission on its way. `is_frame`: the receipts are signed together (docs/protocol.md, section 8); otherwise
    it is one message, with a receipt of its own.
    """

    data: bytes
    origin: int
    is_frame: bool
    deliver: Callable[[Verdict], None]


class Intake(Protocol):
    """Whoever takes submissions up: the node's own ingress, or the way to it from another process."""

    def put(self, entry: Entry) -> None:
        """Answers through `entry.deliver`, in the loop."""

    def received_ms(self, message_id: bytes) -> int | None:
        """Since when the node holds a message, if it came this way."""

    def has_taken_action(self, action_id: bytes) -> bool:
        """Whether one of the last messages that were taken this way has an action of that id."""


@dataclass(slots=True, eq=False)
class _Round:
    """What a round works on and what comes of it."""

    entries: list[Entry]
    block_code: int  # of everything that is new
    state: EngineState
    now_ms: int
    verdicts: list[Verdict] = field(default_factory=list)
    taken: Taken | None = None


class Ingress:
    """See the module's text."""

    def __init__(
        self,
        info: NetworkInfo,
        *,
        receipt_key: SigningKey,
        state: Callable[[], EngineState],
        wall_ms: Callable[[], int],
        refusal: Callable[[], Refusal | None],
        backlog: Callable[[], int],
        enqueue: Callable[[Taken], None],
    ) -> None:
        """`backlog()`: our actions that no final block holds yet."""
        self._info = info
        self._separator = info.domain_separator
        self._receipt_key = receipt_key
        self._state = state
        self._wall_ms = wall_ms
        self._refusal = refusal
        self._backlog = backlog
        self._enqueue = enqueue
        self._admission = Admission()
        self._waiting: list[Entry] = []
        self._waiting_bytes = 0
        self._arrived = trio.Event()
        self._memory = TakenMemory()

    # what clients ask

    def put(self, entry: Entry) -> None:
        """Answers through `entry.deliver`, in the loop, at once when there is no room."""
        if self._waiting_bytes + len(entry.data) > QUEUE_BYTES_MAX:
            entry.deliver(refuse_unseen(REFUSAL_FAULTS[Refusal.QUEUE_FULL].number))
            return
        self._waiting.append(entry)
        self._waiting_bytes += len(entry.data)
        self._arrived.set()

    def received_ms(self, message_id: bytes) -> int | None:
        """Since when this process holds a message, if it does."""
        return self._memory.received_ms(message_id)

    def has_taken_action(self, action_id: bytes) -> bool:
        """Whether one of the last messages that we took has an action of that id."""
        return self._memory.has_action(action_id)

    # rounds

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._arrived.wait()
            round_ = self._begin()
            try:
                if sum(len(entry.data) for entry in round_.entries) <= IN_PLACE_BYTES_MAX:
                    self._judge(round_)
                else:
                    await trio.to_thread.run_sync(self._judge, round_)
            except Exception:  # whatever a client's bytes may do to us, it ends no node
                log.exception("ingress.failed submissions=%d (none was taken)", len(round_.entries))
                round_.taken, round_.verdicts = None, [refuse_unseen(INTERNAL.number) for _ in round_.entries]
            self._finish(round_)
            if len(round_.entries) > 1:
                await trio.sleep(GATHER_S)

    def _begin(self) -> _Round:
        size_bytes, count = 0, 0
        for entry in self._waiting:
            if count and size_bytes + len(entry.data) > ROUND_BYTES_MAX:
                break
            size_bytes, count = size_bytes + len(entry.data), count + 1
        entries, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= size_bytes
        if not self._waiting:
            self._arrived = trio.Event()
        refusal = self._refusal()
        if refusal is None and self._backlog() + size_bytes // ACTION_BYTES > QUEUE_COMMANDS_MAX:
            refusal = Refusal.QUEUE_FULL
        block_code = 0 if refusal is None else REFUSAL_FAULTS[refusal].number
        return _Round(entries, block_code, self._state(), self._wall_ms())

    def _finish(self, round_: _Round) -> None:
        if round_.taken is not None:
            self._memory.remember(round_.taken.message_ids, round_.taken.action_ids, round_.now_ms)
            self._enqueue(round_.taken)
        for entry, verdict in zip(round_.entries, round_.verdicts, strict=True):
            entry.deliver(verdict)

    # in a thread, if there is much

    def _judge(self, round_: _Round) -> None:
        """Fill in verdicts and what was taken."""
        parts = [_decode(entry) for entry in round_.entries]
        whole = [part for part in parts if part is not None]
        if whole:
            rows, is_copy = self._judge_messages(round_, _join(whole))
        first = 0
        for entry, part in zip(round_.entries, parts):
            if part is None:
                round_.verdicts.append(refuse_unseen(Code.MALFORMED))
                continue
            own, own_copies = (column[first : first + len(part.headers)] for column in (rows, is_copy))
            first += len(own)
            signature = self._receipt_key.sign(self._signing_bytes(own, entry.is_frame)).signature
            round_.verdicts.append(Verdict(0, own, count_actions(part.headers), own_copies, signature))

    def _signing_bytes(self, rows: np.ndarray, is_frame: bool) -> bytes:
        if is_frame:
            return receipts_signing_bytes(self._info.network_id, self._info.node_index, rows)
        identifier: bytes = rows["message_id"][0].tobytes()
        received_ms = int(rows["received_ms"][0])
        return b"hansa/receipt/v1" + self._info.network_id + identifier + received_ms.to_bytes(8, "big")

    def _judge_messages(self, round_: _Round, part: "_Part") -> tuple[np.ndarray, np.ndarray]:
        """Receipts (m,), and which messages we had already."""
        count = len(part.headers)
        codes = np.where(find_malformed(part.headers, part.actions), int(Code.MALFORMED), 0)
        received_ms = np.full(count, round_.now_ms, dtype=np.int64)
        message_ids, is_signable = np.empty((count, 32), np.uint8), np.empty(count, np.bool_)
        separator = np.frombuffer(self._separator, np.uint8).copy()
        name_messages(part.headers, part.actions, separator, message_ids, is_signable)
        is_malformed = codes != 0
        is_new, copies = self._find_new(part.headers, message_ids, codes, received_ms)
        if round_.block_code:
            codes[is_new] = round_.block_code
        elif is_new.any():
            fresh = part if is_new.all() else part.select(is_new)
            codes[is_new] = self._admit(round_, fresh, message_ids[is_new])
        for copy, original in copies:
            codes[copy] = codes[original]
        rows = np.zeros(count, dtype=RECEIPT_ROW)
        rows["message_id"], rows["code"], rows["received_ms"] = message_ids, codes, received_ms
        return rows, ~is_new & ~is_malformed

    def _find_new(
        self, headers: np.ndarray, message_ids: np.ndarray, codes: np.ndarray, received_ms: np.ndarray
    ) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """(m,) bool: neither malformed nor known; and rows that are copies of an earlier one of this round, signature
        and all. Enters since when the known ones are.
        """
        names, seen, copies = message_ids.tobytes(), dict[bytes, int](), list[tuple[int, int]]()
        signatures = headers.view(MESSAGE)[:, 0]["signature"].tobytes()
        is_new = codes == 0
        for at in np.flatnonzero(is_new).tolist():
            name = names[at * 32 : at * 32 + 32]
            known_ms = self._memory.received_ms(name)
            original = seen.setdefault(name + signatures[at * 65 : at * 65 + 65], at)
            if known_ms is not None:
                received_ms[at] = known_ms
            elif original != at:
                copies.append((at, original))
            is_new[at] = known_ms is None and original == at
        return is_new, copies

    def _admit(self, round_: _Round, part: "_Part", message_ids: np.ndarray) -> np.ndarray:
        """Codes of messages that are new and well-formed; what is good is taken."""
        messages, actions = part.headers.view(MESSAGE)[:, 0], part.actions.view(ACTION)[:, 0]
        verified = verify_messages(messages, actions, self._separator)
        codes = self._admission.judge(round_.state, messages, actions, verified.signers, round_.now_ms)
        is_good = (codes == 0) & _is_first(message_ids, codes == 0)
        if is_good.all():
            columns = (verified.signers, verified.ids, message_ids)
        elif is_good.any():
            columns = (verified.signers[is_good], verified.ids[part.spread(is_good)], message_ids[is_good])
            part = part.select(is_good)
        else:
            return codes
        round_.taken = Taken(part.data, part.headers, part.actions, *columns, part.origins)
        return codes


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Messages as words: headers (m, 14), actions (n, 12), the bytes that they came as, where each came from (m,)."""

    headers: np.ndarray
    actions: np.ndarray
    data: bytes
    origins: np.ndarray

    def spread(self, mask: np.ndarray) -> np.ndarray:
        """What holds for a message as (n,) for its actions."""
        return np.repeat(mask, count_actions(self.headers))

    def select(self, mask: np.ndarray) -> "_Part":
        """Some of the messages, with their bytes."""
        ends = np.cumsum(count_actions(self.headers)) * ACTION_BYTES + np.arange(1, len(mask) + 1) * HEADER_BYTES
        starts = np.concatenate(([0], ends[:-1]))
        kept = zip(starts[mask].tolist(), ends[mask].tolist())
        data = b"".join(self.data[start:end] for start, end in kept)
        return _Part(self.headers[mask], self.actions[self.spread(mask)], data, self.origins[mask])


def _decode(entry: Entry) -> _Part | None:
    """None for what is no concatenation of messages, or of too many."""
    try:
        messages, actions = decode_batch(entry.data)
    except ValueError:
        return None
    if not 1 <= len(messages) <= FRAME_MESSAGES_MAX:
        return None
    headers = messages.view("<i8").reshape(-1, HEADER_WORDS)
    return _Part(
        headers, actions.view("<i8").reshape(-1, ACTION_WORDS), entry.data, np.full(len(headers), entry.origin)
    )


def _join(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    return _Part(
        np.concatenate([part.headers for part in parts]), np.concatenate([part.actions for part in parts]),
        b"".join(part.data for part in parts), np.concatenate([part.origins for part in parts]),
    )  # fmt: skip


def _is_first(message_ids: np.ndarray, is_good: np.ndarray) -> np.ndarray:
    """(m,) bool: no good message before has the same id. A copy with another good signature is none the worse, and one
    with a bad signature must not stand in for the good one.
    """
    names, first = message_ids.tobytes(), np.zeros(len(message_ids), dtype=np.bool_)
    seen = set[bytes]()
    for at in np.flatnonzero(is_good).tolist():
        name = names[at * 32 : at * 32 + 32]
        first[at] = name not in seen
        seen.add(name)
    return first


def refuse_unseen(code: int) -> Verdict:
    """Of a submission that nobody looked at."""
    return Verdict(code, np.empty(0, RECEIPT_ROW), np.empty(0, np.int64), np.empty(0, np.bool_), b"")
