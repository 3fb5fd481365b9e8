"""Money comes in through the inbox and goes out by proof: exactly once, to the owner, after the delay."""

from dataclasses import replace

import pytest
from settlement_world import CLAIM_DELAY_S, DEPOSIT_QUOTE, TRADER, HeaderFields, World
from trees import fold_sum_tree, fold_withdrawal_tree

from contracts import digests
from contracts.settlement import ChainError, Refused

ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20
AMOUNTS = ((ALICE, 300), (BOB, 500), (ALICE, 7))


def withdrawals(world: World) -> list[bytes]:
    token = world.contract.token_address
    return [digests.withdrawal_leaf(i, owner, token, amount) for i, (owner, amount) in enumerate(AMOUNTS)]


def post_withdrawals(world: World) -> list[list[bytes]]:
    """A checkpoint at height 1 with the three withdrawals; returns their proofs."""
    world.deposit()
    leaves = withdrawals(world)
    root, _ = fold_withdrawal_tree(leaves, 0)
    paid = sum(amount for _, amount in AMOUNTS)
    fields = HeaderFields(withdrawals_root=root, withdrawals_total=paid, claims=DEPOSIT_QUOTE - paid)
    world.post(world.consumed(fields))
    return [fold_withdrawal_tree(leaves, i)[1] for i in range(len(leaves))]


def test_each_withdrawal_is_paid_once(world: World) -> None:
    proofs = post_withdrawals(world)
    world.pass_time(CLAIM_DELAY_S)
    for index, (owner, amount) in enumerate(AMOUNTS):
        assert not world.contract.is_claimed(index)
        world.contract.claim_withdrawal(1, index, owner, amount, proofs[index])
        assert world.contract.is_claimed(index)
        with pytest.raises(Refused, match="claim: already paid"):
            world.contract.claim_withdrawal(1, index, owner, amount, proofs[index])
    assert world.contract.token_balance(ALICE) == 307
    assert world.contract.token_balance(BOB) == 500
    assert world.contract.token_balance(world.contract.address_bytes) == DEPOSIT_QUOTE - 807


def test_a_later_checkpoint_does_not_pay_again(world: World) -> None:
    proofs = post_withdrawals(world)
    root, _ = fold_withdrawal_tree(withdrawals(world), 0)
    world.post(world.consumed(HeaderFields(height=2, withdrawals_root=root, withdrawals_total=807)))
    world.pass_time(CLAIM_DELAY_S)
    world.contract.claim_withdrawal(2, 0, ALICE, 300, proofs[0])
    with pytest.raises(Refused, match="claim: already paid"):
        world.contract.claim_withdrawal(2, 0, ALICE, 300, proofs[0])
    world.post(world.consumed(HeaderFields(height=3, withdrawals_root=root, withdrawals_total=807)))
    world.pass_time(CLAIM_DELAY_S)
    with pytest.raises(Refused, match="claim: already paid"):
        world.contract.claim_withdrawal(3, 0, ALICE, 300, proofs[0])


def test_a_root_cannot_pay_more_than_the_header_says(world: World) -> None:
    """The tree hides a leaf that the total does not count."""
    world.deposit()
    leaves = withdrawals(world)
    root, _ = fold_withdrawal_tree(leaves, 0)
    world.post(world.consumed(HeaderFields(withdrawals_root=root, withdrawals_total=800, claims=DEPOSIT_QUOTE - 800)))
    world.pass_time(CLAIM_DELAY_S)
    for index in (0, 1):
        world.contract.claim_withdrawal(1, index, *AMOUNTS[index], fold_withdrawal_tree(leaves, index)[1])
    with pytest.raises(Refused, match="claim: more than was withdrawn"):
        world.contract.claim_withdrawal(1, 2, *AMOUNTS[2], fold_withdrawal_tree(leaves, 2)[1])


def test_claim_waits_for_the_delay(world: World) -> None:
    proofs = post_withdrawals(world)
    world.pass_time(CLAIM_DELAY_S - 5)
    with pytest.raises(Refused, match="claim: too early"):
        world.contract.claim_withdrawal(1, 0, ALICE, 300, proofs[0])


@pytest.mark.parametrize(
    ("index", "owner", "amount", "flipped", "reason"),
    [
        (0, ALICE, 301, None, "claim: wrong proof"),
        (0, BOB, 300, None, "claim: wrong proof"),
        (1, ALICE, 300, None, "claim: wrong proof"),
        (2**32, ALICE, 300, None, "claim: index too large"),
        (2**256 - 1, ALICE, 300, None, "claim: index too large"),
        *[(0, ALICE, 300, level, "claim: wrong proof") for level in (0, 1, 15, 31)],
    ],
)
def test_false_claim_is_refused(
    world: World, index: int, owner: bytes, amount: int, flipped: int | None, reason: str
) -> None:
    proof = list(post_withdrawals(world)[0])
    world.pass_time(CLAIM_DELAY_S)
    if flipped is not None:
        proof[flipped] = bytes([proof[flipped][0] ^ 1]) + proof[flipped][1:]
    with pytest.raises(Refused, match=reason):
        world.contract.claim_withdrawal(1, index, owner, amount, proof)


def test_unset_checkpoint_proves_nothing(world: World) -> None:
    proofs = post_withdrawals(world)
    world.pass_time(CLAIM_DELAY_S)
    with pytest.raises(ChainError, match="no checkpoint"):
        world.contract.claim_withdrawal(2, 0, ALICE, 300, proofs[0])
    record = world.contract.last_checkpoint()
    assert record is not None
    owner = "0x" + ALICE.hex()
    owner = world.contract._link.web3.to_checksum_address(owner)
    token = world.contract._link.web3.to_checksum_address(world.contract.token_address)
    zero = (0, bytes(32), bytes(32), bytes(32), bytes(32), bytes(32), 0)
    for shown in [
        zero, replace(record, height=2).to_abi(), replace(record, timestamp_s=0).to_abi(),
        replace(record, withdrawals_root=bytes(32)).to_abi(),
    ]:  # fmt: skip
        with pytest.raises(Refused, match="record: no kept checkpoint"):
            world.contract.payouts()._send("claim_withdrawal", shown, (0, owner, token, 300, proofs[0]))
    with pytest.raises(ValueError, match="32 siblings"):
        world.contract.claim_withdrawal(1, 0, ALICE, 300, proofs[0][:-1])


def test_inbox_is_the_protocols_hash_chain(world: World) -> None:
    for amount in (1, 2**40, 2**62 - 1):
        world.deposit(amount)
    entries = world.contract.inbox_entries(0, 10, world.contract.latest_block())
    chain = bytes(32)
    for index, entry in enumerate(entries):
        assert (entry.index, entry.kind, entry.beneficiary, entry.subaccount) == (index, 1, TRADER, 3)
        assert (entry.token, entry.sender, entry.data) == (
            world.contract.token_address, world.contract.sender, bytes(32),
        )  # fmt: skip
        assert world.contract.inbox_hash(index) == chain
        chain = digests.next_inbox_hash(
            chain, index, entry.kind, entry.token, entry.beneficiary, entry.subaccount, entry.sender, entry.amount,
            entry.data, entry.time_s,
        )  # fmt: skip
        assert entry.hash == chain
    assert len(entries) == world.contract.inbox_length() == 3
    assert world.contract.inbox_hash(3) == chain
    assert world.contract.inbox_hash(4) == bytes(32)
    assert world.contract.deposited_total(3) == 1 + 2**40 + 2**62 - 1


def test_inbox_is_read_in_pages_and_only_when_final(world: World) -> None:
    for amount in range(1, 6):
        world.deposit(amount)
    world.chain.mine()
    assert [entry.amount for entry in world.contract.inbox_entries(0, 2)] == [1, 2]
    assert [entry.amount for entry in world.contract.inbox_entries(2, 100)] == [3, 4, 5]
    assert [entry.amount for entry in world.contract.inbox_entries(1, 1)] == [2]
    world.deposit(6)
    assert world.contract.inbox_entries(5, 10) == []
    assert [entry.amount for entry in world.contract.inbox_entries(5, 10, world.contract.latest_block())] == [6]
    world.chain.mine()
    assert [entry.amount for entry in world.contract.inbox_entries(5, 10)] == [6]


@pytest.mark.parametrize(
    ("beneficiary", "subaccount", "amount", "reason"),
    [
        (TRADER, 0, 0, "deposit: amount is zero"),
        (TRADER, 0, 2**62, "deposit: amount too large"),
        (TRADER, 2**32, 1, "deposit: subaccount too large"),
        (bytes(20), 0, 1, "deposit: beneficiary is zero"),
        (TRADER, 0, 1, "token: balance"),
    ],
)
def test_bad_deposit_is_refused(world: World, beneficiary: bytes, subaccount: int, amount: int, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        world.contract.deposit(beneficiary, subaccount, amount)
    assert world.contract.inbox_length() == 0


ACCOUNTS = {0: (ALICE, 0, 900, 0), 1: (BOB, 2, 0, 40), 5: (ALICE, 1, 50, 0), 2**20 - 1: (BOB, 0, 1, 0)}


def post_accounts(world: World) -> dict[int, tuple[bytes, bytes]]:
    world.deposit(1_000)
    leaves = {}
    for index, (owner, subaccount, claim, debt) in ACCOUNTS.items():
        sums = digests.encode_sums(claim, debt)
        leaves[index] = (digests.account_leaf(index, owner, subaccount, sums, bytes([index % 251]) * 32), sums)
    (root, sums), _ = fold_sum_tree(leaves, 0)
    assert sums == digests.encode_sums(951, 40)
    world.post(world.consumed(HeaderFields(account_root=root, claims=951, debt=40)))
    return leaves


def test_every_account_proves_itself(world: World) -> None:
    leaves = post_accounts(world)
    for index, (owner, subaccount, claim, debt) in ACCOUNTS.items():
        _, siblings = fold_sum_tree(leaves, index)
        hashes, sums = [node[0] for node in siblings], [node[1] for node in siblings]
        digest = bytes([index % 251]) * 32

        def verify(
            index: int = index, owner: bytes = owner, subaccount: int = subaccount, claim: int = claim,
            debt: int = debt, digest: bytes = digest, hashes: list[bytes] = hashes, sums: list[bytes] = sums,
        ) -> bool:  # fmt: skip
            return world.contract.verify_account(1, index, owner, subaccount, claim, debt, digest, hashes, sums)

        assert verify()
        assert not verify(claim=claim + 1)
        assert not verify(debt=debt + 1)
        assert not verify(owner=b"\x01" * 20)
        assert not verify(subaccount=subaccount + 1)
        assert not verify(digest=b"\xee" * 32)
        assert not verify(index=index ^ 1)
        assert not verify(hashes=[*hashes[:-1], b"\x01" * 32])
        assert not verify(sums=[digests.encode_sums(1, 0), *sums[1:]])


def test_account_proof_never_overflows(world: World) -> None:
    leaves = post_accounts(world)
    _, siblings = fold_sum_tree(leaves, 0)
    hashes, sums = [node[0] for node in siblings], [node[1] for node in siblings]
    huge = digests.encode_sums(0, 2**128 - 1)
    arguments = (ALICE, 0, 900, 1, b"\0" * 32, hashes)
    with pytest.raises(Refused, match="account: sum too large"):
        world.contract.verify_account(1, 0, *arguments, [huge, *sums[1:]])
    with pytest.raises(Refused, match="account: sum too large"):
        world.contract.verify_account(1, 0, ALICE, 0, 2**128, 0, b"\0" * 32, hashes, sums)
    with pytest.raises(Refused, match="account: index too large"):
        world.contract.verify_account(1, 2**20, *arguments, sums)
