"""The seeded price path: equal everywhere, bounded, and moving enough."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.params import DEFAULT_MARKETS
from validator.config import ConfigError
from validator.pricefeed import PATH_BPS_MAX, PathFeed, compute_path_ticks, compute_start_ticks, parse_price_source

NOW_MS = 1_795_000_000_000
GOLDEN = [(5784220000000, 313458000000), (5752970000000, 309616000000), (5571200000000, 303033000000)]


def test_golden_prices() -> None:
    """A change here is a new price path: local networks with old state would see a jump."""
    feed = parse_price_source("path:seed=7", DEFAULT_MARKETS)
    assert [feed.feeds(NOW_MS + step * 60_000) for step in range(3)] == GOLDEN


def test_start_prices() -> None:
    assert [compute_start_ticks(market) for market in DEFAULT_MARKETS] == [600_000, 300_000]


def test_another_process_sees_the_same_prices() -> None:
    expiries = ((1, NOW_MS + 10**9),)
    code = (
        "from engine.params import DEFAULT_MARKETS; from validator.pricefeed import parse_price_source;"
        f"print(parse_price_source('path:seed=7,noise_bps=2', DEFAULT_MARKETS, 3).feeds({NOW_MS}, {expiries}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = parse_price_source("path:seed=7,noise_bps=2", DEFAULT_MARKETS, 3).feeds(NOW_MS, expiries)
    assert answer.stdout.strip() == str(here)


@given(seed=st.integers(0, 1 << 40), market=st.integers(0, 61), time_ms=st.integers(0, 1 << 45))
def test_path_stays_within_its_bounds(seed: int, market: int, time_ms: int) -> None:
    price_ticks = compute_path_ticks(seed, market, time_ms, 600_000)
    assert abs(price_ticks - 600_000) <= 600_000 * PATH_BPS_MAX // 10_000 + 1


@given(time_ms=st.integers(0, 1 << 45))
def test_path_has_no_jumps(time_ms: int) -> None:
    """A tenth of a second moves the price by less than five basis points."""
    here, there = (compute_path_ticks(1, 0, moment_ms, 600_000) for moment_ms in (time_ms, time_ms + 100))
    assert abs(here - there) <= 600_000 * 5 // 10_000


def test_path_moves_by_percents_within_minutes() -> None:
    prices_e8 = [PathFeed(1, DEFAULT_MARKETS).feeds(NOW_MS + second * 1000)[0] for second in range(600)]
    assert max(prices_e8) - min(prices_e8) > min(prices_e8) * 2 // 100


def test_seeds_and_markets_have_paths_of_their_own() -> None:
    prices_ticks = {compute_path_ticks(seed, market, NOW_MS, 600_000) for seed in range(5) for market in range(5)}
    assert len(prices_ticks) == 25


@given(time_ms=st.integers(0, 1 << 45), noise_index=st.integers(0, 254), noise_bps=st.integers(0, 100))
def test_noise_is_small_and_a_validators_own(time_ms: int, noise_index: int, noise_bps: int) -> None:
    exact = PathFeed(1, DEFAULT_MARKETS).feeds(time_ms)
    noisy = PathFeed(1, DEFAULT_MARKETS, noise_index, noise_bps).feeds(time_ms)
    assert all(abs(a - b) <= a * noise_bps // 10_000 + 10**7 for a, b in zip(exact, noisy))


def test_validators_differ_by_their_noise() -> None:
    assert len({PathFeed(1, DEFAULT_MARKETS, index, 10).feeds(NOW_MS) for index in range(4)}) == 4


@pytest.mark.parametrize(
    "text",
    [
        "", "path", "path:", "path:seed=", "path:seed=-1", "path:seed=1.5", "path:seed=x", "path:noise_bps=1",
        "http:seed=1", "path:seed=1,seed=2", "path:seed=1,colour=2", "path:seed=1,noise_bps=101", "path:seed=²",
    ],
)  # fmt: skip
def test_malformed_sources_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_price_source(text, DEFAULT_MARKETS)
