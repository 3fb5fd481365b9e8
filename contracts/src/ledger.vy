# pragma version 0.4.3
# pragma evm-version prague
"""
@title ledger: what came in, and what the committee last said about it
@notice The hash-chained inbox of deposits, the checkpoints, and whether the contract is frozen. Whoever pays reads here
        what there is to pay from.
"""

import proofs

# ---------------------------------------------------------------- events

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

event Checkpoint:
    height: indexed(uint256)
    header_hash: indexed(bytes32)
    state_root: bytes32
    account_root: bytes32
    account_sums: bytes32
    withdrawals_root: bytes32
    posted_s: uint256


# ---------------------------------------------------------------- types and constants

# What the contract keeps of a checkpoint. Only its hash is stored (one slot instead of six); whoever uses a checkpoint
# shows the record again, as the event `Checkpoint` told it.
struct Record:
    header_hash: bytes32
    state_root: bytes32
    account_root: bytes32
    account_sums: bytes32
    withdrawals_root: bytes32
    posted_s: uint256

# The last checkpoint, packed in one slot: height (64 bits) | frozen (1) | certified_s (63) | inbox cursor (64) |
# withdrawals_total (64). `certified_s` is when the committee last worked as far as the contract can know: the time of the
# last checkpoint's header, and before the first one that of activation. Zero means not active.
struct Last:
    height: uint256
    certified_s: uint256
    inbox_cursor: uint256
    withdrawals_total: uint256
    is_frozen: bool

KIND_DEPOSIT: constant(uint256) = 1
MASK_63: constant(uint256) = 2**63 - 1
MASK_64: constant(uint256) = 2**64 - 1
FROZEN: constant(uint256) = 2**191


# ---------------------------------------------------------------- immutables and storage

TOKEN: public(immutable(address))
FORCE_DEADLINE_S: public(immutable(uint256))

inbox_length: public(uint256)
# The hash chain after so many entries; zero entries have hash zero.
inbox_hash: public(HashMap[uint256, bytes32])
# By number of entries n > 0: deposits of the first n entries (bits 64-255) and the time of entry n - 1 (bits 0-63).
inbox_totals: HashMap[uint256, uint256]

last: uint256
# By height: hash of the `Record`; zero where no checkpoint is.
record_hash: public(HashMap[uint256, bytes32])


@deploy
def __init__(token: address, force_deadline_s: uint256):
    assert token.is_contract, "deploy: token is no contract"
    assert force_deadline_s > 0, "deploy: deadline is zero"
    TOKEN = token
    FORCE_DEADLINE_S = force_deadline_s


# ---------------------------------------------------------------- inbox

@internal
def append_deposit(beneficiary: address, subaccount: uint256, amount: uint256):
    """@notice The caller's deposit as the inbox's next entry."""
    index: uint256 = self.inbox_length
    data: bytes32 = empty(bytes32)
    hash: bytes32 = proofs.inbox_hash(
        self.inbox_hash[index],
        index,
        KIND_DEPOSIT,
        TOKEN,
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
        token=TOKEN,
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


# ---------------------------------------------------------------- checkpoints

@internal
def start():
    """@notice Activation: from now on the committee's silence counts."""
    self.last = block.timestamp << 128


@internal
def freeze():
    """@notice No deposit and no checkpoint any more, for ever: what this module holds no longer changes."""
    self.last |= FROZEN


@internal
def put_checkpoint(last: Last, record: Record):
    self.last = (
        (last.height << 192) | (last.certified_s << 128) | (last.inbox_cursor << 64) | last.withdrawals_total
    )
    self.record_hash[last.height] = keccak256(abi_encode(record))
    log Checkpoint(
        height=last.height,
        header_hash=record.header_hash,
        state_root=record.state_root,
        account_root=record.account_root,
        account_sums=record.account_sums,
        withdrawals_root=record.withdrawals_root,
        posted_s=record.posted_s,
    )


@internal
@view
def unpack_last() -> Last:
    word: uint256 = self.last
    return Last(
        height=word >> 192,
        certified_s=(word >> 128) & MASK_63,
        inbox_cursor=(word >> 64) & MASK_64,
        withdrawals_total=word & MASK_64,
        is_frozen=word & FROZEN != 0,
    )


@internal
@view
def check_record(height: uint256, record: Record):
    stored: bytes32 = self.record_hash[height]
    assert stored != empty(bytes32), "record: no such checkpoint"
    assert stored == keccak256(abi_encode(record)), "record: not this checkpoint"


# ---------------------------------------------------------------- views

@external
@view
def last_checkpoint() -> Last:
    """@notice The last checkpoint; height 0 if there is none yet."""
    return self.unpack_last()


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
