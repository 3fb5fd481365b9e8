# pragma version 0.4.3
# pragma evm-version prague
"""
@title bls: signatures of the committee, BLS12-381 with keys in G1
@notice Verifies the ciphersuite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_ over 32-byte digests with the precompiles of
        EIP-2537. Points are words in that EIP's layout: G1 is 4 words, G2 is 8.
@dev Each precompile's success and length of output are checked: a call to a missing precompile succeeds with no output.
"""

# Precompiles: EIP-198 and EIP-2537.
MODEXP: constant(address) = 0x0000000000000000000000000000000000000005
G1ADD: constant(address) = 0x000000000000000000000000000000000000000b
G2ADD: constant(address) = 0x000000000000000000000000000000000000000d
PAIRING: constant(address) = 0x000000000000000000000000000000000000000F
MAP_FP2_TO_G2: constant(address) = 0x0000000000000000000000000000000000000011

# The prime of the base field, high and low word.
P_HIGH: constant(bytes32) = 0x000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd7
P_LOW: constant(bytes32) = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab
# The generator of G1, negated.
NEGATIVE_G1: constant(bytes32[4]) = [
    0x0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0f,
    0xc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb,
    0x00000000000000000000000000000000114d1d6855d545a8aa7d76c8cf2e21f2,
    0x67816aef1db507c96655b9d5caac42364e6f38ba0ecb751bad54dcd6b939c2ca,
]
# "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_" and its length, 43 (RFC 9380, section 5.3.1), in the two splits that hashing
# whole words asks for: behind the three bytes 0x010000, and behind one byte that is still zero here.
TAG_HEAD_BEHIND_THREE: constant(bytes32) = 0x010000424c535f5349475f424c53313233383147325f584d443a5348412d3235
TAG_TAIL_BEHIND_THREE: constant(bytes15) = 0x365f535357555f524f5f504f505f2b
TAG_HEAD_BEHIND_ONE: constant(bytes32) = 0x00424c535f5349475f424c53313233383147325f584d443a5348412d3235365f
TAG_TAIL_BEHIND_ONE: constant(bytes13) = 0x535357555f524f5f504f505f2b
# Modular exponentiation of 64 bytes by one word with a modulus of 64 bytes: the three lengths.
LENGTH_OF_64: constant(uint256) = 64
LENGTH_OF_WORD: constant(uint256) = 32
EXPONENT_ONE: constant(uint256) = 1


@internal
@view
def is_signed(key: bytes32[4], digest: bytes32, signature: bytes32[8]) -> bool:
    """
    @notice e(key, H(digest)) * e(-g1, signature) == 1. Callers make sure that `key` is not infinity.
    @dev The pairing precompile checks curve, subgroup and canonical coordinates of all four points.
    """
    success: bool = False
    output: Bytes[32] = b""
    success, output = raw_call(
        PAIRING,
        abi_encode(key, self._hash_to_g2(digest), NEGATIVE_G1, signature),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(output) == 32 and convert(output, uint256) == 1


@internal
@view
def _hash_to_g2(digest: bytes32) -> bytes32[8]:
    """
    @notice RFC 9380 hash_to_curve of 32 bytes, suite BLS12381G2_XMD:SHA-256_SSWU_RO_.
    """
    # expand_message_xmd to 256 bytes: 64 zero bytes, the message, the length 0x0100, one zero byte, the tag.
    zero: bytes32 = empty(bytes32)
    first: uint256 = convert(
        sha256(concat(zero, zero, digest, TAG_HEAD_BEHIND_THREE, TAG_TAIL_BEHIND_THREE)), uint256
    )
    uniform: bytes32[8] = empty(bytes32[8])
    previous: uint256 = 0
    head: uint256 = convert(TAG_HEAD_BEHIND_ONE, uint256)
    for i: uint256 in range(8):
        head = unsafe_add(head, 1 << 248)  # the block's number, from 1
        block_hash: bytes32 = sha256(
            concat(convert(first ^ previous, bytes32), convert(head, bytes32), TAG_TAIL_BEHIND_ONE)
        )
        uniform[i] = block_hash
        previous = convert(block_hash, uint256)
    output: Bytes[256] = raw_call(
        G2ADD,
        concat(
            self._map_to_g2(uniform[0], uniform[1], uniform[2], uniform[3]),
            self._map_to_g2(uniform[4], uniform[5], uniform[6], uniform[7]),
        ),
        max_outsize=256,
        is_static_call=True,
    )
    assert len(output) == 256, "bls: G2ADD failed"
    return abi_decode(output, bytes32[8])


@internal
@view
def _map_to_g2(c0_high: bytes32, c0_low: bytes32, c1_high: bytes32, c1_low: bytes32) -> Bytes[256]:
    output: Bytes[256] = raw_call(
        MAP_FP2_TO_G2,
        concat(self._reduce(c0_high, c0_low), self._reduce(c1_high, c1_low)),
        max_outsize=256,
        is_static_call=True,
    )
    assert len(output) == 256, "bls: MAP_FP2_TO_G2 failed"
    return output


@internal
@view
def _reduce(high: bytes32, low: bytes32) -> Bytes[64]:
    """
    @notice A 512-bit number modulo the field's prime, as 64 bytes.
    """
    output: Bytes[64] = raw_call(
        MODEXP,
        abi_encode(LENGTH_OF_64, LENGTH_OF_WORD, LENGTH_OF_64, high, low, EXPONENT_ONE, P_HIGH, P_LOW),
        max_outsize=64,
        is_static_call=True,
    )
    assert len(output) == 64, "bls: MODEXP failed"
    return output


@internal
@view
def add_g1(left: bytes32[4], right: bytes32[4]) -> bytes32[4]:
    output: Bytes[128] = raw_call(
        G1ADD, abi_encode(left, right), max_outsize=128, is_static_call=True,
    )
    assert len(output) == 128, "bls: G1ADD failed"
    return abi_decode(output, bytes32[4])


@internal
@view
def add_g1_from_code(total: Bytes[128], code_owner: address, position: uint256) -> Bytes[128]:
    """
    @notice `total` plus the point of 128 bytes at `position` of a contract's code: no word is taken apart on the way.
    """
    output: Bytes[128] = raw_call(
        G1ADD,
        concat(total, slice(code_owner.code, position, 128)),
        max_outsize=128,
        is_static_call=True,
    )
    assert len(output) == 128, "bls: G1ADD failed"
    return output


@internal
@pure
def negate_g1(point: bytes32[4]) -> bytes32[4]:
    """
    @notice (x, p - y). Not for infinity: G1ADD refuses the non-canonical y = p that would come out.
    """
    y_high: uint256 = convert(point[2], uint256)
    y_low: uint256 = convert(point[3], uint256)
    borrow: uint256 = 1 if y_low > convert(P_LOW, uint256) else 0
    high: uint256 = convert(P_HIGH, uint256) - y_high - borrow
    # Wraps by design: it is the low word of a two-word subtraction.
    low: uint256 = unsafe_sub(convert(P_LOW, uint256), y_low)
    return [point[0], point[1], convert(high, bytes32), convert(low, bytes32)]


@internal
@pure
def is_infinity(point: bytes32[4]) -> bool:
    zero: bytes32 = empty(bytes32)
    return point[0] == zero and point[1] == zero and point[2] == zero and point[3] == zero
