"""What the governor of a local network lists next, and that the engine takes it as it was meant."""

from dataclasses import replace

import pytest

from engine.apply import BatchInput, BlockInput, execute
from engine.commands import Command, compute_domain_separator
from engine.intake import decode_batch
from engine.params import DEFAULT_MARKETS, ExchangeParams, MarketParams
from engine.state import genesis
from net.client.protocol import Network
from testnet.listing import Listing, choose_expiries, list_expiry, list_markets
from testnet.roller import ListMarket, choose_missing_expiry, find_template
from validator.listings import list_markets as list_known_markets

NOW_MS = 1_795_000_000_000
INDEXES_E8 = (60_000 * 10**8, 3_000 * 10**8)
NEAR_MS, FAR_MS = choose_expiries(Listing(), NOW_MS)
GOVERNOR = bytes([7]) * 20


def markets_of(near_in_ms: int = 0) -> tuple[MarketParams, ...]:
    return list_markets(Listing(near_in_ms), NOW_MS, INDEXES_E8)


@pytest.mark.parametrize(("near_in_ms", "later_ms", "missing_ms"), [
    (0, 0, 0), (0, NEAR_MS - NOW_MS - 1, 0), (600_000, 599_999, 0), (600_000, 660_000, NEAR_MS),
])  # fmt: skip
def test_an_expiry_is_missing_when_only_one_is_ahead(near_in_ms: int, later_ms: int, missing_ms: int) -> None:
    for name in ("BTC", "ETH"):
        assert choose_missing_expiry(markets_of(near_in_ms), name, NOW_MS + later_ms) == missing_ms


def test_when_a_friday_has_passed_the_next_one_is_listed() -> None:
    missing_ms = choose_missing_expiry(markets_of(), "BTC", NEAR_MS)
    assert missing_ms == choose_expiries(Listing(), NEAR_MS)[0] > NEAR_MS


def test_the_engine_lists_what_was_meant() -> None:
    """All of a new expiry in one message, each with the parameters that it would have at genesis."""
    markets = markets_of(600_000)
    numbers = {market.symbol: number for number, market in enumerate(markets)}
    network = Network(1, bytes(20), compute_domain_separator(1, bytes(20)), bytes(32), numbers, markets)
    wanted = [
        market
        for name, index_e8 in zip(("BTC", "ETH"), INDEXES_E8)
        for market in list_expiry(name, NEAR_MS, NOW_MS, index_e8 * 101 // 100)
    ]
    actions = tuple(ListMarket(market, find_template(markets, market)).to_action(network) for market in wanted)
    command = Command(GOVERNOR, 1, NOW_MS + 60_000, actions)
    messages, rows = decode_batch(command.encode())
    state = genesis(ExchangeParams(markets, bytes(20), 1, 1, bytes(20), governor=GOVERNOR), NOW_MS)
    batch = BatchInput(0, 1, messages, rows, messages["owner"].copy())
    state, result = execute(state, BlockInput(1, NOW_MS + 1_000, bytes(32), (), (), 0, (batch,)))
    assert result.receipts["code"].tolist() == [0] * len(wanted)
    known = list_known_markets(state)
    assert known[: len(markets)] == markets
    assert known[len(markets) :] == tuple(replace(market, underlying=market.underlying_name) for market in wanted)
    assert len(DEFAULT_MARKETS) + 3 * len(wanted) == len(known)
