"""What the node gives its API about accounts (`net.gateway.account_data.AccountData`), read from the last final state
and the ledger.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile

from engine import views
from engine.commands import Command
from engine.results import Code
from engine.state import EngineState
from net.gateway.account_data import (
    HistoryQuery,
    HoldingsCost,
    Judgement,
    Kind,
    MarginInputs,
    Movement,
    OfferView,
    SettingsView,
    Simulated,
    WhatIf,
)
from net.gateway.backend import AccountView, CommandResult, FillView, OrderView, PositionView
from net.gateway.market_data import SettlementView
from validator.account_settings import judge, list_offers, list_subaccounts, read_settings
from validator.answers import show_answer
from validator.executor import Executor
from validator.history import UNSPENT_CODES
from validator.holdings_cost import TRADES_MAX, compute_costs, continue_costs
from validator.ledger import Ledger
from validator.margin_inputs import read_inputs
from validator.movements import (
    Past,
    is_credited,
    premium_quote,
    show_delivery,
    show_deposit,
    show_funding,
    show_trade,
    show_transfer,
    show_withdrawal,
)
from validator.orders import quote_per_tick_lot, read_view
from validator.pending import Pending, Rows, rows_of_label, rows_of_nonce
from validator.prechecks import account_key
from validator.shown import show_fill
from validator.store import Store
from validator.what_if import simulate_account

# How many of an account's trades are looked through for those that a query wants.
LOOKED_AT_MAX = 20_000
# How many of them say what was held when a market paid or ended.
PAST_TRADES_MAX = 5_000
FUNDINGS_MAX = 2_000
COSTS_REMEMBERED_MAX = 1_024
_UNIT_E8 = 10**10


class NodeAccountData:
    """Implements `AccountData`."""

    def __init__(
        self, executor: Executor, ledger: Ledger, store: Store, onchain_height: Callable[[], int],
        pending: Pending | None,
    ) -> None:  # fmt: skip
        """`onchain_height()`: of the last checkpoint on the settlement chain."""
        self._executor = executor
        self._ledger = ledger
        self._store = store
        self._onchain_height = onchain_height
        self._pending = pending
        # By account, for the trade and the holding they were computed from: who asks after every block asks for what a
        # few trades have changed.
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

    def margin_inputs(self, owner: bytes, subaccount: int, markets: Iterable[int]) -> MarginInputs | None:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        return None if account is None else read_inputs(self._state, account, markets)

    def judge(self, command: Command, signer: bytes) -> Judgement:
        return judge(self._state, command, signer, self._executor.final.time_ms)

    def _compute_costs(self, account: int, lots_held: dict[int, int]) -> Mapping[int, HoldingsCost]:
        """See `holdings_cost`."""
        last_trade = self._ledger.history.last_trade_of(account)
        key = last_trade, lots_held
        known = self._costs.pop(account, None)
        if known is None or known[0] != key:
            units = {market: quote_per_tick_lot(self._state, market) for market in lots_held}
            costs = None
            if known is not None:
                (known_trade, lots_before), costs_before = known
                trades = self._walk(account, TRADES_MAX)
                newer = list(takewhile(lambda fill: fill.trade_id > known_trade, trades))
                costs = continue_costs(lots_before, costs_before, lots_held, newer, units)
            if costs is None:
                costs = compute_costs(lots_held, self._walk(account, TRADES_MAX), units)
            known = key, costs
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
        """Those that traded, as far back as the store goes, and of the others those that left recently."""
        account = self._find(owner, subaccount)
        if account is None:
            return []
        state, recent = self._state, self._ledger.orders.closed_of(account)
        rows = self._ledger.closed_orders.walk(account, LOOKED_AT_MAX)
        traded = (read_view(state, row, (owner, subaccount)) for row in rows)
        candidates = traded if query.has_trades else _merge(recent, traded)
        found: list[OrderView] = []
        for order in candidates:
            if order.updated_ms < query.start_ms or len(found) == query.count:
                break
            if _is_wanted(query, order.market, order.updated_ms, order.order_id, order.client_id):
                found.append(order)
        return found

    def movements(self, owner: bytes, subaccount: int, query: HistoryQuery) -> Sequence[Movement]:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        if account is None:
            return []
        kinds = frozenset(Kind) if query.kinds is None else query.kinds
        found = [item for kind in kinds for item in self._list_movements(kind, account, owner, query)]
        wanted = [
            item for item in found if query.start_ms <= item.time_ms <= query.end_ms and item.place < query.below_place
            and (query.markets is None or item.market in query.markets)
        ]  # fmt: skip
        wanted.sort(key=lambda item: (item.place, item.kind), reverse=True)
        last_place = wanted[query.count - 1].place if len(wanted) >= query.count else 0
        return wanted[: query.count] + [item for item in wanted[query.count :] if item.place == last_place]

    def _list_movements(self, kind: Kind, account: int, owner: bytes, query: HistoryQuery) -> list[Movement]:
        """Of one kind, at least as many as are wanted, in any order."""
        if kind == Kind.TRADE:
            fills = (
                fill for fill in self._walk(account, LOOKED_AT_MAX) if fill.trade_id < query.below_place
                and _is_wanted(query, fill.market, fill.time_ms, 0, 0)
            )  # fmt: skip
            return [show_trade(fill, premium_quote(self._state, fill)) for fill in islice(fills, query.count)]
        if kind == Kind.TRANSFER:
            rows = self._ledger.transfers.of(account, LOOKED_AT_MAX)
            others = [row[4] if row[3] == account else row[3] for row in rows]
            return [show_transfer(row, account, account_key(self._state, at)) for row, at in zip(rows, others)]
        if kind == Kind.DEPOSIT:
            views = [show_answer(row) for row in self._store.answers_of(owner, LOOKED_AT_MAX)]
            return [show_deposit(self._state, view) for view in views if is_credited(view, account)]
        if kind == Kind.WITHDRAWAL:
            return [show_withdrawal(row) for row in self._store.withdrawals_of(owner) if row[3] == account]
        past = self._make_past(account)
        return self._list_fundings(past, query) if kind == Kind.SETTLEMENT else self._list_deliveries(past, query)

    def _make_past(self, account: int) -> Past:
        summary = views.account_summary(self._state, account)
        fills = list(self._walk(account, PAST_TRADES_MAX))
        held = {item.market: item.size_lots for item in summary.positions}
        return Past(held, fills, len(fills) < PAST_TRADES_MAX)

    def _settled_heights(self, markets: set[int]) -> dict[int, SettlementView]:
        found = self._ledger.market_history.settlements(markets, 1 << 62, len(markets)) if markets else []
        return {view.market: view for view in found}

    def _list_fundings(self, past: Past, query: HistoryQuery) -> list[Movement]:
        settled = self._settled_heights(past.markets)
        found = []
        for market in past.markets:
            end = settled.get(market)
            span_ms = query.start_ms, query.end_ms
            for view in self._ledger.market_history.fundings(market, span_ms, FUNDINGS_MAX):
                lots = past.lots_before(market, view.height, None if end is None else end.height)
                if lots:
                    found.append(show_funding(view, lots))
        return found

    def _list_deliveries(self, past: Past, query: HistoryQuery) -> list[Movement]:
        found = []
        for market, view in self._settled_heights(past.markets).items():
            lots = past.lots_before(market, view.height, view.height)
            if lots:
                ticks = view.settle_e8 // int(self._state.tables.markets[market]["tick_e8"])
                found.append(show_delivery(view, lots, ticks))
        return found

    # commands

    def commands_by_nonce(self, owner: bytes, subaccount: int, nonce: int) -> Sequence[CommandResult]:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        places = [] if account is None else self._ledger.keys.find_nonce(account, nonce)
        results = self._ledger.results_at(places, self._onchain_height())
        # Of several messages with one nonce only the first that passed has spent it.
        spent = [result for result in results if not is_unspent(result)]
        return spent or self._find_pending(rows_of_nonce(owner, subaccount, nonce)) or results

    def commands_by_label(self, owner: bytes, subaccount: int, client_id: int) -> Sequence[CommandResult]:
        """See `AccountData`."""
        account = self._find(owner, subaccount)
        places = [] if account is None else self._ledger.keys.find_client_id(account, client_id)
        waiting = self._find_pending(rows_of_label(owner, subaccount, client_id))
        results = self._ledger.results_at(places[::-1], self._onchain_height())
        # A message that went to several nodes may be in several batches: one of its copies has spent the nonce.
        spent = {result.command_id for result in results if not is_unspent(result)}
        told = [result for result in results if not is_unspent(result) or result.command_id not in spent]
        return [*(copy for copy in waiting if copy.command_id not in spent), *told]

    def _find_pending(self, rows: Rows) -> list[CommandResult]:
        return [] if self._pending is None else self._pending.find(rows)


def is_unspent(result: CommandResult) -> bool:
    """Whether it left the message's nonce as it was."""
    return UNSPENT_CODES[0] <= result.code <= UNSPENT_CODES[1]


def _merge(recent: Sequence[OrderView], traded: Iterator[OrderView]) -> Iterator[OrderView]:
    """Both, the last to leave first, each order once."""
    yield from recent
    told = {order.order_id for order in recent}
    yield from (order for order in traded if order.order_id not in told)


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
