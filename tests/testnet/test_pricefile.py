"""Prices from an operator's own file: exact, and nothing rather than something wrong."""

import json
import os
from pathlib import Path

import pytest

from engine.params import DEFAULT_MARKETS
from engine.svi import is_slice_sound
from validator.pricefeed import parse_price_source
from validator.pricefile import AGE_S_MAX

DAY_MS = 86_400_000


def written(path: Path, content: str) -> int:
    """The time of writing in Unix ms."""
    path.write_text(content)
    return path.stat().st_mtime_ns // 1_000_000


def test_prices_are_exact_and_each_underlying_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    now_ms = written(path, json.dumps({"ETH": "3000.01", "SOL": "100", "BTC": "60000.00000001"}))
    feed = parse_price_source(f"file:{path}", DEFAULT_MARKETS)
    assert feed.feeds(now_ms) == (6_000_000_000_001, 300_001_000_000)
    now_ms = written(path, json.dumps({"ETH": "2900"}))
    assert feed.feeds(now_ms) == (0, 290_000_000_000)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '"60000"', "{", '{"BTC": 60000}', '{"BTC": null}', '{"BTC": "-1"}', '{"BTC": "6e4"}', '{"BTC": ""}',
     '{"BTC": "60000.000000001"}', '{"BTC": "99999999999"}', '{"BTC": "' + "9" * 5_000 + '"}'],
)  # fmt: skip
def test_what_is_no_price_is_no_opinion(tmp_path: Path, content: str) -> None:
    path = tmp_path / "prices.json"
    now_ms = written(path, content)
    assert parse_price_source(f"file:{path}", DEFAULT_MARKETS).feeds(now_ms) == (0, 0)


def test_a_file_that_is_missing_or_old_is_no_opinion_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    feed = parse_price_source(f"file:{path}", DEFAULT_MARKETS)
    assert feed.feeds(0) == (0, 0)
    now_ms = written(path, '{"BTC": "60000"}')
    assert feed.feeds(now_ms + AGE_S_MAX * 1_000)[0] == 6_000_000_000_000
    assert feed.feeds(now_ms + AGE_S_MAX * 1_000 + 1)[0] == 0
    os.utime(path, ns=(now_ms * 1_000_000 + 5_000_000_000,) * 2)
    assert feed.feeds(now_ms + AGE_S_MAX * 1_000 + 1)[0] == 6_000_000_000_000


def test_expiries_follow_their_underlying_and_are_silent_with_it(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    now_ms = written(path, '{"BTC": "60000"}')
    feed = parse_price_source(f"file:{path}", DEFAULT_MARKETS)
    numbers = feed.feeds(now_ms, ((0, now_ms + DAY_MS), (1, now_ms + DAY_MS), (0, now_ms)))
    forward_e8, a, b, rho, m, sigma = numbers[2:8]
    assert 6_000_000_000_000 < forward_e8 < 6_003_000_000_000
    assert is_slice_sound(a - (1 << 32), b, rho - (1 << 32), m - (1 << 32), sigma)
    assert numbers[8:] == (0,) * 12
