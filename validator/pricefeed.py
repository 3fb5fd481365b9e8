"""Where a validator's own price reports come from: a seeded path that every process can compute for itself.

`path:seed=7` gives each underlying the same price at the same moment on every machine, a pure function of seed,
underlying and time; `noise_bps` adds a small error of this validator's own, so that the median has something to do.
Integers only. Every expiry gets a forward and a smile that go with the index (`validator.volatility`).

The path is value noise (`validator.smoothnoise`). It stays within `PATH_BPS_MAX` of the start price, and its fast
octaves move a few percent within a minute, enough to end a trader at high leverage now and then.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from engine.params import MarketParams
from validator.config import ConfigError
from validator.pricefile import FileFeed
from validator.smoothnoise import RESOLUTION, compute_shift, draw
from validator.volatility import list_expiry_feeds

# (period_ms, amplitude_bps): slow tides to fast ripples.
OCTAVES = ((3_600_000, 400), (300_000, 300), (60_000, 250), (20_000, 120), (4_000, 15))
PATH_BPS_MAX = sum(amplitude_bps for _, amplitude_bps in OCTAVES)
NOISE_PERIOD_MS = 1_000
# Quote currency per whole unit of the underlying.
START_PRICES_USDC = {"BTC": 60_000, "ETH": 3_000}
START_PRICE_USDC_DEFAULT = 100
# Of the surfaces around an operator's own prices.
FILE_SEED = 0

_FORM = 'price_source is "file:PATH", "path:seed=NUMBER" or "path:seed=NUMBER,noise_bps=NUMBER"'


@dataclass(frozen=True, slots=True)
class PathFeed:
    """The seeded path of every underlying, as seen by the validator `noise_index`."""

    seed: int
    markets: tuple[MarketParams, ...]
    noise_index: int = 0
    noise_bps: int = 0

    def feeds(self, time_ms: int, expiries: tuple[tuple[int, int], ...] = ()) -> tuple[int, ...]:
        """The numbers of a price report in e8: an index per underlying, then six numbers per expiry.

        `expiries` are (number of the underlying, time_ms) in the state's order; those passed get no opinion.
        """
        firsts: dict[str, MarketParams] = {}
        for market in self.markets:
            firsts.setdefault(market.underlying_name, market)
        indexes = [
            self._price_ticks(number, market, time_ms) * market.tick_e8 for number, market in enumerate(firsts.values())
        ]
        return _with_surfaces(self.seed, tuple(firsts), indexes, time_ms, expiries)

    def _price_ticks(self, underlying: int, market: MarketParams, time_ms: int) -> int:
        exact_ticks = compute_path_ticks(self.seed, underlying, time_ms, compute_start_ticks(market))
        shift = draw("noise", self.seed, self.noise_index, underlying, time_ms // NOISE_PERIOD_MS)
        return max(1, exact_ticks + exact_ticks * self.noise_bps * shift // (10_000 * RESOLUTION))


@dataclass(frozen=True, slots=True)
class QuotedFeed:
    """What the operator's own program writes down (`validator.pricefile`)."""

    file: FileFeed

    def feeds(self, time_ms: int, expiries: tuple[tuple[int, int], ...] = ()) -> tuple[int, ...]:
        """As `PathFeed.feeds`; an expiry whose underlying has no price gets no opinion."""
        names = tuple(dict.fromkeys(market.underlying_name for market in self.file.markets))
        return _with_surfaces(FILE_SEED, names, self.file.indexes_e8(time_ms), time_ms, expiries)


def _with_surfaces(
    seed: int, names: tuple[str, ...], indexes: list[int], time_ms: int, expiries: tuple[tuple[int, int], ...]
) -> tuple[int, ...]:
    surfaces = (
        number
        for underlying, at_ms in expiries
        for number in list_expiry_feeds(seed, names[underlying], indexes[underlying], at_ms, time_ms)
    )
    return (*indexes, *surfaces)


def parse_price_source(text: str, markets: tuple[MarketParams, ...], noise_index: int = 0) -> PathFeed | QuotedFeed:
    """Read `price_source` of config.toml. Raises `ConfigError`."""
    kind, _, rest = text.partition(":")
    if kind == "file" and rest:
        return QuotedFeed(FileFeed(Path(rest), markets))
    pairs = [part.partition("=") for part in rest.split(",")]
    options = {name: value for name, _, value in pairs}
    if kind != "path" or "seed" not in options or len(pairs) != len(options) or set(options) - {"seed", "noise_bps"}:
        raise ConfigError(f"{text!r} is no price source: {_FORM}")
    if not all(value.isascii() and value.isdigit() for value in options.values()):
        raise ConfigError(f"{text!r} is no price source: {_FORM}")
    noise_bps = int(options.get("noise_bps", "0"))
    if noise_bps > 100:
        raise ConfigError(f"noise_bps={noise_bps} is above 100: reports that far apart are no longer one price")
    return PathFeed(int(options["seed"]), markets, noise_index, noise_bps)


def compute_start_ticks(market: MarketParams) -> int:
    """The start price in ticks of the market."""
    price_usdc = START_PRICES_USDC.get(market.underlying_name, START_PRICE_USDC_DEFAULT)
    return int(price_usdc / Fraction(market.tick_size))


def compute_path_ticks(seed: int, market: int, time_ms: int, start_ticks: int) -> int:
    """The path at `time_ms`, rounded down; within `PATH_BPS_MAX` of `start_ticks`."""
    shift = compute_shift(OCTAVES, time_ms, "path", seed, market)
    return max(1, start_ticks + start_ticks * shift // (10_000 * RESOLUTION))
