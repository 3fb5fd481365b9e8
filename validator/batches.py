"""Batches of orders: sealing our clients' commands, holding everybody's until a block has carried them.

A batch is checked once, when it arrives: author's signature, then one public-key recovery per command. The recovered
addresses travel with it to the engine. Memory is bounded per author; what does not fit is dropped and, if a block
names it, fetched again.
"""

from dataclasses import dataclass

import numpy as np

from engine.apply import BatchInput
from engine.commands import COMMAND, COMMAND_BYTES, Command, command_id, is_well_formed, keccak, recover_signer
from engine.payload import BATCH_COMMANDS_MAX, BATCH_REFS_MAX, Batch
from net.identity import NetworkSigner, verify_batch

PENDING_BATCHES_PER_AUTHOR_MAX = 512
BLOCK_COMMANDS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """A batch whose author signature holds, with the id of each command and the address that signed it (zero:
    nobody).
    """

    batch: Batch
    batch_hash: bytes
    commands: np.ndarray
    signers: np.ndarray
    ids: tuple[bytes, ...]

    def to_input(self) -> BatchInput:
        return BatchInput(self.batch.author, self.batch.sequence, self.commands, self.signers)


def check_batch(
    batch: Batch, network_keys: tuple[bytes, ...], domain: bytes, domain_separator: bytes
) -> CheckedBatch | None:
    """Verify once; None when the author's signature does not hold. Runs in a worker thread: touches no shared state."""
    if batch.author >= len(network_keys) or not verify_batch(batch, network_keys[batch.author], domain):
        return None
    return make_checked(batch, domain_separator)


def make_checked(batch: Batch, domain_separator: bytes) -> CheckedBatch:
    """Recover every command's signer; for batches whose author is known to be right (our own, or finalised)."""
    commands = np.frombuffer(batch.commands, dtype=COMMAND)
    signers = np.zeros((len(commands), 20), dtype=np.uint8)
    ids = []
    for row in range(len(commands)):
        record = batch.commands[row * COMMAND_BYTES : (row + 1) * COMMAND_BYTES]
        command = Command.decode(record)
        signers[row] = np.frombuffer(recover_signer(command, domain_separator), dtype=np.uint8)
        # What is no command has no EIP-712 digest; it is named by its bytes.
        ids.append(command_id(command, domain_separator) if is_well_formed(command) else keccak(record))
    return CheckedBatch(batch, batch.hash(), commands, signers, tuple(ids))


class Sealer:
    """Collects our clients' commands and seals them with growing sequence numbers."""

    def __init__(self, author: int, signer: NetworkSigner, domain_separator: bytes, first_sequence: int) -> None:
        self._author = author
        self._signer = signer
        self._domain_separator = domain_separator
        self._next_sequence = first_sequence
        self._waiting: list[bytes] = []

    def add(self, record: bytes) -> bool:
        """True when the batch is full and should be sealed at once."""
        self._waiting.append(record)
        return len(self._waiting) >= BATCH_COMMANDS_MAX

    def seal(self) -> CheckedBatch | None:
        """The waiting commands (at most 256) as one signed batch, or None when nothing waits."""
        if not self._waiting:
            return None
        taken, self._waiting = self._waiting[:BATCH_COMMANDS_MAX], self._waiting[BATCH_COMMANDS_MAX:]
        batch = self._signer.sign_batch(self._author, self._next_sequence, b"".join(taken))
        self._next_sequence += 1
        return make_checked(batch, self._domain_separator)

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)


class BatchPool:
    """Every batch that a coming block may name, by hash and by (author, sequence)."""

    def __init__(self, author_count: int) -> None:
        self._by_hash: dict[bytes, CheckedBatch] = {}
        self._pending: list[dict[int, CheckedBatch]] = [{} for _ in range(author_count)]

    def add(self, checked: CheckedBatch) -> bool:
        """False when the author's share of the pool is full or the sequence is taken by another batch."""
        pending = self._pending[checked.batch.author]
        sequence = checked.batch.sequence
        if checked.batch_hash in self._by_hash:
            return True
        if sequence in pending or len(pending) >= PENDING_BATCHES_PER_AUTHOR_MAX:
            return False
        pending[sequence] = checked
        self._by_hash[checked.batch_hash] = checked
        return True

    def add_named(self, checked: CheckedBatch) -> None:
        """Add a batch that a block names, whatever the author's share: the block bounds how many there are."""
        self._by_hash[checked.batch_hash] = checked
        self._pending[checked.batch.author].setdefault(checked.batch.sequence, checked)

    def get(self, batch_hash: bytes) -> CheckedBatch | None:
        return self._by_hash.get(batch_hash)

    def select(self, cursors: list[int]) -> tuple[tuple[int, int, bytes], ...]:
        """References for the next block: above each author's cursor, oldest first, authors in turn, within the
        limits.
        """
        queues = [
            [pending[sequence] for sequence in sorted(pending) if sequence > cursors[author]]
            for author, pending in enumerate(self._pending)
        ]
        refs: list[tuple[int, int, bytes]] = []
        commands = 0
        for depth in range(max(map(len, queues), default=0)):
            for queue in queues:
                if depth >= len(queue):
                    continue
                checked = queue[depth]
                commands += len(checked.commands)
                if len(refs) >= BATCH_REFS_MAX or commands > BLOCK_COMMANDS_MAX:
                    return tuple(refs)
                refs.append((checked.batch.author, checked.batch.sequence, checked.batch_hash))
        return tuple(refs)

    def pending_of(self, author: int) -> list[CheckedBatch]:
        """An author's batches that are not final yet, oldest first."""
        pending = self._pending[author]
        return [pending[sequence] for sequence in sorted(pending)]

    def has_work(self, cursors: list[int]) -> bool:
        return any(sequence > cursors[author] for author, pending in enumerate(self._pending) for sequence in pending)

    def drop_through(self, cursors: list[int]) -> list[CheckedBatch]:
        """Forget what the finalised state has passed; gives back the batches forgotten."""
        dropped = []
        for author, pending in enumerate(self._pending):
            for sequence in [sequence for sequence in pending if sequence <= cursors[author]]:
                checked = pending.pop(sequence)
                self._by_hash.pop(checked.batch_hash, None)
                dropped.append(checked)
        return dropped
