# pragma version 0.4.3
# pragma evm-version prague
"""
@title escape_hatch: the way out without the committee
@notice Anyone freezes the contract when the committee ignores an inbox entry or falls silent, and there is no way back.
        Then each account of the last checkpoint is paid its share of the pool, each deposit that no checkpoint consumed
        returns to its sender, and open withdrawals are claimed as before.
@dev The pool is what consumed deposits left after certified withdrawals. After the freeze none of its parts can change,
     so it is computed where it is needed, and each payment depends on nothing but the account: order, subset and gifts
     to this contract make no difference. Rounding is down, for the pool.
     Each payment is a transfer of its own: an owner whom the token refuses stops nobody else and may be paid later.
"""

import custody
import inbox
import ledger
import proofs

uses: inbox
uses: ledger

event Frozen:
    height: indexed(uint256)
    pool: uint256
    frozen_s: uint256

event Escaped:
    index: indexed(uint256)
    owner: indexed(address)
    amount: uint256

event Refunded:
    index: indexed(uint256)
    sender: indexed(address)
    token: address
    amount: uint256

# The exchange's own accounts (insurance, fees, markets): nobody has their keys, so their claims stay in the pool.
SYSTEM_ACCOUNTS: constant(uint256) = 64

MAX_SILENCE_S: public(immutable(uint256))

# Paid accounts and returned inbox entries by index, 256 to a word.
escaped: HashMap[uint256, uint256]
refunded: HashMap[uint256, uint256]


@deploy
def __init__(max_silence_s: uint256):
    assert max_silence_s > 0, "deploy: silence is zero"
    MAX_SILENCE_S = max_silence_s


# ---------------------------------------------------------------- freeze

@external
@nonreentrant
def freeze():
    """@notice End deposits and checkpoints for ever. Anyone may, after the earlier of `freeze_deadlines`."""
    last: ledger.Last = ledger.unpack_last()
    assert last.certified_s != 0, "freeze: not active"
    assert not last.is_frozen, "freeze: already frozen"
    overdue_after_s: uint256 = 0
    silent_after_s: uint256 = 0
    overdue_after_s, silent_after_s = self._deadlines(last)
    assert block.timestamp > min(overdue_after_s, silent_after_s), "freeze: too early"
    pool: uint256 = self._pool(last)
    ledger.freeze(pool)
    log Frozen(height=last.height, pool=pool, frozen_s=block.timestamp)


@internal
@view
def _deadlines(last: ledger.Last) -> (uint256, uint256):
    return inbox.overdue_after_s(last.inbox_cursor), last.certified_s + MAX_SILENCE_S


# ---------------------------------------------------------------- payments

@external
@nonreentrant
def escape(
    record: ledger.Record,
    index: uint256,
    owner: address,
    subaccount: uint256,
    claim: uint256,
    debt: uint256,
    digest: bytes32,
    sibling_hashes: bytes32[proofs.ACCOUNT_DEPTH],
    sibling_sums: uint256[proofs.ACCOUNT_DEPTH],
):
    """
    @notice Pay account `index` its share of the pool, to its owner. Anyone may call, once per index.
    @param record The last checkpoint as its event told it
    @param claim The account's equity in that checkpoint (quote units); `debt` is what it lacks
    @param digest keccak of its holdings and the rest
    @param sibling_hashes From the leaf up; `sibling_sums` likewise
    """
    pool: uint256 = ledger.frozen_pool()
    ledger.check_newest(record)
    root: bytes32 = empty(bytes32)
    sums: uint256 = 0
    root, sums = proofs.account_root(index, owner, subaccount, claim, debt, digest, sibling_hashes, sibling_sums)
    assert root == record.account_root and convert(sums, bytes32) == record.account_sums, "escape: wrong proof"
    assert index >= SYSTEM_ACCOUNTS, "escape: system account"
    bit: uint256 = 1 << (index & 255)
    word: uint256 = self.escaped[index >> 8]
    assert word & bit == 0, "escape: already paid"
    amount: uint256 = self._entitlement(claim, sums >> 128, pool)
    assert amount > 0, "escape: nothing to pay"

    self.escaped[index >> 8] = word | bit
    log Escaped(index=index, owner=owner, amount=amount)
    assert custody.transfer(ledger.TOKEN, owner, amount), "escape: transfer refused"


@external
@nonreentrant
def refund(
    index: uint256,
    token: address,
    beneficiary: address,
    subaccount: uint256,
    sender: address,
    amount: uint256,
    time_s: uint256,
):
    """
    @notice Return the deposit of inbox entry `index`, which no checkpoint consumed, to its sender. Anyone may call,
            once per entry; the fields are those of the event `InboxEntry`.
    """
    last: ledger.Last = ledger.unpack_last()
    assert last.is_frozen, "refund: not frozen"
    assert index < inbox.length(), "refund: no such entry"
    assert index >= last.inbox_cursor, "refund: consumed by a checkpoint"
    hash: bytes32 = proofs.inbox_hash(
        inbox.hash_after(index),
        index,
        inbox.KIND_DEPOSIT,
        token,
        beneficiary,
        subaccount,
        sender,
        amount,
        empty(bytes32),
        time_s,
    )
    assert hash == inbox.hash_after(index + 1), "refund: not this entry"
    bit: uint256 = 1 << (index & 255)
    word: uint256 = self.refunded[index >> 8]
    assert word & bit == 0, "refund: already paid"

    self.refunded[index >> 8] = word | bit
    log Refunded(index=index, sender=sender, token=token, amount=amount)
    assert custody.transfer(token, sender, amount), "refund: transfer refused"


@internal
@view
def _pool(last: ledger.Last) -> uint256:
    # Never below zero: a checkpoint's withdrawals do not exceed its deposits. A freeze fixes it.
    if last.is_frozen:
        return ledger.frozen_pool()
    return inbox.deposited(last.inbox_cursor) - last.withdrawals_total


@internal
@pure
def _entitlement(claim: uint256, claims_total: uint256, pool: uint256) -> uint256:
    # Claims have 128 bits, and the pool is below the token's supply: the product does not overflow.
    return 0 if claim == 0 else claim * min(pool, claims_total) // claims_total


# ---------------------------------------------------------------- views

@external
@view
def freeze_deadlines() -> (uint256, uint256):
    """
    @notice Block times after which `freeze` is possible, in seconds: because the oldest unconsumed inbox entry is overdue
            (the largest number if none waits), because the committee is silent.
    """
    return self._deadlines(ledger.unpack_last())


@external
@view
def pool() -> uint256:
    """@notice What the accounts of the last checkpoint would share, in quote units; final once frozen."""
    return self._pool(ledger.unpack_last())


@external
@view
def entitlement(record: ledger.Record, claim: uint256) -> uint256:
    """@notice What `escape` pays for `claim` under the last checkpoint; final once frozen."""
    last: ledger.Last = ledger.unpack_last()
    ledger.check_newest(record)
    return self._entitlement(claim, convert(record.account_sums, uint256) >> 128, self._pool(last))


@external
@view
def is_escaped(index: uint256) -> bool:
    """@notice Whether account `index` has been paid."""
    return (self.escaped[index >> 8] >> (index & 255)) & 1 == 1


@external
@view
def is_refunded(index: uint256) -> bool:
    """@notice Whether the deposit of inbox entry `index` has been returned."""
    return (self.refunded[index >> 8] >> (index & 255)) & 1 == 1
