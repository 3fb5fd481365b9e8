"""Where a validator's own price reports come from: a seeded path that every process can compute for itself.

`path:seed=7` gives each market the same price at the same moment on every machine, a pure function of seed, market and
time; `noise_bps` adds a small error of this validator's own, so that the median has something to do. Integers only.

The path is value noise: each octave draws one level per period from a hash and moves in a straight line between levels.
It stays within `PATH_BPS_MAX` of the start price, and its fast octaves move a few percent within a minute, enough
to end a trader at high leverage now and then.
"""

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from engine.params import MarketParams
from validator.config import ConfigError

# (period_ms, amplitude_bps): slow tides to fast ripples.
OCTAVES = ((3_600_000, 400), (300_000, 300), (60_000, 250), (20_000, 120), (4_000, 15))
PATH_BPS_MAX = sum(amplitude_bps for _, amplitude_bps in OCTAVES)
NOISE_PERIOD_MS = 1_000
# Quote currency per whole unit of the base, by the symbol's first part.
START_PRICES_USDC = {"BTC": 60_000, "ETH": 3_000}
START_PRICE_USDC_DEFAULT = 100

_RESOLUTION = 1 << 32
_FORM = 'price_source is "path:seed=NUMBER" or "path:seed=NUMBER,noise_bps=NUMBER"'


@dataclass(frozen=True, slots=True)
class PathFeed:
    """The seeded path of every market, as seen by the validator `noise_index`."""

    seed: int
    markets: tuple[MarketParams, ...]
    noise_index: int = 0
    noise_bps: int = 0

    def prices(self, time_ms: int) -> tuple[int, ...]:
        """One price in ticks for each market, at least 1."""
        return tuple(self._price_ticks(market, time_ms) for market in range(len(self.markets)))

    def _price_ticks(self, market: int, time_ms: int) -> int:
        start_ticks = compute_start_ticks(self.markets[market])
        exact_ticks = compute_path_ticks(self.seed, market, time_ms, start_ticks)
        draw = _draw("noise", self.seed, self.noise_index, market, time_ms // NOISE_PERIOD_MS)
        return max(1, exact_ticks + exact_ticks * self.noise_bps * draw // (10_000 * _RESOLUTION))


def parse_price_source(text: str, markets: tuple[MarketParams, ...], noise_index: int = 0) -> PathFeed:
    """Read `price_source` of config.toml. Raises `ConfigError`."""
    kind, _, rest = text.partition(":")
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
    price_usdc = START_PRICES_USDC.get(market.symbol.split("-")[0], START_PRICE_USDC_DEFAULT)
    return int(price_usdc / Fraction(market.tick_size))


def compute_path_ticks(seed: int, market: int, time_ms: int, start_ticks: int) -> int:
    """The path at `time_ms`, rounded down; within `PATH_BPS_MAX` of `start_ticks`."""
    shift = sum(
        amplitude_bps * _interpolate(seed, market, octave, time_ms, period_ms)
        for octave, (period_ms, amplitude_bps) in enumerate(OCTAVES)
    )
    return max(1, start_ticks + start_ticks * shift // (10_000 * _RESOLUTION))


def _interpolate(seed: int, market: int, octave: int, time_ms: int, period_ms: int) -> int:
    """A level between -`_RESOLUTION` and `_RESOLUTION`, on the line between the draws around `time_ms`."""
    step, into_ms = divmod(time_ms, period_ms)
    before = _draw("path", seed, market, octave, step)
    after = _draw("path", seed, market, octave, step + 1)
    return before + (after - before) * into_ms // period_ms


def _draw(*parts: object) -> int:
    """A number from -`_RESOLUTION` to `_RESOLUTION` - 1, the same on every machine."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (2 * _RESOLUTION) - _RESOLUTION
