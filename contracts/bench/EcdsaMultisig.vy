# pragma version 0.4.3
# pragma evm-version prague
"""
@title EcdsaMultisig: what a checkpoint would cost with one secp256k1 signature a member
@notice For the gas benchmark only; it holds nothing and checks nothing but a quorum. It signs the digest that the committee
        signs, of the same 20 header words, and leaves the same traces: one packed word, one hash, one event. Members'
        addresses are in contract code, 20 bytes each after a STOP byte.
"""

event Checkpoint:
    height: indexed(uint256)
    header_hash: indexed(bytes32)
    state_root: bytes32
    account_root: bytes32
    account_sums: bytes32
    withdrawals_root: bytes32
    posted_s: uint256

MEMBERS_MAX: constant(uint256) = 255

# Number of members (bits 160-167) and address of the code that holds them.
committee: uint256
last: uint256
newest: bytes32


@deploy
def __init__(blob: address, size: uint256):
    self.committee = (size << 160) | convert(blob, uint256)


@external
def checkpoint(header: bytes32[20], signers: Bytes[MEMBERS_MAX], signatures: DynArray[bytes32[2], MEMBERS_MAX], flags: uint256):
    """
    @param signers Members that signed, one byte each, strictly increasing
    @param signatures r and s of each
    @param flags Bit i is v - 27 of the i-th
    """
    committee: uint256 = self.committee
    size: uint256 = committee >> 160
    blob: address = convert(committee & convert(max_value(uint160), uint256), address)
    height: uint256 = convert(header[3], uint256)
    assert height > self.last >> 192, "height"
    count: uint256 = len(signers)
    assert count == len(signatures) and count >= size - (size - 1) // 3, "quorum"
    header_hash: bytes32 = keccak256(abi_encode(header))
    digest: bytes32 = keccak256(
        concat(b"\x03", self._domain(), slice(header[1], 28, 4), slice(header[2], 24, 8), header_hash)
    )
    indices: Bytes[MEMBERS_MAX + 32] = concat(signers, empty(bytes32))
    next_index: uint256 = 0
    for i: uint256 in range(count, bound=MEMBERS_MAX):
        index: uint256 = convert(extract32(indices, i), uint256) >> 248
        assert index >= next_index and index < size, "signers"
        next_index = index + 1
        signer: address = ecrecover(
            digest, 27 + ((flags >> i) & 1), convert(signatures[i][0], uint256), convert(signatures[i][1], uint256)
        )
        assert signer != empty(address), "signature"
        assert convert(signer, bytes20) == convert(slice(blob.code, 1 + 20 * index, 20), bytes20), "signer"
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
