"""What one block changed, picked for whoever asks: a market's trades, an owner's fills and orders."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from engine.state import EngineState
from net.gateway.backend import AccountFill, CommandResult, OrderView
from net.gateway.market_data import TradeView
from validator.history import Trade, first_place
from validator.orders import read_view
from validator.prechecks import account_key
from validator.shown import show_fill, show_trade

OWNER_BYTES, KEY_BYTES = 20, 24


class BlockChanges:
    """Holds arrays only. Rows are grouped by owner when the first owner is asked for."""

    def __init__(
        self, state: Callable[[], EngineState], height: int, time_ms: int, fills: np.ndarray, orders: np.ndarray,
        accounts: np.ndarray, results_at: Callable[[Sequence[int]], Sequence[CommandResult]],
    ) -> None:  # fmt: skip
        """`state` is the newest when it is called: whose an account is never changes. `accounts`: of the block's
        actions, below 0 where there is none; `results_at(places)`: what became of actions.
        """
        self._state = state
        self._first, self._time_ms = first_place(height), time_ms
        self._fills, self._orders, self._accounts = fills, orders, accounts
        self._results_at = results_at

    def _trade(self, at: int) -> Trade:
        return Trade(self._first + at, self._time_ms, self._fills[at])

    def trades_of(self, market: int) -> Sequence[TradeView]:
        """A market's, in order."""
        return [show_trade(self._trade(at)) for at in np.flatnonzero(self._fills["market"] == market).tolist()]

    @cached_property
    def _orders_by_owner(self) -> "ByOwner":
        return ByOwner(self._state(), self._orders["account"])

    @cached_property
    def _sides_by_owner(self) -> "ByOwner":
        sides = np.stack((self._fills["maker_account"], self._fills["taker_account"]), axis=1)
        return ByOwner(self._state(), sides.ravel())

    @cached_property
    def _actions_by_owner(self) -> "tuple[np.ndarray, ByOwner]":
        known = np.flatnonzero(self._accounts >= 0)
        return known, ByOwner(self._state(), self._accounts[known])

    def results_of(self, owner: bytes) -> Sequence[CommandResult]:
        """Of all of an owner's accounts."""
        known, by_owner = self._actions_by_owner
        return self._results_at([self._first + int(known[at]) for at in by_owner.rows(owner)])

    def orders_of(self, owner: bytes) -> Sequence[OrderView]:
        """Of all of an owner's accounts."""
        return [read_view(self._state(), self._orders[at]) for at in self._orders_by_owner.rows(owner)]

    def fills_of(self, owner: bytes) -> Sequence[AccountFill]:
        """Of all of an owner's accounts, each side of a trade for itself."""
        found = []
        for at in self._sides_by_owner.rows(owner):
            is_maker, row = at % 2 == 0, self._fills[at // 2]
            account = int(row["maker_account" if is_maker else "taker_account"])
            subaccount = account_key(self._state(), account)[1]
            found.append(AccountFill(owner, subaccount, show_fill(self._trade(at // 2), is_maker)))
        return found


class ByOwner:
    """Row numbers by the owner of each row's account."""

    def __init__(self, state: EngineState, accounts: np.ndarray) -> None:
        used, account_of_row = np.unique(accounts, return_inverse=True)
        self._order = np.argsort(account_of_row, kind="stable")
        self._bounds = np.searchsorted(account_of_row[self._order], np.arange(len(used) + 1))
        columns = np.empty((len(used), 3), ">i8")
        for at, name in enumerate(("key_a", "key_b", "key_c")):
            columns[:, at] = state.tables.accounts[name][used]
        keys = columns.tobytes()
        self._accounts_of: dict[bytes, list[int]] = {}
        for at in range(len(used)):
            owner = keys[KEY_BYTES * at : KEY_BYTES * at + OWNER_BYTES]
            self._accounts_of.setdefault(owner, []).append(at)

    def rows(self, owner: bytes) -> list[int]:
        """Ascending."""
        found: list[int] = []
        for at in self._accounts_of.get(owner, ()):
            found += self._order[self._bounds[at] : self._bounds[at + 1]].tolist()
        return sorted(found)
