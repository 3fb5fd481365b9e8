"""What the governor may do: list instruments, change parameters within bounds, delist, set phases (GOV).

Governance is rare and comes first among a block's actions, in input order, so it is plain Python on the tables. Kind,
underlying, expiry, strike, tick and lot of an instrument never change (INS-1). Every other parameter has bounds, moves
by at most half of itself a change, and must keep the relations that `engine.params` demands of genesis.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.commands import ALL_MARKETS, DELIST, LIST, SET_PARAMETER
from engine.compiling import entry_point
from engine.intake import Intake
from engine.limits import BPS_UNIT, POSITION_QUOTE_MAX
from engine.notices import notify
from engine.orderbook import PRICE_TICKS_MAX, list_market
from engine.phases import govern_phase, halt_exchange, open_market
from engine.results import Code
from engine.tables import (
    EXPIRY_COUNT,
    INSURANCE_COVER,
    KIND_CALL,
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_PUT,
    KIND_SPOT,
    MARKET_COUNT,
    MUST_REPRICE,
    NOTICE_LISTED,
    NOTICE_PARAMETER,
    PHASE_CANCEL_ONLY,
    PHASE_POST_ONLY,
    PHASE_SETTLED,
    UNDERLYING_COUNT,
    Number,
    Outputs,
    Tables,
)

if TYPE_CHECKING:
    from engine.state import EngineState

DELIST_AHEAD_MS = 3_600_000
EXPIRY_AHEAD_MS = 3_600_000
EXPIRY_MS_MAX = 1 << 50
VALUE_UNIT = 10**10  # tick_e8 x lot_e8 in units of 1e-6 USD (NUM-2)
E8_MAX = 1 << 53  # of a tick, a lot or a strike
DAY_MS = 86_400_000
TEMPLATE_FIELDS = (
    "position_lots_max", "order_lots_max", "initial_bps", "maintenance_bps", "maker_fee_bps", "taker_fee_bps",
    "liquidation_fee_bps", "band_bps", "oi_low_quote", "oi_high_quote", "auction_move_bps", "auction_ms",
    "funding_cap_bps", "interest_bps", "impact_quote",
)  # fmt: skip


class Parameter(NamedTuple):
    """What SET_PARAMETER may change, and its bounds, both included. `table` says whose it is."""

    table: str
    field: str
    low: int
    high: int


# By the number that `link` carries; numbers are never used for anything else.
PARAMETERS = {
    1: Parameter("market", "order_lots_max", 1, (1 << 40) - 1),
    2: Parameter("market", "position_lots_max", 1, (1 << 40) - 1),
    3: Parameter("market", "initial_bps", 2, BPS_UNIT),
    4: Parameter("market", "maintenance_bps", 1, BPS_UNIT),
    5: Parameter("market", "maker_fee_bps", 0, BPS_UNIT),
    6: Parameter("market", "taker_fee_bps", 0, BPS_UNIT),
    7: Parameter("market", "liquidation_fee_bps", 0, BPS_UNIT),
    8: Parameter("market", "band_bps", 1, BPS_UNIT - 1),
    9: Parameter("market", "oi_low_quote", 0, (1 << 60) - 1),
    10: Parameter("market", "oi_high_quote", 0, (1 << 60) - 1),
    11: Parameter("market", "auction_move_bps", 0, BPS_UNIT),
    12: Parameter("market", "auction_ms", 0, DAY_MS),
    13: Parameter("market", "funding_cap_bps", 0, BPS_UNIT),
    14: Parameter("market", "interest_bps", 0, BPS_UNIT),
    15: Parameter("market", "impact_quote", 0, (1 << 50) - 1),
    16: Parameter("underlying", "oracle_step_bps_max", 1, BPS_UNIT - 1),
    17: Parameter("underlying", "oracle_stale_ms", 1, (1 << 40) - 1),
    18: Parameter("underlying", "reference_move_bps", 1, BPS_UNIT - 1),
    32: Parameter("exchange", "insurance_cover", 0, 1_000_000),
}


@entry_point
def _open(t: Tables, out: Outputs, market: Number, time_ms: Number) -> None:
    open_market(t, out, market, time_ms)


@entry_point
def _set_phase(t: Tables, out: Outputs, market: Number, phase: Number, time_ms: Number) -> None:
    govern_phase(t, out, market, phase, time_ms)


@entry_point
def _halt(t: Tables, out: Outputs, time_ms: Number) -> None:
    halt_exchange(t, out, time_ms)


@entry_point
def _notify(t: Tables, out: Outputs, kind: Number, subject: Number, values: np.ndarray) -> None:
    notify(t, out, kind, subject, values[0], values[1], values[2], values[3])


def _say(t: Tables, out: Outputs, kind: int, subject: int, *values: int) -> None:
    """A notice with four values, from Python."""
    _notify(t, out, np.int64(kind), np.int64(subject), np.array(values, dtype=np.int64))


def _is_open(t: Tables, market: int) -> bool:
    """Whether a market is listed and not settled."""
    if not 0 <= market < int(t.counters[MARKET_COUNT]):
        return False
    row = t.markets[market]
    return int(row["is_listed"]) != 0 and int(row["phase"]) != PHASE_SETTLED


class _Terms(NamedTuple):
    """What never changes about an instrument."""

    kind: int
    underlying: int
    expiry_ms: int
    strike_e8: int
    tick_e8: int
    lot_e8: int
    price_ticks_max: int

    @property
    def quote_per_tick_lot(self) -> int:
        return self.tick_e8 * self.lot_e8 // VALUE_UNIT


def _read_terms(t: Tables, action: np.void) -> _Terms:
    """LIST: `market` is the template, `side` the kind, `link` underlying + 1, `good_till_ms` expiry, `price_ticks` the
    strike in e8, `trigger_ticks` tick and `size_lots` lot in e8, `display_lots` the highest price in ticks. Underlying,
    tick, lot and highest price of 0 are the template's.
    """
    template = t.markets[int(action["market"])]
    return _Terms(
        kind=int(action["side"]),
        underlying=int(action["link"]) - 1 if action["link"] else int(template["underlying"]),
        expiry_ms=int(action["good_till_ms"]),
        strike_e8=int(action["price_ticks"]),
        tick_e8=int(action["trigger_ticks"]) or int(template["tick_e8"]),
        lot_e8=int(action["size_lots"]) or int(template["lot_e8"]),
        price_ticks_max=int(action["display_lots"]) or int(template["price_ticks_max"]),
    )


def _expiry_of(t: Tables, market: int) -> int:
    """When a market expires, 0 for never."""
    row = int(t.markets[market]["expiry"])
    return int(t.expiries[row]["expiry_ms"]) if int(t.markets[market]["kind"]) in _DATED else 0


_DATED, _OPTIONS = (KIND_FUTURE, KIND_CALL, KIND_PUT), (KIND_CALL, KIND_PUT)


def _check_terms(t: Tables, terms: _Terms, time_ms: int) -> Code:
    """Rules of a new instrument, in the order of their codes."""
    if terms.kind > KIND_PUT:
        return Code.UNKNOWN_ENUM  # spot markets come with their token at genesis
    if (terms.kind in _DATED) != (terms.expiry_ms != 0) or (terms.kind in _OPTIONS) != (terms.strike_e8 != 0):
        return Code.CONTRADICTORY
    if terms.expiry_ms and not time_ms + EXPIRY_AHEAD_MS <= terms.expiry_ms < EXPIRY_MS_MAX:
        return Code.CONTRADICTORY
    for market in range(int(t.counters[MARKET_COUNT])):
        row = t.markets[market]
        known = (int(row["kind"]), int(row["underlying"]), _expiry_of(t, market), int(row["strike_e8"]))
        if _is_open(t, market) and known == terms[:4]:
            return Code.CONTRADICTORY
    in_bounds = 0 <= terms.underlying < int(t.counters[UNDERLYING_COUNT]) and 0 <= terms.strike_e8 <= E8_MAX
    in_bounds = in_bounds and 0 < terms.tick_e8 <= E8_MAX and 0 < terms.lot_e8 <= E8_MAX
    in_bounds = in_bounds and 0 < terms.price_ticks_max <= PRICE_TICKS_MAX
    if not in_bounds or terms.tick_e8 * terms.lot_e8 % VALUE_UNIT or not 0 < terms.quote_per_tick_lot < 1 << 40:
        return Code.PARAMETER_OUT_OF_BOUNDS
    return Code.OK


def _find_expiry(t: Tables, terms: _Terms) -> int:
    """Row of the expiry, made if it is new; -1 for an instrument without one, -2 when there is no row left."""
    if not terms.expiry_ms:
        return -1
    count = int(t.counters[EXPIRY_COUNT])
    for row in range(count):
        if (int(t.expiries[row]["underlying"]), int(t.expiries[row]["expiry_ms"])) == (
            terms.underlying,
            terms.expiry_ms,
        ):
            return row
    if count >= len(t.expiries):
        return -2
    t.expiries[count]["underlying"], t.expiries[count]["expiry_ms"] = terms.underlying, terms.expiry_ms
    t.expiries[count]["twap_slot"] = -1
    t.counters[EXPIRY_COUNT] = count + 1
    return count


def _list(t: Tables, out: Outputs, action: np.void, time_ms: int) -> Code:
    """LIST an instrument with the template's parameters. Notice: kind, underlying, expiry, strike."""
    if not 0 <= int(action["market"]) < int(t.counters[MARKET_COUNT]):
        return Code.UNKNOWN_MARKET
    terms = _read_terms(t, action)
    code = _check_terms(t, terms, time_ms)
    if code != Code.OK:
        return code
    template = t.markets[int(action["market"])].copy()
    position_lots_max = min(int(template["position_lots_max"]), POSITION_QUOTE_MAX // terms.quote_per_tick_lot)
    price_ticks_max = min(terms.price_ticks_max, POSITION_QUOTE_MAX // (position_lots_max * terms.quote_per_tick_lot))
    if int(t.counters[MARKET_COUNT]) >= len(t.markets):
        return Code.TABLE_FULL
    market = list_market(t.orderbook, price_ticks_max)
    expiry_row = _find_expiry(t, terms) if market >= 0 else -2
    if expiry_row == -2:
        return Code.TABLE_FULL
    row = t.markets[market]
    for name in TEMPLATE_FIELDS:
        row[name] = template[name]
    row["order_lots_max"] = min(int(template["order_lots_max"]), position_lots_max)
    row["position_lots_max"], row["price_ticks_max"] = position_lots_max, price_ticks_max
    row["kind"], row["underlying"], row["expiry"], row["strike_e8"] = (*terms[:2], expiry_row, terms.strike_e8)
    row["tick_e8"], row["lot_e8"], row["quote_per_tick_lot"] = terms.tick_e8, terms.lot_e8, terms.quote_per_tick_lot
    row["is_listed"], row["listed_ms"] = 1, time_ms
    t.counters[MARKET_COUNT] = market + 1
    _say(t, out, NOTICE_LISTED, market, terms.kind, terms.underlying, terms.expiry_ms, terms.strike_e8)
    _open(t, out, np.int64(market), np.int64(time_ms))
    return Code.OK


def _are_related(t: Tables, market: int) -> bool:
    """The relations between parameters of one market that `engine.params` demands too."""
    row = {name: int(t.markets[market][name]) for name in t.markets.dtype.names or ()}
    position_quote = row["price_ticks_max"] * row["quote_per_tick_lot"] * row["position_lots_max"]
    tiers_hold = all(
        row["maker_fee_bps"] * (int(maker) - BPS_UNIT) <= row["taker_fee_bps"] * (BPS_UNIT - int(taker))
        for _, taker, maker in t.fee_tiers
    )
    return (
        row["maintenance_bps"] < row["initial_bps"]
        and row["maker_fee_bps"] <= row["taker_fee_bps"] < row["maintenance_bps"]
        and row["liquidation_fee_bps"] < row["maintenance_bps"]
        and row["order_lots_max"] <= row["position_lots_max"]
        and position_quote <= POSITION_QUOTE_MAX
        and row["oi_low_quote"] <= row["oi_high_quote"]
        and row["interest_bps"] <= row["funding_cap_bps"]
        and tiers_hold
    )


def _set_parameter(t: Tables, out: Outputs, action: np.void) -> Code:
    """SET_PARAMETER number `link` of a market, its underlying, or (all markets) the exchange to `size_lots`. Notice:
    number, new value, old value.
    """
    market, number, value = int(action["market"]), int(action["link"]), int(action["size_lots"])
    parameter = PARAMETERS.get(number)
    is_of_exchange = parameter is not None and parameter.table == "exchange"
    if market == ALL_MARKETS if is_of_exchange else _is_open(t, market):
        subject = market if market != ALL_MARKETS else -1
    else:
        return Code.UNKNOWN_MARKET
    if parameter is None or not parameter.low <= value <= parameter.high:
        return Code.PARAMETER_OUT_OF_BOUNDS
    if is_of_exchange:
        table, row, field = t.counters, INSURANCE_COVER, None
    elif parameter.table == "underlying":
        table, row, field = t.underlyings, int(t.markets[market]["underlying"]), parameter.field
    else:
        table, row, field = t.markets, market, parameter.field
    cells = table if field is None else table[field]
    old = int(cells[row])
    if old and abs(value - old) > max(1, old // 2):
        return Code.PARAMETER_OUT_OF_BOUNDS
    cells[row] = value
    if not is_of_exchange and not _are_related(t, market):
        cells[row] = old
        return Code.PARAMETER_OUT_OF_BOUNDS
    t.counters[MUST_REPRICE] = 1
    _say(t, out, NOTICE_PARAMETER, subject, number, value, old, 0)
    return Code.OK


def _delist(t: Tables, action: np.void, time_ms: int) -> Code:
    """DELIST a perpetual or spot market at `good_till_ms`, at least an hour ahead; 0 takes it back."""
    market, delist_ms = int(action["market"]), int(action["good_till_ms"])
    if not _is_open(t, market):
        return Code.UNKNOWN_MARKET
    if int(t.markets[market]["kind"]) not in (KIND_PERPETUAL, KIND_SPOT):
        return Code.CONTRADICTORY
    if delist_ms and not time_ms + DELIST_AHEAD_MS <= delist_ms < EXPIRY_MS_MAX:
        return Code.CONTRADICTORY
    t.markets[market]["delist_ms"] = delist_ms
    return Code.OK


def _govern(t: Tables, out: Outputs, action: np.void, time_ms: int) -> Code:
    """SET_PHASE `side` of a market; of all markets only cancel-only, which halts the exchange."""
    market, phase = int(action["market"]), int(action["side"])
    if market == ALL_MARKETS:
        if phase != PHASE_CANCEL_ONLY:
            return Code.UNKNOWN_ENUM
        _halt(t, out, np.int64(time_ms))
        return Code.OK
    if not _is_open(t, market):
        return Code.UNKNOWN_MARKET
    if phase > PHASE_POST_ONLY:
        return Code.UNKNOWN_ENUM
    _set_phase(t, out, np.int64(market), np.int64(phase), np.int64(time_ms))
    return Code.OK


def apply_governance(
    state: "EngineState", out: Outputs, intake: Intake, codes: np.ndarray, accounts: np.ndarray, time_ms: int
) -> None:
    """Execute the governance actions that passed `judge_messages`, in input order; their answers go into `codes`."""
    t, kinds = state.tables, intake.actions["kind"]
    for at in np.flatnonzero((kinds >= LIST) & (codes == int(Code.OK))):
        action = intake.actions[at]
        kind = int(action["kind"])
        if kind == LIST:
            code = _list(t, out, action, time_ms)
        elif kind == SET_PARAMETER:
            code = _set_parameter(t, out, action)
        elif kind == DELIST:
            code = _delist(t, action, time_ms)
        else:
            code = _govern(t, out, action, time_ms)
        codes[at] = int(code)
