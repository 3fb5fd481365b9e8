"""Batches of orders: checking them once, holding everybody's until a block has carried them.

A batch is checked once, when it arrives: author's signature, then one public-key recovery per message. The recovered
addresses travel with it to the engine, which decides whether they may sign. Memory is bounded per author; what does
not fit is dropped and, if a block names it, fetched again.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.apply import BatchInput
from engine.intake import decode_batch
from engine.payload import BATCH_REFS_MAX, Batch
from engine.signatures import verify_messages
from net.identity import verify_batch_hash

PENDING_BATCHES_PER_AUTHOR_MAX = 512
# Eight such blocks, the most that one certificate can finalise together, still fit into one answer to a lagging peer.
BLOCK_BYTES_MAX = 1_000_000
# So that executing a block stays within the time that agreement leaves for it.
BLOCK_ACTIONS_MAX = 10_000
# A few signatures take less time than a thread to be woken, to take the interpreter's lock and to wake the loop again.
IN_PLACE_BYTES_MAX = 1024


class Sources(NamedTuple):
    """Where the messages of a batch of our own came from: their ids, (m, 32) uint8, and the number of the connection
    that each was taken for, (m,), 0 for none.
    """

    message_ids: np.ndarray
    origins: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class CheckedBatch:
    """A batch whose author signature holds: messages (m,), actions (n,), the address that signed each message, (m, 20)
    uint8 (zero: nobody), and the id of each action, (n, 32) uint8. `sources`: of a batch that this process sealed.
    """

    batch: Batch
    batch_hash: bytes
    messages: np.ndarray
    actions: np.ndarray
    signers: np.ndarray
    ids: np.ndarray
    sources: Sources | None = None

    def to_input(self) -> BatchInput:
        return BatchInput(self.batch.author, self.batch.sequence, self.messages, self.actions, self.signers)


def check_batch(batch: Batch, network_key: bytes | None, domain: bytes, domain_separator: bytes) -> CheckedBatch | None:
    """Verify once; None when the signature is not the author's, whose key this is, or nobody knows the author. May
    run in a worker thread: touches no shared state.
    """
    batch_hash = batch.hash()
    if network_key is None or not verify_batch_hash(batch_hash, batch.signature, network_key, domain):
        return None
    return _check_messages(batch, batch_hash, domain_separator)


def check_batches(
    signed: list[tuple[Batch, bytes | None]], domain: bytes, domain_separator: bytes
) -> list[CheckedBatch | None]:
    """`check_batch` of several with their authors' keys: one thread's work."""
    return [check_batch(batch, network_key, domain, domain_separator) for batch, network_key in signed]


def make_checked(batch: Batch, domain_separator: bytes) -> CheckedBatch:
    """Recover every message's signer, for batches whose author is known to be right (our own, or finalised). Holds the
    interpreter only for what is small.
    """
    return _check_messages(batch, batch.hash(), domain_separator)


def _check_messages(batch: Batch, batch_hash: bytes, domain_separator: bytes) -> CheckedBatch:
    messages, actions = decode_batch(batch.commands)
    verified = verify_messages(messages, actions, domain_separator)
    return CheckedBatch(batch, batch_hash, messages, actions, verified.signers, verified.ids)


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

    def holds(self, batch: Batch) -> bool:
        """Whether this very batch is here, found without hashing it."""
        return any(checked.batch == batch for checked in self._pending[batch.author].get(batch.sequence, ()))

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
