"""What a local network lists beside its perpetuals: of each underlying two expiries, each with a future and a chain of
calls and puts around the index. All follows from the genesis time, the indexes at it, and how near the near one is.

Expiries are at 08:00 UTC and names are `BTC-25DEC26-100000-C`, as traders know it from Deribit.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from engine.limits import POSITION_QUOTE_MAX
from engine.params import DEFAULT_MARKETS, MarketParams
from validator.listings import make_symbol

STRIKES_PER_SIDE = 4
STEPS = (5, 2, 1)
# How far apart strikes are at most, in bps of the index, for expiries that are so far ahead.
STRIKE_STEPS_BPS = ((timedelta(days=1), 100), (timedelta(days=14), 200), (timedelta.max, 400))
NEAR_AHEAD_MIN, FAR_AHEAD_MIN = timedelta(days=2), timedelta(days=14)
EXPIRY_HOUR = 8
FRIDAY = 4
E8, BPS_UNIT, MINUTE_MS = 10**8, 10_000, 60_000

# Tick, lot and what one lot gains per tick.
FUTURE_UNITS = {"BTC": ("0.5", "0.001", 500), "ETH": ("0.05", "0.01", 500)}
OPTION_UNITS = {"BTC": ("1", "0.01", 10_000), "ETH": ("0.1", "0.1", 10_000)}
# An empty book costs memory for every price that it may have, in every copy of the state.
FUTURE_PRICE_TICKS_MAX, OPTION_PRICE_TICKS_MAX = 400_000, 100_000


@dataclass(frozen=True, slots=True)
class Listing:
    """`near_in_ms`: when the near expiry comes, from the genesis time, to the next full minute; 0: on the first Friday
    that is days ahead.
    """

    near_in_ms: int = 0


def list_markets(listing: Listing, genesis_time_ms: int, indexes_e8: tuple[int, ...]) -> tuple[MarketParams, ...]:
    """The perpetuals of every local network, in their places, and what expires. `indexes_e8`: of their underlyings."""
    markets = list(DEFAULT_MARKETS)
    expiries_ms = choose_expiries(listing, genesis_time_ms)
    for perpetual, index_e8 in zip(DEFAULT_MARKETS, indexes_e8):
        for expiry_ms in expiries_ms:
            markets += list_expiry(perpetual.underlying_name, expiry_ms, genesis_time_ms, index_e8)
    return tuple(markets)


def choose_expiries(listing: Listing, genesis_time_ms: int) -> tuple[int, int]:
    """The near expiry, and the last Friday of a month some weeks after it; in ms."""
    genesis = datetime.fromtimestamp(genesis_time_ms // 1000, UTC)
    near_ms = to_ms(next_friday(genesis, NEAR_AHEAD_MIN))
    if listing.near_in_ms:
        near_ms = -(-(genesis_time_ms + listing.near_in_ms) // MINUTE_MS) * MINUTE_MS
    far = next_friday(datetime.fromtimestamp(near_ms // 1000, UTC), FAR_AHEAD_MIN)
    while (far + timedelta(days=7)).month == far.month:
        far += timedelta(days=7)
    return near_ms, to_ms(far)


def next_friday(moment: datetime, ahead: timedelta) -> datetime:
    """The first Friday at 08:00 UTC that is at least so far ahead."""
    earliest = moment + ahead
    friday = earliest.replace(hour=EXPIRY_HOUR, minute=0, second=0, microsecond=0)
    friday += timedelta(days=(FRIDAY - friday.weekday()) % 7)
    return friday if friday >= earliest else friday + timedelta(days=7)


def to_ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def list_expiry(name: str, expiry_ms: int, time_ms: int, index_e8: int) -> list[MarketParams]:
    """A future, and a call and a put at each strike, as one lists them at `time_ms`."""
    listed = [make_future(name, expiry_ms)]
    for strike in choose_strikes(index_e8, expiry_ms - time_ms):
        listed += [make_option(name, kind, expiry_ms, strike) for kind in ("call", "put")]
    return listed


def choose_strikes(index_e8: int, ahead_ms: int) -> list[int]:
    """Whole USD, ascending: a round number near the index and as many on both sides."""
    step_bps = next(bps for limit, bps in STRIKE_STEPS_BPS if timedelta(milliseconds=ahead_ms) <= limit)
    step = round_down(max(index_e8 * step_bps // (BPS_UNIT * E8), 1))
    centre = max((index_e8 + step * E8 // 2) // (step * E8), STRIKES_PER_SIDE + 1) * step
    return [centre + offset * step for offset in range(-STRIKES_PER_SIDE, STRIKES_PER_SIDE + 1)]


def round_down(number: int) -> int:
    """The largest of 1, 2, 5, 10, 20, 50 ... that is not above."""
    scale = int(10 ** (len(str(number)) - 1))
    return next(step * scale for step in STEPS if step * scale <= number)


def make_future(name: str, expiry_ms: int) -> MarketParams:
    """Margins and fees are the perpetuals'."""
    tick, lot, quote_per_tick_lot = FUTURE_UNITS[name]
    return MarketParams(
        make_symbol(name, "future", expiry_ms, 0), tick, lot, quote_per_tick_lot, 500, 250, 2, 5, 1_000, 500_000,
        POSITION_QUOTE_MAX // (FUTURE_PRICE_TICKS_MAX * quote_per_tick_lot), 500, 15_000, kind="future",
        expiry_ms=expiry_ms,
    )  # fmt: skip


def make_option(name: str, kind: str, expiry_ms: int, strike: int) -> MarketParams:
    """Makers and takers pay three hundredths of a per cent of the index, at most an eighth of the price (FEE-1). Prices
    stay within 4 % of the index around the mark.
    """
    tick, lot, quote_per_tick_lot = OPTION_UNITS[name]
    return MarketParams(
        make_symbol(name, kind, expiry_ms, strike * E8), tick, lot, quote_per_tick_lot, 1_500, 900, 3, 3, 400, 10_000,
        POSITION_QUOTE_MAX // (OPTION_PRICE_TICKS_MAX * quote_per_tick_lot), 500, 15_000, kind=kind,
        expiry_ms=expiry_ms, strike=str(strike),
    )  # fmt: skip
