"""What the node gives its API about accounts (`net.gateway.account_data.AccountData`), read from the last final state
and the ledger.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine import views
from engine.commands import Command
from engine.results import Code
from engine.state import EngineState
from net.gateway.account_data import (
    HistoryQuery,
    HoldingsCost,
    Judgement,
    OfferView,
    SettingsView,
    Simulated,
    WhatIf,
)
from net.gateway.backend import AccountView, CommandResult, FillView, OrderView, PositionView
from validator.account_settings import judge, list_offers, list_subaccounts, read_settings
from validator.executor import Executor
from validator.history import UNSPENT_CODES
from validator.holdings_cost import TRADES_MAX, compute_costs
from validator.ledger import Ledger
from validator.orders import quote_per_tick_lot
from validator.shown import show_fill
from validator.what_if import simulate_account

# How many of an account's trades are looked through for those that a query wants.
LOOKED_AT_MAX = 20_000
COSTS_REMEMBERED_MAX = 1_024
_UNIT_E8 = 10**10


class NodeAccountData:
    """Implements `AccountData`."""

    def __init__(self, executor: Executor, ledger: Ledger, onchain_height: Callable[[], int]) -> None:
        """`onchain_height()`: of the last checkpoint on the settlement chain."""
        self._executor = executor
        self._ledger = ledger
        self._onchain_height = onchain_height
        # By account, for the trade and the holding they were computed from: who asks every block asks for nothing new.
        self._costs: OrderedDict[int, tuple[tuple[int, dict[int, int]], dict[int, HoldingsCost]]] = OrderedDict()

    @property
    def _state(self) -> EngineState:
        return self._executor.final.state

    def _find(self, owner: bytes, subaccount: int) -> int | None:
        return views.find_account(self._state, owner, subaccount)

    # what is

    def account(self, owner: bytes, subaccount: int) -> AccountView | None:
        """See `Backend.account`."""
        final, index = self._executor.final, self._find(owner, subaccount)
        if index is None:
            return None
        summary = views.account_summary(final.state, index)
        costs = self._compute_costs(index, {item.market: item.size_lots for item in summary.positions})
        return AccountView(
            index=index, owner=owner, subaccount=subaccount, height=final.height, balance_quote=summary.balance_quote,
            equity_quote=summary.equity_quote, initial_margin_quote=summary.initial_margin_quote,
            maintenance_margin_quote=summary.maintenance_margin_quote, withdrawable_quote=summary.free_quote,
            open_order_count=summary.open_order_count + self._ledger.orders.count_waiting(index),
            positions=tuple(_show_position(final.state, item, costs.get(item.market)) for item in summary.positions),
            mode=summary.mode, delta_quote=summary.delta_quote, vega_quote=summary.vega_quote,
        )  # fmt: skip

    def height(self) -> int:
        """See `AccountData`."""
        return self._executor.final.height

    def subaccounts(self, owner: bytes) -> Sequence[int]:
        """See `AccountData`."""
        return list_subaccounts(self._state, owner)

    def settings(self, owner: bytes, subaccount: int) -> SettingsView | None:
        return read_settings(self._state, owner, subaccount, self._executor.final.time_ms)

    def offers(self) -> Sequence[OfferView]:
        """See `AccountData`."""
        return list_offers(self._state)

    def simulate(self, owner: bytes, subaccount: int, what_if: WhatIf) -> Simulated | Code:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        return Code.UNKNOWN_ACCOUNT if account is None else simulate_account(self._state, account, what_if)

    def judge(self, command: Command, signer: bytes) -> Judgement:
        return judge(self._state, command, signer, self._executor.final.time_ms)

    def _compute_costs(self, account: int, lots_held: dict[int, int]) -> Mapping[int, HoldingsCost]:
        """See `holdings_cost`."""
        last_trade = self._ledger.history.last_trade_of(account)
        key = last_trade, lots_held
        known = self._costs.pop(account, None)
        if known is None or known[0] != key:
            units = {market: quote_per_tick_lot(self._state, market) for market in lots_held}
            known = key, compute_costs(lots_held, self._walk(account, TRADES_MAX), units)
        self._costs[account] = known
        if len(self._costs) > COSTS_REMEMBERED_MAX:
            self._costs.popitem(last=False)
        return known[1]

    # what was

    def _walk(self, account: int, count: int) -> Iterator[FillView]:
        """An account's side of its trades, newest first."""
        for trade in self._ledger.history.walk_account(account, count):
            yield show_fill(trade, int(trade.row["maker_account"]) == account)

    def fills(self, owner: bytes, subaccount: int, query: HistoryQuery) -> tuple[Sequence[FillView], bool]:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        found: list[FillView] = []
        for fill in self._walk(account, LOOKED_AT_MAX) if account is not None else ():
            if fill.time_ms < query.start_ms:
                break
            if not _is_wanted(query, fill.market, fill.time_ms, fill.order_id, fill.client_id):
                continue
            if len(found) == query.count:
                return found, True
            found.append(fill)
        return found, False

    def past_orders(self, owner: bytes, subaccount: int, query: HistoryQuery) -> Sequence[OrderView]:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        known = [] if account is None else self._ledger.orders.closed_of(account)
        wanted = [
            order for order in known
            if _is_wanted(query, order.market, order.updated_ms, order.order_id, order.client_id)
            and (order.filled_value_quote or not query.has_trades)
        ]  # fmt: skip
        return wanted[: query.count]

    # commands

    def commands_by_nonce(self, owner: bytes, subaccount: int, nonce: int) -> Sequence[CommandResult]:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        places = [] if account is None else self._ledger.keys.find_nonce(account, nonce)
        results = self._ledger.results_at(places, self._onchain_height())
        # Of several messages with one nonce only the first that passed has spent it.
        return [result for result in results if not UNSPENT_CODES[0] <= result.code <= UNSPENT_CODES[1]] or results

    def commands_by_label(self, owner: bytes, subaccount: int, client_id: int) -> Sequence[CommandResult]:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        places = [] if account is None else self._ledger.keys.find_client_id(account, client_id)
        return self._ledger.results_at(places[::-1], self._onchain_height())


def _is_wanted(query: HistoryQuery, market: int, time_ms: int, order_id: int, client_id: int) -> bool:
    return (
        (query.markets is None or market in query.markets) and query.start_ms <= time_ms <= query.end_ms
        and query.order_id in (0, order_id) and query.client_id in (0, client_id)
    )  # fmt: skip


def _show_position(state: EngineState, position: views.PositionSummary, cost: HoldingsCost | None) -> PositionView:
    market = state.tables.markets[position.market]
    index_e8 = int(state.tables.underlyings[int(market["underlying"])]["index_e8"])
    return PositionView(
        market=position.market, size_lots=position.size_lots, mark_price_ticks=position.mark_ticks,
        index_price_ticks=index_e8 // int(market["tick_e8"]), value_quote=position.value_quote,
        initial_margin_quote=position.initial_margin_quote,
        maintenance_margin_quote=position.maintenance_margin_quote, delta_quote=position.delta_quote,
        gamma_quote=position.size_lots * int(market["gamma_unit"]), vega_quote=position.vega_quote,
        theta_quote=position.size_lots * int(market["theta_unit"]),
        liquidation_price_ticks=position.liquidation_price_ticks,
        mark_value_quote=position.size_lots * (position.mark_e8 * int(market["lot_e8"]) // _UNIT_E8),
        entry_value_quote=None if cost is None else cost.entry_value_quote,
        realized_quote=None if cost is None else cost.realized_quote,
    )  # fmt: skip
