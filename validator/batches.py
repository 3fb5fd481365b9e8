"""Batches of orders: sealing our clients' commands, holding everybody's until a block has carried them.

A batch is checked once, when it arrives: author's signature, then one public-key recovery per message. The recovered
addresses travel with it to the engine, which decides whether they may sign. Memory is bounded per author; what does
not fit is dropped and, if a block names it, fetched again.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.apply import BatchInput
from engine.commands import COUNT_OFFSET, split_messages
from engine.intake import decode_batch
from engine.payload import BATCH_ACTIONS_MAX, BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, BATCH_REFS_MAX, Batch
from engine.signatures import verify_messages
from net.identity import NetworkSigner, verify_batch

PENDING_BATCHES_PER_AUTHOR_MAX = 512
# Eight such blocks, the most that one certificate can finalise together, still fit into one answer to a lagging peer.
BLOCK_BYTES_MAX = 1_000_000
# So that executing a block stays within the time that agreement leaves for it.
BLOCK_ACTIONS_MAX = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class CheckedBatch:
    """A batch whose author signature holds: messages (m,), actions (n,), the address that signed each message, (m, 20)
    uint8 (zero: nobody), and the id of each action, (n, 32) uint8.
    """

    batch: Batch
    batch_hash: bytes
    messages: np.ndarray
    actions: np.ndarray
    signers: np.ndarray
    ids: np.ndarray

    def to_input(self) -> BatchInput:
        return BatchInput(self.batch.author, self.batch.sequence, self.messages, self.actions, self.signers)


def check_batch(batch: Batch, network_key: bytes | None, domain: bytes, domain_separator: bytes) -> CheckedBatch | None:
    """Verify once; None when the signature is not the author's, whose key this is, or nobody knows the author. Runs in
    a worker thread: touches no shared state.
    """
    if network_key is None or not verify_batch(batch, network_key, domain):
        return None
    return make_checked(batch, domain_separator)


def make_checked(batch: Batch, domain_separator: bytes, signers: np.ndarray | None = None) -> CheckedBatch:
    """Recover every message's signer, unless they are known; for batches whose author is known to be right (our own,
    or finalised). Holds the interpreter only for what is small.
    """
    messages, actions = decode_batch(batch.commands)
    verified = verify_messages(messages, actions, domain_separator, signers)
    return CheckedBatch(batch, batch.hash(), messages, actions, verified.signers, verified.ids)


def sort_refs(refs: tuple[tuple[int, int, bytes], ...]) -> tuple[tuple[int, int, bytes], ...]:
    """The one order in which a block may name a set of batches: authors in turn, each one's by sequence. A leader
    chooses which batches, never their order.
    """
    depth_of: dict[int, int] = {}
    ranked = []
    for ref in sorted(refs):
        depth = depth_of.get(ref[0], 0)
        depth_of[ref[0]] = depth + 1
        ranked.append((depth, ref))
    return tuple(ref for _, ref in sorted(ranked))


class Sealer:
    """Collects our clients' messages and seals them with growing sequence numbers."""

    def __init__(self, author: int, signer: NetworkSigner, domain_separator: bytes, first_sequence: int) -> None:
        self._author = author
        self._signer = signer
        self._domain_separator = domain_separator
        self._next_sequence = first_sequence
        self._waiting: list[tuple[bytes, bytes]] = []
        self._action_count = 0
        self._size_bytes = 0

    def add(self, record: bytes, signer: bytes) -> bool:
        """`signer` is who signed the message, as we found when we took it. True when the batch is full and should be
        sealed at once.
        """
        self._waiting.append((record, signer))
        self._count([record])
        return (
            len(self._waiting) >= BATCH_MESSAGES_MAX
            or self._action_count >= BATCH_ACTIONS_MAX
            or self._size_bytes >= BATCH_BYTES_MAX
        )

    def put_back(self, batches: list[CheckedBatch]) -> None:
        """Messages of batches that were sealed before, in their order, ahead of everything newer."""
        records = [record for checked in batches for record in split_messages(checked.batch.commands)]
        signers = [signer.tobytes() for checked in batches for signer in checked.signers]
        self._waiting = [*zip(records, signers, strict=True), *self._waiting]
        self._count(records)

    def _count(self, records: list[bytes]) -> None:
        self._action_count += sum(record[COUNT_OFFSET] for record in records)
        self._size_bytes += sum(map(len, records))

    def seal(self) -> CheckedBatch | None:
        """The waiting messages, as many as a batch holds, as one signed batch; None when nothing waits."""
        if not self._waiting:
            return None
        actions, size_bytes, taken = 0, 0, 0
        for record, _ in self._waiting[:BATCH_MESSAGES_MAX]:
            if actions + record[COUNT_OFFSET] > BATCH_ACTIONS_MAX or size_bytes + len(record) > BATCH_BYTES_MAX:
                break
            actions, size_bytes, taken = actions + record[COUNT_OFFSET], size_bytes + len(record), taken + 1
        records, signers = zip(*self._waiting[:taken], strict=True)
        self._waiting = self._waiting[taken:]
        self._action_count -= actions
        self._size_bytes -= size_bytes
        batch = self._signer.sign_batch(self._author, self._next_sequence, b"".join(records))
        self._next_sequence += 1
        known = np.frombuffer(b"".join(signers), dtype=np.uint8).reshape(-1, 20).copy()
        return make_checked(batch, self._domain_separator, known)

    @property
    def waiting_count(self) -> int:
        """Actions that no batch holds yet."""
        return self._action_count


class BatchPool:
    """Every batch that a coming block may name, by hash and by (author, sequence)."""

    def __init__(self, author_count: int) -> None:
        self._by_hash: dict[bytes, CheckedBatch] = {}
        # An author that equivocates has several batches of one sequence; blocks may name any of them.
        self._pending: list[dict[int, list[CheckedBatch]]] = [{} for _ in range(author_count)]
        self._action_counts = [0] * author_count

    def add(self, checked: CheckedBatch) -> bool:
        """False when the author's share of the pool is full or the sequence is taken by another batch."""
        author, sequence = checked.batch.author, checked.batch.sequence
        if checked.batch_hash in self._by_hash:
            return True
        if sequence in self._pending[author] or self.is_full(author):
            return False
        self.add_named(checked)
        return True

    def add_named(self, checked: CheckedBatch) -> None:
        """Add a batch that a block names, whatever the author's share: the block bounds how many there are."""
        if checked.batch_hash not in self._by_hash:
            self._by_hash[checked.batch_hash] = checked
            self._pending[checked.batch.author].setdefault(checked.batch.sequence, []).append(checked)
            self._action_counts[checked.batch.author] += len(checked.actions)

    def is_full(self, author: int) -> bool:
        """Whether an author's unfinished batches have used up its share."""
        return len(self._pending[author]) >= PENDING_BATCHES_PER_AUTHOR_MAX

    def get(self, batch_hash: bytes) -> CheckedBatch | None:
        return self._by_hash.get(batch_hash)

    def select(
        self, cursors: list[int], is_ripe: Callable[[CheckedBatch], bool] | None = None
    ) -> tuple[tuple[int, int, bytes], ...]:
        """References for the next block: above each author's cursor, oldest first, authors in turn, within the limits.
        An author's batches wait behind the first that does not fit or that `is_ripe` does not let pass.
        """
        queues = [
            [pending[sequence][0] for sequence in sorted(pending) if sequence > cursors[author]]
            for author, pending in enumerate(self._pending)
        ]
        if is_ripe is not None:
            queues = [list(itertools.takewhile(is_ripe, queue)) for queue in queues]
        refs: list[tuple[int, int, bytes]] = []
        size_bytes, action_count = 0, 0
        for depth in range(max(map(len, queues), default=0)):
            for queue in queues:
                if depth >= len(queue):
                    continue
                checked = queue[depth]
                next_bytes, next_actions = size_bytes + len(checked.batch.commands), action_count + len(checked.actions)
                if next_bytes > BLOCK_BYTES_MAX or next_actions > BLOCK_ACTIONS_MAX:
                    queue.clear()
                elif len(refs) < BATCH_REFS_MAX:
                    size_bytes, action_count = next_bytes, next_actions
                    refs.append((checked.batch.author, checked.batch.sequence, checked.batch_hash))
        return tuple(refs)

    def waiting(self, cursors: list[int]) -> Iterator[CheckedBatch]:
        """What no block up to a state with these cursors has carried or passed by: by author, then by sequence."""
        for author, pending in enumerate(self._pending):
            for sequence in sorted(pending):
                if sequence > cursors[author]:
                    yield pending[sequence][0]

    def pending_of(self, author: int) -> list[CheckedBatch]:
        """An author's batches that are not final yet, oldest first."""
        pending = self._pending[author]
        return [pending[sequence][0] for sequence in sorted(pending)]

    def command_count_of(self, author: int) -> int:
        """Actions in an author's batches that are not final yet."""
        return self._action_counts[author]

    def holds_as_named(self, refs: tuple[tuple[int, int, bytes], ...]) -> bool:
        """Whether held batches are what references call them, and together within a block's limits."""
        size_bytes, action_count = 0, 0
        for author, sequence, batch_hash in refs:
            checked = self._by_hash.get(batch_hash)
            if checked is None or (checked.batch.author, checked.batch.sequence) != (author, sequence):
                return False
            size_bytes += len(checked.batch.commands)
            action_count += len(checked.actions)
        return size_bytes <= BLOCK_BYTES_MAX and action_count <= BLOCK_ACTIONS_MAX

    def has_work(self, cursors: list[int]) -> bool:
        return any(sequence > cursors[author] for author, pending in enumerate(self._pending) for sequence in pending)

    def drop_author(self, author: int) -> list[CheckedBatch]:
        """Forget an author that no block may name any more; gives back its batches."""
        dropped = [checked for same in self._pending[author].values() for checked in same]
        self._pending[author] = {}
        self._action_counts[author] = 0
        for checked in dropped:
            del self._by_hash[checked.batch_hash]
        return dropped

    def drop_through(self, cursors: list[int]) -> list[CheckedBatch]:
        """Forget what the finalised state has passed; gives back the batches forgotten."""
        dropped = []
        for author, pending in enumerate(self._pending):
            for sequence in [sequence for sequence in pending if sequence <= cursors[author]]:
                for checked in pending.pop(sequence):
                    del self._by_hash[checked.batch_hash]
                    self._action_counts[author] -= len(checked.actions)
                    dropped.append(checked)
        return dropped
