"""The contract accepts what the committee finalised and refuses every forgery, each for its own reason."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from blspy import G2Element, PopSchemeMPL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from settlement_world import (
    CLAIM_DELAY_S,
    DEBT_MAX_QUOTE,
    DEPOSIT_QUOTE,
    FORCE_DEADLINE_S,
    MAX_SILENCE_S,
    HeaderFields,
    World,
)

from contracts import bls, digests
from contracts.devchain.precompiles import FIELD_PRIME
from contracts.settlement import Refused, Settlement

GOOD = HeaderFields()
SIGNATURE = "checkpoint: signature"


def raw_checkpoint(world: World, header: bytes, nonsigners: bytes, signature_words: bytes) -> None:
    """Past the bindings' own checks: any 256 bytes as signature."""
    split = [signature_words[at : at + 32] for at in range(0, 256, 32)]
    header_words = [header[at : at + 32] for at in range(0, 640, 32)]
    world.contract._send("checkpoint", header_words, nonsigners, split)


@pytest.mark.parametrize("absent", [(), (0,), (3,)])
def test_quorum_is_accepted(world: World, absent: tuple[int, ...]) -> None:
    world.post(GOOD, absent)
    record = world.contract.last_checkpoint()
    assert record is not None
    assert record == world.contract.checkpoint_at(1)
    assert (record.height, record.header_hash) == (1, digests.keccak(GOOD.encode()))
    assert (record.state_root, record.account_root, record.withdrawals_root) == (
        GOOD.state_root, GOOD.account_root, GOOD.withdrawals_root,
    )  # fmt: skip
    assert world.contract.last().height == 1


def test_every_header_word_is_signed(world: World) -> None:
    header = GOOD.encode()
    signature = world.sign(world.digest(header))
    for word in range(20):
        forged = bytearray(header)
        forged[word * 32 + 31] ^= 1
        with pytest.raises(Refused):
            world.contract.checkpoint(bytes(forged), [], signature)
    assert world.contract.last_checkpoint() is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 639), mask=st.integers(1, 255))
def test_any_flipped_header_byte_is_refused(world: World, position: int, mask: int) -> None:
    header = bytearray(GOOD.encode())
    signature = world.sign(world.digest(bytes(header)))
    header[position] ^= mask
    with pytest.raises(Refused):
        world.contract.checkpoint(bytes(header), [], signature)


def _digest_of_other_chain(world: World, header: bytes) -> bytes:
    return digests.finalize_digest(digests.compute_domain(1, world.contract.address_bytes), header)


def _digest_of_other_contract(world: World, header: bytes) -> bytes:
    return digests.finalize_digest(digests.compute_domain(world.contract.chain_id, b"\x01" * 20), header)


def _digest_of_kind(kind: int) -> Callable[[World, bytes], bytes]:
    return lambda world, header: digests.keccak(
        bytes([kind]) + world.contract.domain() + header[60:64] + header[88:96] + digests.keccak(header)
    )


def _digest_of_other_epoch(world: World, header: bytes) -> bytes:
    body = b"\x03" + world.contract.domain() + (2).to_bytes(4, "big") + header[88:96]
    return digests.keccak(body + digests.keccak(header))


@pytest.mark.parametrize(
    "make_digest",
    [
        pytest.param(_digest_of_other_chain, id="other chain"),
        pytest.param(_digest_of_other_contract, id="other contract"),
        pytest.param(_digest_of_other_epoch, id="other epoch"),
        pytest.param(_digest_of_kind(1), id="notarize vote"),
        pytest.param(_digest_of_kind(2), id="nullify vote"),
    ],
)
def test_signature_over_another_statement_is_refused(
    world: World, make_digest: Callable[[World, bytes], bytes]
) -> None:
    header = GOOD.encode()
    with pytest.raises(Refused, match=SIGNATURE):
        world.contract.checkpoint(header, [], world.sign(make_digest(world, header)))


@pytest.mark.parametrize(
    ("nonsigners", "absent", "reason"),
    [
        pytest.param([1, 2], (1, 2), "checkpoint: too few signers", id="below quorum"),
        pytest.param([1, 1], (1,), "checkpoint: too few signers", id="duplicate, counted"),
        pytest.param([4], (), "checkpoint: non-signer out of range", id="out of range"),
        pytest.param([255], (), "checkpoint: non-signer out of range", id="far out of range"),
        pytest.param([1], (2,), SIGNATURE, id="another one is absent"),
        pytest.param([1], (), SIGNATURE, id="nobody is absent"),
        pytest.param([], (1,), SIGNATURE, id="absence is hidden"),
    ],
)
def test_false_nonsigner_list_is_refused(
    world: World, nonsigners: list[int], absent: tuple[int, ...], reason: str
) -> None:
    header = GOOD.encode()
    with pytest.raises(Refused, match=reason):
        world.contract.checkpoint(header, nonsigners, world.sign(world.digest(header), absent))


def _off_curve(words: bytes) -> bytes:
    return words[:-1] + bytes([words[-1] ^ 1])


def _non_canonical(words: bytes) -> bytes:
    x = int.from_bytes(words[:64], "big")
    return (x + FIELD_PRIME).to_bytes(64, "big") + words[64:]


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda words: bytes(256), id="infinity"),
        pytest.param(_off_curve, id="off the curve"),
        pytest.param(_non_canonical, id="coordinate plus p"),
        pytest.param(lambda words: words[128:] + words[:128], id="coordinates swapped"),
        pytest.param(lambda words: bls.signature_words(bytes(G2Element.generator())), id="another point"),
    ],
)
def test_bad_point_is_refused(world: World, forge: Callable[[bytes], bytes]) -> None:
    header = GOOD.encode()
    good_words = bls.signature_words(world.sign(world.digest(header)))
    with pytest.raises(Refused, match=SIGNATURE):
        raw_checkpoint(world, header, b"", forge(good_words))
    raw_checkpoint(world, header, b"", good_words)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (replace(GOOD, version=2), "checkpoint: version"),
        (replace(GOOD, epoch=2), "checkpoint: epoch"),
        (replace(GOOD, epoch=1 + 2**32), "checkpoint: epoch"),
        (replace(GOOD, view=2**64), "checkpoint: view too large"),
        (replace(GOOD, height=0), "checkpoint: height does not advance"),
        (replace(GOOD, height=2**48), "checkpoint: height too large"),
        (replace(GOOD, engine_version=2), "checkpoint: engine not active"),
        (replace(GOOD, inbox_hash=b"\x01" * 32), "checkpoint: inbox hash"),
        (replace(GOOD, inbox_cursor=1), "checkpoint: cursor beyond the inbox"),
        (replace(GOOD, inbox_cursor=2**255), "checkpoint: cursor beyond the inbox"),
        (replace(GOOD, claims=1), "checkpoint: claims exceed deposits"),
        (replace(GOOD, withdrawals_total=1), "checkpoint: claims exceed deposits"),
        (replace(GOOD, withdrawals_total=2**64), "checkpoint: withdrawals too large"),
        (replace(GOOD, claims=DEBT_MAX_QUOTE + 1, debt=DEBT_MAX_QUOTE + 1), "checkpoint: too much debt"),
    ],
)
def test_signed_but_wrong_header_is_refused(world: World, fields: HeaderFields, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        world.post(fields)


def test_heights_and_totals_only_advance(world: World) -> None:
    world.deposit()
    first = world.consumed(replace(GOOD, height=5, claims=DEPOSIT_QUOTE - 10, withdrawals_total=10))
    world.post(first)
    for fields, reason in [
        (first, "height does not advance"),
        (replace(first, height=4), "height does not advance"),
        (replace(first, height=6, inbox_cursor=0, inbox_hash=bytes(32)), "cursor goes back"),
        (replace(first, height=6, withdrawals_total=9), "withdrawals decrease"),
    ]:
        with pytest.raises(Refused, match=reason):
            world.post(fields)
    world.post(replace(first, height=6), absent=(2,))


def test_claims_may_equal_deposits_but_not_exceed_them(world: World) -> None:
    world.deposit()
    full = world.consumed(replace(GOOD, claims=DEPOSIT_QUOTE - 100 + 7, debt=7, withdrawals_total=100))
    with pytest.raises(Refused, match="claims exceed deposits"):
        world.post(replace(full, claims=full.claims + 1))
    world.post(full)


def test_withdrawals_do_not_exceed_deposits_even_if_debt_balances_them(world: World) -> None:
    world.deposit(100)
    with pytest.raises(Refused, match="checkpoint: withdrawals exceed deposits"):
        world.post(world.consumed(replace(GOOD, debt=1, withdrawals_total=101)))
    world.post(world.consumed(replace(GOOD, debt=1, withdrawals_total=100)))


def test_deposits_behind_the_cursor_back_no_claims(world: World) -> None:
    world.deposit()
    with pytest.raises(Refused, match="claims exceed deposits"):
        world.post(replace(GOOD, claims=1))


def test_overdue_entry_must_be_consumed(world: World) -> None:
    world.deposit()
    world.post(GOOD)
    world.pass_time(FORCE_DEADLINE_S + 2)
    with pytest.raises(Refused, match="skips an overdue entry"):
        world.post(replace(GOOD, height=2))
    world.post(world.consumed(replace(GOOD, height=2)))


def test_nothing_is_accepted_before_activation(open_world: World) -> None:
    with pytest.raises(Refused, match="checkpoint: not active"):
        open_world.post(GOOD)
    with pytest.raises(Refused, match="deposit: not active"):
        open_world.deposit()


def test_bindings_know_the_parameters(world: World) -> None:
    contract: Settlement = world.contract
    assert contract.claim_delay_s() == CLAIM_DELAY_S
    assert contract.force_deadline_s() == FORCE_DEADLINE_S
    assert contract.max_silence_s() == MAX_SILENCE_S
    assert contract.debt_max_quote() == DEBT_MAX_QUOTE
    assert contract.engine_version() == 1


def test_contract_agrees_with_blspy_on_random_subsets(world: World) -> None:
    """The contract accepts exactly what blspy verifies against the claimed signers."""
    header = GOOD.encode()
    digest = world.digest(header)
    block = world.chain.head.block_number
    keys = [secret.get_g1() for secret in world.secrets]
    for claimed in [(), (0,), (1,), (2,), (3,)]:
        for actual in [(), (0,), (2,), (0, 2)]:
            signature = world.sign(digest, actual)
            signers = [key for i, key in enumerate(keys) if i not in claimed]
            expected = PopSchemeMPL.fast_aggregate_verify(signers, digest, G2Element.from_bytes(signature))
            try:
                world.contract.checkpoint(header, list(claimed), signature)
                accepted = True
            except Refused:
                accepted = False
            assert accepted == expected
            world.chain.rewind(block)


@pytest.fixture(scope="module")
def committee_of_seven() -> World:
    world = World(committee_size=7)
    world.register_all()
    world.activate()
    return world


@pytest.mark.parametrize(
    ("nonsigners", "reason"),
    [([2, 1], "not increasing"), ([3, 3], "not increasing"), ([5, 7], "out of range"), ([0, 1, 2], "too few signers")],
)
def test_nonsigners_must_increase(committee_of_seven: World, nonsigners: list[int], reason: str) -> None:
    header = GOOD.encode()
    signature = committee_of_seven.sign(committee_of_seven.digest(header), tuple(nonsigners))
    with pytest.raises(Refused, match=reason):
        committee_of_seven.contract.checkpoint(header, nonsigners, signature)


def test_two_absent_of_seven(committee_of_seven: World) -> None:
    committee_of_seven.post(GOOD, absent=(2, 6))
    assert committee_of_seven.contract.last().height == 1
