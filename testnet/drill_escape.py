"""`python -m testnet.drill_escape`: the committee dies, and everybody gets out without it.

A network of four validators trades perpetuals and options; one trader leaves a bad debt that the insurance fund cannot
pay. Then the validators are killed, a forced entry goes overdue, a stranger freezes the contract, and every trader
leaves with the proof file that its client kept, by the command that a trader would type. The deadlines are those of a
real network; the development chain's clock is set ahead instead of waiting. Exit code 0 only if every check holds.
"""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from contracts.deployment import CLAIM_DELAY_S
from contracts.records import ChainError, Refused
from net.client import HansaError
from testnet.escape.books import Claim
from testnet.escape.day import DayFailed
from testnet.escape.leave import Leaving, Outcome, Payment, money
from testnet.escape.life import Life, Plan, Remains
from testnet.escape.market import Prices, list_markets
from testnet.homes import FolderError
from testnet.launch import LaunchError, Options
from testnet.local import ChildDied, Processes
from testnet.terms import Terms

VALIDATOR_COUNT = 4
INSURANCE_QUOTE = 500 * 10**6
RESULTS = Path("build/results/drill-escape.json")
TABLE_WIDTH = 150
NO_CLAIM = Claim("", -1, 0, 0)
EXIT_FAILED, EXIT_BROKEN = 1, 2


def make_options(folder: Path, seed: int, commands_per_s: float, base_port: int) -> Options:
    """A real network's deadlines, an insurance fund that is too small, and prices that the drill writes."""
    prices_path = folder.with_name(folder.name + "-prices.json")
    terms = Terms(
        markets=list_markets(time.time()), insurance_quote=INSURANCE_QUOTE, claim_delay_s=CLAIM_DELAY_S,
        price_source=f"file:{prices_path}",
    )  # fmt: skip
    return Options(
        VALIDATOR_COUNT, folder, "embedded", seed, 0, True, commands_per_s, base_port, is_fresh=True, terms=terms
    )


def run_drill(options: Options, plan: Plan, console: Console) -> tuple[Remains, Outcome]:
    """The chain is the only process that lives to the end."""
    prices = Prices(Path(options.terms.price_source.removeprefix("file:")), options.seed)
    with Processes() as processes:
        remains = trio.run(Life(options, plan, prices, processes, console).run)
        console.print("everybody leaves", highlight=False)
        return remains, Leaving(remains, options.seed).run()


def print_outcome(outcome: Outcome, console: Console) -> None:
    table = Table("trader")
    for title in ("account", "claim", "debt", "share", "withdrawals", "deposits", "paid", "share of claim"):
        table.add_column(title, justify="right", no_wrap=True)
    for payment in outcome.payments:
        due, claim = payment.due, payment.due.claim or NO_CLAIM
        numbers = (claim.claim_quote, claim.debt_quote, due.share_quote, due.withdrawn_quote, due.returned_quote)
        part = f"{due.share_quote / claim.claim_quote:.6%}" if claim.claim_quote else "-"
        table.add_row(due.person.name, str(claim.index), *map(money, (*numbers, payment.paid_quote)), part)
    console.print(table)
    for check in outcome.checks:
        mark = "ok  " if check.is_met else "FAIL"
        console.print(f"{mark}  {check.text}" + (f": {check.detail}" if check.detail else ""), markup=False,
                      highlight=False, soft_wrap=True)  # fmt: skip


def to_plain(payment: Payment) -> dict[str, str | int]:
    due, claim = payment.due, payment.due.claim or NO_CLAIM
    return {
        "trader": due.person.name, "account": claim.index, "claim_quote": claim.claim_quote,
        "debt_quote": claim.debt_quote, "share_quote": due.share_quote, "withdrawn_quote": due.withdrawn_quote,
        "returned_quote": due.returned_quote, "paid_quote": payment.paid_quote,
    }  # fmt: skip


def write_results(remains: Remains, outcome: Outcome, seed: int, elapsed_s: float) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "passed": all(check.is_met for check in outcome.checks), "seed": seed, "elapsed_s": round(elapsed_s, 1),
        "death_height": remains.death_height, "checkpoint_height": remains.checkpoint_height,
        "plan": asdict(remains.plan),
        "checks": [asdict(check) for check in outcome.checks],
        "payments": [to_plain(payment) for payment in outcome.payments],
        "figures": outcome.figures | {
            "claims_quote": outcome.books.claims_quote, "debt_quote": outcome.books.debt_quote,
            "pool_quote": outcome.books.pool_quote,
        },
    }  # fmt: skip
    RESULTS.write_text(json.dumps(body, indent=1) + "\n")


def list_leaves(group: BaseExceptionGroup) -> list[BaseException]:
    """The errors themselves, out of their groups."""
    return [
        leaf for error in group.exceptions
        for leaf in (list_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]  # fmt: skip


def drill(
    *,
    seed: Annotated[int, Parameter(help="of prices, traders, the moment of death and the order of leaving")] = 1,
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/escape"),
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 30.0,
    base_port: Annotated[int, Parameter(help="first port to try")] = 31600,
    late_poster: Annotated[
        bool, Parameter(help="a dishonest validator posts an old certified header just before the freeze", negative="")
    ] = False,
    life_s: Annotated[float | None, Parameter(name="--life", help="seconds of trading; drawn without it")] = None,
) -> int:
    """Kill a trading network's whole committee, and let every trader escape with its proof file.

    Example: python -m testnet.drill_escape --seed 7
    """
    console = Console(stderr=True, width=TABLE_WIDTH)
    options = make_options(dir.resolve(), seed, rate, base_port)
    plan = Plan.draw(seed, VALIDATOR_COUNT)
    plan = replace(plan, life_s=plan.life_s if life_s is None else life_s, has_late_poster=late_poster)
    started_s = time.monotonic()
    failures: list[BaseException] = []
    try:
        remains, outcome = run_drill(options, plan, console)
    except* (FolderError, LaunchError, ChildDied, ChainError, Refused, HansaError, DayFailed) as group:
        failures += list_leaves(group)
    for failure in failures:
        console.print(f"drill: {failure}", markup=False, highlight=False, soft_wrap=True)
    if failures:
        return EXIT_BROKEN
    write_results(remains, outcome, seed, time.monotonic() - started_s)
    print_outcome(outcome, console)
    return 0 if all(check.is_met for check in outcome.checks) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(cyclopts.App(name="drill_escape", default_command=drill)())
