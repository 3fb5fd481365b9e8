# pragma version 0.4.3
# pragma evm-version prague
"""
@title inbox: what came in, in one order that nobody can change
@notice A hash chain of entries. A checkpoint names a prefix of it by length and hash, and none may leave out an entry that
        waited for FORCE_DEADLINE_S: consuming many entries costs the contract as much as consuming one.
"""

import proofs

event InboxEntry:
    index: indexed(uint256)
    kind: uint256
    token: address
    beneficiary: indexed(address)
    subaccount: uint256
    sender: indexed(address)
    amount: uint256
    data: bytes32
    time_s: uint256
    hash: bytes32

KIND_DEPOSIT: constant(uint256) = 1
MASK_64: constant(uint256) = 2**64 - 1

FORCE_DEADLINE_S: public(immutable(uint256))

inbox_length: public(uint256)
# The hash chain after so many entries; zero entries have hash zero.
inbox_hash: public(HashMap[uint256, bytes32])
# By number of entries n > 0: deposits of the first n entries (bits 64-255) and the time of entry n - 1 (bits 0-63).
inbox_totals: HashMap[uint256, uint256]


@deploy
def __init__(force_deadline_s: uint256):
    assert force_deadline_s > 0, "deploy: deadline is zero"
    FORCE_DEADLINE_S = force_deadline_s


# ---------------------------------------------------------------- entries

@internal
def append_deposit(token: address, beneficiary: address, subaccount: uint256, amount: uint256):
    """@notice The caller's deposit as the inbox's next entry."""
    index: uint256 = self.inbox_length
    data: bytes32 = empty(bytes32)
    hash: bytes32 = proofs.inbox_hash(
        self.inbox_hash[index],
        index,
        KIND_DEPOSIT,
        token,
        beneficiary,
        subaccount,
        msg.sender,
        amount,
        data,
        block.timestamp,
    )
    self.inbox_hash[index + 1] = hash
    self.inbox_totals[index + 1] = ((self.deposited(index) + amount) << 64) | block.timestamp
    self.inbox_length = index + 1
    log InboxEntry(
        index=index,
        kind=KIND_DEPOSIT,
        token=token,
        beneficiary=beneficiary,
        subaccount=subaccount,
        sender=msg.sender,
        amount=amount,
        data=data,
        time_s=block.timestamp,
        hash=hash,
    )


@internal
@view
def deposited(cursor: uint256) -> uint256:
    """@notice Deposits of the first `cursor` entries."""
    return self.inbox_totals[cursor] >> 64


@internal
@view
def overdue_after_s(cursor: uint256) -> uint256:
    """@notice Until when entry `cursor` may wait; the end of time if there is none."""
    waiting_since_s: uint256 = self.inbox_totals[cursor + 1] & MASK_64
    return max_value(uint256) if waiting_since_s == 0 else waiting_since_s + FORCE_DEADLINE_S


# ---------------------------------------------------------------- views

@external
@view
def inbox_time_s(index: uint256) -> uint256:
    """@notice When entry `index` came; 0 if it has not."""
    return self.inbox_totals[index + 1] & MASK_64


@external
@view
def deposited_total(cursor: uint256) -> uint256:
    """@notice Deposits (quote units) of the first `cursor` entries."""
    return self.deposited(cursor)
