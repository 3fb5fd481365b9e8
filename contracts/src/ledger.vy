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

# What the contract keeps of a checkpoint. Only its hash is stored (one slot instead of seven); whoever uses a checkpoint
# shows the record again, as the event `Checkpoint` told it.
struct Record:
    height: uint256
    header_hash: bytes32
    state_root: bytes32
    account_root: bytes32
    account_sums: bytes32
    withdrawals_root: bytes32
    posted_s: uint256

# The last checkpoint, packed in one slot: height (48 bits) | posted_s (40) | certified_s (40) | 15 bits free | frozen (1) |
# inbox cursor (48) | withdrawals_total (64). A freeze needs no times any more and puts the pool of the escapes in their place
# (80 bits): then posted_s is 0 and certified_s 1. `certified_s` is when the committee last worked as far as the contract can know:
# the time of the last checkpoint's header, and before the first one that of activation. Zero means not active.
struct Last:
    height: uint256
    certified_s: uint256
    inbox_cursor: uint256
    withdrawals_total: uint256
    is_frozen: bool
    posted_s: uint256

MASK_40: constant(uint256) = 2**40 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_80: constant(uint256) = 2**80 - 1
FROZEN: constant(uint256) = 2**112

# Which checkpoints are kept: the newest, and of each span of BUCKET_S seconds the last one, until its slot is needed again
# KEPT_BUCKETS spans later. Slots are taken by time and not by number, so that nobody can push a checkpoint out by posting many
# headers: one that its span ends with stays for seven claim delays at least. The withdrawal tree only grows, so a
# younger checkpoint pays whatever an older one would have paid.
KEPT_BUCKETS: constant(uint256) = 64
BUCKETS_IN_DELAY: constant(uint256) = 8


# ---------------------------------------------------------------- immutables and storage

TOKEN: public(immutable(address))

# Age a checkpoint needs before withdrawals are paid against it.
CLAIM_DELAY_S: public(immutable(uint256))
BUCKET_S: public(immutable(uint256))

last: uint256
# Hash of the newest `Record`; zero before the first.
newest: bytes32
# Hashes of older ones, each at (its posted_s // BUCKET_S) % KEPT_BUCKETS.
older: bytes32[KEPT_BUCKETS]


@deploy
def __init__(token: address, claim_delay_s: uint256):
    assert token.is_contract, "deploy: token is no contract"
    TOKEN = token
    CLAIM_DELAY_S = claim_delay_s
    BUCKET_S = max(claim_delay_s // BUCKETS_IN_DELAY, 1)


# ---------------------------------------------------------------- checkpoints

@internal
def start():
    """@notice Activation: from now on the committee's silence counts."""
    self.last = block.timestamp << 128


@internal
def freeze(pool: uint256):
    """@notice No deposit and no checkpoint any more, for ever: what this module holds no longer changes."""
    # 2**80 units are more than all money there is; should there be more, the rest would stay where it is.
    self.last = (self.last & ~(MASK_80 << 128)) | (min(pool, MASK_80) << 128) | FROZEN


@internal
def put_checkpoint(before: Last, last: Last, record: Record):
    """@notice `record` becomes the newest checkpoint and `last` what is known since; `before` is what was."""
    bucket: uint256 = before.posted_s // BUCKET_S
    if bucket != last.posted_s // BUCKET_S and before.posted_s != 0:
        self.older[bucket % KEPT_BUCKETS] = self.newest
    self.newest = keccak256(abi_encode(record))
    self.last = (
        (last.height << 208)
        | (last.posted_s << 168)
        | (last.certified_s << 128)
        | (last.inbox_cursor << 64)
        | last.withdrawals_total
    )
    log Checkpoint(
        height=record.height,
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
    is_frozen: bool = word & FROZEN != 0
    return Last(
        height=word >> 208,
        certified_s=1 if is_frozen else (word >> 128) & MASK_40,
        inbox_cursor=(word >> 64) & MASK_48,
        withdrawals_total=word & MASK_64,
        is_frozen=is_frozen,
        posted_s=0 if is_frozen else (word >> 168) & MASK_40,
    )


@internal
@view
def frozen_pool() -> uint256:
    """@notice What the accounts of the last checkpoint share. Only when frozen."""
    word: uint256 = self.last
    assert word & FROZEN != 0, "escape: not frozen"
    return (word >> 128) & MASK_80


@internal
@view
def has_record(record: Record) -> bool:
    # A hash is never zero: what was never written proves nothing.
    hash: bytes32 = keccak256(abi_encode(record))
    return hash == self.newest or hash == self.older[record.posted_s // BUCKET_S % KEPT_BUCKETS]


@internal
@view
def check_record(record: Record):
    """@notice `record` is a checkpoint that is kept."""
    assert self.has_record(record), "record: no kept checkpoint"


@internal
@view
def check_newest(record: Record):
    """@notice `record` is the last checkpoint."""
    assert keccak256(abi_encode(record)) == self.newest, "record: not the last checkpoint"


# ---------------------------------------------------------------- views

@external
@view
def last_checkpoint() -> Last:
    """@notice The last checkpoint; height 0 if there is none yet."""
    return self.unpack_last()


@external
@view
def is_kept(record: Record) -> bool:
    """@notice Whether proofs against this checkpoint are heard."""
    return self.has_record(record)
