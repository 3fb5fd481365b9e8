"""What time alone does, in this order: phases, reprice, funding, settlement, auctions, sweeps, triggers (BLK-1)."""

from engine.tables import (
    BY_EXPIRY,
    BY_SETTLEMENT,
    BY_SWITCH,
    FOREVER_MS,
    KIND_CALL,
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_PUT,
    KIND_SPOT,
    NOTICE_PHASE,
    NOTICE_SETTLEMENT,
    PHASE_AUCTION,
    PHASE_CANCEL_ONLY,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    PHASE_SETTLED,
)
from tests.reference import prices
from tests.reference.book import uncross
from tests.reference.orders import cancel_everything
from tests.reference.state import BUY, FIRST_USER, OPTIONS, SELL
from tests.reference.triggers import fire_triggers

EXCHANGE = -1
ROUNDS_TO_RESUME = 3
TWAP_MS, SLOT_MS, SLOTS = 1_800_000, 4_000, 450
SWEEP_ROWS = 16_384


# -- phases -----------------------------------------------------------------------------------------------------------


def set_phase(x, market, phase, until_ms):
    row = x.markets[market]
    x.notify(NOTICE_PHASE, market, phase, until_ms, row.phase)
    row.phase, row.phase_until_ms, row.reference_ms = phase, until_ms, 0
    x.must_reprice = True


def set_exchange_phase(x, phase, until_ms):
    """The exchange, then every market that follows it: not the settled ones, nor those that the governor set."""
    x.notify(NOTICE_PHASE, EXCHANGE, phase, until_ms, x.phase)
    x.phase, x.phase_until_ms = phase, until_ms
    for market, row in enumerate(x.markets):
        if row.is_listed and row.phase != PHASE_SETTLED and row.phase_until_ms != FOREVER_MS:
            set_phase(x, market, phase, until_ms)


def halt(x):
    """PHA-3."""
    for underlying in x.underlyings:
        underlying.fresh_rounds = 0
    set_exchange_phase(x, PHASE_CANCEL_ONLY, x.time_ms + x.params.resume_ms)


def are_prices_back(x):
    needed = {row.underlying for row in x.markets if row.is_listed and row.phase != PHASE_SETTLED}
    return all(x.underlyings[number].fresh_rounds >= ROUNDS_TO_RESUME for number in needed)


def advance_phases(x, before_ms):
    until_ms = x.time_ms + x.params.resume_ms
    if x.params.halt_gap_ms and x.time_ms - before_ms > x.params.halt_gap_ms:
        halt(x)
    elif x.phase == PHASE_CONTINUOUS or x.time_ms < x.phase_until_ms:
        return
    elif x.phase == PHASE_CANCEL_ONLY and are_prices_back(x):
        set_exchange_phase(x, PHASE_POST_ONLY, until_ms)
    elif x.phase == PHASE_POST_ONLY:
        set_exchange_phase(x, PHASE_AUCTION, until_ms)


def run_auctions(x):
    """Auctions whose time has come end: uncross, then continuous."""
    for market, row in enumerate(x.markets):
        if row.is_listed and row.phase == PHASE_AUCTION and x.time_ms >= row.phase_until_ms:
            uncross(x, market)
            set_phase(x, market, PHASE_CONTINUOUS, 0)
    if x.phase == PHASE_AUCTION and x.time_ms >= x.phase_until_ms:
        x.notify(NOTICE_PHASE, EXCHANGE, PHASE_CONTINUOUS, 0, PHASE_AUCTION)
        x.phase, x.phase_until_ms = PHASE_CONTINUOUS, 0


# -- settlement -------------------------------------------------------------------------------------------------------


def sample_index(x, expiry):
    """EXP-1."""
    slot = (x.time_ms - (expiry.expiry_ms - TWAP_MS)) // SLOT_MS
    if 0 <= slot < SLOTS and slot > expiry.twap_slot and x.is_index_fresh(expiry.underlying):
        expiry.twap_slot = slot
        expiry.twap_sum_e8 += x.underlyings[expiry.underlying].index_e8
        expiry.twap_count += 1


def settlement_price_e8(x, expiry):
    if expiry.twap_count:
        return expiry.twap_sum_e8 // expiry.twap_count
    return x.underlyings[expiry.underlying].index_e8 if x.is_index_fresh(expiry.underlying) else 0


def payoff_e8(row, price_e8):
    """EXP-2, MRK-4."""
    if row.kind == KIND_CALL:
        price_e8 = max(price_e8 - row.strike_e8, 0)
    elif row.kind == KIND_PUT:
        price_e8 = max(row.strike_e8 - price_e8, 0)
    return min(price_e8, row.price_ticks_max * row.tick_e8)


def close_market(x, market, settle_e8):
    row = x.markets[market]
    for side in (BUY, SELL):
        for order in x.book(market, side):
            x.cancel_order(order, BY_SETTLEMENT)
    for trigger in sorted(x.triggers.values(), key=lambda item: item.order_id):
        if trigger.market == market:
            x.cancel_trigger(trigger, BY_SETTLEMENT)
    for offer in sorted(x.offers.values(), key=lambda item: item.order_id):
        if offer.market == market:
            x.cancel_offer(offer, BY_SETTLEMENT)
    row.settle_e8 = settle_e8
    unit = x.unit(market, settle_e8)
    x.notify(NOTICE_SETTLEMENT, market, settle_e8, unit, row.funding_quote, x.open_interest(market))
    set_phase(x, market, PHASE_SETTLED, 0)
    prices.set_units(x, market)
    if row.kind != KIND_SPOT:
        for index, lots in x.holdings(market):
            x.accounts[index].balance += lots * (unit - row.funding_quote)
            del x.accounts[index].positions[market]


def settle(x):
    for number, expiry in enumerate(x.expiries):
        if expiry.is_settled:
            continue
        sample_index(x, expiry)
        price_e8 = settlement_price_e8(x, expiry)
        if x.time_ms < expiry.expiry_ms or price_e8 == 0:
            continue
        expiry.settle_e8, expiry.is_settled = price_e8, 1
        for market, row in enumerate(x.markets):
            if row.kind in (KIND_FUTURE, *OPTIONS) and row.expiry == number and row.phase != PHASE_SETTLED:
                close_market(x, market, payoff_e8(row, price_e8))
    for market, row in enumerate(x.markets):
        if row.kind not in (KIND_PERPETUAL, KIND_SPOT) or row.phase == PHASE_SETTLED:
            continue
        is_ready = row.kind == KIND_SPOT or x.is_index_fresh(row.underlying)
        if 0 < row.delist_ms <= x.time_ms and is_ready:
            close_market(x, market, payoff_e8(row, x.index_e8(market)))


# -- sweeps -----------------------------------------------------------------------------------------------------------


def sweep(x):
    """ORD-7."""
    first = x.order_sweep
    for order in sorted(x.orders.values(), key=lambda item: item.row):
        if first <= order.row < first + SWEEP_ROWS and x.why_dead(order) is not None:
            x.cancel_order(order, x.why_dead(order))
    x.order_sweep = first + SWEEP_ROWS
    if not any(order.row >= x.order_sweep for order in x.orders.values()):
        x.order_sweep = 0
    first = x.account_sweep
    for index in x.user_accounts():
        account = x.accounts[index]
        if first <= index < first + SWEEP_ROWS and 0 < account.cancel_at_ms <= x.time_ms:
            cancel_everything(x, index, None, BY_SWITCH, with_offers=False)
            account.cancel_at_ms = 0
    for offer in sorted(x.offers.values(), key=lambda item: item.order_id):
        if offer.good_till_ms <= x.time_ms:
            x.cancel_offer(offer, BY_EXPIRY)
    x.account_sweep = first + SWEEP_ROWS
    if x.account_sweep >= max(x.next_account, FIRST_USER):
        x.account_sweep = 0


def run_clock(x, before_ms):
    advance_phases(x, before_ms)
    prices.reprice(x)
    prices.fund(x)
    settle(x)
    run_auctions(x)
    sweep(x)
    fire_triggers(x)
