"""The verdict: a run passes only when every single condition holds."""

from collections.abc import Callable

import pytest

from testnet.summary import CONDITIONS, Facts, exit_code, judge, to_json, to_text


def make_good_facts() -> Facts:
    return Facts(
        validator_count=4,
        heights=[100, 100, 99, 100],
        heights_compared=99,
        certified_height=99,
        claims_quote=900,
        debt_quote=10,
        withdrawals_total_quote=110,
        inbox_cursor=11,
        deposits_consumed_quote=1_000,
        onchain_height=90,
        onchain_root_matches=True,
        deposits_quote=1_000,
        claimed_quote=110,
        escrow_quote=890,
        accounts_credited=10,
        withdrawals_claimed=1,
        cross_node_trades=5,
        options_open=72,
        options_priced=72,
        option_trades=9,
        expiries_due=1,
        expiries_settled=1,
    )


def test_good_facts_pass() -> None:
    facts = make_good_facts()
    assert all(judge(facts).values())
    assert exit_code(facts) == 0
    assert to_json(facts)["passed"] is True
    assert "FAIL" not in to_text(facts)


def test_the_traders_of_one_node_need_no_other() -> None:
    facts = make_good_facts()
    facts.validator_count, facts.heights, facts.cross_node_trades = 1, [100], 0
    assert not judge(facts)["traded_across_nodes"]
    facts.trades_seen = 1
    assert exit_code(facts) == 0


BAD: list[tuple[str, str, object]] = [
    ("nodes_alive", "nodes_lost", 1),
    ("roots_agree", "heights_compared", 0),
    ("roots_agree", "root_disagreements", ["height 7: node0 0xaa, node1 0xbb"]),
    ("checkpoint_on_chain", "onchain_height", 0),
    ("checkpoint_on_chain", "onchain_root_matches", False),
    ("deposit_credited", "accounts_credited", 0),
    ("deposit_credited", "inbox_cursor", 0),
    ("withdrawal_claimed", "withdrawals_claimed", 0),
    ("traded_across_nodes", "cross_node_trades", 0),
    ("money_conserved", "claims_quote", 901),
    ("money_conserved", "claims_quote", 899),
    ("money_conserved", "debt_quote", 9),
    ("money_conserved", "withdrawals_total_quote", 109),
    ("money_conserved", "deposits_consumed_quote", 1_001),
    ("options_traded", "option_trades", 0),
    ("options_priced", "options_priced", 71),
    ("expiries_settled", "expiries_settled", 0),
    ("expiries_settled", "expiries_due", 2),
    ("escrow_complete", "escrow_quote", 889),
    ("escrow_complete", "claimed_quote", 109),
    ("escrow_complete", "deposits_quote", 1_001),
]


@pytest.mark.parametrize(("condition", "field", "value"), BAD)
def test_each_false_condition_fails_the_run(condition: str, field: str, value: object) -> None:
    facts = make_good_facts()
    setattr(facts, field, value)
    assert [name for name, holds in judge(facts).items() if not holds] == [condition]
    assert exit_code(facts) == 1
    assert to_json(facts)["passed"] is False
    assert "FAIL" in to_text(facts)


def test_every_condition_has_been_seen_to_fail() -> None:
    assert {name for name, _, _ in CONDITIONS} == {condition for condition, _, _ in BAD}


@pytest.mark.parametrize("make", [Facts, lambda: Facts(claims_quote=5)])
def test_a_network_that_never_came_up_fails(make: Callable[[], Facts]) -> None:
    assert not any(judge(make()).values())
