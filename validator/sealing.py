"""Our clients' messages on their way into batches of our own.

Messages come judged and in columns, many at a time, and leave as batches whose signers and ids are known: nothing is
decoded, hashed or recovered a second time. A batch costs every node of the network the same, be it full or not, so a
lone message is sealed at once and a steady flow at a steady pace.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from engine.commands import ACTION, ACTION_BYTES, HEADER_BYTES, MESSAGE
from engine.intake import ACTION_WORDS, HEADER_WORDS, decode_batch
from engine.payload import BATCH_ACTIONS_MAX, BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, Batch
from engine.signatures import verify_messages
from net.identity import SIGNATURE_BYTES, NetworkSigner
from validator.batches import CheckedBatch, Sources

SEAL_INTERVAL_MS = 40
SEALS_SAVED_MAX = 2
SEALS_PER_BREATH = 2
NO_ORIGIN = 0


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Messages (m) with all their actions (n), well-formed and signed: their bytes, the same as words, signers (m, 20),
    ids of actions (n, 32) and of messages (m, 32), and for which connection each was taken (m,), 0 for none.
    """

    data: bytes
    headers: np.ndarray
    actions: np.ndarray
    signers: np.ndarray
    action_ids: np.ndarray
    message_ids: np.ndarray
    origins: np.ndarray

    def count_fitting(self, messages_left: int, actions_left: int, bytes_left: int) -> int:
        """How many of the first messages stay within all three."""
        action_ends, byte_ends = self.ends()
        fitting = min(
            np.searchsorted(action_ends, actions_left, side="right"),
            np.searchsorted(byte_ends, bytes_left, side="right"),
        )
        return min(messages_left, int(fitting))

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Behind which action and which byte each message ends."""
        action_ends = np.cumsum(count_actions(self.headers))
        return action_ends, action_ends * ACTION_BYTES + np.arange(1, len(self.headers) + 1) * HEADER_BYTES

    def split(self, count: int) -> tuple["Taken", "Taken"]:
        """The first messages, at least one, and the others."""
        action_ends, byte_ends = self.ends()
        action, byte = int(action_ends[count - 1]), int(byte_ends[count - 1])
        columns = ((self.headers, count), (self.actions, action), (self.signers, count), (self.action_ids, action),
                   (self.message_ids, count), (self.origins, count))  # fmt: skip
        return (
            Taken(self.data[:byte], *(column[:at] for column, at in columns)),
            Taken(self.data[byte:], *(column[at:] for column, at in columns)),
        )


def count_actions(headers: np.ndarray) -> np.ndarray:
    """(m,) from headers (m, 14) in words."""
    return headers.view(MESSAGE)[:, 0]["count"].astype(np.int64)


def take_again(checked: CheckedBatch) -> Taken:
    """The messages of a batch of ours that no block can carry any more."""
    count = len(checked.messages)
    sources = checked.sources or Sources(np.zeros((count, 32), np.uint8), np.full(count, NO_ORIGIN))
    return Taken(
        checked.batch.commands, np.ascontiguousarray(checked.messages).view("<i8").reshape(count, HEADER_WORDS),
        np.ascontiguousarray(checked.actions).view("<i8").reshape(-1, ACTION_WORDS), checked.signers, checked.ids,
        *sources,
    )  # fmt: skip


class Sealer:
    """Collects our clients' messages and seals them with growing sequence numbers."""

    def __init__(self, author: int, signer: NetworkSigner, domain_separator: bytes, first_sequence: int) -> None:
        self._author = author
        self._signer = signer
        self._domain_separator = domain_separator
        self._next_sequence = first_sequence
        self._waiting: deque[Taken] = deque()
        self._message_count, self._action_count, self._size_bytes = 0, 0, 0

    def add(self, record: bytes, signer: bytes) -> bool:
        """One message from nowhere in particular; `signer` is who signed it. See `add_taken`."""
        messages, actions = decode_batch(record)
        known = np.frombuffer(signer, dtype=np.uint8).reshape(1, 20)
        batch = Batch(self._author, 1, record, bytes(SIGNATURE_BYTES))
        verified = verify_messages(messages, actions, self._domain_separator, known)
        return self.add_taken(take_again(CheckedBatch(batch, b"", messages, actions, known, verified.ids)))

    def add_taken(self, taken: Taken) -> bool:
        """True when there is enough for a full batch, which should be sealed at once."""
        self._waiting.append(taken)
        self._count(taken, 1)
        return self.is_full

    def put_back(self, batches: list[CheckedBatch]) -> None:
        """Messages of batches that were sealed before, in their order, ahead of everything newer."""
        for checked in reversed(batches):
            taken = take_again(checked)
            self._waiting.appendleft(taken)
            self._count(taken, 1)

    def _count(self, taken: Taken, sign: int) -> None:
        self._message_count += sign * len(taken.headers)
        self._action_count += sign * len(taken.actions)
        self._size_bytes += sign * len(taken.data)

    def seal(self) -> CheckedBatch | None:
        """The waiting messages, as many as a batch holds, as one signed batch; None when nothing waits."""
        parts: list[Taken] = []
        messages, actions, size_bytes = BATCH_MESSAGES_MAX, BATCH_ACTIONS_MAX, BATCH_BYTES_MAX
        while self._waiting:
            head = self._waiting[0]
            count = head.count_fitting(messages, actions, size_bytes)
            if count == 0:
                break
            self._waiting.popleft()
            part = head
            if count < len(head.headers):
                part, rest = head.split(count)
                self._waiting.appendleft(rest)
            self._count(part, -1)
            messages -= count
            actions -= len(part.actions)
            size_bytes -= len(part.data)
            parts.append(part)
        return self._sign(parts) if parts else None

    def _sign(self, parts: list[Taken]) -> CheckedBatch:
        unsigned = Batch(self._author, self._next_sequence, b"".join(part.data for part in parts), b"")
        self._next_sequence += 1
        batch_hash = unsigned.hash()
        signature = self._signer.sign_batch_hash(batch_hash)
        # Joined as words: numpy copies records field by field.
        headers = np.concatenate([part.headers for part in parts])
        actions = np.concatenate([part.actions for part in parts])
        sources = Sources(
            np.concatenate([part.message_ids for part in parts]), np.concatenate([part.origins for part in parts])
        )
        return CheckedBatch(
            Batch(unsigned.author, unsigned.sequence, unsigned.commands, signature), batch_hash,
            headers.view(MESSAGE)[:, 0], actions.view(ACTION)[:, 0], np.concatenate([part.signers for part in parts]),
            np.concatenate([part.action_ids for part in parts]), sources,
        )  # fmt: skip

    @property
    def is_full(self) -> bool:
        """Whether a batch could not hold more."""
        return (
            self._message_count >= BATCH_MESSAGES_MAX
            or self._action_count >= BATCH_ACTIONS_MAX
            or self._size_bytes >= BATCH_BYTES_MAX
        )

    @property
    def waiting_count(self) -> int:
        """Actions that no batch holds yet."""
        return self._action_count


class SealPace:
    """When a batch that is not full may go: at once after a pause, then one an interval. Where blocks are so full that
    their leaders wait between them, batches wait longer, too: more of them would only go into the same block.

    Intervals differ from node to node, so that the nodes' batches do not keep arriving together.
    """

    def __init__(self, author: int) -> None:
        self._interval_ms = SEAL_INTERVAL_MS + author * 5 % 11
        self._saved = float(SEALS_SAVED_MAX)
        self._counted_ms = 0

    def wait_ms(self, now_ms: int, breath_ms: int = 0) -> float:
        """How long until the next; 0: now. `now_ms` never goes back. `breath_ms`: how long a leader waits after the
        last block.
        """
        interval_ms = self._interval_ms * max(1.0, breath_ms / (SEALS_PER_BREATH * SEAL_INTERVAL_MS))
        elapsed_ms, self._counted_ms = now_ms - self._counted_ms, now_ms
        self._saved = min(SEALS_SAVED_MAX, self._saved + elapsed_ms / interval_ms)
        return max(0.0, (1 - self._saved) * interval_ms)

    def on_sealed(self) -> None:
        """A batch left, full or not. Below zero: what is waited for is not counted yet, and full batches wait for none,
        so what comes behind many of them may owe one interval but not all of theirs.
        """
        self._saved = max(-1.0, self._saved - 1)
