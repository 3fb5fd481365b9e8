# pragma version 0.4.3
# pragma evm-version prague
"""
@title proofs: the hash chain and the trees of docs/protocol.md, section 4
@notice Pure. Every proof has one fixed shape; an index that does not fit its tree is refused.
"""

ACCOUNT_DEPTH: constant(uint256) = 20
WITHDRAWAL_DEPTH: constant(uint256) = 32
MASK_128: constant(uint256) = 2**128 - 1


@internal
@pure
def inbox_hash(
    previous: bytes32,
    index: uint256,
    kind: uint256,
    token: address,
    beneficiary: address,
    subaccount: uint256,
    sender: address,
    amount: uint256,
    data: bytes32,
    time_s: uint256,
) -> bytes32:
    """@notice The inbox chain after one more entry."""
    return keccak256(abi_encode(previous, index, kind, token, beneficiary, subaccount, sender, amount, data, time_s))


@internal
@pure
def withdrawal_root(
    index: uint256, owner: address, token: address, amount: uint256, siblings: bytes32[WITHDRAWAL_DEPTH]
) -> bytes32:
    """@notice Root of the withdrawal tree that has this leaf; siblings from the leaf up."""
    assert index < 2**WITHDRAWAL_DEPTH, "claim: index too large"
    node: bytes32 = keccak256(abi_encode(convert(2, uint256), index, owner, token, amount))
    path: uint256 = index
    for sibling: bytes32 in siblings:
        if path & 1 == 0:
            node = keccak256(abi_encode(node, sibling))
        else:
            node = keccak256(abi_encode(sibling, node))
        path >>= 1
    return node


@internal
@pure
def account_root(
    index: uint256,
    owner: address,
    subaccount: uint256,
    claim: uint256,
    debt: uint256,
    digest: bytes32,
    sibling_hashes: bytes32[ACCOUNT_DEPTH],
    sibling_sums: uint256[ACCOUNT_DEPTH],
) -> (bytes32, uint256):
    """@notice Root and sums of the account tree that has this leaf; siblings from the leaf up."""
    assert index < 2**ACCOUNT_DEPTH, "account: index too large"
    assert claim <= MASK_128 and debt <= MASK_128, "account: sum too large"
    sums: uint256 = (claim << 128) | debt
    node: bytes32 = keccak256(abi_encode(convert(1, uint256), index, owner, subaccount, sums, digest))
    path: uint256 = index
    level: uint256 = 0
    for sibling: bytes32 in sibling_hashes:
        other: uint256 = sibling_sums[level]
        if path & 1 == 0:
            node = keccak256(abi_encode(node, sums, sibling, other))
        else:
            node = keccak256(abi_encode(sibling, other, node, sums))
        # Neither part may wrap: a carry from debt into claims would let a forged sum pass.
        total: uint256 = unsafe_add(sums, other)
        assert total >= sums and total & MASK_128 >= sums & MASK_128, "account: sum too large"
        sums = total
        path >>= 1
        level = unsafe_add(level, 1)
    return node, sums
