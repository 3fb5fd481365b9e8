"""Who may become a validator: only holders of their key, and each operator, key and network key once."""

import pytest
from blspy import PopSchemeMPL, PrivateKey
from settlement_world import World

from consensus.committee import Committee
from consensus.committee import Member as ConsensusMember
from contracts import bls, digests
from contracts.devchain.chain import funded_key
from contracts.digests import possession_digest
from contracts.records import Refused, ValidatorState
from contracts.registry import Registry
from contracts.settlement import Settlement

NETWORK_KEY = b"\x0e" * 32
SECRET: PrivateKey = PopSchemeMPL.key_gen(b"\x42" * 32)
KEY = bytes(SECRET.get_g1())


def possession(registry: Registry, **changes: object) -> bytes:
    parts = {
        "chain_id": registry.chain_id, "contract": registry.address_bytes, "operator": registry.sender,
        "network_key": NETWORK_KEY, "bls_key48": KEY, **changes,
    }  # fmt: skip
    return bytes(PopSchemeMPL.sign(SECRET, possession_digest(**parts)))


def test_committee_is_read_back(world: World) -> None:
    registry = world.as_operator(0)
    members = registry.committee(1)
    assert [(member.index, member.number) for member in members] == [(i, i) for i in range(4)]
    assert [member.bls_key for member in members] == [bytes(secret.get_g1()) for secret in world.secrets]
    assert [member.network_key for member in members] == [bytes([i + 1]) * 32 for i in range(4)]
    assert members[1].operator == world.as_account(1).sender
    assert [registry.validator(number) for number in range(registry.registration_count())] == members
    assert registry.committee(2) == registry.committee(0) == []
    assert (registry.epoch(), world.contract.epoch(), world.contract.committee_size()) == (1, 1, 4)
    assert {registry.standing(number).state for number in range(4)} == {ValidatorState.SERVING}


def test_the_committee_hash_is_that_of_agreement(world: World) -> None:
    members = world.as_operator(0).committee(1)
    agreement = Committee(1, tuple(ConsensusMember(known.bls_key, known.network_key) for known in members))
    assert world.as_operator(0).committee_hash(1) == agreement.hash() == digests.committee_hash(members)


@pytest.mark.parametrize(
    "changes",
    [
        {"operator": b"\x01" * 20},
        {"chain_id": 1},
        {"contract": b"\x01" * 20},
        {"network_key": b"\x01" * 32},
        {"bls_key48": bytes(PopSchemeMPL.key_gen(b"\x43" * 32).get_g1())},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_possession_of_something_else_is_refused(open_world: World, changes: dict) -> None:
    registry = open_world.as_operator(0)
    with pytest.raises(Refused, match="register: possession not proven"):
        registry.register(KEY, possession(registry, **changes), NETWORK_KEY)


def test_rogue_key_is_refused(open_world: World) -> None:
    """key - others would cancel the honest keys out of the aggregate; nobody knows its secret."""
    open_world.register(1, open_world.secrets[0])
    rogue = SECRET.get_g1() + open_world.secrets[0].get_g1().negate()
    registry = open_world.as_operator(0)
    with pytest.raises(Refused, match="register: possession not proven"):
        registry.register(bytes(rogue), possession(registry, bls_key48=bytes(rogue)), NETWORK_KEY)


def test_key_and_operator_register_once(open_world: World) -> None:
    open_world.register(0, SECRET, NETWORK_KEY)
    with pytest.raises(Refused, match="register: key is taken"):
        open_world.register(1, SECRET)
    with pytest.raises(Refused, match="register: network key is taken"):
        open_world.register(1, open_world.secrets[0], NETWORK_KEY)
    with pytest.raises(Refused, match="register: operator is taken"):
        open_world.register(0, open_world.secrets[0], b"\x0f" * 32)
    registry = open_world.as_operator(0)
    assert registry.is_taken(registry.sender, KEY, NETWORK_KEY) == (True, True, True)
    stranger = bytes(open_world.secrets[0].get_g1())
    assert registry.is_taken(open_world.as_operator(1).sender, stranger, bytes(32)) == (False, False, False)


def test_zero_and_foreign_points_are_refused(open_world: World) -> None:
    registry = open_world.as_operator(0)
    signature = bls.signature_words(possession(registry))
    split = [signature[at : at + 32] for at in range(0, 256, 32)]
    with pytest.raises(Refused, match="register: key is infinity"):
        registry._send("register", [bytes(32)] * 4, split, NETWORK_KEY)
    off_curve = [bytes(31) + b"\x01"] * 4
    with pytest.raises(Refused, match="register: possession not proven"):
        registry._send("register", off_curve, split, NETWORK_KEY)
    with pytest.raises(Refused, match="register: network key is zero"):
        registry.register(KEY, possession(registry), bytes(32))


def test_infinity_possession_is_refused(open_world: World) -> None:
    key = bls.key_words(KEY)
    with pytest.raises(Refused, match="register: possession not proven"):
        open_world.as_operator(0)._send(
            "register", [key[at : at + 32] for at in range(0, 128, 32)], [bytes(32)] * 8, NETWORK_KEY
        )


def test_activation_rules(open_world: World) -> None:
    registry, contract = open_world.as_operator(0), open_world.contract
    with pytest.raises(Refused, match="committee: empty"):
        registry.make_committee([])
    open_world.register_all()
    for numbers, reason in [
        ([0, 0], "numbers not increasing"), ([1, 0], "numbers not increasing"), ([0, 4], "no such registration"),
    ]:  # fmt: skip
        with pytest.raises(Refused, match=f"committee: {reason}"):
            registry.make_committee(numbers)
    chosen = registry.members([0, 2, 3])
    committee_hash = digests.committee_hash(chosen)
    with pytest.raises(Refused, match="epoch: no such committee"):
        contract.activate(committee_hash)
    open_world.as_operator(5).make_committee([0, 2, 3])
    assert registry.is_made(committee_hash)
    with pytest.raises(Refused, match="activate: not the deployer"):
        open_world.as_account(1).activate(committee_hash)
    contract.activate(committee_hash)
    assert registry.committee(1) == chosen
    assert [member.number for member in chosen] == [0, 2, 3]
    with pytest.raises(Refused, match="activate: already active"):
        contract.activate(committee_hash)
    with pytest.raises(Refused, match="epoch: not the settlement contract"):
        registry._send("begin_epoch", committee_hash)


def test_registration_stays_open(world: World) -> None:
    world.register(7, SECRET)
    registry = world.as_operator(7)
    assert registry.number_of(registry.sender) == 4
    assert registry.entry_queue() == [4]
    assert registry.next_numbers() == [0, 1, 2, 3, 4]


def test_a_committee_is_written_once(world: World) -> None:
    registry = world.as_operator(3)
    first = registry.make_committee([1, 2])
    again = registry.make_committee([1, 2])
    assert again.gas_used < first.gas_used // 2


def test_bindings_refuse_what_is_no_point(world: World) -> None:
    with pytest.raises(ValueError):
        world.as_operator(0).register(b"\xff" * 48, b"\x00" * 96, NETWORK_KEY)
    with pytest.raises(ValueError, match="48 bytes"):
        bls.key_words(KEY[:-1])
    assert bls.compress_key(bls.key_words(KEY)) == KEY


def test_a_reading_link_cannot_send(world: World) -> None:
    reader = Settlement(world.provider, world.deployment.settlement)
    assert reader.inbox_length() == 0
    with pytest.raises(TypeError, match="private key"):
        reader.mint_test_usdc(b"\x01" * 20, 1)
    assert funded_key(0) != funded_key(1)
    assert digests.keccak(b"").hex().startswith("c5d24601")
