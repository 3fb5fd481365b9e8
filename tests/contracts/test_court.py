"""The court: what it convicts, by the vectors shared with agreement, and what it refuses, in which order."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from blspy import PopSchemeMPL
from hypothesis import given, settings
from hypothesis import strategies as st
from settlement_world import World

from consensus.evidence import Verdict, compute_key, get_court_offence, judge
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Evidence,
    decode_message,
    make_bitmap,
    make_evidence,
    vote_digest,
)
from contracts.court import Court, Statement
from contracts.devchain.chain import funded_key
from contracts.records import Refused

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "evidence.json").read_text())
A, B = b"a" * 32, b"b" * 32
VIEW = 5


@dataclass
class Bar:
    """A court, and the committee's keys to sign anything with."""

    world: World
    court: Court

    def sign(self, kind: int, block_hash: bytes, *signers: int, view: int = VIEW, epoch: int = 1) -> Statement:
        """Signed by exactly those whom the bitmap names."""
        domain = self.world.contract.domain()
        digest = vote_digest(domain, kind, epoch, view, block_hash)
        parts = [PopSchemeMPL.sign(self.world.secrets[signer], digest) for signer in signers]
        signature = bytes(PopSchemeMPL.aggregate(parts)) if parts else b"\xc0" + bytes(95)
        return Statement(kind, view, block_hash, sum(1 << signer for signer in signers), signature)

    def refusal(self, first: Statement, second: Statement, epoch: int = 1) -> str:
        with pytest.raises(Refused) as caught:
            self.court.submit(epoch, first, second)
        return caught.value.reason


@pytest.fixture(scope="module")
def shared_bar(active_world: tuple[World, int]) -> Iterator[tuple[Bar, int]]:
    world, block = active_world
    world.chain.rewind(block)
    world.chain.reset_clock()
    yield Bar(world, Court(world.provider, world.deployment.court, funded_key(5))), world.chain.head.block_number
    world.chain.rewind(block)


@pytest.fixture
def bar(shared_bar: tuple[Bar, int]) -> Bar:
    """A court that has judged nobody."""
    shared, block = shared_bar
    shared.world.chain.rewind(block)
    return shared


# What it convicts.


@pytest.mark.parametrize("case", VECTORS["cases"], ids=[case["name"] for case in VECTORS["cases"]])
def test_the_court_judges_as_agreement_does(bar: Bar, case: dict[str, Any]) -> None:
    evidence = decode_message(bytes.fromhex(case["evidence"]))
    assert isinstance(evidence, Evidence)
    verdict = judge(evidence, 4)
    assert isinstance(verdict, Verdict)
    assert (verdict.offence, list(verdict.culprits)) == (case["offence"], case["culprits"])
    # The vectors are signed for another contract's address, by the same keys.
    statements = [
        bar.sign(known.kind, known.header_hash, *known.signers(), view=known.view)
        for known in (evidence.first, evidence.second)
    ]
    assert not bar.court.is_decided(bytes.fromhex(case["key"]))
    bar.court.submit(1, *statements)
    assert bar.court.is_decided(bytes.fromhex(case["key"]))
    offence = get_court_offence(verdict)
    expected = [(member,) if member in verdict.culprits else () for member in range(4)]
    assert [bar.court.offences(1, member) for member in range(4)] == [(offence,) if held else () for held in expected]
    assert [bar.court.is_culprit(1, member) for member in range(4)] == [bool(held) for held in expected]
    told = [(known.epoch, known.member, known.offence, known.view) for known in bar.court.convictions()]
    assert told == [(1, member, offence, verdict.view) for member in verdict.culprits]
    operators = [member.operator for member in bar.world.as_operator(0).committee(1)]
    assert [known.operator for known in bar.court.convictions()] == [operators[member] for member in verdict.culprits]


def test_the_vectors_are_signed() -> None:
    """Agreement's own bytes, digests included, are what the committee's keys sign."""
    domain = bytes.fromhex(VECTORS["domain"])
    secrets = [PopSchemeMPL.key_gen(bytes([index + 1]) * 32) for index in range(4)]
    assert [bytes(secret).hex() for secret in secrets] == VECTORS["secret_keys"]
    for case in VECTORS["cases"]:
        evidence = decode_message(bytes.fromhex(case["evidence"]))
        assert isinstance(evidence, Evidence)
        for known in (evidence.first, evidence.second):
            digest = vote_digest(domain, known.kind, known.epoch, known.view, known.header_hash)
            signers = [PopSchemeMPL.sign(secrets[member], digest) for member in known.signers()]
            assert bytes(PopSchemeMPL.aggregate(signers)) == known.signature


def test_anyone_may_bring_a_case_in_either_order_and_again(bar: Bar) -> None:
    one, two = bar.sign(FINALIZE, A, 2), bar.sign(NULLIFY, ZERO_HASH, 2)
    bar.court.submit(1, one, two)
    again = bar.court.submit(1, two, one)
    # A decided case is not verified again: it changes nothing, whatever its signatures are.
    bar.court.submit(1, replace(one, signature96=two.signature96), two)
    assert len(bar.court.convictions()) == 1
    assert again.gas_used < 150_000


def test_a_second_case_adds_only_what_is_new(bar: Bar) -> None:
    bar.court.submit(1, bar.sign(FINALIZE, A, 1), bar.sign(FINALIZE, B, 1))
    bar.court.submit(1, bar.sign(FINALIZE, A, 1, 2), bar.sign(FINALIZE, B, 1, 2))
    bar.court.submit(1, bar.sign(NOTARIZE, A, 1), bar.sign(NOTARIZE, B, 1))
    bar.court.submit(1, bar.sign(NOTARIZE, A, 1, view=8), bar.sign(NOTARIZE, B, 1, view=8))
    assert [(known.member, known.offence, known.view) for known in bar.court.convictions()] == [
        (1, 2, VIEW),
        (2, 2, VIEW),
        (1, 1, VIEW),
    ]
    assert bar.court.offences(1, 1) == (1, 2)


# What it refuses: each row breaks its own rule and rules below it, so the order is the table's.


def make_refusals(bar: Bar) -> list[tuple[str, int, Statement, Statement]]:
    sign = bar.sign
    junk = sign(NOTARIZE, A, 3).signature96
    beyond = 1 << 4
    return [
        ("court: no committee", 2, Statement(0, 0, A, beyond, junk), Statement(9, 1, A, 0, junk)),
        ("court: unknown kind", 1, Statement(0, 0, ZERO_HASH, beyond, junk), Statement(9, 1, A, 0, junk)),
        ("court: unknown kind", 1, Statement(NOTARIZE, 1, A, 1, junk), Statement(4, 0, ZERO_HASH, beyond, junk)),
        ("court: header hash", 1, Statement(NOTARIZE, 0, ZERO_HASH, beyond, junk), sign(NOTARIZE, A, 1)),
        ("court: header hash", 1, Statement(NULLIFY, 0, A, beyond, junk), sign(NOTARIZE, A, 1)),
        ("court: view out of range", 1, Statement(NOTARIZE, 0, A, beyond, junk), sign(NOTARIZE, A, 1)),
        ("court: view out of range", 1, Statement(NOTARIZE, 1 << 64, A, beyond, junk), sign(NOTARIZE, A, 1)),
        ("court: different views", 1, Statement(NOTARIZE, 4, A, beyond, junk), sign(NOTARIZE, A, 1)),
        ("court: the same statement", 1, Statement(NOTARIZE, 5, A, beyond, junk), sign(NOTARIZE, A, 1)),
        ("court: the same statement", 1, Statement(NULLIFY, 5, ZERO_HASH, beyond, junk), sign(NULLIFY, ZERO_HASH, 1)),
        ("court: no conflict", 1, Statement(NOTARIZE, 5, A, beyond, junk), sign(NULLIFY, ZERO_HASH, 1)),
        ("court: no conflict", 1, Statement(NULLIFY, 5, ZERO_HASH, beyond, junk), sign(NOTARIZE, A, 1)),
        ("court: no conflict", 1, Statement(NOTARIZE, 5, A, beyond, junk), sign(FINALIZE, A, 1)),
        ("court: signer out of range", 1, Statement(NOTARIZE, 5, B, beyond, junk), sign(NOTARIZE, A, 1)),
        ("court: signer out of range", 1, Statement(NOTARIZE, 5, B, 2 | 1 << 255, junk), sign(NOTARIZE, A, 1)),
        ("court: nobody signed both", 1, Statement(NOTARIZE, 5, B, 4, junk), sign(NOTARIZE, A, 1)),
        ("court: nobody signed both", 1, Statement(NOTARIZE, 5, B, 0, junk), Statement(NOTARIZE, 5, A, 0, junk)),
        ("court: first signature", 1, Statement(NOTARIZE, 5, B, 2, junk), Statement(NOTARIZE, 5, A, 2, junk)),
        ("court: second signature", 1, sign(NOTARIZE, B, 1), Statement(NOTARIZE, 5, A, 2, junk)),
    ]


def test_refusals_come_in_the_order_of_the_rules(bar: Bar) -> None:
    for reason, epoch, first, second in make_refusals(bar):
        assert bar.refusal(first, second, epoch) == reason
    assert bar.court.convictions() == []


FORGERIES = [
    ("signer added to the bitmap", lambda known: replace(known, signers=known.signers | 1)),
    ("signer taken away", lambda known: replace(known, signers=0b0010)),
    ("another view", lambda known: replace(known, view=VIEW + 1)),
    ("another block", lambda known: replace(known, header_hash=b"c" * 32)),
    ("another kind", lambda known: replace(known, kind=NOTARIZE)),
    ("signature is infinity", lambda known: replace(known, signature96=b"\xc0" + bytes(95))),
]


@pytest.mark.parametrize(("_", "forge"), FORGERIES, ids=[row[0] for row in FORGERIES])
def test_a_changed_statement_is_not_signed(bar: Bar, _: str, forge: Any) -> None:
    one, two = bar.sign(FINALIZE, A, 1, 2), bar.sign(FINALIZE, B, 1, 2)
    forged = forge(one)
    other = replace(two, view=forged.view) if forged.view != VIEW else two
    assert bar.refusal(forged, other) == "court: first signature"
    bar.court.submit(1, one, two)  # the pair itself was good


def test_a_vote_for_another_contract_or_epoch_proves_nothing(bar: Bar) -> None:
    two = bar.sign(FINALIZE, B, 1)
    digest = vote_digest(b"d" * 32, FINALIZE, 1, VIEW, A)
    foreign = bytes(PopSchemeMPL.sign(bar.world.secrets[1], digest))
    assert bar.refusal(Statement(FINALIZE, VIEW, A, 2, foreign), two) == "court: first signature"
    assert bar.refusal(bar.sign(FINALIZE, A, 1, epoch=2), two) == "court: first signature"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_court_agrees_with_agreement_on_anything(shared_bar: tuple[Bar, int], data: st.DataObject) -> None:
    """Two statements of any kinds and signers, rightly signed: convicted exactly if `judge` convicts."""
    bar, block = shared_bar
    bar.world.chain.rewind(block)
    pair = []
    for _ in range(2):
        kind = data.draw(st.sampled_from([NOTARIZE, NULLIFY, FINALIZE]))
        block_hash = ZERO_HASH if kind == NULLIFY else data.draw(st.sampled_from([A, B]))
        signers = data.draw(st.lists(st.integers(0, 3), unique=True, min_size=1))
        pair.append(bar.sign(kind, block_hash, *sorted(signers), view=data.draw(st.sampled_from([5, 5, 5, 6]))))
    certificates = [
        Certificate(
            known.kind, 1, known.view, known.header_hash,
            make_bitmap([member for member in range(4) if known.signers >> member & 1], 4), known.signature96,
        )
        for known in pair
    ]  # fmt: skip
    verdict = judge(make_evidence(certificates[0], certificates[1]), 4)
    if isinstance(verdict, Verdict):
        bar.court.submit(1, pair[0], pair[1])
        assert bar.court.is_decided(compute_key(verdict))
        found = tuple(member for member in range(4) if bar.court.offences(1, member) == (verdict.offence,))
        assert found == verdict.culprits
    else:
        bar.refusal(pair[0], pair[1])
        assert bar.court.convictions() == []


# Its making.


def test_the_court_names_its_registry_and_settlement(bar: Bar) -> None:
    assert bar.court.settlement() == bar.world.contract.address_bytes
    assert bar.court.registry() == bar.world.as_operator(0).address_bytes
    assert bar.world.as_operator(0).court() == bytes.fromhex(bar.court.address[2:])


def test_no_committee_is_no_case(open_world: World) -> None:
    bar = Bar(open_world, Court(open_world.provider, open_world.deployment.court, funded_key(0)))
    assert bar.refusal(bar.sign(FINALIZE, A, 1), bar.sign(FINALIZE, B, 1)) == "court: no committee"
