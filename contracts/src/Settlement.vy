# pragma version 0.4.3
# pragma evm-version prague
"""
@title Settlement: the custody and the judge of the Hansa network
@notice Holds the collateral, keeps one hash-chained inbox of deposits and forced actions, accepts the finalised headers of
        the committee as checkpoints, and pays withdrawals against them. It has no owner, no upgrade and no switch. If the
        committee fails, anyone freezes it and everyone leaves (escape_hatch).
@dev The bytes that are hashed and signed are defined in docs/protocol.md. Money is in quote units (1e-6 USDC), times are in
     seconds of `block.timestamp`. Needs the BLS12-381 precompiles of EIP-2537. Points are words, never byte strings: G1 is
     4 words, G2 is 8 (EIP-2537 layout), so no input has an optional or a variable part.
     Every external function checks first, then writes, then logs, and touches the token last.
"""

import bls
import custody
import escape_hatch
import inbox
import ledger
import proofs

initializes: ledger
initializes: inbox[ledger := ledger]
initializes: custody[ledger := ledger]
initializes: escape_hatch[inbox := inbox, ledger := ledger]
exports: (inbox.__interface__, ledger.__interface__, custody.__interface__, escape_hatch.__interface__)

interface Payouts:
    def is_token(token: address) -> bool: view

interface Registry:
    def SETTLEMENT() -> address: view
    def committees(committee_hash: bytes32) -> uint256: view
    def second_blobs(committee_hash: bytes32) -> address: view
    def begin_epoch(committee_hash: bytes32): nonpayable


# ---------------------------------------------------------------- events

event Sealed:
    epoch: indexed(uint256)
    next_committee_hash: bytes32

event EpochBegun:
    epoch: indexed(uint256)
    committee_size: uint256


# ---------------------------------------------------------------- types and constants

HEADER_VERSION: constant(uint256) = 1
FIRST_EPOCH: constant(uint256) = 1
NONSIGNERS_MAX: constant(uint256) = 84  # a committee has at most 255 members: (255 - 1) // 3
DEPOSIT_LIMIT: constant(uint256) = 2**62  # the engine counts money in signed 64-bit integers
ENGINE_VERSION_MAX: constant(uint256) = 2**23 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_128: constant(uint256) = 2**128 - 1

# Header words, docs/protocol.md section 2.
W_VERSION: constant(uint256) = 0
W_EPOCH: constant(uint256) = 1
W_VIEW: constant(uint256) = 2
W_HEIGHT: constant(uint256) = 3
W_TIMESTAMP_MS: constant(uint256) = 7
W_NEXT_COMMITTEE_HASH: constant(uint256) = 9
W_INBOX_CURSOR: constant(uint256) = 11
W_INBOX_HASH: constant(uint256) = 12
W_STATE_ROOT: constant(uint256) = 14
W_ACCOUNT_ROOT: constant(uint256) = 15
W_ACCOUNT_SUMS: constant(uint256) = 16
W_WITHDRAWALS_ROOT: constant(uint256) = 17
W_WITHDRAWALS_TOTAL: constant(uint256) = 18
W_ENGINE_VERSION: constant(uint256) = 19

# In the packed word of the committee.
SEALED: constant(uint256) = 2**255
ENGINE_BITS: constant(uint256) = 2**255 - 2**200
# Where the registry keeps keys in contract code: after a STOP byte the aggregate and members 0-127; members 128-254 in a
# second blob.
BLOB_KEYS: constant(uint256) = 128


# ---------------------------------------------------------------- immutables and storage

REGISTRY: public(immutable(address))
COUNCIL: public(immutable(address))
DEPLOYER: public(immutable(address))
DEPLOYED_BLOCK: public(immutable(uint256))
DEBT_MAX_QUOTE: public(immutable(uint256))

# The current committee, packed in one slot: whether it has sealed its epoch (bit 255), newest engine version that the council
# admits (232-254), engine version of the last checkpoint (200-231), epoch (168-199), size (160-167), address of the first
# blob of its keys. The epoch is zero before activation.
committee: uint256
second_blob: address
# Who follows, as the committee has signed when it sealed its epoch; zero before.
next_committee_hash: public(bytes32)


@deploy
def __init__(
    registry: address,
    token: address,
    claim_delay_s: uint256,
    force_deadline_s: uint256,
    debt_max_quote: uint256,
    engine_version: uint256,
    max_silence_s: uint256,
    payouts: address,
    council: address,
):
    """
    @param registry Who may be in the committee; made for this contract's address
    @param token Collateral; must be a plain ERC-20 without fees or rebasing
    @param claim_delay_s Age a checkpoint needs before withdrawals are paid against it
    @param force_deadline_s Age at which an unconsumed inbox entry blocks checkpoints and allows `freeze`
    @param debt_max_quote Largest sum of negative equity a checkpoint may show
    @param engine_version The first version of the engine whose answers are accepted
    @param max_silence_s Time without a newer header that allows `freeze`
    @param payouts Where the contract will be that pays withdrawals; it checks that this is its custody
    @param council Where the council will be; zero for none: then the engine's version never changes
    """
    assert staticcall Registry(registry).SETTLEMENT() == self, "deploy: the registry is another contract's"
    ledger.__init__(token, claim_delay_s)
    custody.__init__(payouts)
    inbox.__init__(force_deadline_s)
    escape_hatch.__init__(max_silence_s)
    REGISTRY = registry
    COUNCIL = council
    DEPLOYER = msg.sender
    DEPLOYED_BLOCK = block.number
    DEBT_MAX_QUOTE = debt_max_quote
    assert engine_version > 0 and engine_version <= ENGINE_VERSION_MAX, "deploy: engine version"
    self.committee = (engine_version << 232) | (engine_version << 200)


# ---------------------------------------------------------------- committee

@external
def activate(committee_hash: bytes32):
    """
    @notice Start epoch 1. Only the deployer, once.
    @param committee_hash A committee that was made in the registry
    """
    assert msg.sender == DEPLOYER, "activate: not the deployer"
    assert self._epoch(self.committee) == 0, "activate: already active"
    self._begin_epoch(FIRST_EPOCH, committee_hash)
    ledger.start()


@external
def advance_epoch():
    """
    @notice Hand over to the committee whose hash the current one has signed, once it is made in the registry. Anyone may;
            headers of the old committee are refused from then on.
    """
    committee: uint256 = self.committee
    assert committee & SEALED != 0, "epoch: not sealed"
    assert not ledger.unpack_last().is_frozen, "epoch: frozen"
    next: bytes32 = self.next_committee_hash
    self.next_committee_hash = empty(bytes32)
    self._begin_epoch(self._epoch(committee) + 1, next)


@internal
def _seal(committee: uint256, next: bytes32):
    """
    @notice The committee in office has signed who follows. From then on it signs only headers that say the same (those of
            trailing blocks): nobody can be let in or out by one of its later headers.
    """
    if committee & SEALED != 0:
        assert next == self.next_committee_hash, "checkpoint: sealed for another committee"
    elif next != empty(bytes32):
        self.committee = committee | SEALED
        self.next_committee_hash = next
        log Sealed(epoch=self._epoch(committee), next_committee_hash=next)


@external
def set_engine_version(version: uint256):
    """
    @notice Admit headers of newer engines up to `version`. Only the council. The first one that comes ends the old version.
    """
    assert msg.sender == COUNCIL, "engine: not the council"
    word: uint256 = self.committee
    assert version > self._newest_engine(word) and version <= ENGINE_VERSION_MAX, "engine: version"
    self.committee = word + ((version - self._newest_engine(word)) << 232)


@internal
@pure
def _epoch(committee: uint256) -> uint256:
    return (committee >> 168) & MASK_32


@internal
@pure
def _newest_engine(committee: uint256) -> uint256:
    return (committee >> 232) & ENGINE_VERSION_MAX


@internal
def _begin_epoch(epoch: uint256, committee_hash: bytes32):
    """@notice From now on the committee of this hash signs checkpoints; the registry refuses one that was not made."""
    word: uint256 = staticcall Registry(REGISTRY).committees(committee_hash)
    self.committee = (self.committee & ENGINE_BITS) | (epoch << 168) | word
    self.second_blob = staticcall Registry(REGISTRY).second_blobs(committee_hash)
    extcall Registry(REGISTRY).begin_epoch(committee_hash)
    log EpochBegun(epoch=epoch, committee_size=word >> 160)


# ---------------------------------------------------------------- inbox

@external
@nonreentrant
def deposit(beneficiary: address, subaccount: uint256, amount: uint256, token: address = empty(address)):
    """
    @notice Bring `amount` of a collateral token for an account of the exchange; needs the caller's allowance.
    @param token Without it, the quote token
    """
    data: bytes32 = empty(bytes32)
    last: ledger.Last = ledger.unpack_last()
    assert last.certified_s != 0, "deposit: not active"
    assert not last.is_frozen, "deposit: frozen"
    assert beneficiary != empty(address), "deposit: beneficiary is zero"
    assert subaccount < 2**32, "deposit: subaccount too large"
    assert amount > 0, "deposit: amount is zero"
    assert amount < DEPOSIT_LIMIT, "deposit: amount too large"

    # The token moves first here: only the balance tells what really arrived. `nonreentrant` keeps the order honest.
    if token == empty(address) or token == ledger.TOKEN:
        custody.take_in(ledger.TOKEN, amount)
        inbox.append(inbox.KIND_DEPOSIT, ledger.TOKEN, beneficiary, subaccount, amount, data, amount)
    else:
        assert staticcall Payouts(custody.PAYOUTS).is_token(token), "deposit: no collateral"
        custody.take_in(token, amount)
        index: uint256 = inbox.append(inbox.KIND_DEPOSIT, token, beneficiary, subaccount, amount, data, 0)
        custody.note_deposit(token, index, amount)


# ---------------------------------------------------------------- checkpoints

@external
def checkpoint(header: bytes32[20], nonsigners: Bytes[NONSIGNERS_MAX], signature: bytes32[8]):
    """
    @notice Accept a finalised header. Anyone may post any certified header that advances the height.
    @param header The 20 words of the header
    @param nonsigners Committee indices that are absent from the signature, one byte each, strictly increasing
    @param signature Aggregate finalisation signature, G2
    """
    committee: uint256 = self.committee
    assert self._epoch(committee) != 0, "checkpoint: not active"
    assert convert(header[W_VERSION], uint256) == HEADER_VERSION, "checkpoint: version"
    assert convert(header[W_EPOCH], uint256) == self._epoch(committee), "checkpoint: epoch"
    assert convert(header[W_VIEW], uint256) <= MASK_64, "checkpoint: view too large"
    version: uint256 = convert(header[W_ENGINE_VERSION], uint256)
    version_before: uint256 = (committee >> 200) & MASK_32
    assert version >= version_before and version <= self._newest_engine(committee), "checkpoint: engine not active"

    last: ledger.Last = ledger.unpack_last()
    assert not last.is_frozen, "checkpoint: frozen"
    height: uint256 = convert(header[W_HEIGHT], uint256)
    assert height > last.height, "checkpoint: height does not advance"
    assert height <= MASK_48, "checkpoint: height too large"
    cursor: uint256 = convert(header[W_INBOX_CURSOR], uint256)
    assert cursor >= last.inbox_cursor, "checkpoint: cursor goes back"
    withdrawals: uint256 = convert(header[W_WITHDRAWALS_TOTAL], uint256)
    assert withdrawals >= last.withdrawals_total, "checkpoint: withdrawals decrease"
    assert withdrawals <= MASK_64, "checkpoint: withdrawals too large"
    deposited: uint256 = self._check_inbox(cursor, header[W_INBOX_HASH])
    self._check_solvency(convert(header[W_ACCOUNT_SUMS], uint256), withdrawals, deposited)

    header_hash: bytes32 = keccak256(abi_encode(header))
    signers: bytes32[4] = self._aggregate_without(committee, nonsigners)
    digest: bytes32 = self._finalize_digest(header[W_EPOCH], header[W_VIEW], header_hash)
    assert bls.is_signed(signers, digest, signature), "checkpoint: signature"
    self._seal(committee, header[W_NEXT_COMMITTEE_HASH])

    if version != version_before:
        self.committee += (version - version_before) << 200
    # The committee's silence counts from the header's own time, or whoever keeps old headers could feign a pulse.
    certified_s: uint256 = min(convert(header[W_TIMESTAMP_MS], uint256) // 1000, block.timestamp)
    ledger.put_checkpoint(
        last,
        ledger.Last(
            height=height,
            certified_s=max(last.certified_s, certified_s),
            inbox_cursor=cursor,
            withdrawals_total=withdrawals,
            is_frozen=False,
            posted_s=block.timestamp,
        ),
        ledger.Record(
            height=height,
            header_hash=header_hash,
            state_root=header[W_STATE_ROOT],
            account_root=header[W_ACCOUNT_ROOT],
            account_sums=header[W_ACCOUNT_SUMS],
            withdrawals_root=header[W_WITHDRAWALS_ROOT],
            posted_s=block.timestamp,
        ),
    )


@internal
@view
def _check_inbox(cursor: uint256, hash: bytes32) -> uint256:
    """
    @notice The header has read exactly our first `cursor` entries and ignored no overdue one.
    @return Deposits of those entries
    """
    expected: bytes32 = empty(bytes32)
    deposited: uint256 = 0
    overdue_after_s: uint256 = 0
    expected, deposited, overdue_after_s = inbox.prefix(cursor)
    assert hash == expected, "checkpoint: inbox hash"
    assert block.timestamp <= overdue_after_s, "checkpoint: skips an overdue entry"
    return deposited


@internal
@view
def _check_solvency(account_sums: uint256, withdrawals: uint256, deposited: uint256):
    # Debt is bounded, or invented debtors could balance invented claims.
    debt: uint256 = account_sums & MASK_128
    assert debt <= DEBT_MAX_QUOTE, "checkpoint: too much debt"
    assert (account_sums >> 128) + withdrawals <= deposited + debt, "checkpoint: claims exceed deposits"
    # Also where debt balances them: what nobody has brought yet must stay for refunds.
    assert withdrawals <= deposited, "checkpoint: withdrawals exceed deposits"


# ---------------------------------------------------------------- withdrawals and account proofs

@external
@view
def verify_account(
    record: ledger.Record,
    index: uint256,
    owner: address,
    subaccount: uint256,
    claim: uint256,
    debt: uint256,
    digest: bytes32,
    sibling_hashes: bytes32[proofs.ACCOUNT_DEPTH],
    sibling_sums: uint256[proofs.ACCOUNT_DEPTH],
) -> bool:
    """@notice Whether the account with this claim and debt (quote units) is leaf `index` of a kept checkpoint."""
    ledger.check_record(record)
    root: bytes32 = empty(bytes32)
    sums: uint256 = 0
    root, sums = proofs.account_root(index, owner, subaccount, claim, debt, digest, sibling_hashes, sibling_sums)
    return root == record.account_root and convert(sums, bytes32) == record.account_sums


# ---------------------------------------------------------------- signatures

@internal
@view
def _domain() -> bytes32:
    # Computed each time, so that a fork of the chain with a new chain id has another domain.
    return keccak256(concat(b"hansa/v1", convert(chain.id, bytes32), convert(self, bytes20)))


@internal
@view
def _finalize_digest(epoch: bytes32, view_number: bytes32, header_hash: bytes32) -> bytes32:
    return keccak256(concat(b"\x03", self._domain(), slice(epoch, 28, 4), slice(view_number, 24, 8), header_hash))


@internal
@view
def _aggregate_without(committee: uint256, nonsigners: Bytes[NONSIGNERS_MAX]) -> bytes32[4]:
    """@notice The committee's aggregate key minus the keys of `nonsigners`."""
    size: uint256 = (committee >> 160) & 255
    blob: address = convert(committee & convert(max_value(uint160), uint256), address)
    aggregate: bytes32[4] = abi_decode(slice(blob.code, 1, 128), bytes32[4])
    count: uint256 = len(nonsigners)
    if count == 0:
        return aggregate
    assert count <= (size - 1) // 3, "checkpoint: too few signers"
    # Padded, so that every index can be read as the first byte of a word.
    indices: Bytes[NONSIGNERS_MAX + 32] = concat(nonsigners, empty(bytes32))
    absent: Bytes[128] = abi_encode(empty(bytes32[4]))
    next_index: uint256 = 0
    for i: uint256 in range(count, bound=NONSIGNERS_MAX):
        index: uint256 = convert(extract32(indices, i), uint256) >> 248
        assert index >= next_index, "checkpoint: non-signers not increasing"
        assert index < size, "checkpoint: non-signer out of range"
        next_index = index + 1
        if index < BLOB_KEYS:
            absent = bls.add_g1_from_code(absent, blob, 129 + 128 * index)
        else:
            absent = bls.add_g1_from_code(absent, self.second_blob, 1 + 128 * (index - BLOB_KEYS))
    signers: bytes32[4] = bls.add_g1(aggregate, bls.negate_g1(abi_decode(absent, bytes32[4])))
    assert not bls.is_infinity(signers), "checkpoint: signers cancel out"
    return signers


# ---------------------------------------------------------------- views

@external
@view
def epoch() -> uint256:
    """@notice The current epoch; 0 before activation."""
    return self._epoch(self.committee)


@external
@view
def engine_version() -> uint256:
    """@notice The newest engine version whose headers are accepted."""
    return self._newest_engine(self.committee)


@external
@view
def committee_size() -> uint256:
    """@notice Members of the current committee; 0 before activation."""
    return (self.committee >> 160) & 255


@external
@view
def is_frozen() -> bool:
    """@notice Whether deposits and checkpoints have ended for ever."""
    return ledger.unpack_last().is_frozen


@external
@view
def domain() -> bytes32:
    """@notice What binds every vote to this chain and this contract."""
    return self._domain()


@external
@view
def finalize_digest(header: bytes32[20]) -> bytes32:
    """@notice What the committee signs to finalise `header`."""
    return self._finalize_digest(header[W_EPOCH], header[W_VIEW], keccak256(abi_encode(header)))
