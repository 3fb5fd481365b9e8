"""Who may become a validator: only holders of their key, once, and only before activation."""

import pytest
from blspy import PopSchemeMPL, PrivateKey
from settlement_world import World

from contracts import bls, digests
from contracts.devchain.chain import funded_key
from contracts.digests import possession_digest
from contracts.settlement import Refused, Settlement

NETWORK_KEY = b"\x0e" * 32
SECRET: PrivateKey = PopSchemeMPL.key_gen(b"\x42" * 32)
KEY = bytes(SECRET.get_g1())


def possession(settlement: Settlement, **changes: object) -> bytes:
    parts = {
        "chain_id": settlement.chain_id, "contract": settlement.address_bytes, "operator": settlement.sender,
        "network_key": NETWORK_KEY, "bls_key48": KEY, **changes,
    }  # fmt: skip
    return bytes(PopSchemeMPL.sign(SECRET, possession_digest(**parts)))


def test_committee_is_read_back(world: World) -> None:
    members = world.contract.committee()
    assert [member.index for member in members] == [0, 1, 2, 3]
    assert [member.bls_key for member in members] == [bytes(secret.get_g1()) for secret in world.secrets]
    assert [member.network_key for member in members] == [bytes([i + 1]) * 32 for i in range(4)]
    assert members[1].operator == world.as_account(1).sender
    assert world.contract.registrations() == members
    with pytest.raises(ValueError, match="epoch 1"):
        world.contract.committee(2)


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
    contract = open_world.contract
    with pytest.raises(Refused, match="register: possession not proven"):
        contract.register(KEY, possession(contract, **changes), NETWORK_KEY)


def test_rogue_key_is_refused(open_world: World) -> None:
    """key - others would cancel the honest keys out of the aggregate; nobody knows its secret."""
    open_world.register(1, open_world.secrets[0])
    rogue = SECRET.get_g1() + open_world.secrets[0].get_g1().negate()
    contract = open_world.contract
    with pytest.raises(Refused, match="register: possession not proven"):
        contract.register(bytes(rogue), possession(contract, bls_key48=bytes(rogue)), NETWORK_KEY)


def test_key_and_operator_register_once(open_world: World) -> None:
    open_world.register(0, SECRET, NETWORK_KEY)
    with pytest.raises(Refused, match="register: key is taken"):
        open_world.register(1, SECRET)
    with pytest.raises(Refused, match="register: operator is taken"):
        open_world.register(0, open_world.secrets[0])


def test_zero_and_foreign_points_are_refused(open_world: World) -> None:
    contract = open_world.contract
    signature = bls.signature_words(possession(contract))
    split = [signature[at : at + 32] for at in range(0, 256, 32)]
    with pytest.raises(Refused, match="register: key is infinity"):
        contract._send("register", [bytes(32)] * 4, split, NETWORK_KEY)
    off_curve = [bytes(31) + b"\x01"] * 4
    with pytest.raises(Refused, match="register: possession not proven"):
        contract._send("register", off_curve, split, NETWORK_KEY)
    with pytest.raises(Refused, match="register: network key is zero"):
        contract.register(KEY, possession(contract), bytes(32))


def test_infinity_possession_is_refused(open_world: World) -> None:
    key = bls.key_words(KEY)
    with pytest.raises(Refused, match="register: possession not proven"):
        open_world.contract._send(
            "register", [key[at : at + 32] for at in range(0, 128, 32)], [bytes(32)] * 8, NETWORK_KEY
        )


def test_activation_rules(open_world: World) -> None:
    contract = open_world.contract
    with pytest.raises(Refused, match="activate: empty committee"):
        contract.activate()
    open_world.register_all()
    for numbers, reason in [
        ([0, 0], "numbers not increasing"), ([1, 0], "numbers not increasing"), ([0, 4], "no such registration"),
    ]:  # fmt: skip
        with pytest.raises(Refused, match=reason):
            contract.activate(numbers)
    with pytest.raises(Refused, match="activate: not the deployer"):
        open_world.as_account(1).activate()
    contract.activate([0, 2, 3])
    chosen = [bytes(open_world.secrets[i].get_g1()) for i in (0, 2, 3)]
    assert [member.bls_key for member in contract.committee()] == chosen
    with pytest.raises(Refused, match="activate: already active"):
        contract.activate()
    with pytest.raises(Refused, match="register: closed"):
        open_world.register(5, SECRET)


def test_bindings_refuse_what_is_no_point(world: World) -> None:
    with pytest.raises(ValueError):
        world.contract.register(b"\xff" * 48, b"\x00" * 96, NETWORK_KEY)
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
