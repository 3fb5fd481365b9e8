"""The drill's own arithmetic, its prices and its chance, apart from any network."""

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.devchain.chain import Chain
from contracts.devchain.rpc import Rpc
from contracts.devchain.server import Server
from engine.params import ExchangeParams
from testnet.drill_escape import list_leaves
from testnet.escape.books import Books, Claim, read_markets
from testnet.escape.chain import ChainControl
from testnet.escape.leave import read_told
from testnet.escape.life import Plan
from testnet.escape.market import OPTION_DAYS, Prices, list_markets

NOW_S = 1_795_000_000
QUOTE = st.integers(0, 1 << 62)


@given(claims=st.lists(QUOTE, min_size=1, max_size=20), system=QUOTE, debt=QUOTE)
def test_parts_of_the_pool_are_its_whole(claims: list[int], system: int, debt: int) -> None:
    """The pool is what claims leave of it after the debt; nobody gets more than the claim; rounding is units."""
    total = sum(claims) + system
    if total == 0:
        return
    pool = max(0, total - debt)
    books = Books(total, debt, pool, [Claim(str(at), 64 + at, claim, 0) for at, claim in enumerate(claims)])
    assert books.paid_quote + books.locked_quote + books.residue_quote == pool
    assert 0 <= books.residue_quote < len(claims) + 1
    assert all(books.share(claim) <= claim for claim in claims)
    assert books.system_claims_quote == system


def test_a_pool_above_the_claims_pays_them_whole_and_no_more() -> None:
    books = Books(100, 0, 1_000, [Claim("a", 64, 70, 0)])
    assert (books.paid_quote, books.locked_quote, books.residue_quote) == (70, 30, 0)


def test_markets_are_read_out_of_holdings() -> None:
    row = (7).to_bytes(4, "big") + (-3).to_bytes(8, "big", signed=True)
    other = (258).to_bytes(4, "big") + (1).to_bytes(8, "big")
    balance = (-5).to_bytes(8, "big", signed=True)
    assert read_markets(balance + row + other) == (7, 258)
    assert read_markets(balance) == ()


def test_the_drills_markets_make_an_exchange() -> None:
    markets = list_markets(NOW_S)
    assert [market.kind for market in markets] == ["perpetual", "perpetual", "call", "put"]
    params = ExchangeParams(markets=markets, token=bytes(20), validator_count=4, chain_id=1, contract=bytes(20))
    assert params.underlyings == ("BTC", "ETH")
    ((underlying, expiry_ms),) = params.expiries
    assert underlying == "BTC"
    assert (OPTION_DAYS - 1) * 86_400 < expiry_ms // 1_000 - NOW_S < (OPTION_DAYS + 1) * 86_400


def test_prices_walk_the_same_way_for_a_seed_and_fall_when_told(tmp_path: Path) -> None:
    prices = Prices(tmp_path / "prices.json", 3)
    prices.write()
    assert json.loads(prices.path.read_text()) == {"BTC": "60000.00", "ETH": "3000.00"}
    prices.fall("BTC", 500)
    assert json.loads(prices.path.read_text()) == {"BTC": "57000.00", "ETH": "3000.00"}


def test_the_seed_decides_who_dies_and_when() -> None:
    plans = [Plan.draw(seed, 4) for seed in range(30)]
    assert plans[7] == Plan.draw(7, 4)
    assert all(sorted(plan.death_order) == [0, 1, 2, 3] for plan in plans)
    assert len({plan.life_s for plan in plans}) == 30
    assert {plan.death_order[-1] for plan in plans} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("stdout", "told_quote"),
    [
        ("paid 12.000003 USDC to 0xab\n", 12_000_003),
        ("paid 1.000000 USDC to 0xab\nreturned 0.000002 USDC to 0xab\n", 1_000_002),
        ("", 0),
        ("not paid: 3.000000 USDC to 0xab\nwould pay 1.000000 USDC to 0xab\n", 0),
    ],
)
def test_what_the_tool_said_is_read(stdout: str, told_quote: int) -> None:
    assert read_told(stdout) == told_quote


def test_errors_come_out_of_their_groups() -> None:
    inner, other = ValueError("a"), KeyError("b")
    assert list_leaves(ExceptionGroup("", [ExceptionGroup("", [inner]), other])) == [inner, other]


def test_the_chains_clock_jumps_and_its_past_comes_back() -> None:
    chain = Chain()
    server = Server(Rpc(chain), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    control = ChainControl(f"http://127.0.0.1:{server.server_address[1]}")
    try:
        before_s, name = chain.head.timestamp, control.snapshot()
        control.pass_time(5_000)
        assert chain.head.timestamp >= before_s + 5_000
        control.restore(name)
        assert chain.head.block_number == int(name, 16)
        with pytest.raises(RuntimeError, match="there is no block"):
            control.restore("0x99")
    finally:
        server.shutdown()
        server.server_close()
        chain.close()
