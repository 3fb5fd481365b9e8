"""Proofs lead to the committed roots, and no single changed bit does."""

from dataclasses import fields, replace

import pytest

from engine.apply import execute
from engine.commands import BUY
from engine.state import genesis
from engine.tree import (
    account_proof,
    verify_account_proof,
    verify_withdrawal_proof,
    withdrawal_leaf,
    withdrawal_proof,
)
from tests.engine.blocks import START_MS, TOKEN, USD, block, deposit, make_params, trader
from tests.engine.test_rules import ALICE, MARK, POOR, answers, funded, place, withdraw


@pytest.fixture(scope="module")
def traded():
    state, _ = answers(funded(), place(ALICE, 1, BUY, MARK, 1), withdraw(ALICE, 2, 7 * USD), withdraw(POOR, 1, 5))
    return state


def flip(value, bit: int):
    """A field with one bit changed."""
    if isinstance(value, int):
        return value ^ 1 << bit % 19
    if isinstance(value, tuple):
        at = bit % len(value)
        return (*value[:at], flip(value[at], bit), *value[at + 1 :])
    data = bytearray(value)
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(data)


def test_every_account_proves_itself(traded) -> None:
    for index in (0, 1, 2, 3, 64, 65, 66):
        proof = account_proof(traded, index)
        assert len(proof.sibling_hashes) == 20
        assert verify_account_proof(proof, traded.account_root, traded.account_sums)
    for absent in (4, 63, 67, 1 << 20, -1):
        with pytest.raises(IndexError):
            account_proof(traded, absent)


@pytest.mark.parametrize("name", [item.name for item in fields(account_proof(genesis(make_params(), 0), 0))])
def test_one_bit_breaks_an_account_proof(traded, name) -> None:
    proof = account_proof(traded, 64)
    for bit in range(0, 640, 7):
        changed = replace(proof, **{name: flip(getattr(proof, name), bit)})
        assert not verify_account_proof(changed, traded.account_root, traded.account_sums)
    assert not verify_account_proof(proof, flip(traded.account_root, 3), traded.account_sums)
    assert not verify_account_proof(proof, traded.account_root, flip(traded.account_sums, 255))


def test_withdrawals_prove_themselves(traded) -> None:
    leaves = [withdrawal_leaf(0, ALICE, TOKEN, 7 * USD), withdrawal_leaf(1, POOR, TOKEN, 5)]
    for index, leaf in enumerate(leaves):
        siblings = withdrawal_proof(leaves, index)
        assert verify_withdrawal_proof(leaf, index, siblings, traded.withdrawals_root)
        assert not verify_withdrawal_proof(leaf, index ^ 1, siblings, traded.withdrawals_root)
        assert not verify_withdrawal_proof(flip(leaf, 9), index, siblings, traded.withdrawals_root)
        assert not verify_withdrawal_proof(leaf, index, siblings[:-1], traded.withdrawals_root)
        for height in range(32):
            wrong = [flip(node, 5) if at == height else node for at, node in enumerate(siblings)]
            assert not verify_withdrawal_proof(leaf, index, wrong, traded.withdrawals_root)


def test_capacity_grows_without_a_trace() -> None:
    """More accounts than the first table holds: proofs of both halves verify against the one root."""
    state = genesis(make_params(), START_MS)
    for first in range(0, 1000, 50):
        inbox = [deposit(at, trader(at % 250), USD + at, subaccount=at // 250) for at in range(first, first + 50)]
        state, _ = execute(state, block(state, inbox=inbox))
    for index in (0, 64, 1023, 1024, 1063):
        assert verify_account_proof(account_proof(state, index), state.account_root, state.account_sums)
