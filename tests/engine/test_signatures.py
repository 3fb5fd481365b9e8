"""A batch verified at once has the same signers and names as its messages one by one, whatever the bytes."""

import os
import subprocess
import sys

import numpy as np
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import (
    NO_SIGNER,
    SECP256K1_HALF_ORDER,
    USED_FIELDS,
    Action,
    Command,
    address_of,
    command_id,
    compute_action_ids,
    keccak,
    recover_signer,
    split_messages,
)
from engine.intake import decode_batch
from engine.signatures import verify_messages

SEPARATOR = keccak(b"some network")
KEYS = [PrivateKey(bytes([number]) * 32) for number in (1, 2)]
OWNERS = [address_of(key.public_key) for key in KEYS]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
I64 = st.integers(-(1 << 63), (1 << 63) - 1)
LONG = st.integers(0, (1 << 63) - 1)
VALUES = {
    "side": st.integers(0, 255), "time_in_force": st.integers(0, 255), "flags": st.integers(0, 255),
    "market": st.integers(0, (1 << 32) - 1), "price_ticks": I64, "size_lots": I64, "client_id": LONG, "order_id": LONG,
    "trigger_ticks": I64, "display_lots": I64, "good_till_ms": LONG, "link": LONG,
    "data": st.binary(min_size=20, max_size=20).map(lambda address: address + bytes(4)),
}  # fmt: skip
ACTIONS = st.sampled_from(sorted(USED_FIELDS)).flatmap(
    lambda kind: st.builds(Action, kind=st.just(kind), **{name: VALUES[name] for name in USED_FIELDS[kind]})
)
MESSAGES = st.builds(
    lambda actions, who, subaccount, nonce, expiry_ms: Command(
        OWNERS[who], nonce, expiry_ms, tuple(actions), subaccount
    ).signed(KEYS[who], SEPARATOR),
    st.lists(ACTIONS, min_size=1, max_size=1) | st.lists(ACTIONS, min_size=1, max_size=9), st.integers(0, 1),
    st.integers(0, (1 << 32) - 1), st.integers(1, (1 << 63) - 1), LONG,
)  # fmt: skip
FLIPS = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), max_size=2)


def verify_one_by_one(blob: bytes) -> tuple[list[bytes], list[bytes]]:
    """Signers and ids by the plain functions."""
    signers, ids = [], []
    for record in split_messages(blob):
        command = Command.decode(record)
        signer = recover_signer(command, SEPARATOR)
        is_covered = signer != NO_SIGNER and command.encode() == record
        name = command_id(command, SEPARATOR) if is_covered else keccak(record)
        signers.append(signer)
        ids.extend(compute_action_ids(name, len(command.actions)))
    return signers, ids


def verify_at_once(blob: bytes) -> tuple[list[bytes], list[bytes]]:
    verified = verify_messages(*decode_batch(blob), SEPARATOR)
    return [row.tobytes() for row in verified.signers], [row.tobytes() for row in verified.ids]


def tamper(record: bytes, flips: list[tuple[int, int]]) -> bytes:
    """The record with some bytes changed, never the number of its actions."""
    changed = bytearray(record)
    for at, bits in flips:
        if at % len(record) != 105:
            changed[at % len(record)] ^= bits
    return bytes(changed)


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=12))
def test_good_batches_have_their_owners(messages: list[Command]) -> None:
    blob = b"".join(item.encode() for item in messages)
    signers, ids = verify_at_once(blob)
    assert signers == [item.owner for item in messages]
    assert (signers, ids) == verify_one_by_one(blob)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(MESSAGES, FLIPS), min_size=1, max_size=6))
def test_tampered_batches_agree(items: list[tuple[Command, list]]) -> None:
    blob = b"".join(tamper(item.encode(), flips) for item, flips in items)
    assert verify_at_once(blob) == verify_one_by_one(blob)


def sign_with(r: int, s: int, v: int) -> Command:
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
    return Command.of(3, OWNERS[0], 1, 1, market=1, signature=signature)


def test_odd_signatures_are_nobodys() -> None:
    good = Command.of(3, OWNERS[0], 1, 1, market=1).signed(KEYS[0], SEPARATOR)
    r, s = (int.from_bytes(good.signature[at : at + 32], "big") for at in (0, 32))
    odd = [
        sign_with(r, ORDER - s, good.signature[64] ^ 1), sign_with(r, s, 2), sign_with(r, s, 3), sign_with(r, s, 255),
        sign_with(0, s, 0), sign_with(r, 0, 0), sign_with(ORDER, s, 0), sign_with(r, ORDER, 0), sign_with(5, s, 0),
        sign_with(r, SECP256K1_HALF_ORDER + 1, 0), sign_with((1 << 256) - 1, s, 0), sign_with(0, 0, 0),
    ]  # fmt: skip
    blob = b"".join(item.encode() for item in odd)
    assert set(verify_at_once(blob)[0]) == {NO_SIGNER}
    edge = sign_with(r, SECP256K1_HALF_ORDER, 0).encode() + good.encode()
    assert verify_at_once(edge) == verify_one_by_one(edge)
    assert verify_at_once(edge)[0][1] == OWNERS[0]


def test_known_signers_are_believed() -> None:
    good = Command.of(3, OWNERS[0], 1, 1, market=1).signed(KEYS[0], SEPARATOR)
    messages, actions = decode_batch(good.encode())
    known = np.frombuffer(OWNERS[1], dtype=np.uint8).reshape(1, 20)
    verified = verify_messages(messages, actions, SEPARATOR, known)
    assert verified.signers is known and verified.ids.tobytes() == command_id(good, SEPARATOR)


def test_without_the_compiler_the_results_are_the_same() -> None:
    commands = [
        Command(OWNERS[0], 1, 5, (Action(1, price_ticks=-5), Action(3, market=1))), Command.of(4, OWNERS[0], 2, 5),
    ]  # fmt: skip
    blob = b"".join(item.signed(KEYS[0], SEPARATOR).encode() for item in commands)
    code = f"""
from tests.engine.test_signatures import verify_at_once
print(verify_at_once(bytes.fromhex("{blob.hex()}")))
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": "."}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert answer.stdout.strip() == str(verify_at_once(blob)), answer.stderr
