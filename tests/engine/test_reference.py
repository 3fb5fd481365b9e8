"""The compiled engine and the obvious one agree on every generated block: receipts, events, the ten words."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.apply import execute
from engine.invariants import check_orders
from engine.state import decode_snapshot, encode_snapshot, genesis
from tests.engine.blocks import START_MS, USD, block, deposit, make_params, trader
from tests.engine.generated import TRADERS, World
from tests.reference.engine import Reference

NUMBER = st.integers(0, 1 << 16)
ITEM = st.tuples(NUMBER, NUMBER, NUMBER, NUMBER, st.integers(0, 3))
DRAWN = st.tuples(st.tuples(NUMBER, NUMBER), NUMBER, st.integers(0, 2), NUMBER, st.lists(ITEM, max_size=24))


def rows(table: np.ndarray) -> list[tuple]:
    return [tuple(row) for row in table.tolist()]


def assert_agree(state, result, reference) -> None:
    """Everything that happened, then every word of the commitment."""
    for name in ("receipts", "fills", "cancellations", "liquidations"):
        assert rows(getattr(result, name)) == getattr(reference, name), name
    assert [tuple(credit) for credit in result.credits] == reference.credits
    assert [tuple(withdrawal) for withdrawal in result.withdrawals] == reference.withdrawals
    assert tuple(result.commitment) == reference.commitment()
    assert int(check_orders(state.tables)) == 0


def run_both(params, drawn_blocks: list, funded_usd: int) -> tuple:
    """Fund everybody, then run the drawn blocks through both engines and compare after each one."""
    state, reference = genesis(params, START_MS), Reference(params, START_MS)
    world = World()
    funding = tuple(deposit(at, trader(at), (funded_usd + at) * USD) for at in range(TRADERS))
    insurance = deposit(TRADERS, (2).to_bytes(20, "big"), 50 * USD)
    world.inbox_index = TRADERS + 1
    first = block(state, inbox=(*funding, insurance))
    seen = {"fills": 0, "liquidations": 0, "codes": set()}
    for at in range(-1, len(drawn_blocks)):
        made = first if at < 0 else world.make_block(state, drawn_blocks[at])
        before = encode_snapshot(state)
        parent, (state, result) = state, execute(state, made)
        reference = reference.execute(made)
        assert encode_snapshot(parent) == before, "the parent state changed"
        assert_agree(state, result, reference)
        seen["fills"] += len(result.fills)
        seen["liquidations"] += len(result.liquidations)
        seen["codes"] |= set(result.receipts["code"].tolist())
    restored = decode_snapshot(encode_snapshot(state), params)
    assert restored.state_root == state.state_root
    return state, seen


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(DRAWN, min_size=1, max_size=8), st.sampled_from([40, 400, 4000, 400_000]))
def test_engines_agree_on_generated_blocks(drawn_blocks, funded_usd) -> None:
    run_both(make_params(), drawn_blocks, funded_usd)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(DRAWN, min_size=3, max_size=8), st.sampled_from([4000, 400_000]))
def test_engines_agree_when_limits_are_tight(drawn_blocks, funded_usd) -> None:
    run_both(make_params(account_orders_max=2, book_orders_max=4, accounts_max=68), drawn_blocks, funded_usd)


def test_a_long_run_trades_liquidates_and_rejects() -> None:
    """The generator reaches what it is for: a fixed long run sees fills, liquidations and most result codes."""
    mix = np.random.default_rng(7)
    drawn_blocks = [
        (
            tuple(int(n) for n in mix.integers(0, 1 << 16, 2)),
            int(mix.integers(0, 1 << 16)),
            int(mix.integers(0, 2)),
            int(mix.integers(0, 1 << 16)),
            [tuple(int(n) for n in (*mix.integers(0, 1 << 16, 4), mix.integers(0, 4))) for _ in range(40)],
        )
        for _ in range(60)
    ]
    _, seen = run_both(make_params(), drawn_blocks, 4000)
    assert seen["fills"] > 100
    assert seen["liquidations"] > 5
    assert len(seen["codes"]) > 12, sorted(seen["codes"])
