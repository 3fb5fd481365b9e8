"""Forced forks before the real judge: the court's contract on a development chain in this process, with real keys."""

from dataclasses import dataclass

from contracts.court import Court
from contracts.deployment import activate, deploy
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.digests import possession_digest
from contracts.registry import Registry
from contracts.settlement import Settlement
from testnet.sim.forks import ForkRun, draw_fork_plan
from testnet.sim.realkeys import RealKeys
from validator.prosecutor import make_statement

EPOCH = 1
DEPLOYER = 19


@dataclass(slots=True)
class Trial:
    """What the contract made of one fork."""

    seed: int
    member_count: int
    liars: tuple[int, ...]
    needed: int
    convicted: tuple[int, ...] = ()
    cases: int = 0
    failure: str = ""


class Courtroom:
    """A committee registered with proofs of possession, and a court that has judged nobody."""

    def __init__(self, member_count: int) -> None:
        self._chain = Chain()
        provider = InProcessProvider(Rpc(self._chain))
        deployment = deploy(provider, funded_key(DEPLOYER))
        settlement = Settlement(provider, deployment.settlement)
        self.member_count = member_count
        self.keys = RealKeys(member_count, member_count, settlement.domain())
        for member in range(member_count):
            operator = Registry(provider, deployment.registry, funded_key(member))
            network_key, bls_key = bytes([member + 1]) * 32, self.keys.public_keys[member]
            digest = possession_digest(operator.chain_id, operator.address_bytes, operator.sender, network_key, bls_key)
            operator.register(bls_key, self.keys.prove_possession(member, digest), network_key)
        activate(provider, funded_key(DEPLOYER), deployment.settlement)
        self._court = Court(provider, deployment.court, funded_key(DEPLOYER))
        self._first_block = self._chain.head.block_number

    def close(self) -> None:
        self._chain.close()

    def try_fork(self, seed: int) -> Trial:
        """Force the fork of this seed with real signatures and bring everything that honest nodes published."""
        plan = draw_fork_plan(seed)
        run = ForkRun(plan, self.keys)
        result = run.run()
        trial = Trial(seed, self.member_count, plan.twins, result.needed, failure=result.failure)
        if not result.is_fork or trial.failure:
            trial.failure = trial.failure or "no fork"
            return trial
        self._chain.rewind(self._first_block)
        for evidence in run.watch.evidence:
            self._court.submit(EPOCH, make_statement(evidence.first), make_statement(evidence.second))
            trial.cases += 1
        members = range(self.member_count)
        trial.convicted = tuple(member for member in members if self._court.is_culprit(EPOCH, member))
        if len(trial.convicted) < trial.needed:
            trial.failure = f"A1 the court convicted {len(trial.convicted)} of at least {trial.needed}"
        elif any(member not in plan.twins for member in trial.convicted):
            trial.failure = "S9 the court convicted the innocent"
        return trial


def try_forks(seeds: list[int]) -> list[Trial]:
    """One courtroom for every size of committee."""
    rooms: dict[int, Courtroom] = {}
    trials = []
    for seed in seeds:
        member_count = draw_fork_plan(seed).member_count
        if member_count not in rooms:
            rooms[member_count] = Courtroom(member_count)
        trials.append(rooms[member_count].try_fork(seed))
    for room in rooms.values():
        room.close()
    return trials
