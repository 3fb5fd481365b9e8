"""What an exchange is: its markets and the constants every node agrees on. Importing this starts no compiler.

`ExchangeParams.digest()` enters every state root, so nodes with different parameters can never agree by accident.
Underlyings and expiries follow from the markets: the first market that names one defines its price feed.
"""

from dataclasses import astuple, dataclass, fields

import cbor2

from engine.errors import ParamsError
from engine.limits import ACCOUNTS_MAX, BPS_UNIT, POSITION_QUOTE_MAX, USER_ACCOUNT_FIRST, VALIDATORS_MAX
from engine.payload import MARKETS_MAX, PRICE_TICKS_MAX, keccak

QUOTE_DECIMALS = 6


KINDS = ("perpetual", "future", "call", "put", "spot")
E8_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class MarketParams:
    """One instrument. `tick_size` (USD per unit), `lot_size` (units) and `strike` (USD) are exact decimal text.

    `quote_per_tick_lot` is tick times lot in quote units of 1e-6: what one lot gains when the price rises one tick.
    `underlying` defaults to the symbol's first part. For spot, the margins are the haircuts of the held lots.
    Raises `ParamsError` when a value is out of range or the parts contradict each other.
    """

    symbol: str
    tick_size: str
    lot_size: str
    quote_per_tick_lot: int
    initial_margin_bps: int
    maintenance_margin_bps: int
    maker_fee_bps: int
    taker_fee_bps: int
    price_band_bps: int
    size_lots_max: int
    position_lots_max: int
    oracle_step_bps_max: int
    oracle_stale_ms: int
    liquidation_fee_bps: int = 50
    kind: str = "perpetual"
    underlying: str = ""
    expiry_ms: int = 0
    strike: str = "0"
    oi_low_quote: int = 0
    oi_high_quote: int = 0
    auction_move_bps: int = 0
    auction_ms: int = 0
    funding_cap_bps: int = 400
    interest_bps: int = 1
    impact_quote: int = 5_000_000_000
    reference_move_bps: int = 10

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type:
                raise ParamsError(f"{self.symbol}: {field.name} must be {field.type}, not {value!r}")
        exact = parse_decimal(self.tick_size, QUOTE_DECIMALS * 2) * parse_decimal(self.lot_size, QUOTE_DECIMALS * 2)
        if self.quote_per_tick_lot * 10 ** (QUOTE_DECIMALS * 3) != exact or exact == 0:
            raise ParamsError(f"{self.symbol}: tick size x lot size is not quote_per_tick_lot x 1e-6")
        in_order = (
            ("margins", 0 < self.maintenance_margin_bps < self.initial_margin_bps <= BPS_UNIT),
            ("fees", 0 <= self.maker_fee_bps <= self.taker_fee_bps < self.maintenance_margin_bps),
            ("liquidation fee", 0 <= self.liquidation_fee_bps < self.maintenance_margin_bps),
            ("price band", 0 < self.price_band_bps < BPS_UNIT),
            ("oracle step", 0 < self.oracle_step_bps_max < BPS_UNIT),
            ("oracle staleness", 0 < self.oracle_stale_ms < 1 << 40),
            ("sizes", 0 < self.size_lots_max <= self.position_lots_max < 1 << 40),
            ("largest price", self.price_ticks_max >= 1),
            ("kind", self.kind in KINDS),
            ("expiry", (self.expiry_ms > 0) == (self.kind in ("future", "call", "put")) and self.expiry_ms < 1 << 50),
            ("strike", (parse_decimal(self.strike, E8_DECIMALS) > 0) == (self.kind in ("call", "put"))),
            ("open interest scale", 0 <= self.oi_low_quote <= self.oi_high_quote < 1 << 60),
            ("auction", 0 <= self.auction_move_bps <= BPS_UNIT and 0 <= self.auction_ms <= 86_400_000),
            ("funding", 0 <= self.interest_bps <= self.funding_cap_bps <= BPS_UNIT),
            ("impact and reference move", 0 <= self.impact_quote < 1 << 50 and 0 < self.reference_move_bps < BPS_UNIT),
        )
        for what, holds in in_order:
            if not holds:
                raise ParamsError(f"{self.symbol}: {what} out of range")

    @property
    def price_ticks_max(self) -> int:
        """Largest price at which the largest position is still worth at most `POSITION_QUOTE_MAX`."""
        return min(PRICE_TICKS_MAX, POSITION_QUOTE_MAX // (self.position_lots_max * self.quote_per_tick_lot))

    @property
    def tick_e8(self) -> int:
        """Tick size in 1e-8 USD."""
        return parse_decimal(self.tick_size, E8_DECIMALS)

    @property
    def lot_e8(self) -> int:
        """Lot size in 1e-8 units of the base."""
        return parse_decimal(self.lot_size, E8_DECIMALS)

    @property
    def strike_e8(self) -> int:
        """Strike in 1e-8 USD, 0 for what is no option."""
        return parse_decimal(self.strike, E8_DECIMALS)

    @property
    def underlying_name(self) -> str:
        """What the instrument is about: `BTC` of `BTC-PERPETUAL`."""
        return self.underlying or self.symbol.partition("-")[0]


@dataclass(frozen=True, slots=True)
class CollateralParams:
    """A token that counts as collateral: held as lots of a spot market, `units_per_lot` token units each."""

    token: bytes
    symbol: str
    units_per_lot: int
    lots_max: int


@dataclass(frozen=True, slots=True)
class FeeTier:
    """From `volume_quote` traded in 30 days on, fees are cut by these parts; a maker's above 10,000 is a rebate."""

    volume_quote: int
    taker_discount_bps: int
    maker_discount_bps: int


@dataclass(frozen=True, slots=True)
class ExchangeParams:
    """All constants of one exchange. `token` and `contract` have 20 bytes. Raises `ParamsError`.

    The numbers that end in `_max` reserve address space, not memory, and may go up to a million accounts, a thousand
    markets and five million orders (`blocks_max`: blocks of 64 prices that have orders).
    """

    markets: tuple[MarketParams, ...]
    token: bytes
    validator_count: int
    chain_id: int
    contract: bytes
    accounts_max: int = 1 << 16
    account_orders_max: int = 128
    book_orders_max: int = 1 << 14
    governor: bytes = bytes(20)
    collaterals: tuple[CollateralParams, ...] = ()
    fee_tiers: tuple[FeeTier, ...] = ()
    referral_bps: int = 1000
    halt_gap_ms: int = 600_000
    resume_ms: int = 10_000
    insurance_cover: int = 0
    markets_max: int = 256
    orders_max: int = 1 << 16
    positions_max: int = 1 << 16
    triggers_max: int = 1 << 12
    offers_max: int = 1 << 10
    sessions_max: int = 1 << 12
    blocks_max: int = 1 << 12

    def __post_init__(self) -> None:
        tiers = self.fee_tiers
        in_order = (
            ("1 to 4096 markets", 1 <= len(self.markets) <= MARKETS_MAX),
            ("token and contract of 20 bytes", len(self.token) == 20 and len(self.contract) == 20),
            ("1 to 255 validators", 1 <= self.validator_count <= VALIDATORS_MAX),
            ("a chain id", 0 < self.chain_id < 1 << 63),
            ("room for accounts", USER_ACCOUNT_FIRST < self.accounts_max <= ACCOUNTS_MAX),
            ("1 to 1024 orders of an account", 1 <= self.account_orders_max <= 1024),
            ("room for orders", 1 <= self.book_orders_max <= 1 << 20),
            ("a governor of 20 bytes", len(self.governor) == 20),
            ("ascending fee tiers, at most 6", len(tiers) <= 6 and list(tiers) == sorted(tiers, key=_tier_volume)),
            ("rebates that takers pay", all(_is_tier_sound(tier, self.markets) for tier in tiers)),
            ("a referral share below half", 0 <= self.referral_bps <= BPS_UNIT // 2),
            ("times of a halt", 1_000 <= self.resume_ms <= self.halt_gap_ms < 1 << 40),
            ("a cover of at most 1e6", 0 <= self.insurance_cover <= 1_000_000),
            ("room for markets", len(self.markets) <= self.markets_max <= 1 << 12),
            ("pools below 2**22 rows", 1 <= self.orders_max < 1 << 23 and 1 <= self.positions_max < 1 << 23),
            ("small pools", 1 <= min(self.triggers_max, self.offers_max, self.sessions_max) <= 1 << 20),
            ("collaterals with a spot market", all(self._has_spot(item.symbol) for item in self.collaterals)),
        )
        for what, holds in in_order:
            if not holds:
                raise ParamsError(f"an exchange needs {what}")

    def _has_spot(self, symbol: str) -> bool:
        return any(market.symbol == symbol and market.kind == "spot" for market in self.markets)

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Names of the underlyings in order of their price feeds."""
        return tuple(dict.fromkeys(market.underlying_name for market in self.markets))

    @property
    def expiries(self) -> tuple[tuple[str, int], ...]:
        """(underlying, expiry_ms) of futures and options, in order of their feeds."""
        return tuple(dict.fromkeys((item.underlying_name, item.expiry_ms) for item in self.markets if item.expiry_ms))

    @property
    def quorum(self) -> int:
        """`q = n - floor((n-1)/3)` validators (docs/protocol.md, section 1)."""
        return self.validator_count - (self.validator_count - 1) // 3

    def encode(self) -> bytes:
        """Canonical CBOR: an array of the fields; markets, collaterals and tiers are arrays of their own fields."""
        return cbor2.dumps([_to_plain(getattr(self, field.name)) for field in fields(self)], canonical=True)

    def digest(self) -> bytes:
        """32 bytes naming these parameters."""
        return keccak(b"hansa/params/v2" + self.encode())


def _to_plain(value: object) -> object:
    """A field as what CBOR knows."""
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    return list(astuple(value)) if isinstance(value, (MarketParams, CollateralParams, FeeTier)) else value


def _tier_volume(tier: FeeTier) -> int:
    return tier.volume_quote


def _is_tier_sound(tier: FeeTier, markets: tuple[MarketParams, ...]) -> bool:
    """Discounts in range, and no maker gets more than the taker of the same tier pays."""
    in_range = 0 <= tier.taker_discount_bps <= BPS_UNIT and 0 <= tier.maker_discount_bps <= 2 * BPS_UNIT
    left = BPS_UNIT - tier.taker_discount_bps
    rebate = tier.maker_discount_bps - BPS_UNIT
    return in_range and all(item.maker_fee_bps * rebate <= item.taker_fee_bps * left for item in markets)


def parse_decimal(text: str, decimals: int) -> int:
    """Exact value of plain decimal text in units of `10**-decimals`. Raises `ParamsError` unless it is such text."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not (whole and digits.isascii() and digits.isdigit() and len(digits) <= 40 and len(fraction) <= decimals):
        raise ParamsError(f"{text!r} is no decimal number with at most {decimals} places")
    scale: int = 10 ** (decimals - len(fraction))
    return int(digits) * scale


DEFAULT_MARKETS = (
    MarketParams("BTC-PERPETUAL", "0.1", "0.001", 100, 500, 250, 2, 5, 1000, 500_000, 1_000_000, 500, 15_000),
    MarketParams("ETH-PERPETUAL", "0.01", "0.01", 100, 500, 250, 2, 5, 1000, 500_000, 1_000_000, 500, 15_000),
)
