# pragma version 0.4.3
# pragma evm-version prague
"""
@title HashPerKey: what a checkpoint would cost with a stored hash for every key
@notice For the gas benchmark only; it holds nothing and checks nothing but a quorum. BLS as in Settlement and the same
        traces, but members' keys are not in contract code: the aggregate and the keys of those that are absent come as
        calldata and are compared with stored hashes.
"""

import bls

event Checkpoint:
    height: indexed(uint256)
    header_hash: indexed(bytes32)
    state_root: bytes32
    account_root: bytes32
    account_sums: bytes32
    withdrawals_root: bytes32
    posted_s: uint256

NONSIGNERS_MAX: constant(uint256) = 84

size: uint256
aggregate_hash: bytes32
key_hashes: HashMap[uint256, bytes32]
last: uint256
newest: bytes32


@deploy
def __init__(keys: DynArray[bytes32[4], 255]):
    aggregate: bytes32[4] = empty(bytes32[4])
    for i: uint256 in range(len(keys), bound=255):
        aggregate = bls.add_g1(aggregate, keys[i])
        self.key_hashes[i] = keccak256(abi_encode(keys[i]))
    self.aggregate_hash = keccak256(abi_encode(aggregate))
    self.size = len(keys)


@external
def checkpoint(
    header: bytes32[20],
    aggregate: bytes32[4],
    nonsigners: Bytes[NONSIGNERS_MAX],
    keys: DynArray[bytes32[4], NONSIGNERS_MAX],
    signature: bytes32[8],
):
    """@param keys Those of `nonsigners`, in the same order"""
    size: uint256 = self.size
    height: uint256 = convert(header[3], uint256)
    assert height > self.last >> 192, "height"
    count: uint256 = len(nonsigners)
    assert count == len(keys) and count <= (size - 1) // 3, "quorum"
    assert keccak256(abi_encode(aggregate)) == self.aggregate_hash, "aggregate"
    signers: bytes32[4] = aggregate
    if count > 0:
        indices: Bytes[NONSIGNERS_MAX + 32] = concat(nonsigners, empty(bytes32))
        absent: bytes32[4] = empty(bytes32[4])
        next_index: uint256 = 0
        for i: uint256 in range(count, bound=NONSIGNERS_MAX):
            index: uint256 = convert(extract32(indices, i), uint256) >> 248
            assert index >= next_index and index < size, "nonsigners"
            next_index = index + 1
            assert keccak256(abi_encode(keys[i])) == self.key_hashes[index], "key"
            absent = bls.add_g1(absent, keys[i])
        signers = bls.add_g1(aggregate, bls.negate_g1(absent))
        assert not bls.is_infinity(signers), "infinity"
    header_hash: bytes32 = keccak256(abi_encode(header))
    digest: bytes32 = keccak256(
        concat(b"\x03", self._domain(), slice(header[1], 28, 4), slice(header[2], 24, 8), header_hash)
    )
    assert bls.is_signed(signers, digest, signature), "signature"
    self.last = (height << 192) | block.timestamp
    self.newest = keccak256(abi_encode(header_hash, header[14], header[15], header[16], header[17], block.timestamp))
    log Checkpoint(
        height=height, header_hash=header_hash, state_root=header[14], account_root=header[15], account_sums=header[16],
        withdrawals_root=header[17], posted_s=block.timestamp,
    )


@internal
@view
def _domain() -> bytes32:
    return keccak256(concat(b"hansa/v1", convert(chain.id, bytes32), convert(self, bytes20)))
