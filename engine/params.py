"""What an exchange is: its markets and the constants every node agrees on. Importing this starts no compiler.

`ExchangeParams.digest()` enters every state root, so nodes with different parameters can never agree by accident.
"""

from dataclasses import astuple, dataclass, fields

import cbor2

from engine.errors import ParamsError
from engine.limits import ACCOUNTS_MAX, BPS_UNIT, POSITION_QUOTE_MAX, USER_ACCOUNT_FIRST, VALIDATORS_MAX
from engine.payload import MARKETS_MAX, PRICE_TICKS_MAX, keccak

QUOTE_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class MarketParams:
    """One perpetual market. `tick_size` (USD per unit) and `lot_size` (units) are exact decimal text.

    `quote_per_tick_lot` is their product in quote units of 1e-6: what one lot gains when the price rises one tick.
    Raises `ParamsError` when a value is out of range or the three contradict each other.
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
        )
        for what, holds in in_order:
            if not holds:
                raise ParamsError(f"{self.symbol}: {what} out of range")

    @property
    def price_ticks_max(self) -> int:
        """Largest price at which the largest position is still worth at most `POSITION_QUOTE_MAX`."""
        return min(PRICE_TICKS_MAX, POSITION_QUOTE_MAX // (self.position_lots_max * self.quote_per_tick_lot))


@dataclass(frozen=True, slots=True)
class ExchangeParams:
    """All constants of one exchange. `token` and `contract` have 20 bytes. Raises `ParamsError`."""

    markets: tuple[MarketParams, ...]
    token: bytes
    validator_count: int
    chain_id: int
    contract: bytes
    accounts_max: int = ACCOUNTS_MAX
    account_orders_max: int = 128
    book_orders_max: int = 1 << 14

    def __post_init__(self) -> None:
        in_order = (
            ("1 to 62 markets", 1 <= len(self.markets) <= MARKETS_MAX),
            ("token and contract of 20 bytes", len(self.token) == 20 and len(self.contract) == 20),
            ("1 to 255 validators", 1 <= self.validator_count <= VALIDATORS_MAX),
            ("a chain id", 0 < self.chain_id < 1 << 63),
            ("room for accounts", USER_ACCOUNT_FIRST < self.accounts_max <= ACCOUNTS_MAX),
            ("1 to 1024 orders of an account", 1 <= self.account_orders_max <= 1024),
            ("room for orders", 1 <= self.book_orders_max <= 1 << 20),
        )
        for what, holds in in_order:
            if not holds:
                raise ParamsError(f"an exchange needs {what}")

    @property
    def quorum(self) -> int:
        """`q = n - floor((n-1)/3)` validators (docs/protocol.md, section 1)."""
        return self.validator_count - (self.validator_count - 1) // 3

    def encode(self) -> bytes:
        """Canonical CBOR: an array of the fields, each market an array of its own."""
        markets = [list(astuple(market)) for market in self.markets]
        limits = [self.accounts_max, self.account_orders_max, self.book_orders_max]
        numbers = [self.validator_count, self.chain_id, *limits]
        return cbor2.dumps([markets, self.token, self.contract, *numbers], canonical=True)

    def digest(self) -> bytes:
        """32 bytes naming these parameters."""
        return keccak(b"hansa/params/v1" + self.encode())


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
