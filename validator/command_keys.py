"""Which results belong to a nonce or a client id of an account, of the newest actions of the exchange.

Columns in a ring: account, nonce, client id and place of every action that a final block carried. A result is for ever
found by its command's id (`command_index`); this is for who has lost the id. Nothing of it is on the disk: a node that
starts again reads the columns of its last blocks from their batches.
"""

from collections.abc import Sequence

import numpy as np

from consensus.messages import DecodeError
from engine.commands import CANCEL
from engine.intake import decode_batch
from engine.payload import Batch, Payload
from validator.history import RESULT, first_place
from validator.store import Store

KEYS_MAX = 1 << 20
# What a start may cost: a second or so, however full the last blocks were.
RESTORED_BLOCKS, RESTORED_ACTIONS = 2_000, 1 << 18
Parts = Sequence[tuple[np.ndarray, np.ndarray]]  # messages and actions of batches
# A cancel names a client id without carrying one of its own.
_NAMING_KINDS = (CANCEL,)


class CommandKeys:
    """See the module's text. All memory is taken at once: a node that runs for days needs no more than at first."""

    def __init__(self, capacity: int = KEYS_MAX) -> None:
        self._capacity = capacity
        # Written: of plain zeros, pages would be taken as they are used.
        self._accounts = np.full(capacity, 0, np.int32)
        self._nonces = np.full(capacity, 0, np.int64)
        self._client_ids = np.full(capacity, 0, np.int64)
        self._places = np.full(capacity, 0, np.int64)
        self._count = 0  # ever added

    def restore(self, store: Store, height: int, blocks_max: int = RESTORED_BLOCKS) -> None:
        """From the last blocks of the store, down from a height; those whose batches it lacks are left out."""
        found, action_count = [], 0
        for at in range(height, max(0, height - blocks_max), -1):
            block = _read_block(store, at)
            if block is not None:
                found.append((*block, first_place(at)))
                action_count += len(block[1])
            if action_count >= RESTORED_ACTIONS:
                break
        for parts, accounts, place in reversed(found):
            self.add(parts, accounts, place)

    def add(self, parts: Parts, accounts: np.ndarray, place: int) -> None:
        """The messages and actions of a block's batches, in the order of its receipts, with the accounts of these."""
        if not parts or not len(accounts):
            return
        counts = np.concatenate([messages["count"] for messages, _ in parts]).astype(np.int64)
        nonces = np.repeat(np.concatenate([messages["nonce"] for messages, _ in parts]), counts)
        client_ids = np.concatenate([actions["client_id"] for _, actions in parts])
        kinds = np.concatenate([actions["kind"] for _, actions in parts])
        client_ids = np.where(np.isin(kinds, _NAMING_KINDS), 0, client_ids)
        places = place + np.arange(len(accounts))
        columns = ((self._accounts, accounts), (self._nonces, nonces), (self._client_ids, client_ids))
        at = (self._count + np.arange(len(accounts)))[-self._capacity :] % self._capacity
        for ring, column in (*columns, (self._places, places)):
            ring[at] = column[-self._capacity :]
        self._count += len(accounts)

    def find_nonce(self, account: int, nonce: int) -> list[int]:
        """Places, ascending."""
        return self._find(self._nonces, account, nonce)

    def find_client_id(self, account: int, client_id: int) -> list[int]:
        """Places, ascending."""
        return self._find(self._client_ids, account, client_id) if client_id else []

    def _find(self, column: np.ndarray, account: int, value: int) -> list[int]:
        used = min(self._count, self._capacity)
        found = np.flatnonzero(column[:used] == value)
        places: list[int] = self._places[found[self._accounts[found] == account]].tolist()
        return sorted(places)


def _read_block(store: Store, height: int) -> tuple[Parts, np.ndarray] | None:
    """Batches of a final block and the accounts of its receipts; None without any, or where something is missing or
    damaged, which an audit names.
    """
    try:
        final = store.final(height)
    except DecodeError:
        return None
    hashes = [] if final is None else [ref[2] for ref in Payload.decode(final.block.payload).batch_refs]
    data = [batch for batch_hash in hashes if (batch := store.batch(batch_hash)) is not None]
    chunks = list(store.results_from(first_place(height), first_place(height + 1) - 1, RESULT)) if hashes else []
    if not chunks or len(data) != len(hashes):
        return None
    parts = [decode_batch(Batch.decode(batch).commands) for batch in data]
    accounts = np.concatenate([chunk.rows["account_index"] for chunk in chunks])
    return (parts, accounts) if len(accounts) == sum(len(actions) for _, actions in parts) else None
