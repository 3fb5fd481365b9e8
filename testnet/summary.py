"""What a run has shown, judged by a table of conditions; taken from certified headers, the chain and the traders."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Facts:
    """The end of a run. Money is in quote units; header values are those of `certified_height`."""

    validator_count: int = 0
    heights: list[int] = field(default_factory=list)
    heights_compared: int = 0
    root_disagreements: list[str] = field(default_factory=list)
    certified_height: int = 0
    certified_state_root: str = ""
    claims_quote: int = 0
    debt_quote: int = 0
    withdrawals_total_quote: int = 0
    inbox_cursor: int = 0
    deposits_consumed_quote: int = 0
    onchain_height: int = 0
    onchain_root_matches: bool = False
    deposits_quote: int = 0
    claimed_quote: int = 0
    escrow_quote: int = 0
    accounts_credited: int = 0
    withdrawals_claimed: int = 0
    trades_seen: int = 0
    cross_node_trades: int = 0
    liquidations: int = 0
    # Of options that are not settled; priced: with a fresh mark and Greeks. Expiries of futures count, too.
    options_open: int = 0
    options_priced: int = 0
    option_trades: int = 0
    expiries_due: int = 0
    expiries_settled: int = 0
    commands_sent: int = 0
    commands_per_s: int = 0
    finality_p50_ms: int = 0
    finality_p99_ms: int = 0
    nodes_lost: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    duration_s: int = 0


Condition = tuple[str, str, Callable[[Facts], bool]]

CONDITIONS: tuple[Condition, ...] = (
    (
        "nodes_alive",
        "every node answers at the end",
        lambda facts: facts.validator_count > 0 and facts.nodes_lost == 0,
    ),
    (
        "roots_agree",
        "every height has one root on all nodes",
        lambda facts: facts.heights_compared > 0 and not facts.root_disagreements,
    ),
    (
        "checkpoint_on_chain",
        "a checkpoint was accepted on chain, with the certified root",
        lambda facts: facts.onchain_height > 0 and facts.onchain_root_matches,
    ),
    (
        "deposit_credited",
        "a deposit was credited",
        lambda facts: facts.accounts_credited > 0 and facts.inbox_cursor > 0,
    ),
    ("withdrawal_claimed", "a withdrawal was claimed on chain", lambda facts: facts.withdrawals_claimed > 0),
    (
        "traded_across_nodes",
        "traders traded with each other, those of different nodes where there are several",
        lambda facts: (facts.trades_seen if facts.validator_count == 1 else facts.cross_node_trades) > 0,
    ),
    (
        "money_conserved",
        "claims - debt + withdrawals == deposits consumed",
        lambda facts: (
            facts.deposits_consumed_quote > 0
            and facts.claims_quote - facts.debt_quote + facts.withdrawals_total_quote == facts.deposits_consumed_quote
        ),
    ),
    (
        "options_traded",
        "options traded, where there are some",
        lambda facts: facts.validator_count > 0 and (facts.option_trades > 0 or facts.options_open == 0),
    ),
    (
        "options_priced",
        "every open option has a fresh mark and Greeks",
        lambda facts: facts.validator_count > 0 and facts.options_priced == facts.options_open,
    ),
    (
        "expiries_settled",
        "every expiry that has come is settled, and nobody holds it any more",
        lambda facts: facts.validator_count > 0 and facts.expiries_settled == facts.expiries_due,
    ),
    (
        "escrow_complete",
        "the contract holds deposits - claimed withdrawals",
        lambda facts: facts.escrow_quote > 0 and facts.escrow_quote == facts.deposits_quote - facts.claimed_quote,
    ),
)


def judge(facts: Facts) -> dict[str, bool]:
    """Each condition's name and whether it holds."""
    return {name: holds(facts) for name, _, holds in CONDITIONS}


def exit_code(facts: Facts) -> int:
    """0 when every condition holds, else 1."""
    return 0 if all(judge(facts).values()) else 1


def to_json(facts: Facts) -> dict[str, Any]:
    """The summary as one JSON object."""
    verdicts = judge(facts)
    return {"passed": all(verdicts.values()), "conditions": verdicts, **asdict(facts)}


def to_text(facts: Facts) -> str:
    """The summary for a human."""
    verdicts = judge(facts)
    lines = [f"{'ok  ' if verdicts[name] else 'FAIL'}  {text}" for name, text, _ in CONDITIONS]
    lines += [f"      {line}" for line in facts.root_disagreements[:5]]
    lines.append(
        f"heights {facts.heights}, {facts.heights_compared} compared, {facts.onchain_height} on chain; "
        f"finality p50 {facts.finality_p50_ms} ms, p99 {facts.finality_p99_ms} ms; "
        f"{facts.commands_sent} commands, {facts.trades_seen} trades, {facts.liquidations} liquidations; "
        f"{facts.option_trades} trades in {facts.options_open} options, {facts.expiries_settled} expiries settled"
    )
    return "\n".join(lines)
