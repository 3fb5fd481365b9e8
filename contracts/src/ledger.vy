# pragma version 0.4.3
# pragma evm-version prague
"""
@title ledger: what the committee last said
@notice The token, the checkpoints, and whether the contract is frozen. Whoever pays reads here, and in the inbox, what
        there is to pay from.
"""

# ---------------------------------------------------------------- events

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

MASK_63: constant(uint256) = 2**63 - 1
MASK_64: constant(uint256) = 2**64 - 1
FROZEN: constant(uint256) = 2**191


# ---------------------------------------------------------------- immutables and storage

TOKEN: public(immutable(address))

last: uint256
# By height: hash of the `Record`; zero where no checkpoint is.
record_hash: public(HashMap[uint256, bytes32])


@deploy
def __init__(token: address):
    assert token.is_contract, "deploy: token is no contract"
    TOKEN = token


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
