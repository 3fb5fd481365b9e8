"""What the governor does: GOV-1 to GOV-3."""

from engine.commands import ALL_MARKETS, DELIST, LIST, SET_PARAMETER
from engine.results import Code
from engine.tables import (
    FOREVER_MS,
    KIND_CALL,
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_PUT,
    KIND_SPOT,
    NOTICE_LISTED,
    NOTICE_PARAMETER,
    PHASE_AUCTION,
    PHASE_CANCEL_ONLY,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    PHASE_SETTLED,
)
from tests.reference.clock import halt, set_phase
from tests.reference.state import BUY, OPTIONS, SELL, blank_expiry, blank_market

HOUR_MS = 3_600_000
DATED = (KIND_FUTURE, *OPTIONS)
COPIED = (
    "position_lots_max", "order_lots_max", "initial_bps", "maintenance_bps", "maker_fee_bps", "taker_fee_bps",
    "liquidation_fee_bps", "band_bps", "oi_low_quote", "oi_high_quote", "auction_move_bps", "auction_ms",
    "funding_cap_bps", "interest_bps", "impact_quote",
)  # fmt: skip
# number: (whose, field, lowest, highest); the table of GOV-3.
PARAMETERS = {
    1: ("market", "order_lots_max", 1, (1 << 40) - 1),
    2: ("market", "position_lots_max", 1, (1 << 40) - 1),
    3: ("market", "initial_bps", 2, 10_000),
    4: ("market", "maintenance_bps", 1, 10_000),
    5: ("market", "maker_fee_bps", 0, 10_000),
    6: ("market", "taker_fee_bps", 0, 10_000),
    7: ("market", "liquidation_fee_bps", 0, 10_000),
    8: ("market", "band_bps", 1, 9_999),
    9: ("market", "oi_low_quote", 0, (1 << 60) - 1),
    10: ("market", "oi_high_quote", 0, (1 << 60) - 1),
    11: ("market", "auction_move_bps", 0, 10_000),
    12: ("market", "auction_ms", 0, 86_400_000),
    13: ("market", "funding_cap_bps", 0, 10_000),
    14: ("market", "interest_bps", 0, 10_000),
    15: ("market", "impact_quote", 0, (1 << 50) - 1),
    16: ("underlying", "oracle_step_bps_max", 1, 9_999),
    17: ("underlying", "oracle_stale_ms", 1, (1 << 40) - 1),
    18: ("underlying", "reference_move_bps", 1, 9_999),
    32: ("exchange", "insurance_cover", 0, 1_000_000),
}


def is_open(x, market):
    return market < len(x.markets) and x.markets[market].is_listed and x.markets[market].phase != PHASE_SETTLED


def open_market(x, market):
    """Its opening auction, or the exchange's phase while that is halted."""
    row = x.markets[market]
    if x.phase != PHASE_CONTINUOUS:
        set_phase(x, market, x.phase, x.phase_until_ms)
    elif row.auction_ms:
        set_phase(x, market, PHASE_AUCTION, x.time_ms + row.auction_ms)
    else:
        set_phase(x, market, PHASE_CONTINUOUS, 0)


def find_expiry(x, underlying, expiry_ms):
    """Number of the expiry, made if it is new; -1 for none."""
    if not expiry_ms:
        return -1
    for number, known in enumerate(x.expiries):
        if (known.underlying, known.expiry_ms) == (underlying, expiry_ms):
            return number
    x.expiries.append(blank_expiry(underlying=underlying, expiry_ms=expiry_ms))
    return len(x.expiries) - 1


def expiry_ms_of(x, market):
    expiry = x.expiry_of(market)
    return expiry.expiry_ms if expiry else 0


def judge_terms(x, kind, underlying, expiry_ms, strike_e8, tick_e8, lot_e8, price_ticks_max):
    if kind > KIND_PUT:
        return Code.UNKNOWN_ENUM
    if (kind in DATED) != (expiry_ms != 0) or (kind in (KIND_CALL, KIND_PUT)) != (strike_e8 != 0):
        return Code.CONTRADICTORY
    if expiry_ms and not x.time_ms + HOUR_MS <= expiry_ms < 1 << 50:
        return Code.CONTRADICTORY
    for market, row in enumerate(x.markets):
        known = (row.kind, row.underlying, expiry_ms_of(x, market), row.strike_e8)
        if is_open(x, market) and known == (kind, underlying, expiry_ms, strike_e8):
            return Code.CONTRADICTORY
    fits = 0 <= underlying < len(x.underlyings) and 0 <= strike_e8 <= 1 << 53
    fits = fits and 0 < tick_e8 <= 1 << 53 and 0 < lot_e8 <= 1 << 53 and tick_e8 * lot_e8 % 10**10 == 0
    fits = fits and 1 <= price_ticks_max <= (1 << 24) - 1
    if not fits or not 0 < tick_e8 * lot_e8 // 10**10 < 1 << 40:
        return Code.PARAMETER_OUT_OF_BOUNDS
    return Code.OK


def list_market(x, action):
    """GOV-2."""
    if action.market >= len(x.markets):
        return Code.UNKNOWN_MARKET
    template = x.markets[action.market]
    terms = {
        "kind": action.side, "underlying": action.link - 1 if action.link else template.underlying,
        "expiry_ms": action.good_till_ms, "strike_e8": action.price_ticks,
        "tick_e8": action.trigger_ticks or template.tick_e8, "lot_e8": action.size_lots or template.lot_e8,
        "price_ticks_max": action.display_lots or template.price_ticks_max,
    }  # fmt: skip
    code = judge_terms(x, **terms)
    if code != Code.OK:
        return code
    if len(x.markets) >= x.params.markets_max:
        return Code.TABLE_FULL
    unit = terms["tick_e8"] * terms["lot_e8"] // 10**10
    row = blank_market(**{name: getattr(template, name) for name in COPIED})
    row.position_lots_max = min(template.position_lots_max, (1 << 54) // unit)
    row.order_lots_max = min(template.order_lots_max, row.position_lots_max)
    expiry_ms = terms.pop("expiry_ms")
    terms["price_ticks_max"] = min(terms["price_ticks_max"], (1 << 54) // (unit * row.position_lots_max))
    for name, value in terms.items():
        setattr(row, name, value)
    row.quote_per_tick_lot, row.is_listed, row.listed_ms = unit, 1, x.time_ms
    row.expiry = find_expiry(x, row.underlying, expiry_ms)
    x.markets.append(row)
    number = len(x.markets) - 1
    x.notify(NOTICE_LISTED, number, row.kind, row.underlying, expiry_ms, row.strike_e8)
    open_market(x, number)
    return Code.OK


def are_related(x, market):
    row = x.markets[market]
    tiers_hold = all(
        row.maker_fee_bps * (tier.maker_discount_bps - 10_000) <= row.taker_fee_bps * (10_000 - tier.taker_discount_bps)
        for tier in x.params.fee_tiers
    )
    return (
        row.maintenance_bps < row.initial_bps
        and row.maker_fee_bps <= row.taker_fee_bps < row.maintenance_bps
        and row.liquidation_fee_bps < row.maintenance_bps
        and row.order_lots_max <= row.position_lots_max
        and row.price_ticks_max * row.quote_per_tick_lot * row.position_lots_max <= 1 << 54
        and row.oi_low_quote <= row.oi_high_quote
        and row.interest_bps <= row.funding_cap_bps
        and tiers_hold
    )


def set_parameter(x, action):
    """GOV-3."""
    market, value = action.market, action.size_lots
    whose, field, low, high = PARAMETERS.get(action.link, ("market", "", 1, 0))
    if not (market == ALL_MARKETS if whose == "exchange" else is_open(x, market)):
        return Code.UNKNOWN_MARKET
    if not low <= value <= high:
        return Code.PARAMETER_OUT_OF_BOUNDS
    row = x if whose == "exchange" else x.markets[market]
    if whose == "underlying":
        row = x.underlyings[row.underlying]
    old = getattr(row, field)
    if old and abs(value - old) > max(1, old // 2):
        return Code.PARAMETER_OUT_OF_BOUNDS
    setattr(row, field, value)
    if whose != "exchange" and not are_related(x, market):
        setattr(row, field, old)
        return Code.PARAMETER_OUT_OF_BOUNDS
    x.must_reprice = True
    x.notify(NOTICE_PARAMETER, -1 if whose == "exchange" else market, action.link, value, old)
    return Code.OK


def delist(x, action):
    if not is_open(x, action.market):
        return Code.UNKNOWN_MARKET
    row, delist_ms = x.markets[action.market], action.good_till_ms
    if row.kind not in (KIND_PERPETUAL, KIND_SPOT):
        return Code.CONTRADICTORY
    if delist_ms and not x.time_ms + HOUR_MS <= delist_ms < 1 << 50:
        return Code.CONTRADICTORY
    row.delist_ms = delist_ms
    return Code.OK


def govern_phase(x, action):
    market, phase = action.market, action.side
    if market == ALL_MARKETS:
        if phase == PHASE_CANCEL_ONLY:
            halt(x)
        return Code.OK if phase == PHASE_CANCEL_ONLY else Code.UNKNOWN_ENUM
    if not is_open(x, market):
        return Code.UNKNOWN_MARKET
    if phase > PHASE_POST_ONLY:
        return Code.UNKNOWN_ENUM
    change_phase(x, market, phase)
    return Code.OK


def change_phase(x, market, phase):
    """PHA-4."""
    row = x.markets[market]
    if phase == PHASE_CANCEL_ONLY:
        set_phase(x, market, phase, FOREVER_MS)
    elif x.phase != PHASE_CONTINUOUS:
        set_phase(x, market, x.phase, x.phase_until_ms)
    elif phase == PHASE_POST_ONLY:
        set_phase(x, market, phase, FOREVER_MS)
    elif phase == PHASE_AUCTION:
        set_phase(x, market, phase, x.time_ms + max(row.auction_ms, 1_000))
    else:
        bid, ask = x.best(market, BUY), x.best(market, SELL)
        is_crossed = bid is not None and ask is not None and bid.price >= ask.price
        set_phase(x, market, PHASE_AUCTION if is_crossed else PHASE_CONTINUOUS, x.time_ms if is_crossed else 0)


def govern(x, action):
    if action.kind == LIST:
        return list_market(x, action)
    if action.kind == SET_PARAMETER:
        return set_parameter(x, action)
    return delist(x, action) if action.kind == DELIST else govern_phase(x, action)
