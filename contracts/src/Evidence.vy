# pragma version 0.4.3
# pragma evm-version prague
"""
@title Evidence: the court of the Hansa network
@notice Takes two signed statements of committee members about one view, and convicts whoever signed both of a pair that no
        honest member signs both (docs/protocol.md, section Evidence). Anyone may bring evidence; it cannot be
        censored by the committee, and it proves its case or is refused. The court has no owner, holds no money
        and forgets nothing. The registry, which holds the stakes, slashes whom it convicts.
@dev Committees of all epochs, old ones included, are the registry's; the settlement contract's domain is in every
     signature. A statement is a vote (one signer) or a certificate (a quorum). Points are words in the layout of
     EIP-2537, as in Settlement.
"""

import bls

struct Member:
    operator: address
    network_key: bytes32
    key: bytes32[4]
    number: uint256

interface Registry:
    def SETTLEMENT() -> address: view
    def COURT() -> address: view
    def committee_size(epoch: uint256) -> uint256: view
    def member(epoch: uint256, index: uint256) -> Member: view

interface Settlement:
    def domain() -> bytes32: view


event Culprit:
    epoch: indexed(uint256)
    member: indexed(uint256)
    operator: indexed(address)
    offence: uint256
    view_number: uint256


struct Statement:
    kind: uint256
    view_number: uint256
    header_hash: bytes32
    # Bit i is member i.
    signers: uint256
    signature: bytes32[8]

# Kinds of statements, docs/protocol.md section 1.
NOTARIZE: constant(uint256) = 1
NULLIFY: constant(uint256) = 2
FINALIZE: constant(uint256) = 3
# Offences. 5, a double proposal, is 1 here: headers prove nothing more than their hashes do.
DOUBLE_NOTARIZE: constant(uint256) = 1
DOUBLE_FINALIZE: constant(uint256) = 2
NULLIFY_FINALIZE: constant(uint256) = 3
NOTARIZE_FINALIZE: constant(uint256) = 4
CERTIFICATE_PAIR: constant(uint256) = 6

COMMITTEE_MAX: constant(uint256) = 255
MASK_64: constant(uint256) = 2**64 - 1

REGISTRY: public(immutable(address))
SETTLEMENT: public(immutable(address))
DEPLOYED_BLOCK: public(immutable(uint256))

# Epoch, member: bit k is set if the member is guilty of offence k in that epoch.
offences: public(HashMap[uint256, HashMap[uint256, uint256]])
# Cases that were decided: keccak of four words, epoch, view, offence, culprits.
is_decided: public(HashMap[bytes32, bool])


@deploy
def __init__(registry: address):
    """@param registry The contract that knows the committees; made for this one's address"""
    assert staticcall Registry(registry).COURT() == self, "court: another court's registry"
    REGISTRY = registry
    SETTLEMENT = staticcall Registry(registry).SETTLEMENT()
    DEPLOYED_BLOCK = block.number


@external
def submit(epoch: uint256, first: Statement, second: Statement) -> bool:
    """
    @notice Convict everyone who signed both statements.
    @param first One statement; the order of the two does not matter
    @return False if the case was decided before: nothing is verified then and nothing changes
    """
    size: uint256 = staticcall Registry(REGISTRY).committee_size(epoch)
    assert size != 0, "court: no committee"
    self._check_form(first)
    self._check_form(second)
    assert first.view_number == second.view_number, "court: different views"
    offence: uint256 = self._name_offence(first, second)
    assert (first.signers | second.signers) >> size == 0, "court: signer out of range"
    culprits: uint256 = first.signers & second.signers
    assert culprits != 0, "court: nobody signed both"
    quorum: uint256 = size - (size - 1) // 3
    if self._count(first.signers, size) >= quorum and self._count(second.signers, size) >= quorum:
        offence = CERTIFICATE_PAIR

    key: bytes32 = keccak256(abi_encode(epoch, first.view_number, offence, culprits))
    if self.is_decided[key]:
        return False
    operators: address[COMMITTEE_MAX] = self._check_signatures(epoch, size, first, second)

    self.is_decided[key] = True
    for i: uint256 in range(size, bound=COMMITTEE_MAX):
        if (culprits >> i) & 1 == 1:
            known: uint256 = self.offences[epoch][i]
            if (known >> offence) & 1 == 0:
                self.offences[epoch][i] = known | (1 << offence)
                log Culprit(
                    epoch=epoch, member=i, operator=operators[i], offence=offence, view_number=first.view_number
                )
    return True


@internal
@pure
def _check_form(statement: Statement):
    assert statement.kind >= NOTARIZE and statement.kind <= FINALIZE, "court: unknown kind"
    names_block: bool = statement.header_hash != empty(bytes32)
    assert (statement.kind == NULLIFY) != names_block, "court: header hash"
    assert statement.view_number != 0 and statement.view_number <= MASK_64, "court: view out of range"


@internal
@pure
def _name_offence(first: Statement, second: Statement) -> uint256:
    low: uint256 = min(first.kind, second.kind)
    high: uint256 = max(first.kind, second.kind)
    is_same_block: bool = first.header_hash == second.header_hash
    assert not (low == high and is_same_block), "court: the same statement"
    if low == NULLIFY:  # high is FINALIZE: two nullifications are the same statement
        return NULLIFY_FINALIZE
    assert high != NULLIFY and not is_same_block, "court: no conflict"
    if low == FINALIZE:
        return DOUBLE_FINALIZE
    return DOUBLE_NOTARIZE if high == NOTARIZE else NOTARIZE_FINALIZE


@internal
@pure
def _count(signers: uint256, size: uint256) -> uint256:
    count: uint256 = 0
    for i: uint256 in range(size, bound=COMMITTEE_MAX):
        count += (signers >> i) & 1
    return count


@internal
@view
def _check_signatures(
    epoch: uint256, size: uint256, first: Statement, second: Statement
) -> address[COMMITTEE_MAX]:
    """
    @notice Both aggregates are of the keys that the bitmaps name.
    @return Operators of the members that signed either
    """
    operators: address[COMMITTEE_MAX] = empty(address[COMMITTEE_MAX])
    keys: bytes32[4][2] = empty(bytes32[4][2])
    for i: uint256 in range(size, bound=COMMITTEE_MAX):
        in_first: bool = (first.signers >> i) & 1 == 1
        in_second: bool = (second.signers >> i) & 1 == 1
        if in_first or in_second:
            member: Member = staticcall Registry(REGISTRY).member(epoch, i)
            operators[i] = member.operator
            if in_first:
                keys[0] = bls.add_g1(keys[0], member.key)
            if in_second:
                keys[1] = bls.add_g1(keys[1], member.key)
    domain: bytes32 = staticcall Settlement(SETTLEMENT).domain()
    assert self._is_signed(keys[0], domain, epoch, first), "court: first signature"
    assert self._is_signed(keys[1], domain, epoch, second), "court: second signature"
    return operators


@internal
@view
def _is_signed(key: bytes32[4], domain: bytes32, epoch: uint256, statement: Statement) -> bool:
    head: Bytes[45] = concat(
        slice(convert(statement.kind, bytes32), 31, 1),
        domain,
        slice(convert(epoch, bytes32), 28, 4),
        slice(convert(statement.view_number, bytes32), 24, 8),
    )
    digest: bytes32 = keccak256(head)
    if statement.kind != NULLIFY:
        digest = keccak256(concat(head, statement.header_hash))
    # Proven possession keeps members' keys from cancelling out; were they to, nothing would be proven.
    return not bls.is_infinity(key) and bls.is_signed(key, digest, statement.signature)


@external
@view
def is_culprit(epoch: uint256, member: uint256) -> bool:
    """@notice Whether committee member `member` is guilty of anything in `epoch`."""
    return self.offences[epoch][member] != 0
