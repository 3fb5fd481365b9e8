"""Which results belong to a nonce or a client id of an account, of the newest actions of the exchange.

Columns in a ring: account, nonce, client id and place of every action that a final block carried. A result is for ever
found by its command's id (`command_index`); this is for who has lost the id. Nothing is on the disk: a node that starts
again reads the columns of its last blocks from their batches.
"""

from collections.abc import Sequence

import numpy as np

from engine.commands import CANCEL
from validator.batches import CheckedBatch

KEYS_MAX = 1 << 20
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

    def add(self, batches: Sequence[CheckedBatch], accounts: np.ndarray, first_place: int) -> None:
        """The actions of a block's batches, in the order of its receipts, with the accounts of these."""
        if not batches or not len(accounts):
            return
        counts = np.concatenate([checked.messages["count"] for checked in batches]).astype(np.int64)
        nonces = np.repeat(np.concatenate([checked.messages["nonce"] for checked in batches]), counts)
        client_ids = np.concatenate([checked.actions["client_id"] for checked in batches])
        kinds = np.concatenate([checked.actions["kind"] for checked in batches])
        client_ids = np.where(np.isin(kinds, _NAMING_KINDS), 0, client_ids)
        places = first_place + np.arange(len(accounts))
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
