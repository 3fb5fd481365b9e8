"""Accounts of the dictionary exchange of `test_gateway_backend`."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.commands import CANCEL, NO_SIGNER, Command
from engine.results import Code
from net.gateway.account_data import (
    HistoryQuery,
    Judgement,
    MarginInputs,
    Movement,
    OfferView,
    SettingsView,
    Simulated,
    UnderlyingRisk,
    WhatIf,
)
from net.gateway.backend import CommandResult, FillView, OrderView

if TYPE_CHECKING:
    from test_gateway_backend import DictBackend


class DictAccountData:
    """Implements `AccountData`; what a test wants beyond orders and trades it puts into the fields."""

    def __init__(self, backend: "DictBackend") -> None:
        self._backend = backend
        self.known_settings: dict[tuple[bytes, int], SettingsView] = {}
        self.live_offers: list[OfferView] = []
        self.moved: list[Movement] = []
        self.simulated: list[WhatIf] = []

    def height(self) -> int:
        return self._backend.height

    def subaccounts(self, owner: bytes) -> Sequence[int]:
        return sorted(subaccount for known, subaccount in self._backend.balances if known == owner)

    def settings(self, owner: bytes, subaccount: int) -> SettingsView | None:
        if (owner, subaccount) not in self._backend.balances:
            return None
        plain = SettingsView(self._backend.height, self._backend.time_ms, 0, 0, (), (), None, None, ())
        return self.known_settings.get((owner, subaccount), plain)

    def offers(self) -> Sequence[OfferView]:
        return self.live_offers

    def fills(self, owner: bytes, subaccount: int, query: HistoryQuery) -> tuple[Sequence[FillView], bool]:
        own = [
            fill for fill in self._backend.user_trades(owner, subaccount, 10**9)
            if is_wanted(query, fill.market, fill.time_ms, fill.order_id, fill.client_id)
        ]  # fmt: skip
        return own[: query.count], len(own) > query.count

    def past_orders(self, owner: bytes, subaccount: int, query: HistoryQuery) -> Sequence[OrderView]:
        own = [
            order for order in self._backend.gone.values() if (order.owner, order.subaccount) == (owner, subaccount)
            and is_wanted(query, order.market, order.updated_ms, order.order_id, order.client_id)
            and (order.filled_value_quote or not query.has_trades)
        ]  # fmt: skip
        return own[::-1][: query.count]

    def movements(self, owner: bytes, subaccount: int, query: HistoryQuery) -> Sequence[Movement]:
        wanted = [item for item in self.moved if query.kinds is None or item.kind in query.kinds]
        return wanted[: query.count]

    def simulate(self, owner: bytes, subaccount: int, what_if: WhatIf) -> Simulated | Code:
        balance_quote = self._backend.balances.get((owner, subaccount))
        if balance_quote is None:
            return Code.UNKNOWN_ACCOUNT
        self.simulated.append(what_if)
        demand_quote = sum(order.size_lots for order in what_if.orders) + sum(map(abs, what_if.lots.values()))
        risk = UnderlyingRisk("BTC", 5, 4, 3, 2, 1, tuple(range(34)), 10**12, 0)
        return Simulated(self._backend.height, 2, balance_quote, demand_quote, demand_quote // 2, 7, (risk,))

    def margin_inputs(self, owner: bytes, subaccount: int, markets: Iterable[int]) -> MarginInputs | None:
        balance_quote = self._backend.balances.get((owner, subaccount))
        if balance_quote is None:
            return None
        columns = dict.fromkeys(("markets", "underlyings", "expiries"), ("first", "second"))
        rows = {market: (market, -1) for market in markets}
        return MarginInputs(
            self._backend.height, 2, balance_quote, 0, {0: -3}, {0: (1, 2)}, ("BTC",), columns, rows, rows, ((1, 2),),
            (), (7,),
        )  # fmt: skip

    def judge(self, command: Command, signer: bytes) -> Judgement:
        role = "owner" if signer == command.owner else "nobody" if signer == NO_SIGNER else "stranger"
        is_spent = any(one.nonce == command.nonce for one in self._backend.submitted)
        code = Code.NONCE_REUSED if is_spent else Code.OK
        return Judgement(
            self._backend.height, self._backend.time_ms, role, 0, "spent" if is_spent else "fresh",
            command.expiry_ms < self._backend.time_ms, code,
        )  # fmt: skip

    def commands_by_nonce(self, owner: bytes, subaccount: int, nonce: int) -> Sequence[CommandResult]:
        return [
            self._backend.known[name] for command in self._backend.submitted
            if (command.owner, command.subaccount, command.nonce) == (owner, subaccount, nonce)
            for name in self._backend.action_ids(command)
        ]  # fmt: skip

    def commands_by_label(self, owner: bytes, subaccount: int, client_id: int) -> Sequence[CommandResult]:
        return [
            self._backend.known[name] for command in self._backend.submitted[::-1]
            if (command.owner, command.subaccount) == (owner, subaccount)
            for action, name in zip(command.actions, self._backend.action_ids(command))
            if action.client_id == client_id and action.kind != CANCEL
        ]  # fmt: skip


def is_wanted(query: HistoryQuery, market: int, time_ms: int, order_id: int, client_id: int) -> bool:
    """Whether a row of a history is one that a query asks for."""
    is_in_span = query.start_ms <= time_ms <= query.end_ms and (query.markets is None or market in query.markets)
    return is_in_span and query.order_id in (0, order_id) and query.client_id in (0, client_id)
