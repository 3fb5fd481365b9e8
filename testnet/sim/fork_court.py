"""Forced forks with real signatures, tried by the court on the development chain (A1, to the end).

`python -m testnet.sim.fork_court --forks 400`: the forks of `testnet.sim.forks`, but the committees (4 and 7 members)
are registered with a settlement contract on an embedded chain, and everything that honest nodes publish is brought to
the court. After each fork it must have convicted at least f+1 members, and liars only, and the registry takes exactly
their stakes; then the chain is rewound.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from consensus.messages import fault_bound
from contracts.court import Court
from contracts.deployment import activate, deploy
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.registry import Registry
from contracts.settlement import Settlement
from testnet.sim.forks import ForkRun, draw_fork_plan
from testnet.sim.onchain import register
from testnet.sim.realkeys import RealKeys
from validator.prosecutor import make_statement

KEY_SEED = 1
STAKE_UNITS = 10**9
EPOCH = 1
RESULTS = Path("build/results/sim-fork-court.json")


@dataclass(slots=True)
class Trial:
    """One fork before the court."""

    seed: int
    member_count: int
    twins: tuple[int, ...]
    is_fork: bool = False
    case_count: int = 0
    gas_used: int = 0
    convicted: list[int] = field(default_factory=list)
    offences: list[int] = field(default_factory=list)
    failure: str = ""

    @property
    def needed(self) -> int:
        return fault_bound(self.member_count) + 1


class Courthouse:
    """A chain, a committee of one size, its court."""

    def __init__(self, member_count: int) -> None:
        self._chain = Chain()
        provider = InProcessProvider(Rpc(self._chain))
        deployment = deploy(provider, funded_key(0), stake_units=STAKE_UNITS)
        secrets = RealKeys(KEY_SEED, member_count, b"").secrets
        for index, secret in enumerate(secrets):
            operator = Registry(provider, deployment.registry, funded_key(index))
            Settlement(provider, deployment.settlement, funded_key(index)).mint_test_usdc(operator.sender, STAKE_UNITS)
            register(operator, operator.sender, secret, (index + 1).to_bytes(32, "big"))
        activate(provider, funded_key(0), deployment.settlement)
        domain = Settlement(provider, deployment.settlement).domain()
        self.keys = RealKeys(KEY_SEED, member_count, domain)
        self._court = Court(provider, deployment.court, funded_key(0))
        self._block = self._chain.head.block_number

    def try_fork(self, seed: int) -> Trial:
        """One fork from the split to the verdict."""
        plan = draw_fork_plan(seed)
        trial = Trial(seed, plan.member_count, plan.twins)
        run = ForkRun(plan, self.keys)
        run.run()
        trial.is_fork, trial.failure = run.result.is_fork, run.result.failure
        self._chain.rewind(self._block)
        for evidence in run.watch.evidence:
            pair = make_statement(evidence.first), make_statement(evidence.second)
            trial.gas_used += self._court.submit(evidence.first.epoch, *pair).gas_used
            trial.case_count += 1
        convictions = self._court.convictions()
        trial.convicted = sorted({known.member for known in convictions})
        trial.offences = [known.offence for known in convictions]
        for member in trial.convicted:
            self._court.slash(EPOCH, member)
        jailed = [member for member in range(plan.member_count) if self._court.is_jailed(EPOCH, member)]
        innocent = [member for member in trial.convicted if member not in plan.twins]
        if innocent:
            trial.failure = f"S9 the court convicted the honest members {innocent}"
        elif jailed != trial.convicted:
            trial.failure = f"the registry took the stakes of {jailed}, not of {trial.convicted}"
        elif trial.is_fork and len(trial.convicted) < trial.needed:
            trial.failure = f"A1 the court convicted {len(trial.convicted)} of at least {trial.needed}"
        return trial


def try_forks(fork_count: int, first_seed: int = 0) -> Iterator[Trial]:
    """Seeds until so many have forked, or twice as many were not enough."""
    houses: dict[int, Courthouse] = {}
    forked = 0
    for seed in range(first_seed, first_seed + 2 * fork_count):
        if forked >= fork_count:
            return
        members = draw_fork_plan(seed).member_count
        if members not in houses:
            houses[members] = Courthouse(members)
        trial = houses[members].try_fork(seed)
        forked += trial.is_fork
        yield trial


def summarise(trials: list[Trial], elapsed_s: float) -> dict[str, object]:
    forks = [trial for trial in trials if trial.is_fork]
    offences = Counter(f"E{offence}" for trial in forks for offence in trial.offences)
    return {
        "seeds": len(trials),
        "forks": len(forks),
        "failures": [f"seed {trial.seed}: {trial.failure}" for trial in trials if trial.failure],
        "fewest_convicted_beyond_f": min((len(trial.convicted) - trial.needed + 1 for trial in forks), default=0),
        "cases": sum(trial.case_count for trial in forks),
        "convictions": dict(sorted(offences.items())),
        "gas_per_case": sum(trial.gas_used for trial in forks) // max(1, sum(trial.case_count for trial in forks)),
        "elapsed_s": round(elapsed_s, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="testnet.sim.fork_court", description=__doc__)
    parser.add_argument("--forks", type=int, default=400, help="how many forks to force")
    options = parser.parse_args()
    console, start_s = Console(), time.monotonic()
    trials = []
    for trial in try_forks(options.forks):
        trials.append(trial)
        if trial.failure:
            console.print(f"seed {trial.seed}: {trial.failure}", style="red")
    summary = summarise(trials, time.monotonic() - start_s)
    console.print(summary)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({**summary, "trials": [asdict(trial) for trial in trials]}, indent=1) + "\n")
    return int(bool(summary["failures"]) or sum(trial.is_fork for trial in trials) < options.forks)


if __name__ == "__main__":
    sys.exit(main())
