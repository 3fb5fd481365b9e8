"""The terms on which a local network is founded: its markets, and the deadlines of its settlement contract."""

from dataclasses import dataclass

from contracts.deployment import FORCE_DEADLINE_S, MAX_SILENCE_S, UNBONDING_S
from engine.params import DEFAULT_MARKETS, MarketParams
from testnet.listing import Listing, list_markets
from validator.pricefeed import parse_price_source

# Who may ever register, as `validators_max` of genesis.toml and as the registry's limit.
NUMBERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """`price_source` as in config.toml; empty: the seeded path. The claim delay lets withdrawals be claimed almost at
    once, where a real network waits `contracts.deployment.CLAIM_DELAY_S`.
    """

    markets: tuple[MarketParams, ...] = DEFAULT_MARKETS
    listing: Listing | None = None  # instead of `markets`: futures and options, too
    insurance_quote: int = 100_000 * 10**6
    claim_delay_s: int = 2
    force_deadline_s: int = FORCE_DEADLINE_S
    max_silence_s: int = MAX_SILENCE_S
    price_source: str = ""
    epoch_length_ms: int = 0  # 0: the committee stays
    stake_quote: int = 10_000 * 10**6
    unbonding_s: int = UNBONDING_S
    accounts_max: int = 1 << 16


DEFAULT_TERMS = Terms()


def choose_markets(terms: Terms, genesis_time_ms: int, seed: int) -> tuple[MarketParams, ...]:
    """The markets of a network that begins at this time, with strikes around what its validators will report."""
    if terms.listing is None:
        return terms.markets
    prices = parse_price_source(f"path:seed={seed}", DEFAULT_MARKETS)
    return list_markets(terms.listing, genesis_time_ms, prices.feeds(genesis_time_ms))
