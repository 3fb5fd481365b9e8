"""Which results belong to a nonce or a client id of an account, of the newest actions of the exchange.

Columns in a ring: account, nonce, client id and place of every action that a final block carried. A result is for ever
found by its command's id (`command_index`); this is for who has lost the id. Nothing of it is on the disk: a node that
starts again reads the columns of its last blocks from their batches.
"""

from collections.abc import Sequence

import numpy as np

from engine.commands import CANCEL
from engine.intake import decode_batch
from engine.payload import Batch, Payload
from validator.history import RESULT, first_place
from validator.store import Store

KEYS_MAX = 1 << 20
RESTORED_BLOCKS = 2_000
NO_ACCOUNTS = np.empty(0, np.int32)
# A cancel names a client id without carrying one of its own.
_NAMING_KINDS = (CANCEL,)


class CommandKeys:
    """See the module's text. Memory is taken as it is used."""

    def __init__(self, capacity: int = KEYS_MAX) -> None:
        self._capacity = capacity
        self._accounts = np.zeros(capacity, np.int32)
        self._nonces = np.zeros(capacity, np.int64)
        self._client_ids = np.zeros(capacity, np.int64)
        self._places = np.zeros(capacity, np.int64)
        self._count = 0  # ever added

    def restore(self, store: Store, height: int, block_count: int = RESTORED_BLOCKS) -> None:
        """From the last blocks of the store, up to a height; those whose batches it lacks are left out."""
        for final in store.finals(max(1, height - block_count + 1), block_count):
            at = final.block.header.height
            hashes = [ref[2] for ref in Payload.decode(final.block.payload).batch_refs]
            found = [data for batch_hash in hashes if (data := store.batch(batch_hash)) is not None]
            if at > height or not hashes or len(found) != len(hashes):
                continue
            parts = [decode_batch(Batch.decode(data).commands) for data in found]
            chunks = list(store.results_from(first_place(at), first_place(at + 1) - 1, RESULT))
            accounts = np.concatenate([chunk.rows["account_index"] for chunk in chunks]) if chunks else NO_ACCOUNTS
            if len(accounts) == sum(len(actions) for _, actions in parts):
                self.add(parts, accounts, first_place(at))

    def add(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], accounts: np.ndarray, place: int) -> None:
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
