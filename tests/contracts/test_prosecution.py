"""From a lie to a conviction, on a real chain with real keys: a core finds it, a node brings it, the court convicts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from blspy import PrivateKey
from settlement_world import STAKE_UNITS, World

from consensus.core import Core, CoreConfig
from consensus.effects import Effect, PublishEvidence, VerifyCertificates
from consensus.events import CertificatesVerified, Received
from consensus.evidence import Verdict, compute_key, judge
from consensus.messages import (
    FINALIZE,
    NULLIFY,
    ZERO_HASH,
    DecodeError,
    Evidence,
    Vote,
    encode_message,
    fault_bound,
)
from contracts.court import Court
from contracts.devchain.chain import funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.records import ValidatorState
from testnet.sim.forks import GENESIS, ForkRun, draw_fork_plan
from testnet.sim.realkeys import RealKeys
from validator import prosecutor as prosecution
from validator.prosecutor import Prosecutor, find_turn, make_statement, read_evidence, wait_for_court
from validator.store import Store

SEED = 4  # four members, two of them liars
MEMBERS = 4
LIAR = 2


class Case:
    """A court, its chain, and keys whose signatures it believes."""

    def __init__(self) -> None:
        self.world = World()
        self.world.secrets = [PrivateKey.from_bytes(secret) for secret in RealKeys(SEED, MEMBERS, b"").secrets]
        self.world.register_all()
        self.world.activate()
        self.keys = RealKeys(SEED, MEMBERS, self.world.contract.domain())
        self.address = self.world.deployment.court
        self.court = Court(self.world.provider, self.address, funded_key(1))

    def find_lie(self, view: int = 3) -> Evidence:
        """A real core is told two stories by member `LIAR`, and publishes what it proves."""
        config = CoreConfig(domain=self.world.contract.domain(), epoch=1, member_count=MEMBERS, me=0, genesis=GENESIS)
        core = Core(config, tuple(range(MEMBERS)))
        effects = list(core.start(0))
        for kind, block_hash in ((NULLIFY, ZERO_HASH), (FINALIZE, b"x" * 32)):
            vote = self.keys.sign(LIAR, kind, 1, view, block_hash)
            effects += self.handle(core, Received(LIAR, encode_message(vote)))
        (published,) = [effect for effect in effects if isinstance(effect, PublishEvidence)]
        return published.evidence

    def handle(self, core: Core, event: Any) -> list[Effect]:
        effects = core.handle(0, event)
        for effect in list(effects):
            if isinstance(effect, VerifyCertificates):
                ok = all(self.keys.is_genuine(certificate) for certificate in effect.certificates)
                effects += self.handle(core, CertificatesVerified(effect.token, ok))
        return effects


@pytest.fixture(scope="module")
def shared_case() -> Iterator[tuple[Case, int]]:
    case = Case()
    yield case, case.world.chain.head.block_number
    case.world.chain.close()


@pytest.fixture
def case(shared_case: tuple[Case, int]) -> Case:
    shared, block = shared_case
    shared.world.chain.rewind(block)
    return shared


def key_of(evidence: Evidence) -> bytes:
    verdict = judge(evidence, MEMBERS)
    assert isinstance(verdict, Verdict)
    return compute_key(verdict)


def make_store(folder: Path, *pieces: Evidence) -> Store:
    store = Store(folder / "blocks.sqlite")
    for evidence in pieces:
        store.put_evidence(key_of(evidence), encode_message(evidence))
    store.commit()
    return store


def prosecute(store: Store, court: Court, me: int) -> None:
    """Until every case is closed."""

    async def run() -> None:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Prosecutor(court, store, me, MEMBERS).run)
                while store.open_cases():
                    await trio.sleep(0.02)
                nursery.cancel_scope.cancel()

    trio.run(run)


def first_in_turn(evidence: Evidence) -> int:
    return next(me for me in range(MEMBERS) if find_turn(key_of(evidence), me, MEMBERS) == 0)


def test_two_conflicting_votes_end_in_a_conviction(case: Case, tmp_path: Path) -> None:
    evidence = case.find_lie()
    store = make_store(tmp_path / "one", evidence)
    prosecute(store, case.court, first_in_turn(evidence))
    (conviction,) = case.court.convictions()
    operator = case.world.as_operator(0).committee(1)[LIAR].operator
    assert (conviction.member, conviction.operator, conviction.offence, conviction.view) == (LIAR, operator, 3, 3)
    assert store.evidence() == [(key_of(evidence), encode_message(evidence), conviction.tx_hash)]
    registry = case.world.as_operator(0)
    states = [registry.standing(number).state for number in range(MEMBERS)]
    assert [state == ValidatorState.JAILED for state in states] == [member == LIAR for member in range(MEMBERS)]
    assert registry.insurance_owed() == 0
    contract = case.world.contract
    assert contract.token_balance(contract.address_bytes) == STAKE_UNITS - STAKE_UNITS // 20
    store.close()
    # Another finder, after a restart: it sees that the court knows, and sends nothing.
    head = case.world.chain.head.block_number
    other = make_store(tmp_path / "two", evidence)
    other.close()
    other = Store(tmp_path / "two" / "blocks.sqlite")
    prosecute(other, case.court, first_in_turn(evidence))
    assert case.world.chain.head.block_number == head
    assert [row[2] for row in other.evidence()] == [b""]
    other.close()


def test_a_forced_fork_convicts_more_than_f_and_only_liars(case: Case, tmp_path: Path) -> None:
    plan = draw_fork_plan(SEED)
    assert plan.member_count == MEMBERS
    run = ForkRun(plan, case.keys)
    run.run()
    assert run.result.is_fork and not run.result.failure
    pairs = [evidence for evidence in run.watch.evidence if min(map(len, map_signers(evidence))) >= 3]
    assert pairs, "the fork shows as two certificates, too"
    store = make_store(tmp_path, *run.watch.evidence)
    for evidence in run.watch.evidence:
        case.court.submit(1, make_statement(evidence.first), make_statement(evidence.second))
    prosecute(store, case.court, 0)
    guilty = [member for member in range(MEMBERS) if case.court.is_culprit(1, member)]
    assert [member for member in range(MEMBERS) if case.court.is_jailed(1, member)] == guilty
    assert len(guilty) >= fault_bound(MEMBERS) + 1
    assert set(guilty) <= set(plan.twins)
    culprits_of_pairs = {known.member for known in case.court.convictions() if known.offence == 6}
    assert len(culprits_of_pairs) >= fault_bound(MEMBERS) + 1
    store.close()


def map_signers(evidence: Evidence) -> list[list[int]]:
    return [evidence.first.signers(), evidence.second.signers()]


class Flaky(InProcessProvider):
    """An endpoint that answers nothing for a while."""

    failures_left = 0

    def make_request(self, method: Any, params: Any) -> Any:
        if self.failures_left > 0:
            self.failures_left -= 1
            raise OSError("connection refused")
        return super().make_request(method, params)


def test_an_outage_delays_and_a_refusal_does_not_stop_others(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prosecution, "RETRY_INTERVAL_S", 0.05)
    good = case.find_lie()
    refused = Evidence(good.first, case.find_lie(view=4).second)  # of two views, hence of none
    provider = Flaky(Rpc(case.world.chain))
    court = Court(provider, case.address, funded_key(2))
    provider.failures_left = 3
    store = Store(tmp_path / "blocks.sqlite")
    store.put_evidence(b"r" * 32, encode_message(refused))
    store.put_evidence(key_of(good), encode_message(good))

    async def run() -> None:
        prosecutor = Prosecutor(court, store, 0, MEMBERS)
        prosecutor.is_urgent = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(prosecutor.run)
            with trio.fail_after(60):
                while len(store.open_cases()) > 1:
                    await trio.sleep(0.02)
            nursery.cancel_scope.cancel()

    trio.run(run)
    assert [known.member for known in case.court.convictions()] == [LIAR]
    assert provider.failures_left == 0
    assert [row[0] for row in store.open_cases()] == [b"r" * 32]
    store.close()


def test_a_stopped_node_waits_for_the_court_and_not_for_ever(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = case.find_lie()
    store = make_store(tmp_path, evidence)
    last = next(me for me in range(MEMBERS) if find_turn(key_of(evidence), me, MEMBERS) == MEMBERS - 1)

    async def run() -> None:
        prosecutor = Prosecutor(case.court, store, last, MEMBERS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(prosecutor.run)
            await wait_for_court(store, prosecutor)
            nursery.cancel_scope.cancel()

    trio.run(run)
    assert not store.open_cases()
    monkeypatch.setattr(prosecution, "LAST_CALL_S", 0.05)
    store.put_evidence(b"k" * 32, b"never brought")
    trio.run(wait_for_court, store, None)
    assert store.open_cases()
    store.close()


def test_every_member_has_its_turn() -> None:
    for key in (b"\0" * 32, b"\xff" * 32, b"key" * 11):
        assert sorted(find_turn(key, me, 7) for me in range(7)) == list(range(7))


def test_only_evidence_is_read_as_evidence() -> None:
    with pytest.raises(DecodeError, match="vote is no evidence"):
        read_evidence(encode_message(Vote(NULLIFY, 1, 2, ZERO_HASH, 0, bytes(96))))
