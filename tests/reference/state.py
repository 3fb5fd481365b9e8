"""The exchange as plain objects: what a state consists of, and the questions that every rule asks of it.

Nothing here is optimised: every sum is taken over everything, every list is sorted when it is read. Names of record
fields are those of `engine.tables`, so that the two can be laid side by side. Rule ids: docs/spec.md.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace

from engine.tables import (
    ASSET,
    BY_EXPIRY,
    BY_SWITCH,
    EXPIRY,
    KIND_CALL,
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_PUT,
    KIND_SPOT,
    MARKET,
    PHASE_SETTLED,
    UNDERLYING,
)

BUY, SELL = 0, 1
FEES, INSURANCE, GOVERNOR, FIRST_USER = 0, 1, 2, 64
NO_END_MS = (1 << 63) - 1
OPTIONS = (KIND_CALL, KIND_PUT)
DERIVATIVES = (KIND_PERPETUAL, KIND_FUTURE, *OPTIONS)


def ceil_div(numerator, denominator):
    """Exact quotient rounded up; the denominator is positive."""
    return -(-numerator // denominator)


def blank(dtype, **values):
    """A record with every field of `dtype` at zero, then `values`."""
    return SimpleNamespace(**(dict.fromkeys(dtype.names, 0) | values))


def blank_market(**values):
    return blank(MARKET, **values)


def blank_underlying(**values):
    return blank(UNDERLYING, multiplier_bps=10_000, **values)


def blank_expiry(**values):
    return blank(EXPIRY, twap_slot=-1, **values)


def blank_asset(**values):
    return blank(ASSET, **({"token": bytes(20)} | values))


@dataclass
class Session:
    """A key that may sign, or with `is_builder` an owner who may take a fee (`order_quote_max` in ppm)."""

    key: bytes
    scopes: int
    expiry_ms: int
    order_quote_max: int
    is_builder: bool = False


@dataclass
class Protection:
    window_ms: int
    freeze_ms: int
    quote_max: int
    delta_quote_max: int
    vega_quote_max: int
    window_start_ms: int = 0
    quote_sum: int = 0
    delta_quote_sum: int = 0
    vega_quote_sum: int = 0
    frozen_until_ms: int = 0

    def empty_window(self):
        self.window_start_ms = self.quote_sum = self.delta_quote_sum = self.vega_quote_sum = 0


@dataclass
class Account:
    owner: bytes
    subaccount: int
    balance: int = 0
    mode: int = 0
    positions: dict = field(default_factory=dict)
    nonces: list = field(default_factory=list)
    client_ids: list = field(default_factory=list)
    cancel_at_ms: int = 0
    volume: int = 0
    volume_before: int = 0
    volume_epoch: int = 0
    referrer: int = 0
    sessions: list = field(default_factory=list)
    protection: Protection | None = None

    def lots(self, market):
        return self.positions.get(market, 0)


@dataclass
class Order:
    order_id: int
    account: int
    market: int
    side: int
    price: int
    shown: int
    hidden: int
    display: int
    client_id: int
    original: int
    filled: int
    placed_ms: int
    good_till_ms: int
    flags: int
    time_in_force: int
    unit_charge: int
    builder: int
    builder_ppm: int
    rank: int

    @property
    def lots(self):
        return self.shown + self.hidden

    @property
    def row(self):
        return self.order_id & ((1 << 24) - 1)

    def standing(self):
        """Sorts a side of a book: best price first, then lowest rank (MAT-1)."""
        return (-self.price if self.side == BUY else self.price, self.rank)


@dataclass
class Trigger:
    order_id: int
    account: int
    market: int
    side: int
    time_in_force: int
    flags: int
    price: int
    lots: int
    client_id: int
    trigger_ticks: int
    placed_ms: int
    parent_id: int = 0
    sibling_id: int = 0


@dataclass
class Offer:
    order_id: int
    account: int
    market: int
    side: int
    price: int
    lots: int
    client_id: int
    good_till_ms: int
    counterparty: int
    placed_ms: int


class Exchange:
    """The whole state, and what happened in the block at hand."""

    def __init__(self, params, time_ms):
        self.params = params
        self.height, self.time_ms, self.l1_block = 0, time_ms, 0
        self.accounts, self.next_account = {}, FIRST_USER
        self.orders, self.triggers, self.offers = {}, {}, {}
        self.markets, self.underlyings, self.expiries, self.assets = [], [], [], []
        self.next_sequence = self.next_rank = 1
        self.phase, self.phase_until_ms = 0, 0
        self.repriced_ms, self.must_reprice = 0, True
        self.stable_e8, self.insurance_cover = 10**8, params.insurance_cover
        self.order_sweep = self.account_sweep = 0
        self.report_times = [0] * params.validator_count
        self.batch_sequences = [0] * params.validator_count
        self.inbox_cursor, self.inbox_hash, self.inbox_ignored = 0, bytes(32), 0
        self.deposited = self.withdrawn = self.withdrawal_count = 0
        self.model_world, self.model_rows = None, {}
        self.begin_block()

    def begin_block(self):
        self.fills, self.cancellations, self.liquidations, self.deleverages = [], [], [], []
        self.notices, self.withdrawals, self.credits, self.receipts = [], [], [], []
        self.used_reports = []
        self.deferring, self.deferred = 0, []

    # -- accounts -----------------------------------------------------------------------------------------------------

    def find_account(self, owner, subaccount):
        return next((i for i, a in self.accounts.items() if (a.owner, a.subaccount) == (owner, subaccount)), None)

    def open_account(self, owner, subaccount):
        """A new account's index, or None when there is no room."""
        if self.next_account >= self.params.accounts_max:
            return None
        index, self.next_account = self.next_account, self.next_account + 1
        self.accounts[index] = Account(owner, subaccount)
        return index

    def user_accounts(self):
        return [index for index in sorted(self.accounts) if index >= FIRST_USER]

    def own_orders(self, index, market=None):
        mine = [o for o in self.orders.values() if o.account == index and market in (None, o.market)]
        return sorted(mine, key=lambda o: o.order_id)

    def own_triggers(self, index, market=None):
        mine = [t for t in self.triggers.values() if t.account == index and market in (None, t.market)]
        return sorted(mine, key=lambda t: t.order_id)

    def own_offers(self, index, market=None):
        mine = [o for o in self.offers.values() if o.account == index and market in (None, o.market)]
        return sorted(mine, key=lambda o: o.order_id)

    def open_lots(self, index, market, side):
        return sum(o.lots for o in self.own_orders(index, market) if o.side == side)

    def busy_markets(self, index):
        """Markets in which an account has a position or open orders."""
        return sorted(set(self.accounts[index].positions) | {o.market for o in self.own_orders(index)})

    # -- markets ------------------------------------------------------------------------------------------------------

    def market_name_ok(self, market):
        return market < len(self.markets)

    def index_e8(self, market):
        return self.underlyings[self.markets[market].underlying].index_e8

    def expiry_of(self, market):
        number = self.markets[market].expiry
        return self.expiries[number] if number >= 0 else None

    def unit(self, market, e8):
        """NUM-3: quote per lot of an e8 price."""
        return e8 * self.markets[market].lot_e8 // 10**10

    def mark_unit(self, market):
        """`q`; nothing once settled."""
        row = self.markets[market]
        return 0 if row.phase == PHASE_SETTLED else self.unit(market, row.mark_e8)

    def value_unit(self, market):
        """`q - F` (FND-1)."""
        row = self.markets[market]
        return 0 if row.phase == PHASE_SETTLED else self.unit(market, row.mark_e8) - row.funding_quote

    def tick_value(self, market, price):
        """Quote per lot at a book price (NUM-2)."""
        return price * self.markets[market].quote_per_tick_lot

    def is_recent(self, underlying, moment_ms):
        return moment_ms > 0 and self.time_ms - moment_ms <= self.underlyings[underlying].oracle_stale_ms

    def is_index_fresh(self, underlying):
        return self.is_recent(underlying, self.underlyings[underlying].index_ms)

    def has_mark(self, market):
        return self.markets[market].mark_ms > 0

    def is_fresh(self, market):
        """ORA-2."""
        row, expiry = self.markets[market], self.expiry_of(market)
        if row.phase == PHASE_SETTLED:
            return True
        fresh = self.has_mark(market) and self.is_index_fresh(row.underlying)
        if row.kind == KIND_FUTURE and expiry.forward_e8:
            fresh = fresh and self.is_recent(row.underlying, expiry.forward_ms)
        if row.kind in OPTIONS:
            fresh = fresh and self.is_recent(row.underlying, expiry.forward_ms)
            fresh = fresh and self.is_recent(row.underlying, expiry.surface_ms)
        return fresh

    def are_fresh(self, index):
        return all(self.is_fresh(market) for market in self.busy_markets(index))

    def holdings(self, market):
        """`(index, lots)` of everybody with a position, by index."""
        return [(i, a.positions[market]) for i, a in sorted(self.accounts.items()) if a.lots(market)]

    def open_interest(self, market):
        return sum(max(lots, 0) for _, lots in self.holdings(market))

    def band(self, market):
        """ORD-1: `(buy_limit_ticks, sell_limit_ticks)` as of the last mark; everything without one."""
        row = self.markets[market]
        if not self.has_mark(market):
            return row.price_ticks_max, 1
        return row.buy_limit_ticks, row.sell_limit_ticks

    def set_band(self, market):
        row = self.markets[market]
        around = self.index_e8(market) if row.kind in OPTIONS else row.mark_e8
        width, scale = around * row.band_bps, 10_000 * row.tick_e8
        highest = (row.mark_e8 * 10_000 + width) // scale
        lowest = ceil_div(row.mark_e8 * 10_000 - width, scale)
        row.buy_limit_ticks = max(1, min(row.price_ticks_max, highest))
        row.sell_limit_ticks = max(1, min(row.price_ticks_max, lowest))

    # -- books --------------------------------------------------------------------------------------------------------

    def book(self, market, side):
        return sorted((o for o in self.orders.values() if (o.market, o.side) == (market, side)), key=Order.standing)

    def best(self, market, side):
        return next(iter(self.book(market, side)), None)

    def why_dead(self, order):
        """ORD-7: why an order may no longer trade, or None."""
        if order.good_till_ms and order.good_till_ms <= self.time_ms:
            return BY_EXPIRY
        switch_ms = self.accounts[order.account].cancel_at_ms
        return BY_SWITCH if switch_ms and switch_ms <= self.time_ms else None

    def take_sequence(self):
        self.next_sequence += 1
        return self.next_sequence - 1

    def take_rank(self):
        self.next_rank += 1
        return self.next_rank - 1

    # -- what happened ------------------------------------------------------------------------------------------------

    def notify(self, kind, subject, *values):
        self.notices.append((int(kind), subject, *values, *(0,) * (4 - len(values))))

    def tell_cancelled(self, item, lots, reason):
        ids = (item.order_id, item.account, item.market, item.side, item.price)
        self.cancellations.append((*ids, lots, item.client_id, reason))

    def cancel_order(self, order, reason):
        del self.orders[order.order_id]
        self.tell_cancelled(order, order.lots, reason)

    def cancel_trigger(self, trigger, reason):
        self.drop_trigger(trigger)
        self.tell_cancelled(trigger, trigger.lots, reason)

    def drop_trigger(self, trigger):
        del self.triggers[trigger.order_id]
        if trigger.sibling_id:
            self.triggers[trigger.sibling_id].sibling_id = 0

    def cancel_offer(self, offer, reason):
        del self.offers[offer.order_id]
        self.tell_cancelled(offer, offer.lots, reason)


def is_spot(x, market):
    return x.markets[market].kind == KIND_SPOT


def lowest_free_row(ids):
    """The lowest row, from 1 on, that none of the ids names in its low 22 bits."""
    taken = {number & ((1 << 22) - 1) for number in ids}
    return next(row for row in range(1, len(taken) + 2) if row not in taken)
