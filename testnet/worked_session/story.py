"""What happens in the worked session: funding, trades, a fall by a fifth, a liquidation, a rebalance, an expiry.

Every step is one block or a few. Sizes are in lots: 0.001 BTC of the perpetual and the future, 0.01 BTC of an option.
"""

from dataclasses import dataclass, field

from engine.commands import (
    BUY,
    CANCEL_ALL,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    SELL,
    SET_MARGIN_MODE,
    SET_PROTECTION,
    UNDER_PROTECTION,
    Action,
)
from engine.simulate import Simulation, read_holdings, simulate
from engine.tables import MODE_PORTFOLIO
from testnet.worked_session.desk import (
    BASIS_DESK,
    FAR_80P,
    FAR_90P,
    FAR_110C,
    FAR_120C,
    FUND,
    FUTURE,
    HEDGER,
    MAKER,
    NEAR_85P,
    NEAR_95P,
    NEAR_105C,
    NEAR_115C,
    NEAR_MS,
    PERPETUAL,
    SELLER,
    START_MS,
    USD,
    Exchange,
    Prices,
    Sealed,
    Sent,
    make_prices,
    owner_of,
)

MINUTE_MS = 60_000
INSURANCE_OWNER = (2).to_bytes(20, "big")
DEPOSITS_USD = {MAKER: 1_500_000, SELLER: 290_000, HEDGER: 600_000, FUND: 2_000_000, BASIS_DESK: 2_000_000}
INSURANCE_USD = 6_000
# (buyer, seller, market, lots), each at the mark.
OPENING = (
    (HEDGER, MAKER, NEAR_95P, 1_000),
    (FUND, MAKER, NEAR_105C, 1_500),
    (MAKER, FUND, NEAR_85P, 2_000),
    (MAKER, FUND, NEAR_115C, 2_000),
    (HEDGER, SELLER, NEAR_95P, 1_200),
    (MAKER, SELLER, FAR_90P, 1_000),
    (HEDGER, MAKER, FAR_80P, 800),
    (FUND, MAKER, FAR_110C, 1_000),
    (MAKER, FUND, FAR_120C, 1_200),
    (MAKER, BASIS_DESK, FUTURE, 3_000),
)
# Reported index in USD and what the calm variances of the two expiries are multiplied with (ppm).
FALL = (
    (95_000, (1_440_000, 1_440_000)),
    (90_000, (2_000_000, 1_800_000)),
    (86_000, (2_900_000, 2_300_000)),
    (82_500, (3_800_000, 2_700_000)),
    (80_000, (5_000_000, 3_200_000)),
)
# What-ifs before the fall: price and volatility in ppm.
WHAT_IFS = ((-50_000, 200_000), (-200_000, 900_000))
DELTA_MAX_USD, VEGA_MAX_USD = 60_000, 20_000
WINDOW_MS, FREEZE_MS = 5_000, 600_000
QUOTED_LOTS, QUOTES = 100, 5
FUND_ASK_LOTS, FUND_ABOVE_TICKS = 150, 3_600
EXPIRY_START_USD, EXPIRY_STEP_USD = 82_000, 50


@dataclass(frozen=True, slots=True)
class Step:
    """A named moment: the block that ends it, and all blocks since the step before."""

    name: str
    blocks: tuple[Sealed, ...]

    @property
    def last(self) -> Sealed:
        return self.blocks[-1]


@dataclass(slots=True)
class Session:
    """The exchange, the steps so far, and the answers to what-ifs before the fall."""

    exchange: Exchange
    steps: list[Step] = field(default_factory=list)
    what_ifs: list[Simulation] = field(default_factory=list)
    time_ms: int = START_MS

    def add(self, name: str, *blocks: Sealed) -> None:
        self.steps.append(Step(name, blocks))

    def seal(self, step_ms: int, prices: Prices, *sent: Sent, deposits: tuple[tuple[bytes, int], ...] = ()) -> Sealed:
        """The next block, `step_ms` after the last."""
        self.time_ms += step_ms
        return self.exchange.seal(self.time_ms, prices, sent, deposits)

    def step(self, name: str) -> Step:
        """The step of a name."""
        return next(step for step in self.steps if step.name == name)

    def mark_ticks(self, market: int) -> int:
        """The present mark, at least one tick."""
        return max(int(self.exchange.state.tables.markets[market]["mark_ticks"]), 1)

    def trade(self, buyer: int, seller: int, market: int, size_lots: int) -> tuple[Sent, Sent]:
        """Two orders that meet at the mark: the seller's rests, the buyer's takes it."""
        price_ticks = self.mark_ticks(market)
        return (
            place(seller, market, SELL, price_ticks, size_lots, POST_ONLY),
            place(buyer, market, BUY, price_ticks, size_lots, IMMEDIATE_OR_CANCEL),
        )


def place(
    account: int, market: int, side: int, price_ticks: int, size_lots: int, time_in_force: int, flags: int = 0
) -> Sent:
    """A limit order."""
    action = Action(
        PLACE, market=market, side=side, price_ticks=price_ticks, size_lots=size_lots, time_in_force=time_in_force,
        flags=flags,
    )  # fmt: skip
    return Sent(account, action)


def open_session(session: Session) -> None:
    """Deposits, modes, protection, the opening trades, the delta hedge, resting quotes."""
    calm = make_prices(100_000, (1_000_000, 1_000_000))
    deposits = tuple((owner_of(account), usd * USD) for account, usd in DEPOSITS_USD.items())
    funded = session.seal(0, calm, deposits=(*deposits, (INSURANCE_OWNER, INSURANCE_USD * USD)))
    protection = Action(
        SET_PROTECTION, good_till_ms=WINDOW_MS, display_lots=FREEZE_MS, price_ticks=DELTA_MAX_USD * USD,
        trigger_ticks=VEGA_MAX_USD * USD,
    )  # fmt: skip
    modes = session.seal(
        1_000, calm, Sent(MAKER, Action(SET_MARGIN_MODE, side=MODE_PORTFOLIO)), Sent(MAKER, protection)
    )
    session.add("funding", funded, modes)
    trades = [session.seal(1_000, calm, *session.trade(*trade)) for trade in OPENING]
    hedge = hedge_with_perpetual(session, calm)
    ask_ticks = session.mark_ticks(NEAR_95P)
    quotes = [
        place(MAKER, NEAR_95P, SELL, ask_ticks + 25 * number, QUOTED_LOTS, POST_ONLY, UNDER_PROTECTION)
        for number in range(1, QUOTES + 1)
    ]
    session.add("trades", *trades, hedge, session.seal(1_000, calm, *quotes))
    session.add("calm", session.seal(START_MS + MINUTE_MS - session.time_ms, calm))


def hedge_with_perpetual(session: Session, prices: Prices) -> Sealed:
    """The maker brings its delta to nothing, to the lot, with the basis desk as the other side."""
    markets = session.exchange.state.tables.markets
    held = read_holdings(session.exchange.state.tables, MAKER).lots
    delta_quote = sum(size * int(markets[market]["delta_unit"]) for market, size in held.items())
    size_lots = delta_quote // int(markets[PERPETUAL]["delta_unit"])
    buyer, seller = (BASIS_DESK, MAKER) if size_lots > 0 else (MAKER, BASIS_DESK)
    return session.seal(1_000, prices, *session.trade(buyer, seller, PERPETUAL, abs(size_lots)))


def ask_what_ifs(session: Session) -> None:
    """The maker asks what would become of it."""
    tables = session.exchange.state.tables
    for price_ppm, vol_ppm in WHAT_IFS:
        answer = simulate(tables, read_holdings(tables, MAKER), price_shifts_ppm={0: price_ppm}, vol_shift_ppm=vol_ppm)
        session.what_ifs.append(answer)


def fall(session: Session) -> None:
    """Five rounds of reports, a minute apart. After the first the hedger buys what the maker still offers; after the
    second the fund alone offers anything.
    """
    for number, (index_usd, variances_ppm) in enumerate(FALL, 1):
        prices = make_prices(index_usd, variances_ppm)
        time_ms = START_MS + (1 + number) * MINUTE_MS
        session.add(f"fall {number}", session.seal(time_ms - session.time_ms, prices))
        mark_ticks = session.mark_ticks(NEAR_95P)
        if number == 1:
            sweep = place(HEDGER, NEAR_95P, BUY, mark_ticks, QUOTED_LOTS * QUOTES, IMMEDIATE_OR_CANCEL)
            session.add("protection", session.seal(1_000, prices, sweep))
        if number == 2:
            offer = place(FUND, NEAR_95P, SELL, mark_ticks + FUND_ABOVE_TICKS, FUND_ASK_LOTS, POST_ONLY)
            session.add("offer", session.seal(1_000, prices, offer))


def rebalance(session: Session) -> None:
    """The maker takes its orders back, buys again the puts it lost, and hedges."""
    prices = make_prices(*FALL[-1])
    blocks = [session.seal(MINUTE_MS, prices, Sent(MAKER, Action(CANCEL_ALL, market=0xFFFFFFFF)))]
    for buyer, seller, market, size_lots in ((MAKER, FUND, FAR_90P, 1_000), (MAKER, FUND, NEAR_95P, 700)):
        blocks.append(session.seal(1_000, prices, *session.trade(buyer, seller, market, size_lots)))
    blocks.append(hedge_with_perpetual(session, prices))
    session.add("rebalance", *blocks)


def expire(session: Session) -> None:
    """Half an hour of samples, one block a minute, then the settlement of the near expiry."""
    blocks = []
    for minute in range(31):
        time_ms = NEAR_MS + (minute - 30) * MINUTE_MS
        near_ppm = max(1, (NEAR_MS - time_ms) * 3_000_000 // (NEAR_MS - START_MS))
        index_usd = EXPIRY_START_USD + EXPIRY_STEP_USD * minute
        blocks.append(session.seal(time_ms - session.time_ms, make_prices(index_usd, (near_ppm, 2_400_000))))
    session.add("expiry", *blocks)
    session.add("end", hedge_with_perpetual(session, make_prices(index_usd, (1, 2_400_000))))


def play() -> Session:
    """The whole session; takes seconds once the kernels are compiled."""
    session = Session(Exchange())
    open_session(session)
    ask_what_ifs(session)
    fall(session)
    rebalance(session)
    expire(session)
    return session
